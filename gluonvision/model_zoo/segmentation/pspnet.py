"""PSPNet: Zhao et al., "Pyramid Scene Parsing Network", CVPR 2017."""

from typing import Any

from gluonvision.backend import HybridBlock, nn
from gluonvision.backend.types import Array, NormLayer, Operators
from gluonvision.model_zoo.segmentation.published import register_gluoncv
from gluonvision.model_zoo.segmentation.segbase import SegBaseModel
from gluonvision.nn import classifier_block, conv_bn_relu, norm_relu

_BINS = (1, 2, 3, 6)


class PyramidPooling(HybridBlock):
    """Concatenate the input with its averages over 1, 2x2, 3x3 and 6x6 regions: C to 2 C channels.

    The regions cover the image evenly; each average is resized back to the input's size.
    """

    def __init__(self, in_channels: int, norm_layer: NormLayer) -> None:
        super().__init__()
        channels = in_channels // len(_BINS)
        self.conv1 = conv_bn_relu(in_channels, channels, norm_layer)
        self.conv2 = conv_bn_relu(in_channels, channels, norm_layer)
        self.conv3 = conv_bn_relu(in_channels, channels, norm_layer)
        self.conv4 = conv_bn_relu(in_channels, channels, norm_layer)

    def hybrid_forward(self, F: Operators, x: Array) -> Array:
        branches = (self.conv1, self.conv2, self.conv3, self.conv4)
        maps = [x]
        for branch, size in zip(branches, _BINS):
            pooled = branch(F.contrib.AdaptiveAvgPooling2D(x, output_size=size))  # (N, C/4, s, s)
            maps.append(F.contrib.BilinearResize2D(pooled, like=F.BlockGrad(x), mode="like"))
        return F.concat(*maps, dim=1)


class PSPHead(HybridBlock):
    """Pyramid pooling and classifier: (N, C, H, W) to logits (N, nclass, H, W)."""

    def __init__(
        self,
        in_channels: int,
        nclass: int,
        norm_layer: NormLayer = nn.BatchNorm,
        preactivation: bool = False,
    ) -> None:
        super().__init__()
        self.preact = norm_relu(in_channels, norm_layer, preactivation)
        self.psp = PyramidPooling(in_channels, norm_layer)
        self.block = classifier_block(2 * in_channels, in_channels // 4, nclass, norm_layer)

    def hybrid_forward(self, F: Operators, x: Array) -> Array:
        return self.block(self.psp(self.preact(x)))


class PSPNet(SegBaseModel):
    """PSPNet: logits (N, nclass, H, W) for images (N, C, H, W) of any size.

    Args:
        nclass: number of classes.
        backbone: name of the backbone.
        norm_layer: the normalization layer.
        aux: add an auxiliary head on the third stage; the output is then a pair of logits.
        kwargs: other arguments of ``SegBaseModel``.
    """

    pools_globally = True

    def __init__(
        self,
        nclass: int,
        backbone: str = "resnet50",
        norm_layer: NormLayer = nn.BatchNorm,
        aux: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(backbone, norm_layer, **kwargs)
        self.add_heads(nclass, PSPHead, aux)


register_gluoncv(
    PSPNet,
    "psp",
    ("resnet101_coco", "resnet101_voc", "resnet50_ade", "resnet101_ade", "resnet101_citys"),
)
