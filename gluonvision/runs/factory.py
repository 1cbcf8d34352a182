"""From a configuration to the parts of a run: data, model, loss."""

import logging
from pathlib import Path

from gluonvision import backend
from gluonvision.backend import nn
from gluonvision.data import DataLoader, Sampler, dataset_meta, get_segmentation_dataset
from gluonvision.data.class_weights import KINDS, class_weights, count_labels
from gluonvision.data.loading.forked_workers import can_fork
from gluonvision.loss import get_loss
from gluonvision.model_zoo import FCN, get_segmentation_model, load_weights
from gluonvision.model_zoo.backbones.base import OUTPUT_STRIDES
from gluonvision.model_zoo.segmentation.families import FAMILIES, check_names
from gluonvision.model_zoo.weights.importers import find_pretrained
from gluonvision.runs.artifacts import check_weights, model_options
from gluonvision.runs.checkpoint import is_checkpoint
from gluonvision.runs.config import TrainConfig
from gluonvision.runs.run_folder import RunFolder

logger = logging.getLogger(__name__)


def training_data(config: TrainConfig):
    """The augmented training split."""
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


def validation_data(config: TrainConfig):
    """The validation split: whole images."""
    return get_segmentation_dataset(
        config.dataset,
        root=config.data_folder,
        split=config.val_split,
        mode="val",
        skip_broken=config.skip_broken,
    )


def check(config: TrainConfig, num_devices: int) -> int:
    """Raise what is wrong with names, sizes and data, before processes start.

    ImageNet weights that the run starts from are fetched here. Returns the number of training
    images.
    """
    check_names(config.model, config.backbone)
    if config.output_stride not in (None, *OUTPUT_STRIDES):
        raise ValueError(
            f"output_stride={config.output_stride}: expected one of {OUTPUT_STRIDES}; left out it "
            "is the model's own"
        )
    for name in (start_weights(config), config.backbone_weights):
        if name is not None and not Path(name).is_file():
            raise FileNotFoundError(f"{name}: no such file of weights; check its name")
    _check_start(config)
    get_loss(config.loss)
    if config.class_weights not in ("none", *KINDS):
        raise ValueError(
            f"class_weights={config.class_weights!r}: expected none, {' or '.join(KINDS)}"
        )
    if config.batch_size % num_devices:
        raise ValueError(
            f"batch_size={config.batch_size} cannot be shared by {num_devices} devices; choose a "
            "multiple of their number"
        )
    validation_data(config)
    num_images = len(training_data(config))
    _check_pooled(config, num_devices, num_images)
    if num_images < config.batch_size:
        logger.warning(
            "there are %d training images: they are one batch, of less than batch_size=%d",
            *(num_images, config.batch_size),
        )
    find_pretrained(config.backbone, _base_weights(config))
    return num_images


def _check_start(config):
    goes_on = start_weights(config) or RunFolder(config).start_checkpoint()
    if config.start_epoch and not goes_on:
        raise ValueError(
            f"start_epoch={config.start_epoch} is the epoch of --resume's weights, and none are "
            "named; name them, or leave --start-epoch out"
        )


def _check_pooled(config, num_devices, num_images):
    """Every family but FCN normalizes what it has pooled to one value an image."""
    if FAMILIES[config.model] is FCN or config.freeze_bn:
        return
    share = min(config.batch_size, num_images) // num_devices
    images = max(share // config.accumulate, 1) * (num_devices if config.syncbn else 1)
    if images < 2:
        raise ValueError(
            f"{config.model} normalizes features that are pooled to one value an image, and "
            f"batch_size={config.batch_size} of {num_images} images gives a device one at a time "
            f"(devices: {num_devices}, accumulate={config.accumulate}); take a larger "
            "--batch-size, fewer parts, --syncbn on several devices, or --freeze-bn"
        )


def training_batches(config: TrainConfig, dataset) -> DataLoader:
    """This process's share of every batch."""
    processes = backend.world_size()
    sampler = Sampler(len(dataset), True, config.seed, backend.rank(), processes)
    # A last batch of one image would leave pooled branches one value to normalize.
    last_batch = "discard" if len(dataset) >= config.batch_size else "keep"
    return DataLoader(
        dataset,
        config.batch_size // processes,
        num_workers=config.workers,
        last_batch=last_batch,
        sampler=sampler,
        processes=can_fork(),
    )


def build_model(config: TrainConfig, devices: list):
    """The model of a configuration, with the weights that it is to start from."""
    weights = start_weights(config)
    facts = dataset_meta(config.dataset, config.data_folder)
    if config.nclass not in (None, facts.num_class):
        raise ValueError(
            f"nclass={config.nclass}: {config.dataset} has {facts.num_class} classes; leave it out"
        )
    net = get_segmentation_model(
        config.model,
        facts,
        config.backbone,
        pretrained_base=_base_weights(config),
        norm_layer=nn.SyncBatchNorm if config.syncbn else nn.BatchNorm,
        norm_kwargs=_norm_options(config, devices),
        **model_options(config),
    )
    if weights:
        _start_from(net, weights, config.new_classifier)
    _set_multipliers(net, config)
    net.collect_params().reset_ctx(devices if len(devices) > 1 else devices[0])
    return net


def _base_weights(config) -> str | bool:
    """The backbone's file, True for ImageNet's, False where other weights replace them anyway."""
    if start_weights(config) or RunFolder(config).start_checkpoint():
        return False
    return config.backbone_weights or config.pretrained_base


def start_weights(config: TrainConfig) -> str | None:
    """The file of weights that ``resume`` names, unless it names a state or none."""
    return None if config.resume == "auto" or is_checkpoint(config.resume) else config.resume


def build_loss(config: TrainConfig, dataset):
    """The loss, with the weights of classes that the training split asks for."""
    weights = None
    if config.class_weights != "none":
        counts = count_labels(dataset, config.workers)
        weights = class_weights(counts, config.class_weights).tolist()
    return get_loss(config.loss, config.aux_weight, weights, align_corners=config.align_corners)


def _norm_options(config, devices):
    if config.freeze_bn:
        return {"use_global_stats": True}
    # MXNet would wait for every GPU that it sees.
    return {"num_devices": len(devices)} if config.syncbn else None


def _set_multipliers(net, config):
    # Not by name: under MXNet a parameter's own name does not tell where it is.
    for head in (net.head, net.auxlayer):
        if head is not None:
            head.collect_params().setattr("lr_mult", config.head_lr_mult)
    if config.no_wd:
        net.collect_params(r".*(gamma|beta|bias)$").setattr("wd_mult", 0)


def _start_from(net, path, new_classifier):
    check_weights(Path(path))
    try:
        load_weights(net, path, new_classifier=new_classifier)
    except ValueError as error:
        raise ValueError(
            f"{error}. On the command line: --model, --backbone, --aux and --output-stride have to "
            "be those of the weights (config.json beside them has them); --new-classifier begins "
            "the last layers anew for other classes"
        ) from error
