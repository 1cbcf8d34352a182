"""A run's configuration: one frozen dataclass, from which the command line is derived."""

import dataclasses
import json
import typing
from pathlib import Path

import yaml

from gluonvision.backend.trainer_options import TrainerOptions


def _option(default, help_text, free=False):
    """A field; ``free`` says that a run may be continued under another value of it."""
    return dataclasses.field(default=default, metadata={"help": help_text, "free": free})


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a training run; a field is an option of ``main.py``.

    Raises ValueError for a value of the wrong type or out of range.
    """

    dataset: str = _option(
        "pascal_voc",
        "data set: pascal_voc, pascal_aug, coco (or mscoco), ade20k, citys, camvid or folder",
    )
    data_folder: str | None = _option(
        None, "folder of the data set (default: where it was put)", free=True
    )
    train_split: str = _option("train", "split to train on")
    val_split: str = _option("val", "split to validate on after every epoch")
    skip_broken: bool = _option(False, "read every file first; list and leave out broken ones")
    nclass: int | None = _option(None, "number of classes (default: the data set's)")
    model: str = _option("fcn", "model: fcn, pspnet, deeplabv3 or deeplabv3plus")
    backbone: str = _option("resnet50", "backbone, such as resnet50, resnet101_v1s, mobilenet_v2")
    output_stride: int | None = _option(
        None, "stride of the last features: 8, 16 or 32 (default: the model's own)"
    )
    head_channels: int | None = _option(
        None, "width of the head of deeplabv3plus (default: the paper's 256)"
    )
    align_corners: bool = _option(
        True,
        "resize scores from corner to corner, as GluonCV does; otherwise by pixel centres, which "
        "keeps them in place at every size",
    )
    pretrained_base: bool = _option(True, "start the backbone from ImageNet weights")
    backbone_weights: str | None = _option(
        None, "file to start the backbone from, instead", free=True
    )
    aux: bool = _option(False, "add the auxiliary head")
    aux_weight: float = _option(0.4, "weight of the auxiliary loss")
    syncbn: bool = _option(False, "synchronize batch normalization over all devices")
    freeze_bn: bool = _option(False, "normalize by the running statistics, and keep these")
    base_size: int = _option(520, "long side that a scale of 1 gives, in pixels")
    crop_size: int = _option(480, "side of the training crops, in pixels")
    photometric: bool = _option(False, "distort the colours of training images")
    cat_max_ratio: float = _option(1.0, "move crops that one class fills more than this, 0-1")
    epochs: int = _option(50, "passes over the training split")
    start_epoch: int = _option(0, "epoch to begin at, of --resume's weights; the schedule too")
    batch_size: int = _option(16, "images a step, over all devices")
    val_every: int = _option(1, "epochs between validations; the last is always validated")
    test_batch_size: int = _option(1, "images a forward pass of validation, a device", free=True)
    accumulate: int = _option(1, "parts a device's batch is cut into, one after the other")
    loss: str = _option("ce", "loss: ce, ohem, dice, lovasz, focal, or a sum such as ce+lovasz")
    class_weights: str = _option("none", "weights of classes: none, median or inverse-log")
    optimizer: str = _option("sgd", "optimizer: sgd or adamw")
    lr: float = _option(0.001, "learning rate at the start of the poly schedule")
    head_lr_mult: float = _option(10.0, "factor of the learning rate of the heads")
    warmup: int = _option(0, "steps over which the learning rate rises at first")
    momentum: float = _option(0.9, "momentum of SGD")
    weight_decay: float = _option(1e-4, "weight decay")
    no_wd: bool = _option(False, "no weight decay on norms and biases")
    precision: str = _option("fp32", "fp32, bf16, or fp16 with a loss scale that adapts")
    clip_norm: float = _option(0.0, "largest norm of all gradients together, 0 for any")
    ema: float = _option(0.0, "share kept by a running average of the weights, 0 for none")
    channels_last: bool = _option(False, "channels last in memory")
    compile: bool = _option(False, "compile the forward and backward pass")
    deterministic: bool = _option(False, "bit-exact on a GPU too, and slower")
    fused_loss: bool = _option(True, "losses from scores before they are resized, where possible")
    workers: int = _option(2, "what loads the data side by side, a device", free=True)
    no_cuda: bool = _option(False, "train on the CPU")
    ngpus: int | None = _option(
        None, "number of devices (default: every GPU that is visible, or one CPU process)"
    )
    kvstore: str = _option("device", "MXNet's way to sum gradients over devices")
    seed: int = _option(1, "seed of weights, order and augmentation")
    resume: str | None = _option(
        None,
        "weights to start from; 'auto' to go on with this run where it stands (or begin it); or "
        "one of its states to go on from",
        free=True,
    )
    new_classifier: bool = _option(
        False, "begin the last layers anew where --resume's have another number of classes"
    )
    overwrite: bool = _option(False, "replace a run of the same name", free=True)
    checkname: str = _option("default", "name of the run: runs/DATASET/MODEL/CHECKNAME", free=True)
    save_every: int = _option(0, "steps between saved states, beside every epoch's", free=True)
    keep: int = _option(2, "how many states are kept, beside the best one's", free=True)
    tensorboard: bool = _option(True, "write TensorBoard's files if it is installed", free=True)
    eval: bool = _option(False, "evaluate --resume's weights on --val-split, and nothing else")
    test: bool = _option(
        False, "write masks of --val-split's images by --resume's weights, and nothing else"
    )

    def __post_init__(self):
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
                f"checkname={self.checkname!r}: expected a name for the run's own folder below "
                "runs/DATASET/MODEL (is a variable of the shell not set?)"
            )
        if self.head_channels is not None and self.model != "deeplabv3plus":
            raise ValueError(
                f"head_channels={self.head_channels}: model={self.model} has a fixed head; "
                "choose --model deeplabv3plus, or leave --head-channels out"
            )
        if self.syncbn and self.freeze_bn:
            raise ValueError("syncbn and freeze_bn: frozen norms have nothing to synchronize")
        self.trainer_options()  # checks what it takes

    @property
    def folder(self) -> Path:
        """Where the run keeps its files."""
        return Path("runs") / self.dataset / self.model / self.checkname

    def trainer_options(self) -> TrainerOptions:
        """How steps are made."""
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

    def lasting(self) -> dict[str, typing.Any]:
        """What a run must keep to be continued, by field name."""
        fields = [f.name for f in dataclasses.fields(self) if not f.metadata["free"]]
        return {name: getattr(self, name) for name in fields}

    def to_json(self) -> str:
        """The configuration as JSON, for the run's folder."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, path: Path) -> "TrainConfig":
        """The configuration that a run saved; unknown or ill-typed content is a ValueError."""
        try:
            return cls(**json.loads(path.read_text()))
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
    """The options in a YAML (or JSON) file, by field name; ValueError for what is none."""
    try:
        options = yaml.safe_load(Path(path).read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not readable as YAML: {error}") from error
    known = {field.name: field for field in dataclasses.fields(TrainConfig)}
    if not isinstance(options, dict):
        raise ValueError(f"{path}: expected lines of OPTION: VALUE, got {options!r}")
    options = {str(name).replace("-", "_"): value for name, value in options.items()}
    if unknown := sorted(options.keys() - known.keys()):
        raise ValueError(f"{path}: unknown options: {', '.join(unknown)}; --help lists all")
    return {name: _number(value, known[name]) for name, value in options.items()}


def _number(value, field):
    """YAML takes 1e-4, without a point, for a text."""
    if isinstance(value, str) and float in _kinds(field):
        try:
            return float(value)
        except ValueError:
            return value  # what is wrong with it is told with all else
    return value


def _kinds(field) -> tuple[type, ...]:
    return typing.get_args(field.type) or (field.type,)


def _check_type(field, value):
    is_whole_float = float in _kinds(field) and type(value) is int
    if type(value) not in _kinds(field) and not is_whole_float:
        expected = " or ".join(kind.__name__ for kind in _kinds(field))
        raise ValueError(f"{field.name}={value!r}: expected {expected}")
