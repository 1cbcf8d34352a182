"""Segmentation models by family, under the names of the command line."""

from typing import Any

from gluonvision.data.meta import Meta, get_meta
from gluonvision.model_zoo.backbones import BACKBONES
from gluonvision.model_zoo.segmentation.deeplabv3 import DeepLabV3
from gluonvision.model_zoo.segmentation.deeplabv3plus import DeepLabV3Plus
from gluonvision.model_zoo.segmentation.fcn import FCN
from gluonvision.model_zoo.segmentation.pspnet import PSPNet
from gluonvision.model_zoo.segmentation.segbase import SegBaseModel

FAMILIES = {
    "fcn": FCN,
    "pspnet": PSPNet,
    "psp": PSPNet,
    "deeplabv3": DeepLabV3,
    "deeplab": DeepLabV3,
    "deeplabv3plus": DeepLabV3Plus,
}


def get_segmentation_model(
    model: str, dataset: str | Meta = "pascal_voc", backbone: str = "resnet50", **kwargs: Any
) -> SegBaseModel:
    """Build a segmentation model with the classes of a data set.

    Args:
        model: a name in ``FAMILIES``.
        dataset: the data set, or its name; it sets ``nclass`` unless that is given.
        backbone: a name of ``model_zoo.backbones.BACKBONES``.
        kwargs: other arguments of the model.

    Raises:
        ValueError: if a name is unknown, or if the model's head has a fixed width and
            ``head_channels`` is given.
    """
    check_names(model, backbone)
    check_head_channels(model, kwargs.get("head_channels"))
    kwargs.setdefault("nclass", get_meta(dataset).num_class)
    return FAMILIES[model](backbone=backbone, **kwargs)


def check_names(model: str, backbone: str) -> None:
    """Raise ValueError, with the known names, for an unknown model or backbone."""
    for kind, name, known in (("model", model, FAMILIES), ("backbone", backbone, BACKBONES)):
        if name not in known:
            raise ValueError(f"{kind}={name!r}: expected one of {', '.join(known)}")


def check_head_channels(model: str, head_channels: int | None) -> None:
    """Raise ValueError if ``head_channels`` is given for a model whose head has a fixed width."""
    if head_channels is not None and not FAMILIES[model].takes_head_channels:
        names = " or ".join(name for name, cls in FAMILIES.items() if cls.takes_head_channels)
        raise ValueError(
            f"head_channels={head_channels}: model={model} has a fixed head; choose --model "
            f"{names}, or omit --head-channels"
        )
