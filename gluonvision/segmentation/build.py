"""From a configuration to the parts of a run: data, model, loss."""

from pathlib import Path

from gluonvision import backend
from gluonvision.backend import nn
from gluonvision.data import DataLoader, Sampler, dataset_meta, get_segmentation_dataset
from gluonvision.data.class_weights import KINDS, class_weights, count_labels
from gluonvision.loss import get_loss
from gluonvision.model_zoo import get_segmentation_model, load_weights
from gluonvision.model_zoo.segmentation import check_names
from gluonvision.segmentation.checkpoint import check_weights, model_options
from gluonvision.segmentation.config import TrainConfig
from gluonvision.segmentation.run_folder import RunFolder
from gluonvision.segmentation.states import is_state


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


def check(config: TrainConfig, num_devices: int) -> None:
    """Raise what is wrong with names, sizes and data, before processes start and weights come."""
    check_names(config.model, config.backbone)
    for name in (start_weights(config), config.backbone_weights):
        if name is not None and not Path(name).is_file():
            raise FileNotFoundError(f"{name}: no such file of weights; check its name")
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
    validation_data(config), training_data(config)


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
    )


def build_model(config: TrainConfig, devices: list):
    """The model of a configuration, with the weights that it is to start from."""
    weights, goes_on = start_weights(config), RunFolder(config).start_state() is not None
    facts = dataset_meta(config.dataset, config.data_folder)
    if config.nclass not in (None, facts.num_class):
        raise ValueError(
            f"nclass={config.nclass}: {config.dataset} has {facts.num_class} classes; leave it out"
        )
    pretrained_base = config.backbone_weights or config.pretrained_base
    net = get_segmentation_model(
        config.model,
        facts,
        config.backbone,
        pretrained_base=False if weights or goes_on else pretrained_base,
        norm_layer=nn.SyncBatchNorm if config.syncbn else nn.BatchNorm,
        norm_kwargs=_norm_options(config, devices),
        **model_options(config),
    )
    if weights:
        _start_from(net, weights, config.new_classifier)
    _set_multipliers(net, config)
    net.collect_params().reset_ctx(devices if len(devices) > 1 else devices[0])
    return net


def start_weights(config: TrainConfig) -> str | None:
    """The file of weights that ``resume`` names, unless it names a state or none."""
    return None if config.resume == "auto" or is_state(config.resume) else config.resume


def build_loss(config: TrainConfig, dataset):
    """The loss, with the weights of classes that the training split asks for."""
    weights = None
    if config.class_weights != "none":
        counts = count_labels(dataset, config.workers)
        weights = class_weights(counts, config.class_weights).tolist()
    return get_loss(config.loss, config.aux_weight, weights)


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
