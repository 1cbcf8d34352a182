"""DeepLabV3+: Chen et al., "Encoder-Decoder with Atrous Separable Convolution for Semantic Image
Segmentation", ECCV 2018."""

import functools
from collections.abc import Sequence
from typing import Any

from gluonvision.backend import HybridBlock, nn
from gluonvision.backend.types import Array, NormLayer, Operators
from gluonvision.model_zoo.segmentation.deeplabv3 import ASPP, ASPP_CHANNELS, atrous_rates
from gluonvision.model_zoo.segmentation.published import register_own
from gluonvision.model_zoo.segmentation.segbase import SegBaseModel
from gluonvision.nn import conv_bn_relu, norm_relu, separable_conv_bn_relu

_LOW_CHANNELS = 48  # section 4.1, table 1


class DeepLabPlusHead(HybridBlock):
    """ASPP and decoder: coarse (N, C, H, W) and fine (N, C', H', W') features to logits.

    The logits (N, nclass, H', W') have the size of the fine features. All 3x3 convolutions are
    depthwise separable (section 3.2).

    Args:
        in_channels: channels of the coarse features.
        nclass: number of classes.
        norm_layer: the normalization layer.
        preactivation: whether the features still lack their norm and relu.
        low_channels: channels of the fine (low-level) features.
        rates: dilation rates of ASPP.
        align_corners: how to resize the coarse features.
    """

    def __init__(
        self,
        in_channels: int,
        nclass: int,
        norm_layer: NormLayer,
        preactivation: bool,
        *,
        low_channels: int,
        rates: Sequence[int],
        align_corners: bool = True,
        channels: int = ASPP_CHANNELS,
    ) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.preact = norm_relu(in_channels, norm_layer, preactivation)
        self.low_preact = norm_relu(low_channels, norm_layer, preactivation)
        self.aspp = ASPP(in_channels, norm_layer, rates, channels, separable=True)
        self.project = conv_bn_relu(low_channels, _LOW_CHANNELS, norm_layer)
        self.block = separable_conv_bn_relu(channels + _LOW_CHANNELS, channels, norm_layer)
        self.block.add(
            *separable_conv_bn_relu(channels, channels, norm_layer),
            nn.Dropout(0.1),
            nn.Conv2D(nclass, 1, in_channels=channels),
        )

    def hybrid_forward(self, F: Operators, x: Array, low: Array) -> Array:
        low = self.project(self.low_preact(low))
        x = self.aspp(self.preact(x))
        x = F.contrib.BilinearResize2D(
            x, like=F.BlockGrad(low), mode="like", align_corners=self.align_corners
        )
        return self.block(F.concat(x, low, dim=1))


class DeepLabV3Plus(SegBaseModel):
    """DeepLabV3+: logits (N, nclass, H, W) for images (N, C, H, W) of any size.

    The decoder works at stride 4.

    Args:
        nclass: number of classes.
        backbone: name of the backbone.
        norm_layer: the normalization layer.
        aux: add an auxiliary head on the third stage; the output is then a pair of logits.
        output_stride: of the backbone, 16 as in the paper.
        head_channels: width of the pyramid and of the decoder, 256 as in the paper.
        kwargs: other arguments of ``SegBaseModel``.
    """

    pools_globally = True
    takes_head_channels = True

    def __init__(
        self,
        nclass: int,
        backbone: str = "resnet50",
        norm_layer: NormLayer = nn.BatchNorm,
        aux: bool = False,
        *,
        output_stride: int = 16,
        head_channels: int = ASPP_CHANNELS,
        **kwargs: Any,
    ) -> None:
        super().__init__(backbone, norm_layer, output_stride=output_stride, **kwargs)
        first, *_, last = self.pretrained.stages
        head = functools.partial(
            DeepLabPlusHead,
            low_channels=first.channels,
            rates=atrous_rates(last.stride),
            align_corners=self.align_corners,
            channels=head_channels,
        )
        self.add_heads(nclass, head, aux)

    def coarse_logits(self, F: Operators, x: Array) -> list[Array]:
        """Return the logits of each head at its features' size, the auxiliary head's last."""
        c1, *_, c3, c4 = self.pretrained.extract(x)
        logits = [self.head(c4, c1)]
        return logits if self.auxlayer is None else [*logits, self.auxlayer(c3)]


register_own(
    DeepLabV3Plus,
    "deeplabv3plus_mobilenet_v2_camvid",
    "mobilenet_v2",
    "camvid",
    align_corners=False,
)
