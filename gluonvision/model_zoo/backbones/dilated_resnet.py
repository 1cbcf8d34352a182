"""Dilated pre-activation ResNet (V2), in the layout of MXNet's model zoo.

He et al., "Identity Mappings in Deep Residual Networks", ECCV 2016. Dilated as in Yu, Koltun and
Funkhouser, "Dilated Residual Networks", CVPR 2017, without their degridding layers.
"""

from collections.abc import Sequence

from gluonvision.backend import HybridBlock, nn
from gluonvision.backend.types import Array, NormLayer, Operators
from gluonvision.model_zoo.backbones.base import Backbone, check_classes
from gluonvision.model_zoo.backbones.residual import add_residual_stages, conv1x1, conv3x3


class BasicBlockV2(HybridBlock):
    """Norm, relu and 3x3 convolution, twice; for 18 and 34 layers."""

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
        self.bn1 = norm_layer(in_channels=in_channels)
        self.conv1 = conv3x3(in_channels, channels, stride, dilation)
        self.bn2 = norm_layer(in_channels=channels)
        self.conv2 = conv3x3(channels, channels, 1, next_dilation)
        self.downsample = _projection(in_channels, channels, stride)

    def hybrid_forward(self, F: Operators, x: Array) -> Array:
        activated = F.relu(self.bn1(x))
        out = self.conv1(activated)
        out = self.conv2(F.relu(self.bn2(out)))
        return out + (x if self.downsample is None else self.downsample(activated))


class BottleneckV2(HybridBlock):
    """1x1, 3x3 and 1x1 convolutions, each after norm and relu; for 50 layers and more."""

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
        self.bn1 = norm_layer(in_channels=in_channels)
        self.conv1 = conv1x1(in_channels, channels)
        self.bn2 = norm_layer(in_channels=channels)
        self.conv2 = conv3x3(channels, channels, stride, dilation)
        self.bn3 = norm_layer(in_channels=channels)
        self.conv3 = conv1x1(channels, out_channels)
        self.downsample = _projection(in_channels, out_channels, stride)

    def hybrid_forward(self, F: Operators, x: Array) -> Array:
        activated = F.relu(self.bn1(x))
        out = self.conv1(activated)
        out = self.conv2(F.relu(self.bn2(out)))
        out = self.conv3(F.relu(self.bn3(out)))
        return out + (x if self.downsample is None else self.downsample(activated))


def _projection(in_channels: int, channels: int, stride: int) -> nn.Conv2D | None:
    """Build a shortcut's convolution, or None where the identity fits."""
    if stride == 1 and in_channels == channels:
        return None
    return conv1x1(in_channels, channels, stride)


class Dilated_ResNetV2(Backbone):
    """Pre-activation ResNet whose last two stages are dilated instead of strided.

    The last feature map lacks its norm and relu, which belong to the classifier or the head.

    Args:
        block: ``BasicBlockV2`` or ``BottleneckV2``.
        layers: number of blocks of each of the four stages.
        norm_layer: the normalization layer.
        classes: number of classes; None for no classifier.
        in_channels: channels of the input.
        output_stride: 8, 16, or 32 for no dilation.
    """

    preactivation = True
    # Set by add_residual_stages.
    layer1: HybridBlock
    layer2: HybridBlock
    layer3: HybridBlock
    layer4: HybridBlock

    def __init__(
        self,
        block: type[BasicBlockV2] | type[BottleneckV2],
        layers: Sequence[int],
        norm_layer: NormLayer = nn.BatchNorm,
        *,
        classes: int | None = 1000,
        in_channels: int = 3,
        output_stride: int = 8,
    ) -> None:
        super().__init__()
        check_classes(classes)
        self.classes = classes
        self.bn0 = norm_layer(in_channels=in_channels, scale=False, center=False)
        self.conv1 = nn.Conv2D(64, 7, 2, padding=3, use_bias=False, in_channels=in_channels)
        self.bn1 = norm_layer(in_channels=64)
        self.relu = nn.Activation("relu")
        self.maxpool = nn.MaxPool2D(3, 2, padding=1)
        self.stages = add_residual_stages(self, block, layers, 64, norm_layer, output_stride)
        if classes is not None:
            channels = self.stages[-1].channels
            self.bn2 = norm_layer(in_channels=channels)
            self.avgpool = nn.GlobalAvgPool2D()
            self.fc = nn.Dense(classes, in_units=channels)

    def extract(self, x: Array) -> tuple[Array, ...]:
        x = self.maxpool(self.relu(self.bn1(self.conv1(self.bn0(x)))))  # (N, 64, H/4, W/4)
        c1 = self.layer1(x)
        c2 = self.layer2(c1)  # (N, C, H/8, W/8)
        c3 = self.layer3(c2)
        return c1, c2, c3, self.layer4(c3)

    def classify(self, x: Array) -> Array:
        return self.fc(self.avgpool(self.relu(self.bn2(x))))
