"""Check a training run before it starts, and keep the data sets opened for the check."""

import dataclasses
import logging
from pathlib import Path

from gluonvision.data import SegmentationDataset
from gluonvision.data.class_weights import KINDS
from gluonvision.loss import get_loss
from gluonvision.model_zoo.backbones.base import OUTPUT_STRIDES
from gluonvision.model_zoo.segmentation.families import (
    FAMILIES,
    check_head_channels,
    check_names,
)
from gluonvision.model_zoo.weights.importers import find_pretrained
from gluonvision.runs.config import TrainConfig
from gluonvision.runs.factory import base_weights, training_data, validation_data
from gluonvision.runs.start import Start, resolve_start

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class TrainingJob:
    """A checked run: its configuration, where it starts, and its data sets.

    It is pickled for each process of a run on several devices, so files are read only once.
    """

    config: TrainConfig
    start: Start
    training: SegmentationDataset
    validation: SegmentationDataset


def prepare_job(config: TrainConfig, num_devices: int) -> TrainingJob:
    """Check options and data, open the data sets, and download ImageNet weights if needed.

    Raises:
        ValueError: an option or the data is wrong.
        OSError: a file is missing, or a download failed.
    """
    start = resolve_start(config)
    _check_options(config, start, num_devices)
    validation, training = validation_data(config), training_data(config)
    _check_batches(config, num_devices, len(training))
    find_pretrained(config.backbone, base_weights(config, start))
    return TrainingJob(config, start, training, validation)


def _check_options(config: TrainConfig, start: Start, num_devices: int) -> None:
    check_names(config.model, config.backbone)
    check_head_channels(config.model, config.head_channels)
    if config.output_stride not in (None, *OUTPUT_STRIDES):
        raise ValueError(
            f"output_stride={config.output_stride}: expected one of {OUTPUT_STRIDES}, or nothing "
            "for the model's default"
        )
    for path in (start.initial_weights, config.backbone_weights):
        if path is not None and not Path(path).is_file():
            raise FileNotFoundError(f"{path}: no such weights file; check the path")
    if config.start_epoch and start.from_scratch:
        raise ValueError(
            f"start_epoch={config.start_epoch} needs weights to start from; add --resume WEIGHTS, "
            "or omit --start-epoch"
        )
    get_loss(config.loss)
    if config.class_weights not in ("none", *KINDS):
        raise ValueError(
            f"class_weights={config.class_weights!r}: expected none, {' or '.join(KINDS)}"
        )
    if config.batch_size % num_devices:
        raise ValueError(
            f"batch_size={config.batch_size} cannot be split over {num_devices} devices; choose a "
            "multiple of their number"
        )


def _check_batches(config: TrainConfig, num_devices: int, num_images: int) -> None:
    if num_images < config.batch_size:
        logger.warning(
            "the training split has %d images: every batch holds them all and is smaller than "
            "batch_size=%d",
            *(num_images, config.batch_size),
        )
    if not FAMILIES[config.model].pools_globally or config.freeze_bn:
        return
    per_device = min(config.batch_size, num_images) // num_devices
    images = max(per_device // config.accumulate, 1) * (num_devices if config.syncbn else 1)
    if images < 2:
        raise ValueError(
            f"{config.model} normalizes features that are pooled to one value per image, so it "
            f"needs at least 2 images at a time; batch_size={config.batch_size} of {num_images} "
            f"images gives each device one (devices: {num_devices}, "
            f"accumulate={config.accumulate}). Use a larger --batch-size, fewer micro-batches "
            "(--accumulate), --syncbn on several devices, or --freeze-bn"
        )
