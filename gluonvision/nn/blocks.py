"""Convolution, norm and relu, and the classifier at the end of every head."""

from gluonvision.backend import HybridBlock, nn
from gluonvision.backend.types import Array, NormLayer, Operators


def conv_bn_relu(
    in_channels: int,
    channels: int,
    norm_layer: NormLayer,
    kernel_size: int = 1,
    padding: int = 0,
    dilation: int = 1,
) -> nn.HybridSequential:
    """Build a bias-free convolution followed by norm and ReLU: ``in_channels`` to ``channels``.

    The size is kept if ``padding`` is ``dilation * (kernel_size // 2)``.
    """
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


def separable_conv_bn_relu(
    in_channels: int, channels: int, norm_layer: NormLayer, dilation: int = 1
) -> nn.HybridSequential:
    """Build a depthwise 3x3 convolution with norm and ReLU, then a 1x1 ``conv_bn_relu``.

    The size is kept. Chollet, "Xception", CVPR 2017, but with a relu after the depthwise
    convolution too, as in DeepLabV3+.
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


def norm_relu(in_channels: int, norm_layer: NormLayer, enabled: bool = True) -> nn.HybridSequential:
    """Build the norm and relu that a pre-activation backbone leaves to its head.

    It is the identity if not ``enabled``.
    """
    block = nn.HybridSequential()
    if enabled:
        block.add(norm_layer(in_channels=in_channels), nn.Activation("relu"))
    return block


def classifier_block(
    in_channels: int, inter_channels: int, nclass: int, norm_layer: NormLayer
) -> nn.HybridSequential:
    """Build a 3x3 convolution, norm, relu, dropout 0.1 and a 1x1 convolution to the logits."""
    block = conv_bn_relu(in_channels, inter_channels, norm_layer, kernel_size=3, padding=1)
    block.add(nn.Dropout(0.1), nn.Conv2D(nclass, 1, in_channels=inter_channels))
    return block


class FCNHead(HybridBlock):
    """FCN's head: (N, in_channels, H, W) to logits (N, nclass, H, W).

    With ``preactivation``, for a pre-activation backbone, it starts with norm and relu.
    """

    def __init__(
        self,
        in_channels: int,
        nclass: int,
        norm_layer: NormLayer = nn.BatchNorm,
        preactivation: bool = False,
    ) -> None:
        super().__init__()
        self.block = norm_relu(in_channels, norm_layer, preactivation)
        self.block.add(*classifier_block(in_channels, in_channels // 4, nclass, norm_layer))

    def hybrid_forward(self, F: Operators, x: Array) -> Array:
        return self.block(x)
