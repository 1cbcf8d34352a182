"""ResNet V1b and V1s: post-activation, with the stride in the 3x3 convolution.

He et al., "Deep Residual Learning for Image Recognition", CVPR 2016. V1b has the layout of
torchvision and GluonCV. V1s has a stem of three 3x3 convolutions, the first with 64 channels.
"""

from collections.abc import Sequence

from gluonvision.backend import HybridBlock, nn
from gluonvision.backend.types import Array, NormLayer, Operators
from gluonvision.model_zoo.backbones.base import Backbone, check_classes
from gluonvision.model_zoo.backbones.residual import add_residual_stages, conv1x1, conv3x3
from gluonvision.nn import conv_bn_relu


class BasicBlock(HybridBlock):
    """Two 3x3 convolutions and a shortcut; for 18 and 34 layers."""

    expansion = 1

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int,
        dilation: int,
        next_dilation: int,
        norm_layer: NormLayer,
    ) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, channels, stride, dilation)
        self.bn1 = norm_layer(in_channels=channels)
        self.conv2 = conv3x3(channels, channels, 1, next_dilation)
        self.bn2 = norm_layer(in_channels=channels)
        self.downsample = _shortcut(in_channels, channels, stride, norm_layer)

    def hybrid_forward(self, F: Operators, x: Array) -> Array:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return F.relu(out + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(HybridBlock):
    """1x1, 3x3 and 1x1 convolutions and a shortcut; for 50 layers and more."""

    expansion = 4

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int,
        dilation: int,
        next_dilation: int,
        norm_layer: NormLayer,
    ) -> None:
        super().__init__()
        out_channels = channels * self.expansion
        self.conv1 = conv1x1(in_channels, channels)
        self.bn1 = norm_layer(in_channels=channels)
        self.conv2 = conv3x3(channels, channels, stride, dilation)
        self.bn2 = norm_layer(in_channels=channels)
        self.conv3 = conv1x1(channels, out_channels)
        self.bn3 = norm_layer(in_channels=out_channels)
        self.downsample = _shortcut(in_channels, out_channels, stride, norm_layer)

    def hybrid_forward(self, F: Operators, x: Array) -> Array:
        out = F.relu(self.bn1(self.conv1(x)))
        out = F.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return F.relu(out + (x if self.downsample is None else self.downsample(x)))


def _shortcut(
    in_channels: int, channels: int, stride: int, norm_layer: NormLayer
) -> nn.HybridSequential | None:
    """Build a shortcut's convolution and norm, or None where the identity fits."""
    if stride == 1 and in_channels == channels:
        return None
    block = nn.HybridSequential()
    block.add(conv1x1(in_channels, channels, stride), norm_layer(in_channels=channels))
    return block


def _deep_stem(in_channels: int, norm_layer: NormLayer) -> nn.HybridSequential:
    """Build three 3x3 convolutions: (N, in_channels, H, W) to (N, 128, H/2, W/2)."""
    block = nn.HybridSequential()
    block.add(conv3x3(in_channels, 64, stride=2), norm_layer(in_channels=64), nn.Activation("relu"))
    block.add(*conv_bn_relu(64, 64, norm_layer, kernel_size=3, padding=1), conv3x3(64, 128))
    return block


class ResNetV1(Backbone):
    """ResNet V1b, or V1s with ``deep_stem``.

    Args:
        block: ``BasicBlock`` or ``Bottleneck``.
        layers: number of blocks of each of the four stages.
        norm_layer: the normalization layer.
        deep_stem: use three 3x3 convolutions instead of the 7x7 one.
        classes: number of classes; None for no classifier.
        in_channels: channels of the input.
        output_stride: 8 or 16 by dilation, or 32.
    """

    # Set by add_residual_stages.
    layer1: HybridBlock
    layer2: HybridBlock
    layer3: HybridBlock
    layer4: HybridBlock

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        layers: Sequence[int],
        norm_layer: NormLayer = nn.BatchNorm,
        *,
        deep_stem: bool = False,
        classes: int | None = 1000,
        in_channels: int = 3,
        output_stride: int = 32,
    ) -> None:
        super().__init__()
        check_classes(classes)
        self.classes = classes
        width = 128 if deep_stem else 64
        self.conv1 = (
            _deep_stem(in_channels, norm_layer)
            if deep_stem
            else nn.Conv2D(64, 7, 2, padding=3, use_bias=False, in_channels=in_channels)
        )
        self.bn1 = norm_layer(in_channels=width)
        self.relu = nn.Activation("relu")
        self.maxpool = nn.MaxPool2D(3, 2, padding=1)
        self.stages = add_residual_stages(self, block, layers, width, norm_layer, output_stride)
        if classes is not None:
            self.avgpool = nn.GlobalAvgPool2D()
            self.fc = nn.Dense(classes, in_units=self.stages[-1].channels)

    def extract(self, x: Array) -> tuple[Array, ...]:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))  # (N, 64 or 128, H/4, W/4)
        c1 = self.layer1(x)
        c2 = self.layer2(c1)  # (N, C, H/8, W/8)
        c3 = self.layer3(c2)
        return c1, c2, c3, self.layer4(c3)

    def classify(self, x: Array) -> Array:
        return self.fc(self.avgpool(x))
