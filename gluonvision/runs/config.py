"""The configuration of a run: one frozen dataclass. The command line is derived from it."""

import dataclasses
import json
import typing
from pathlib import Path

import yaml

from gluonvision.backend.trainer_options import TrainerOptions


def _option(default: typing.Any, help_text: str, can_change: bool = False) -> typing.Any:
    """Make a field; ``can_change`` means that its value may change on resume."""
    return dataclasses.field(
        default=default, metadata={"help": help_text, "can_change": can_change}
    )


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """All options of a training run; each field is an option of ``gluonvision train``.

    Raises:
        ValueError: a value has the wrong type or is out of range.
    """

    dataset: str = _option(
        "pascal_voc",
        "data set: pascal_voc, pascal_aug, coco (or mscoco), ade20k, citys, camvid or folder",
    )
    data_folder: str | None = _option(
        None, "folder of the data set (default: where 'prepare' puts it)", can_change=True
    )
    train_split: str = _option("train", "split to train on")
    val_split: str = _option("val", "split to validate on")
    skip_broken: bool = _option(False, "read every file first; list and skip the broken ones")
    nclass: int | None = _option(None, "number of classes (default: the data set's)")
    model: str = _option("fcn", "model: fcn, pspnet, deeplabv3 or deeplabv3plus")
    backbone: str = _option("resnet50", "backbone, such as resnet50, resnet101_v1s, mobilenet_v2")
    output_stride: int | None = _option(
        None, "stride of the last features: 8, 16 or 32 (default: depends on the model)"
    )
    head_channels: int | None = _option(
        None, "width of the head of deeplabv3plus (default: the paper's 256)"
    )
    align_corners: bool = _option(
        True,
        "resize logits with aligned corners, as GluonCV does; otherwise align pixel centres, which "
        "keeps objects in place at every size",
    )
    pretrained_base: bool = _option(True, "start the backbone from ImageNet weights")
    backbone_weights: str | None = _option(
        None, "start the backbone from this file instead", can_change=True
    )
    aux: bool = _option(False, "add the auxiliary head")
    aux_weight: float = _option(0.4, "weight of the auxiliary loss")
    syncbn: bool = _option(False, "synchronize batch normalization across devices")
    freeze_bn: bool = _option(False, "normalize with the running statistics and do not update them")
    base_size: int = _option(520, "long side of a training image at scale 1, in pixels")
    crop_size: int = _option(480, "side of the training crops, in pixels")
    photometric: bool = _option(False, "distort the colours of training images")
    cat_max_ratio: float = _option(
        1.0, "move a crop in which one class covers more than this fraction, 0-1"
    )
    epochs: int = _option(50, "number of passes over the training split")
    start_epoch: int = _option(
        0, "epoch to start at with --resume WEIGHTS; it sets the learning rate too"
    )
    batch_size: int = _option(16, "images per step, over all devices")
    val_every: int = _option(1, "epochs between validations; the last epoch is always validated")
    test_batch_size: int = _option(
        1, "images per forward pass in validation, for each device", can_change=True
    )
    accumulate: int = _option(1, "micro-batches per step, for each device")
    loss: str = _option("ce", "loss: ce, ohem, dice, lovasz, focal, or a sum such as ce+lovasz")
    class_weights: str = _option("none", "class weights: none, median or inverse-log")
    optimizer: str = _option("sgd", "optimizer: sgd or adamw")
    lr: float = _option(0.001, "initial learning rate of the poly schedule")
    head_lr_mult: float = _option(10.0, "learning rate multiplier of the heads")
    warmup: int = _option(0, "number of warm-up steps")
    momentum: float = _option(0.9, "momentum of SGD")
    weight_decay: float = _option(1e-4, "weight decay")
    no_wd: bool = _option(False, "no weight decay on norms and biases")
    precision: str = _option("fp32", "fp32, bf16, or fp16 with a dynamic loss scale")
    clip_norm: float = _option(0.0, "clip the norm of all gradients to this; 0 for no clipping")
    ema: float = _option(0.0, "decay of the moving average of the weights; 0 for no average")
    channels_last: bool = _option(False, "use the channels-last memory format")
    compile: bool = _option(False, "compile the forward and backward pass")
    deterministic: bool = _option(False, "bit-exact on a GPU too, but slower")
    fused_loss: bool = _option(
        True, "compute the loss from low-resolution logits where possible, to save memory"
    )
    workers: int = _option(2, "data-loading workers per device", can_change=True)
    no_cuda: bool = _option(False, "train on the CPU")
    ngpus: int | None = _option(
        None, "number of devices (default: every visible GPU, or one CPU process)"
    )
    kvstore: str = _option("device", "how MXNet sums gradients over devices")
    seed: int = _option(1, "random seed of weights, sample order and augmentation")
    resume: str | None = _option(
        None,
        "weights to start from; 'auto' to continue this run from its newest checkpoint; or a "
        "checkpoint to continue from",
        can_change=True,
    )
    new_classifier: bool = _option(
        False, "re-initialize the last layers if --resume's weights have other classes"
    )
    overwrite: bool = _option(False, "replace an existing run of the same name", can_change=True)
    checkname: str = _option(
        "default", "name of the run: runs/DATASET/MODEL/CHECKNAME", can_change=True
    )
    save_every: int = _option(
        0, "steps between checkpoints, in addition to one after each epoch", can_change=True
    )
    keep: int = _option(2, "number of checkpoints to keep, besides the best one", can_change=True)
    tensorboard: bool = _option(
        True, "write TensorBoard files if tensorboardX is installed", can_change=True
    )
    eval: bool = _option(False, "only evaluate --resume's weights on --val-split")
    test: bool = _option(
        False, "only predict masks of --val-split's images with --resume's weights"
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check_type(field, getattr(self, field.name))
        for low, names in _LOWEST.items():
            for name in names:
                value = getattr(self, name)
                if value is not None and not low <= value < float("inf"):
                    raise ValueError(f"{name}={value}: expected {low} or more")
        if not 0 < self.lr < float("inf"):
            raise ValueError(f"lr={self.lr}: expected a positive number")
        if self.start_epoch >= self.epochs:
            raise ValueError(
                f"start_epoch={self.start_epoch}: expected less than epochs={self.epochs}"
            )
        if not Path(self.checkname).parts or ".." in Path(self.checkname).parts:
            raise ValueError(
                f"checkname={self.checkname!r}: expected a name for the run's own folder in "
                "runs/DATASET/MODEL (is a shell variable unset?)"
            )
        if self.syncbn and self.freeze_bn:
            raise ValueError("syncbn and freeze_bn: frozen norms need no synchronization; drop one")
        self.trainer_options()  # checks its own options

    @property
    def folder(self) -> Path:
        """The folder of the run: ``runs/DATASET/MODEL/CHECKNAME``."""
        return Path("runs") / self.dataset / self.model / self.checkname

    def trainer_options(self) -> TrainerOptions:
        """The options of a training step."""
        return TrainerOptions(
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            optimizer=self.optimizer,
            precision=self.precision,
            clip_norm=self.clip_norm,
            ema_decay=self.ema,
            channels_last=self.channels_last,
            compile=self.compile,
            deterministic=self.deterministic,
            fused_loss=self.fused_loss,
            kvstore=self.kvstore,
        )

    def fixed_options(self) -> dict[str, typing.Any]:
        """The options that may not change on resume, by name."""
        fixed = (f.name for f in dataclasses.fields(self) if not f.metadata["can_change"])
        return {name: getattr(self, name) for name in fixed}

    def to_json(self) -> str:
        """Write the configuration as JSON."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, path: Path) -> "TrainConfig":
        """Read a saved configuration; unknown or ill-typed content is a ValueError."""
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path} is not the configuration of a run: {error}") from error


_LOWEST = {
    1: (
        *("base_size", "crop_size", "epochs", "batch_size", "test_batch_size", "accumulate"),
        *("nclass", "ngpus", "keep", "val_every", "head_channels"),
    ),
    0: (
        *("seed", "workers", "warmup", "start_epoch", "save_every", "head_lr_mult"),
        "aux_weight",
    ),
}


def read_options(path: str) -> dict[str, typing.Any]:
    """Read options from a YAML or JSON file, by field name; anything else is a ValueError."""
    try:
        options = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not readable as YAML: {error}") from error
    known = {field.name: field for field in dataclasses.fields(TrainConfig)}
    if not isinstance(options, dict):
        raise ValueError(f"{path}: expected lines of OPTION: VALUE, got {options!r}")
    options = {str(name).replace("-", "_"): value for name, value in options.items()}
    if unknown := sorted(options.keys() - known.keys()):
        raise ValueError(f"{path}: unknown options: {', '.join(unknown)}; --help lists all")
    return {name: _number(value, known[name]) for name, value in options.items()}


def _number(value: typing.Any, field: dataclasses.Field) -> typing.Any:
    """Convert text such as 1e-4: YAML reads a number without a point as text."""
    if isinstance(value, str) and float in _kinds(field):
        try:
            return float(value)
        except ValueError:
            return value  # TrainConfig reports it
    return value


def _kinds(field: dataclasses.Field) -> tuple[type, ...]:
    return typing.get_args(field.type) or (field.type,)


def _check_type(field: dataclasses.Field, value: typing.Any) -> None:
    is_whole_float = float in _kinds(field) and type(value) is int
    if type(value) not in _kinds(field) and not is_whole_float:
        expected = " or ".join(kind.__name__ for kind in _kinds(field))
        raise ValueError(f"{field.name}={value!r}: expected {expected}")
