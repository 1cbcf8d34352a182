"""Build the parts of a run from its configuration: data, model and loss."""

from pathlib import Path
from typing import Any

from gluonvision import backend
from gluonvision.backend import nn
from gluonvision.data import (
    DataLoader,
    Sampler,
    SegmentationDataset,
    dataset_meta,
    get_segmentation_dataset,
)
from gluonvision.data.class_weights import class_weights, count_labels
from gluonvision.data.loading.forked_workers import can_fork
from gluonvision.loss import SegmentationLoss, get_loss
from gluonvision.model_zoo import get_segmentation_model, load_weights
from gluonvision.runs.artifacts import check_weights, model_options
from gluonvision.runs.config import TrainConfig
from gluonvision.runs.start import Start, resolve_start


def training_data(config: TrainConfig) -> SegmentationDataset:
    """Open the training split, with augmentation."""
    return get_segmentation_dataset(
        config.dataset,
        root=config.data_folder,
        split=config.train_split,
        mode="train",
        base_size=config.base_size,
        crop_size=config.crop_size,
        seed=config.seed,
        skip_broken=config.skip_broken,
        photometric=config.photometric,
        cat_max_ratio=config.cat_max_ratio,
    )


def validation_data(config: TrainConfig) -> SegmentationDataset:
    """Open the validation split: whole images."""
    return get_segmentation_dataset(
        config.dataset,
        root=config.data_folder,
        split=config.val_split,
        mode="val",
        skip_broken=config.skip_broken,
    )


def training_batches(config: TrainConfig, dataset: SegmentationDataset) -> DataLoader:
    """Make the loader of this process's part of every batch."""
    num_processes = backend.world_size()
    sampler = Sampler(len(dataset), True, config.seed, backend.rank(), num_processes)
    # A last batch of one image would leave pooled branches a single value to normalize.
    last_batch = "discard" if len(dataset) >= config.batch_size else "keep"
    return DataLoader(
        dataset,
        config.batch_size // num_processes,
        num_workers=config.workers,
        last_batch=last_batch,
        sampler=sampler,
        processes=can_fork(),
    )


def build_model(config: TrainConfig, devices: list, start: Start | None = None) -> Any:
    """Build the model on ``devices``, with the weights that the run starts from.

    Args:
        config: the configuration.
        devices: the devices of this process.
        start: where the run starts; by default ``config.resume`` is resolved.

    Raises:
        ValueError: the weights do not fit the model.
    """
    start = resolve_start(config) if start is None else start
    meta = dataset_meta(config.dataset, config.data_folder)
    if config.nclass not in (None, meta.num_class):
        raise ValueError(
            f"nclass={config.nclass}: {config.dataset} has {meta.num_class} classes; omit nclass"
        )
    net = get_segmentation_model(
        config.model,
        meta,
        config.backbone,
        pretrained_base=base_weights(config, start),
        norm_layer=nn.SyncBatchNorm if config.syncbn else nn.BatchNorm,
        norm_kwargs=_norm_options(config, devices),
        **model_options(config),
    )
    if start.initial_weights is not None:
        _load_initial_weights(net, start.initial_weights, config.new_classifier)
    _set_multipliers(net, config)
    net.collect_params().reset_ctx(devices if len(devices) > 1 else devices[0])
    return net


def base_weights(config: TrainConfig, start: Start) -> str | bool:
    """The backbone's weights: a file, True for ImageNet's, False where ``start`` replaces them."""
    return (config.backbone_weights or config.pretrained_base) if start.from_scratch else False


def build_loss(config: TrainConfig, dataset: SegmentationDataset) -> SegmentationLoss:
    """Build the loss; class weights, if the run uses any, are computed from ``dataset``."""
    weights = None
    if config.class_weights != "none":
        counts = count_labels(dataset, config.workers)
        weights = class_weights(counts, config.class_weights).tolist()
    return get_loss(config.loss, config.aux_weight, weights, align_corners=config.align_corners)


def _norm_options(config: TrainConfig, devices: list) -> dict[str, Any] | None:
    if config.freeze_bn:
        return {"use_global_stats": True}
    # By default MXNet would wait for every GPU that it sees.
    return {"num_devices": len(devices)} if config.syncbn else None


def _set_multipliers(net: Any, config: TrainConfig) -> None:
    # Under MXNet a parameter's name does not tell which layer it belongs to.
    for head in (net.head, net.auxlayer):
        if head is not None:
            head.collect_params().setattr("lr_mult", config.head_lr_mult)
    if config.no_wd:
        net.collect_params(r".*(gamma|beta|bias)$").setattr("wd_mult", 0)


def _load_initial_weights(net: Any, path: Path, new_classifier: bool) -> None:
    check_weights(path)
    try:
        load_weights(net, str(path), new_classifier=new_classifier)
    except ValueError as error:
        raise ValueError(
            f"{error}. On the command line: --model, --backbone, --aux and --output-stride must "
            "match the weights (see the config.json next to them); --new-classifier re-initializes "
            "the last layers for other classes"
        ) from error
