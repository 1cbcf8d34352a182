"""Models: backbones, segmentation models and their weights."""

from gluonvision.model_zoo.backbones import *  # noqa: F403
from gluonvision.model_zoo.backbones import __all__ as _backbones
from gluonvision.model_zoo.registry import dataset_of, get_model, list_models, register_model
from gluonvision.model_zoo.segmentation.deeplabv3 import DeepLabV3
from gluonvision.model_zoo.segmentation.deeplabv3plus import DeepLabV3Plus
from gluonvision.model_zoo.segmentation.families import get_segmentation_model
from gluonvision.model_zoo.segmentation.fcn import FCN
from gluonvision.model_zoo.segmentation.pspnet import PSPNet
from gluonvision.model_zoo.segmentation.segbase import SegBaseModel
from gluonvision.model_zoo.weights.importers import load_weights

__all__ = [
    *_backbones,
    "FCN",
    "DeepLabV3",
    "DeepLabV3Plus",
    "PSPNet",
    "SegBaseModel",
    "dataset_of",
    "get_model",
    "get_segmentation_model",
    "list_models",
    "load_weights",
    "register_model",
]
