"""A run's configuration: one frozen dataclass, from which the command line is derived."""

import argparse
import dataclasses
import json
import typing
from pathlib import Path


def _check_type(field, value):
    kinds = typing.get_args(field.type) or (field.type,)
    is_whole_float = float in kinds and type(value) is int
    if type(value) not in kinds and not is_whole_float:
        expected = " or ".join(kind.__name__ for kind in kinds)
        raise ValueError(f"{field.name}={value!r}: expected {expected}")


def _option(default, help_text):
    return dataclasses.field(default=default, metadata={"help": help_text})


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a training run; a field is an option of ``main.py``."""

    dataset: str = _option(
        "pascal_voc",
        "data set: pascal_voc, pascal_aug, coco (or mscoco), ade20k, citys, camvid or folder",
    )
    data_folder: str | None = _option(None, "folder of the data set (default: where it was put)")
    train_split: str = _option("train", "split to train on")
    val_split: str = _option("val", "split to validate on after the last epoch")
    skip_broken: bool = _option(False, "read every file first; list and leave out broken ones")
    model: str = _option("fcn", "model: fcn, pspnet or deeplabv3")
    backbone: str = _option("resnet50", "backbone, such as resnet50, resnet101_v1s, mobilenet_v2")
    pretrained_base: bool = _option(True, "start the backbone from ImageNet weights")
    backbone_weights: str | None = _option(None, "file to start the backbone from, instead")
    aux: bool = _option(False, "add the auxiliary head")
    aux_weight: float = _option(0.4, "weight of the auxiliary loss")
    syncbn: bool = _option(False, "synchronize batch normalization over all devices")
    base_size: int = _option(520, "short side that a scale of 1 gives, in pixels")
    crop_size: int = _option(480, "side of the training crops, in pixels")
    epochs: int = _option(50, "passes over the training split")
    batch_size: int = _option(16, "images a step, over all devices")
    lr: float = _option(0.001, "learning rate at the start of the poly schedule")
    warmup: int = _option(0, "steps over which the learning rate rises at first")
    momentum: float = _option(0.9, "momentum of SGD")
    weight_decay: float = _option(1e-4, "weight decay of SGD")
    workers: int = _option(2, "threads that load the data")
    no_cuda: bool = _option(False, "train on the CPU")
    seed: int = _option(1, "seed of weights, order and augmentation")
    resume: str | None = _option(None, "weights to start from, a .params file")
    checkname: str = _option("default", "name of the run: runs/DATASET/MODEL/CHECKNAME")

    def __post_init__(self):
        for field in dataclasses.fields(self):
            _check_type(field, getattr(self, field.name))
        for name in ("base_size", "crop_size", "epochs", "batch_size", "lr"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}={getattr(self, name)}: expected a positive number")
        for name in ("seed", "workers", "warmup"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)}: expected 0 or more")

    @property
    def folder(self) -> Path:
        """Where the run keeps its files."""
        return Path("runs") / self.dataset / self.model / self.checkname

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


def parse_arguments(description: str, arguments: list[str] | None = None) -> TrainConfig:
    """Read the command line into a configuration; a wrong option ends the program with its help."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    for field in dataclasses.fields(TrainConfig):
        _add_option(parser, field)
    try:
        return TrainConfig(**vars(parser.parse_args(arguments)))
    except ValueError as error:
        parser.error(str(error))


def _add_option(parser, field):
    flag = "--" + field.name.replace("_", "-")
    common = {"default": field.default, "help": field.metadata["help"]}
    if field.type is bool:
        action = "store_true" if field.name.startswith("no_") else argparse.BooleanOptionalAction
        parser.add_argument(flag, action=action, **common)
    else:
        kind = next(t for t in (*typing.get_args(field.type), field.type) if t is not type(None))
        parser.add_argument(flag, type=kind, **common)
