"""Convolution + norm + relu, and the classifier that every head ends in."""

from gluonvision.backend import HybridBlock, nn


def conv_bn_relu(in_channels, channels, norm_layer, kernel_size=1, padding=0, dilation=1):
    """Convolution without bias, norm, relu: (N, in_channels, H, W) to (N, channels, H, W)."""
    block = nn.HybridSequential()
    block.add(
        nn.Conv2D(
            channels,
            kernel_size,
            padding=padding,
            dilation=dilation,
            use_bias=False,
            in_channels=in_channels,
        ),
        norm_layer(in_channels=channels),
        nn.Activation("relu"),
    )
    return block


def separable_conv_bn_relu(in_channels, channels, norm_layer, dilation=1):
    """Depthwise 3x3 convolution, norm, relu, and ``conv_bn_relu`` of 1x1: the size stays.

    Chollet, "Xception", CVPR 2017, with a relu after the depthwise part too, as DeepLabV3+ has it.
    """
    block = nn.HybridSequential()
    block.add(
        nn.Conv2D(
            in_channels,
            3,
            padding=dilation,
            dilation=dilation,
            groups=in_channels,
            use_bias=False,
            in_channels=in_channels,
        ),
        norm_layer(in_channels=in_channels),
        nn.Activation("relu"),
        *conv_bn_relu(in_channels, channels, norm_layer),
    )
    return block


def norm_relu(in_channels, norm_layer, enabled=True):
    """Norm and relu, which a pre-activation backbone leaves to its head; identity if disabled."""
    block = nn.HybridSequential()
    if enabled:
        block.add(norm_layer(in_channels=in_channels), nn.Activation("relu"))
    return block


def classifier_block(in_channels, inter_channels, nclass, norm_layer):
    """3x3 convolution, norm, relu, dropout 0.1 and 1x1 convolution to ``nclass`` logits."""
    block = conv_bn_relu(in_channels, inter_channels, norm_layer, kernel_size=3, padding=1)
    block.add(nn.Dropout(0.1), nn.Conv2D(nclass, 1, in_channels=inter_channels))
    return block


class FCNHead(HybridBlock):
    """The FCN head: (N, in_channels, H, W) to logits (N, nclass, H, W).

    After a pre-activation backbone it starts with norm and relu.
    """

    def __init__(self, in_channels, nclass, norm_layer=nn.BatchNorm, preactivation=False):
        super().__init__()
        self.block = norm_relu(in_channels, norm_layer, preactivation)
        self.block.add(*classifier_block(in_channels, in_channels // 4, nclass, norm_layer))

    def hybrid_forward(self, F, x):
        return self.block(x)
