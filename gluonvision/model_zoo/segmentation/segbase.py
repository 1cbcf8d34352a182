"""The base of all segmentation models; made to be inherited."""

import functools

from gluonvision.backend import HybridBlock, init, initialize, nn
from gluonvision.model_zoo.backbones import get_backbone
from gluonvision.nn import FCNHead


class SegBaseModel(HybridBlock):
    """A backbone with ImageNet weights as ``self.pretrained``, and what models do with it.

    A model made from it assigns ``self.head`` (and ``self.auxlayer``) and is done, or defines its
    own ``coarse_logits``, or ``hybrid_forward`` or ``forward``, on ``self.pretrained(x)`` or
    ``self.base_forward(x)``.

    ``backbone`` is a name of ``model_zoo.backbones.BACKBONES``; ``pretrained_base=False`` draws
    its weights instead of loading them, a string loads that file; ``root`` is the folder of the
    weights; ``in_channels`` other than 3 needs ``pretrained_base=False``; ``output_stride`` is 8,
    16 or 32; ``align_corners=False`` resizes the logits as torchvision does. ``norm_kwargs`` are
    arguments for ``norm_layer``, such as ``{'num_devices': 4}``.
    """

    # Whether ``net(x, coarse=True)`` returns the logits before ``resize``: then loss and prediction
    # resize them without holding the result. A model with a forward pass of its own does not,
    # unless it says so.
    gives_coarse_logits = True

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        own = vars(cls)
        if "gives_coarse_logits" not in own and own.keys() & {
            "forward",
            "hybrid_forward",
            "resize",
        }:
            cls.gives_coarse_logits = False

    def __init__(
        self,
        backbone="resnet50",
        norm_layer=nn.BatchNorm,
        *,
        pretrained_base=True,
        root=None,
        in_channels=3,
        output_stride=8,
        align_corners=True,
        norm_kwargs=None,
    ):
        super().__init__()
        if pretrained_base and in_channels != 3:
            raise ValueError(
                f"in_channels={in_channels}: ImageNet weights are for 3 channels; pass "
                "pretrained_base=False"
            )
        self.norm_layer = (
            functools.partial(norm_layer, **norm_kwargs) if norm_kwargs else norm_layer
        )
        self.align_corners = align_corners
        self.auxlayer = None
        self.pretrained = get_backbone(
            backbone,
            pretrained=pretrained_base,
            root=root,
            norm_layer=self.norm_layer,
            classes=None,
            in_channels=in_channels,
            output_stride=output_stride,
        )

    def base_forward(self, x):
        """The last two feature maps of the backbone, at the output stride."""
        *_, c3, c4 = self.pretrained.extract(x)
        return c3, c4

    def coarse_logits(self, F, x):
        """The logits of each head, the auxiliary head's last, at their features' size."""
        c3, c4 = self.base_forward(x)
        logits = [self.head(c4)]
        return logits if self.auxlayer is None else [*logits, self.auxlayer(c3)]

    def hybrid_forward(self, F, x, coarse=False):
        """Logits (N, nclass, H, W) at the size of images (N, C, H, W); ``coarse``: not resized.

        With an auxiliary head: a pair, its logits second.
        """
        logits = self.coarse_logits(F, x)
        if not coarse:
            logits = [self.resize(F, head_logits, x) for head_logits in logits]
        return logits[0] if len(logits) == 1 else tuple(logits)

    def resize(self, F, logits, like):
        """Bilinear resize of ``logits`` to the height and width of ``like``."""
        # MXNet leaves the gradient of ``like`` unset where the sizes agree.
        return F.contrib.BilinearResize2D(
            logits, like=F.BlockGrad(like), mode="like", align_corners=self.align_corners
        )

    def add_heads(self, nclass, head, aux):
        """Set ``head(in_channels, nclass, norm_layer, preactivation)`` and the auxiliary head."""
        if nclass < 1:
            raise ValueError(f"nclass={nclass}: expected the number of classes, 1 or more")
        self.nclass = nclass
        *_, c3, c4 = self.pretrained.stages
        arguments = (nclass, self.norm_layer, self.pretrained.preactivation)
        self.head = head(c4.channels, *arguments)
        if aux:
            self.auxlayer = FCNHead(c3.channels, *arguments)
        initialize(self, init.Xavier())
