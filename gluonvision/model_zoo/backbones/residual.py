"""Parts that all ResNets share: the number of blocks, and the four stages of residual blocks."""

from collections.abc import Sequence
from typing import Any

from gluonvision.backend import HybridBlock, nn
from gluonvision.backend.types import NormLayer
from gluonvision.model_zoo.backbones.base import Stage, dilations

# Blocks of the four stages by number of layers; bottlenecks from 50 layers on.
LAYERS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
_WIDTHS = (64, 128, 256, 512)
_STEM_STRIDE = 4


def conv3x3(in_channels: int, channels: int, stride: int = 1, dilation: int = 1) -> nn.Conv2D:
    """Build a 3x3 convolution without bias; with stride 1 it keeps the size."""
    return nn.Conv2D(
        channels,
        3,
        stride,
        padding=dilation,
        dilation=dilation,
        use_bias=False,
        in_channels=in_channels,
    )


def conv1x1(in_channels: int, channels: int, stride: int = 1) -> nn.Conv2D:
    """Build a 1x1 convolution without bias."""
    return nn.Conv2D(channels, 1, stride, use_bias=False, in_channels=in_channels)


def add_residual_stages(
    net: HybridBlock,
    block: Any,
    layers: Sequence[int],
    in_channels: int,
    norm_layer: NormLayer,
    output_stride: int,
) -> tuple[Stage, ...]:
    """Add ``layer1`` to ``layer4`` to a net.

    Args:
        net: the net.
        block: a class; ``block(in_channels, width, stride, dilation, next_dilation, norm_layer)``
            builds a residual block with ``width * block.expansion`` output channels.
        layers: number of blocks of each stage.
        in_channels: output channels of the stem.
        norm_layer: the normalization layer.
        output_stride: 8, 16 or 32.

    Returns:
        The net's ``stages``.
    """
    stages, total_stride = [], 1
    plan = dilations((_STEM_STRIDE, 2, 2, 2), output_stride)
    for i, (width, num_blocks) in enumerate(zip(_WIDTHS, layers)):
        stride, before, after = plan[i]
        total_stride *= stride
        layer = nn.HybridSequential()
        layer.add(block(in_channels, width, stride if i else 1, before, after, norm_layer))
        in_channels = width * block.expansion
        for _ in range(num_blocks - 1):
            layer.add(block(in_channels, width, 1, after, after, norm_layer))
        setattr(net, f"layer{i + 1}", layer)
        stages.append(Stage(in_channels, total_stride))
    return tuple(stages)
