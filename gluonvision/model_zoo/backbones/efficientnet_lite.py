"""EfficientNet-Lite 0 to 4 with output stride 8, 16 or 32.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019,
table 1, and the release notes of EfficientNet-Lite (2020): without squeeze-and-excitation, with
ReLU6 instead of swish, and with an unscaled stem, first block and head. Stochastic depth, which the
published training used, is left out.

The published weights were trained with TensorFlow's 'same' padding: a convolution of stride 2 pads
one pixel less before an image of even size than before one of odd size. Here each convolution pads
as in the published training, at every input size. Outputs equal the reference if every feature map
has the parity that it had then (with Lite0, at multiples of 32). Features keep their position
relative to the image at every size.
"""

import math
from typing import Any, NamedTuple

from gluonvision.backend import HybridBlock, nn
from gluonvision.backend.types import Array, NormLayer, Operators
from gluonvision.model_zoo.backbones.base import Backbone, Stage, check_classes, dilations

# Expansion, channels, blocks, stride, kernel size of each group, before scaling.
_GROUPS = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
_STEM_CHANNELS = 32
_LAST_CHANNELS = 1280
_EPSILON = 1e-3


class Scaling(NamedTuple):
    """Compound scaling of one variant; ``resolution`` is the side of its training images."""

    width: float
    depth: float
    resolution: int
    dropout: float


LITE = (
    Scaling(1.0, 1.0, 224, 0.2),
    Scaling(1.0, 1.1, 240, 0.2),
    Scaling(1.1, 1.2, 260, 0.3),
    Scaling(1.2, 1.4, 280, 0.3),
    Scaling(1.4, 1.8, 300, 0.3),
)


def num_blocks(depth: float) -> tuple[int, ...]:
    """Blocks in each group; the first and the last group are not scaled."""
    return tuple(
        num if group in (0, len(_GROUPS) - 1) else math.ceil(num * depth)
        for group, (_, _, num, _, _) in enumerate(_GROUPS)
    )


def _scaled_channels(channels: int, width: float) -> int:
    """Round the scaled number to the nearest multiple of 8 that is at least 90 % of it."""
    scaled = channels * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * scaled else rounded + 8


