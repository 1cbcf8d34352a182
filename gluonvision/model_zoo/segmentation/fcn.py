"""FCN: Long, Shelhamer and Darrell, "Fully Convolutional Networks for Semantic Segmentation",
CVPR 2015, on a dilated backbone and without skip connections."""

from typing import Any

from gluonvision.backend import nn
from gluonvision.backend.types import NormLayer
from gluonvision.model_zoo.segmentation.published import register_gluoncv, register_torchvision
from gluonvision.model_zoo.segmentation.segbase import SegBaseModel
from gluonvision.nn import FCNHead


class FCN(SegBaseModel):
    """Fully convolutional network: logits (N, nclass, H, W) for images (N, C, H, W) of any size.

    Args:
        nclass: number of classes.
        backbone: name of the backbone.
        norm_layer: the normalization layer.
        aux: add an auxiliary head on the third stage; the output is then a pair of logits.
        kwargs: other arguments of ``SegBaseModel``.
    """

    def __init__(
        self,
        nclass: int,
        backbone: str = "resnet50",
        norm_layer: NormLayer = nn.BatchNorm,
        aux: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(backbone, norm_layer, **kwargs)
        self.add_heads(nclass, FCNHead, aux)


register_gluoncv(
    FCN, "fcn", ("resnet50_voc", "resnet101_coco", "resnet101_voc", "resnet50_ade", "resnet101_ade")
)
register_torchvision(FCN, "fcn", ("resnet50_v1b", "resnet101_v1b"))
