"""What the ResNets share: how deep each one is, and their four stages of residual blocks."""

from gluonvision.backend import nn
from gluonvision.model_zoo.backbones.base import Stage, dilations

# Blocks of the four stages; 50 layers and more are built of bottlenecks.
LAYERS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
_WIDTHS = (64, 128, 256, 512)
_STEM_STRIDE = 4


def conv3x3(in_channels, channels, stride=1, dilation=1):
    """3x3 convolution without bias that keeps the size (but for ``stride``)."""
    return nn.Conv2D(
        channels,
        3,
        stride,
        padding=dilation,
        dilation=dilation,
        use_bias=False,
        in_channels=in_channels,
    )


def conv1x1(in_channels, channels, stride=1):
    """1x1 convolution without bias."""
    return nn.Conv2D(channels, 1, stride, use_bias=False, in_channels=in_channels)


def add_residual_stages(net, block, layers, in_channels, norm_layer, output_stride):
    """Give ``net`` its ``layer1`` ... ``layer4``; returns what it publishes as ``stages``.

    ``block(in_channels, width, stride, dilation, next_dilation, norm_layer)`` builds one residual
    block of ``width * block.expansion`` channels.
    """
    stages, total = [], 1
    plan = dilations((_STEM_STRIDE, 2, 2, 2), output_stride)
    for i, (width, num_blocks) in enumerate(zip(_WIDTHS, layers)):
        stride, before, after = plan[i]
        total *= stride
        layer = nn.HybridSequential()
        layer.add(block(in_channels, width, stride if i else 1, before, after, norm_layer))
        in_channels = width * block.expansion
        for _ in range(num_blocks - 1):
            layer.add(block(in_channels, width, 1, after, after, norm_layer))
        setattr(net, f"layer{i + 1}", layer)
        stages.append(Stage(in_channels, total))
    return tuple(stages)