class _SameConv(HybridBlock):
    """Convolution with padding that may be uneven: (N, C, H, W) to ceil(H / stride) rows.

    With ``is_even`` it pads as TensorFlow pads an image of even size at stride 2.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        kernel_size: int,
        stride: int,
        dilation: int,
        groups: int,
        is_even: bool,
    ) -> None:
        super().__init__()
        before = (kernel_size // 2 - is_even) * dilation
        after = (kernel_size - 1) * dilation - before
        self.pad_width = (0, 0, 0, 0, before, after, before, after) if is_even else None
        self.conv = nn.Conv2D(
            channels,
            kernel_size,
            stride,
            padding=0 if is_even else before,
            dilation=dilation,
            groups=groups,
            use_bias=False,
            in_channels=in_channels,
        )

    def hybrid_forward(self, F: Operators, x: Array) -> Array:
        if self.pad_width:
            x = F.pad(x, mode="constant", pad_width=self.pad_width, constant_value=0)
        return self.conv(x)


class _ReLU6(HybridBlock):
    def hybrid_forward(self, F: Operators, x: Array) -> Array:
        return F.clip(x, 0, 6)


def _bn_relu6(conv: Any, channels: int, norm_layer: NormLayer) -> nn.HybridSequential:
    block = nn.HybridSequential()
    block.add(conv, norm_layer(in_channels=channels, epsilon=_EPSILON), _ReLU6())
    return block


class MBConv(HybridBlock):
    """Expansion, depthwise convolution and linear projection, with a shortcut if shapes agree."""

    def __init__(
        self,
        in_channels: int,
        channels: int,
        expansion: int,
        kernel_size: int,
        stride: int,
        dilation: int,
        is_even: bool,
        norm_layer: NormLayer,
    ) -> None:
        super().__init__()
        inner = in_channels * expansion
        self.has_shortcut = stride == 1 and in_channels == channels
        self.expands = expansion != 1
        if self.expands:
            self.expand_conv = nn.Conv2D(inner, 1, use_bias=False, in_channels=in_channels)
            self.bn0 = norm_layer(in_channels=inner, epsilon=_EPSILON)
        self.depthwise = _SameConv(inner, inner, kernel_size, stride, dilation, inner, is_even)
        self.bn1 = norm_layer(in_channels=inner, epsilon=_EPSILON)
        self.project_conv = nn.Conv2D(channels, 1, use_bias=False, in_channels=inner)
        self.bn2 = norm_layer(in_channels=channels, epsilon=_EPSILON)

    def hybrid_forward(self, F: Operators, x: Array) -> Array:
        y = x
        if self.expands:
            y = F.clip(self.bn0(self.expand_conv(y)), 0, 6)
        y = F.clip(self.bn1(self.depthwise(y)), 0, 6)
        y = self.bn2(self.project_conv(y))
        return x + y if self.has_shortcut else y


class EfficientNetLite(Backbone):
    """EfficientNet-Lite. The published weights expect images scaled to [-1, 1].

    Args:
        scaling: the variant, one of ``LITE``.
        norm_layer: the normalization layer.
        classes: number of classes; None for a backbone without the last convolution and classifier.
        in_channels: channels of the images.
        output_stride: stride of the last features: 8, 16 or 32.
    """

    def __init__(
        self,
        scaling: Scaling = LITE[0],
        norm_layer: NormLayer = nn.BatchNorm,
        *,
        classes: int | None = 1000,
        in_channels: int = 3,
        output_stride: int = 32,
    ) -> None:
        super().__init__()
        check_classes(classes)
        self.classes = classes
        size = scaling.resolution
        self.stem = _bn_relu6(
            _SameConv(in_channels, _STEM_CHANNELS, 3, 2, 1, 1, size % 2 == 0),
            _STEM_CHANNELS,
            norm_layer,
        )
        self.blocks = nn.HybridSequential()
        self.stages, self._taps = self._add_groups(scaling, norm_layer, output_stride)
        if classes is not None:
            last = _scaled_channels(_GROUPS[-1][1], scaling.width)
            conv = nn.Conv2D(_LAST_CHANNELS, 1, use_bias=False, in_channels=last)
            self.conv_head = _bn_relu6(conv, _LAST_CHANNELS, norm_layer)
            self.avgpool = nn.GlobalAvgPool2D()
            self.dropout = nn.Dropout(scaling.dropout)
            self.fc = nn.Dense(classes, in_units=_LAST_CHANNELS)

    def _add_groups(
        self, scaling: Scaling, norm_layer: NormLayer, output_stride: int
    ) -> tuple[tuple[Stage, ...], tuple[int, ...]]:
        """Append the groups; return the stages, and the number of groups before each."""
        plan = dilations((2, *(stride for *_, stride, _ in _GROUPS)), output_stride)
        repeats = num_blocks(scaling.depth)
        in_channels, nominal, total = _STEM_CHANNELS, 2, 2
        size = math.ceil(scaling.resolution / 2)
        last_of_stride = {}
        for i, (expansion, channels, _, group_stride, kernel_size) in enumerate(_GROUPS):
            stride, before, after = plan[i + 1]
            channels = _scaled_channels(channels, scaling.width)
            group = nn.HybridSequential()
            for j in range(repeats[i]):
                is_first = j == 0
                group.add(
                    MBConv(
                        in_channels,
                        channels,
                        expansion,
                        kernel_size,
                        stride if is_first else 1,
                        before if is_first else after,
                        is_first and group_stride == 2 and size % 2 == 0,
                        norm_layer,
                    )
                )
                in_channels = channels
            self.blocks.add(group)
            size = math.ceil(size / group_stride)
            nominal, total = nominal * group_stride, total * stride
            last_of_stride[nominal] = (Stage(channels, total), i + 1)
        found = [last_of_stride[nominal] for nominal in (4, 8, 16, 32)]
        return tuple(stage for stage, _ in found), tuple(end for _, end in found)

    def extract(self, x: Array) -> tuple[Array, ...]:
        x, maps = self.stem(x), []
        for i in range(len(self.blocks)):
            x = self.blocks[i](x)
            if i + 1 in self._taps:
                maps.append(x)
        return tuple(maps)

    def classify(self, x: Array) -> Array:
        x = self.avgpool(self.conv_head(x))
        return self.fc(self.dropout(x))
