"""What trained weights are worth: scores on a split, or the masks that they give."""

import dataclasses
from pathlib import Path

from tqdm import tqdm

from gluonvision import backend
from gluonvision.data import get_segmentation_dataset
from gluonvision.metrics import SegmentationScores
from gluonvision.segmentation import build
from gluonvision.segmentation.checkpoint import BEST
from gluonvision.segmentation.config import TrainConfig
from gluonvision.segmentation.evaluate import evaluate
from gluonvision.segmentation.predict import predict
from gluonvision.segmentation.states import is_state
from gluonvision.utils import get_mask


def assess(config: TrainConfig) -> SegmentationScores:
    """Scores of ``config.resume`` (default: the run's best weights) on whole images, printed.

    On all of the configuration's devices; the images are those of ``config.val_split``.
    """
    config, _ = _with_weights(config)
    build.validation_data(config)  # what is wrong with the data shows before processes start
    scores = backend.launch(_scores, config, backend.device_count(config.ngpus, config.no_cuda))
    if backend.rank() == 0:
        _print(config, scores)
    return scores


def write_masks(config: TrainConfig) -> Path:
    """The masks that ``config.resume`` gives, as the data set's own mask files; their folder.

    A file is named as its image, in ``masks`` beside the weights. The images are those of
    ``config.val_split``, which needs no masks.
    """
    config, weights = _with_weights(config)
    images = get_segmentation_dataset(
        config.dataset, root=config.data_folder, split=config.val_split, mode="test"
    )
    net = build.build_model(config, backend.devices(1, config.no_cuda))
    folder = weights.parent / "masks"
    folder.mkdir(parents=True, exist_ok=True)
    for i in tqdm(range(len(images)), unit="image", desc="writing masks"):
        image, name = images[i]
        get_mask(predict(net, image), images.meta).save(folder / f"{Path(name).stem}.png")
    return folder


def _scores(config):
    validation = build.validation_data(config)
    net = build.build_model(config, backend.devices(config.ngpus, config.no_cuda))
    return evaluate(net, validation, config.test_batch_size, config.workers)


def _with_weights(config) -> tuple[TrainConfig, Path]:
    """The configuration with a file of weights to read, by default the run's best; that file."""
    if is_state(config.resume):
        raise ValueError(f"{config.resume} is a state; name its run's checkpoint.params instead")
    weights = build.start_weights(config) or str(config.folder / BEST)
    if not Path(weights).is_file():
        raise FileNotFoundError(f"{weights}: no such file; name the weights by --resume FILE")
    return dataclasses.replace(config, resume=weights), Path(weights)


def _print(config, scores):
    facts = build.validation_data(config).meta
    width = max(map(len, facts.classes))
    for name, iou in zip(facts.classes, scores.class_iou):
        print(f"{name:<{width}}  " + ("absent" if iou != iou else f"{iou:6.3f}"))
    print(
        f"{config.resume} on {config.val_split}: mIoU {scores.mean_iou:.4f}, pixel accuracy "
        f"{scores.pixel_accuracy:.4f}, mean accuracy {scores.mean_accuracy:.4f}"
    )
