"""DeepLabV3+: Chen et al., "Encoder-Decoder with Atrous Separable Convolution for Semantic Image
Segmentation", ECCV 2018."""

import functools

from gluonvision.backend import HybridBlock, nn
from gluonvision.model_zoo.deeplabv3 import ASPP, ASPP_CHANNELS, atrous_rates
from gluonvision.model_zoo.published import register_own
from gluonvision.model_zoo.segbase import SegBaseModel
from gluonvision.nn import conv_bn_relu, norm_relu, separable_conv_bn_relu

_LOW_CHANNELS = 48  # section 4.1, table 1


class DeepLabPlusHead(HybridBlock):
    """Pyramid and decoder: coarse (N, C, H, W) and fine (N, C', 4H, 4W) features to scores.

    The scores (N, nclass, 4H, 4W) have the size of the fine features. All 3x3 convolutions are
    depthwise separable (section 3.2).
    """

    def __init__(
        self,
        in_channels,
        nclass,
        norm_layer,
        preactivation,
        *,
        low_channels,
        rates,
        align_corners=True,
        channels=ASPP_CHANNELS,
    ):
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

    def hybrid_forward(self, F, x, low):
        low = self.project(self.low_preact(low))
        x = self.aspp(self.preact(x))
        x = F.contrib.BilinearResize2D(
            x, like=F.BlockGrad(low), mode="like", align_corners=self.align_corners
        )
        return self.block(F.concat(x, low, dim=1))


class DeepLabV3Plus(SegBaseModel):
    """DeepLabV3+: scores (N, nclass, H, W) for images (N, C, H, W) of any size.

    ``output_stride`` is 16 unless given, as in the paper; the decoder works at stride 4. With
    ``aux`` a pair, the second from the third stage. ``head_channels``: width of the pyramid and of
    the decoder. Other arguments: ``SegBaseModel``.
    """

    def __init__(
        self,
        nclass,
        backbone="resnet50",
        norm_layer=nn.BatchNorm,
        aux=False,
        *,
        output_stride=16,
        head_channels=ASPP_CHANNELS,
        **kwargs,
    ):
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

    def coarse_scores(self, F, x):
        """The scores of each head, the auxiliary head's last, at their features' size."""
        c1, *_, c3, c4 = self.pretrained.extract(x)
        scores = [self.head(c4, c1)]
        return scores if self.auxlayer is None else [*scores, self.auxlayer(c3)]


register_own(
    DeepLabV3Plus,
    "deeplabv3plus_mobilenet_v2_camvid",
    "mobilenet_v2",
    "camvid",
    align_corners=False,
)
