"""The segmentation models by family, as the command line names them."""

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
    model: str, dataset: str | Meta = "pascal_voc", backbone: str = "resnet50", **kwargs
) -> SegBaseModel:
    """A segmentation model by its family, with as many classes as the data set has."""
    check_names(model, backbone)
    kwargs.setdefault("nclass", get_meta(dataset).num_class)
    return FAMILIES[model](backbone=backbone, **kwargs)


def check_names(model: str, backbone: str) -> None:
    """ValueError, which lists those that there are, for another model or backbone."""
    for kind, name, known in (("model", model, FAMILIES), ("backbone", backbone, BACKBONES)):
        if name not in known:
            raise ValueError(f"{kind}={name!r}: expected one of {', '.join(known)}")
