"""MobileNetV2 with output stride 8, 16 or 32.

Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018, table 2.
"""

from gluonvision.backend import HybridBlock, nn
from gluonvision.backend.types import Array, NormLayer, Operators
from gluonvision.model_zoo.backbones.base import Backbone, Stage, check_classes, dilations

# The expansion, channels, number of blocks and stride of each group.
_GROUPS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_STEM_CHANNELS = 32
_LAST_CHANNELS = 1280


class _ReLU6(HybridBlock):
    def hybrid_forward(self, F: Operators, x: Array) -> Array:
        return F.clip(x, 0, 6)


def _conv_bn_relu6(
    in_channels: int,
    channels: int,
    norm_layer: NormLayer,
    kernel_size: int = 1,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
) -> nn.HybridSequential:
    block = nn.HybridSequential()
    block.add(
        nn.Conv2D(
            channels,
            kernel_size,
            stride,
            padding=(kernel_size // 2) * dilation,
            dilation=dilation,
            groups=groups,
            use_bias=False,
            in_channels=in_channels,
        ),
        norm_layer(in_channels=channels),
        _ReLU6(),
    )
    return block


class InvertedResidual(HybridBlock):
    """Expansion, depthwise 3x3 convolution and linear projection, with a shortcut if shapes agree.

    Args:
        in_channels: channels of the input.
        channels: channels of the output.
        expansion: factor of the channels between the two; 1 for no expansion.
        stride: of the depthwise convolution.
        dilation: of the depthwise convolution.
        norm_layer: the normalization layer.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        expansion: int,
        stride: int,
        dilation: int,
        norm_layer: NormLayer,
    ) -> None:
        super().__init__()
        inner = in_channels * expansion
        self.has_shortcut = stride == 1 and in_channels == channels
        self.conv = nn.HybridSequential()
        if expansion != 1:
            self.conv.add(_conv_bn_relu6(in_channels, inner, norm_layer))
        self.conv.add(
            _conv_bn_relu6(inner, inner, norm_layer, 3, stride, dilation, groups=inner),
            nn.Conv2D(channels, 1, use_bias=False, in_channels=inner),
            norm_layer(in_channels=channels),
        )

    def hybrid_forward(self, F: Operators, x: Array) -> Array:
        return x + self.conv(x) if self.has_shortcut else self.conv(x)


class MobileNetV2(Backbone):
    """MobileNetV2 of width 1.0.

    Args:
        norm_layer: the normalization layer.
        classes: number of classes; None omits the last convolution and the classifier.
        in_channels: channels of the input.
        output_stride: 8 or 16 by dilation, or 32.
    """

    def __init__(
        self,
        norm_layer: NormLayer = nn.BatchNorm,
        *,
        classes: int | None = 1000,
        in_channels: int = 3,
        output_stride: int = 32,
    ) -> None:
        super().__init__()
        check_classes(classes)
        self.classes = classes
        self.features = nn.HybridSequential()
        self.features.add(
            _conv_bn_relu6(in_channels, _STEM_CHANNELS, norm_layer, kernel_size=3, stride=2)
        )
        self.stages, self._stage_ends = self._add_groups(norm_layer, output_stride)
        if classes is not None:
            self.features.add(_conv_bn_relu6(_GROUPS[-1][1], _LAST_CHANNELS, norm_layer))
            self.avgpool = nn.GlobalAvgPool2D()
            self.dropout = nn.Dropout(0.2)
            self.classifier = nn.Dense(classes, in_units=_LAST_CHANNELS)

    def _add_groups(
        self, norm_layer: NormLayer, output_stride: int
    ) -> tuple[tuple[Stage, ...], tuple[int, ...]]:
        """Append the groups; return the stages, and the number of features up to each stage."""
        plan = dilations((2, *(stride for *_, stride in _GROUPS)), output_stride)
        in_channels, total = _STEM_CHANNELS, 2
        last_of_stride = {}
        nominal = 2
        for (expansion, channels, num_blocks, group_stride), step in zip(_GROUPS, plan[1:]):
            stride, before, after = step
            for i in range(num_blocks):
                first = i == 0
                self.features.add(
                    InvertedResidual(
                        in_channels,
                        channels,
                        expansion,
                        stride if first else 1,
                        before if first else after,
                        norm_layer,
                    )
                )
                in_channels = channels
            nominal, total = nominal * group_stride, total * stride
            last_of_stride[nominal] = (Stage(channels, total), len(self.features))
        stages, ends = zip(*(last_of_stride[nominal] for nominal in (4, 8, 16, 32)))
        return stages, ends

    def extract(self, x: Array) -> tuple[Array, ...]:
        maps, start = [], 0
        for end in self._stage_ends:
            for i in range(start, end):
                x = self.features[i](x)
            maps.append(x)
            start = end
        return tuple(maps)

    def classify(self, x: Array) -> Array:
        x = self.avgpool(self.features[-1](x))
        return self.classifier(self.dropout(x))
