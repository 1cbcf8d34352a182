"""DeepLabV3: Chen et al., "Rethinking Atrous Convolution for Semantic Image Segmentation",
arXiv 1706.05587, 2017."""

import functools
from collections.abc import Sequence
from typing import Any

from gluonvision.backend import HybridBlock, nn
from gluonvision.backend.types import Array, NormLayer, Operators
from gluonvision.model_zoo.segmentation.published import register_gluoncv, register_torchvision
from gluonvision.model_zoo.segmentation.segbase import SegBaseModel
from gluonvision.nn import classifier_block, conv_bn_relu, norm_relu, separable_conv_bn_relu

_RATES = (12, 24, 36)  # at output stride 8; half of them at 16 (section 4.2)
ASPP_CHANNELS = 256


def atrous_rates(output_stride: int) -> list[int]:
    """Return the pyramid's dilation rates: 12, 24, 36 at output stride 8, half of them at 16."""
    return [rate * 8 // output_stride for rate in _RATES]


class ASPPPooling(HybridBlock):
    """Average over the image, 1x1 convolution, and resize back to the input's size."""

    def __init__(self, in_channels: int, channels: int, norm_layer: NormLayer) -> None:
        super().__init__()
        self.gap = nn.HybridSequential()
        self.gap.add(nn.GlobalAvgPool2D(), *conv_bn_relu(in_channels, channels, norm_layer))

    def hybrid_forward(self, F: Operators, x: Array) -> Array:
        return F.contrib.BilinearResize2D(self.gap(x), like=F.BlockGrad(x), mode="like")


def _dilated_conv_bn_relu(
    in_channels: int, channels: int, norm_layer: NormLayer, dilation: int
) -> nn.HybridSequential:
    return conv_bn_relu(in_channels, channels, norm_layer, 3, dilation, dilation)


class ASPP(HybridBlock):
    """Atrous spatial pyramid pooling: a 1x1, three dilated 3x3 and a pooled branch, concatenated.

    Args:
        in_channels: channels of the input.
        norm_layer: the normalization layer.
        rates: dilation of each 3x3 branch.
        channels: output channels of each branch, and of the whole.
        separable: make the dilated convolutions depthwise separable, as in DeepLabV3+.
    """

    def __init__(
        self,
        in_channels: int,
        norm_layer: NormLayer,
        rates: Sequence[int] = _RATES,
        channels: int = ASPP_CHANNELS,
        separable: bool = False,
    ) -> None:
        super().__init__()
        dilated = separable_conv_bn_relu if separable else _dilated_conv_bn_relu
        self.branches = nn.HybridSequential()
        self.branches.add(conv_bn_relu(in_channels, channels, norm_layer))
        for rate in rates:
            self.branches.add(dilated(in_channels, channels, norm_layer, rate))
        self.branches.add(ASPPPooling(in_channels, channels, norm_layer))
        self.project = conv_bn_relu(len(self.branches) * channels, channels, norm_layer)
        self.project.add(nn.Dropout(0.5))

    def hybrid_forward(self, F: Operators, x: Array) -> Array:
        maps = [self.branches[i](x) for i in range(len(self.branches))]
        return self.project(F.concat(*maps, dim=1))


class DeepLabHead(HybridBlock):
    """ASPP and classifier: (N, C, H, W) to logits (N, nclass, H, W)."""

    def __init__(
        self,
        in_channels: int,
        nclass: int,
        norm_layer: NormLayer = nn.BatchNorm,
        preactivation: bool = False,
        rates: Sequence[int] = _RATES,
    ) -> None:
        super().__init__()
        self.preact = norm_relu(in_channels, norm_layer, preactivation)
        self.aspp = ASPP(in_channels, norm_layer, rates)
        self.block = classifier_block(ASPP_CHANNELS, ASPP_CHANNELS, nclass, norm_layer)

    def hybrid_forward(self, F: Operators, x: Array) -> Array:
        return self.block(self.aspp(self.preact(x)))


class DeepLabV3(SegBaseModel):
    """DeepLabV3: logits (N, nclass, H, W) for images (N, C, H, W) of any size.

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
        rates = atrous_rates(self.pretrained.stages[-1].stride)
        self.add_heads(nclass, functools.partial(DeepLabHead, rates=rates), aux)


register_gluoncv(
    DeepLabV3,
    "deeplab",
    (
        "resnet101_coco",
        "resnet101_voc",
        "resnet152_coco",
        "resnet152_voc",
        "resnet50_ade",
        "resnet101_ade",
        "resnet50_citys",
        "resnet101_citys",
    ),
)
register_torchvision(DeepLabV3, "deeplab", ("resnet50_v1b", "resnet101_v1b"))
