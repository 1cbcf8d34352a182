"""PSPNet: Zhao et al., "Pyramid Scene Parsing Network", CVPR 2017."""

from gluonvision.backend import HybridBlock, nn
from gluonvision.model_zoo.segmentation.published import register_gluoncv
from gluonvision.model_zoo.segmentation.segbase import SegBaseModel
from gluonvision.nn import classifier_block, conv_bn_relu, norm_relu

_BINS = (1, 2, 3, 6)


class PyramidPooling(HybridBlock):
    """Averages over 1, 2x2, 3x3 and 6x6 regions, joined to the input: C to 2 C channels."""

    def __init__(self, in_channels, norm_layer):
        super().__init__()
        for i in range(len(_BINS)):
            branch = conv_bn_relu(in_channels, in_channels // len(_BINS), norm_layer)
            setattr(self, f"conv{i + 1}", branch)

    def hybrid_forward(self, F, x):
        branches = (self.conv1, self.conv2, self.conv3, self.conv4)
        maps = [x]
        for branch, size in zip(branches, _BINS):
            pooled = branch(F.contrib.AdaptiveAvgPooling2D(x, output_size=size))  # (N, C/4, s, s)
            maps.append(F.contrib.BilinearResize2D(pooled, like=F.BlockGrad(x), mode="like"))
        return F.concat(*maps, dim=1)


class PSPHead(HybridBlock):
    """Pyramid pooling and classifier: (N, C, H, W) to logits (N, nclass, H, W)."""

    def __init__(self, in_channels, nclass, norm_layer=nn.BatchNorm, preactivation=False):
        super().__init__()
        self.preact = norm_relu(in_channels, norm_layer, preactivation)
        self.psp = PyramidPooling(in_channels, norm_layer)
        self.block = classifier_block(2 * in_channels, in_channels // 4, nclass, norm_layer)

    def hybrid_forward(self, F, x):
        return self.block(self.psp(self.preact(x)))


class PSPNet(SegBaseModel):
    """Pyramid scene parsing: logits (N, nclass, H, W) for images (N, C, H, W) of any size.

    With ``aux`` a pair, the second from the third stage. Other arguments: ``SegBaseModel``.
    """

    def __init__(self, nclass, backbone="resnet50", norm_layer=nn.BatchNorm, aux=False, **kwargs):
        super().__init__(backbone, norm_layer, **kwargs)
        self.add_heads(nclass, PSPHead, aux)


register_gluoncv(
    PSPNet,
    "psp",
    ("resnet101_coco", "resnet101_voc", "resnet50_ade", "resnet101_ade", "resnet101_citys"),
)
