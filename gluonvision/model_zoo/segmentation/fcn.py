"""FCN: Long, Shelhamer and Darrell, "Fully Convolutional Networks for Semantic Segmentation",
CVPR 2015, on a dilated backbone and without skip connections."""

from gluonvision.backend import nn
from gluonvision.model_zoo.segmentation.published import register_gluoncv, register_torchvision
from gluonvision.model_zoo.segmentation.segbase import SegBaseModel
from gluonvision.nn import FCNHead


class FCN(SegBaseModel):
    """Fully convolutional network: logits (N, nclass, H, W) for images (N, C, H, W) of any size.

    With ``aux`` a pair, the second from the third stage. Other arguments: ``SegBaseModel``.
    """

    def __init__(self, nclass, backbone="resnet50", norm_layer=nn.BatchNorm, aux=False, **kwargs):
        super().__init__(backbone, norm_layer, **kwargs)
        self.add_heads(nclass, FCNHead, aux)


register_gluoncv(
    FCN, "fcn", ("resnet50_voc", "resnet101_coco", "resnet101_voc", "resnet50_ade", "resnet101_ade")
)
register_torchvision(FCN, "fcn", ("resnet50_v1b", "resnet101_v1b"))
