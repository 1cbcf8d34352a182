"""The base class of all segmentation models."""

import functools
import os
from collections.abc import Callable, Mapping
from typing import Any

from gluonvision.backend import HybridBlock, init, initialize, nn
from gluonvision.backend.types import Array, NormLayer, Operators
from gluonvision.model_zoo.backbones import get_backbone
from gluonvision.nn import FCNHead


class SegBaseModel(HybridBlock):
    """A backbone, ``self.pretrained``, and the forward pass from images to logits.

    A subclass calls ``add_heads``, or assigns ``self.head`` (and ``self.auxlayer``) itself. To use
    more of the backbone, it defines ``coarse_logits`` on ``self.pretrained.extract(x)``. To replace
    the whole forward pass, it defines ``hybrid_forward`` or ``forward``, on ``self.pretrained(x)``
    or ``self.base_forward(x)``.

    Args:
        backbone: a name of ``model_zoo.backbones.BACKBONES``.
        norm_layer: the normalization layer.
        pretrained_base: True loads the backbone's published ImageNet weights, a path loads that
            file, and False draws the weights.
        root: folder of the weights; see ``weights_folder``.
        in_channels: channels of the input; with other than 3, ``pretrained_base`` must be False.
        output_stride: of the backbone: 8, 16 or 32.
        align_corners: how to resize the logits; False as in torchvision.
        norm_kwargs: arguments of ``norm_layer``, such as ``{'num_devices': 4}``.

    Raises:
        ValueError: if an argument is out of range.
    """

    # Whether the head normalizes features that it pooled to one value per image. Training such a
    # model needs at least two images at a time.
    pools_globally = False

    # Whether the constructor takes ``head_channels``, the width of the head.
    takes_head_channels = False

    # Whether ``net(x, coarse=True)`` returns the logits before ``resize``. If so, loss and
    # prediction resize them without holding the result. A subclass with its own forward pass or
    # resize does not, unless it sets this itself.
    gives_coarse_logits = True

    def __init_subclass__(cls, **options: Any) -> None:
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
        backbone: str = "resnet50",
        norm_layer: NormLayer = nn.BatchNorm,
        *,
        pretrained_base: bool | str | os.PathLike = True,
        root: str | os.PathLike | None = None,
        in_channels: int = 3,
        output_stride: int = 8,
        align_corners: bool = True,
        norm_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
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
        self.auxlayer: HybridBlock | None = None
        self.pretrained = get_backbone(
            backbone,
            pretrained=pretrained_base,
            root=root,
            norm_layer=self.norm_layer,
            classes=None,
            in_channels=in_channels,
            output_stride=output_stride,
        )

    def base_forward(self, x: Array) -> tuple[Array, Array]:
        """Return the last two feature maps of the backbone."""
        *_, c3, c4 = self.pretrained.extract(x)
        return c3, c4

    def coarse_logits(self, F: Operators, x: Array) -> list[Array]:
        """Return the logits of each head at its features' size, the auxiliary head's last."""
        c3, c4 = self.base_forward(x)
        logits = [self.head(c4)]
        return logits if self.auxlayer is None else [*logits, self.auxlayer(c3)]

    def hybrid_forward(
        self, F: Operators, x: Array, coarse: bool = False
    ) -> Array | tuple[Array, ...]:
        """Return the logits of images.

        Args:
            F: the operators.
            x: images (N, C, H, W).
            coarse: return the logits before their resize to the images.

        Returns:
            Logits (N, nclass, H, W), or (N, nclass, h, w) if ``coarse``. With an auxiliary head it
            is a pair, with the auxiliary logits second.
        """
        logits = self.coarse_logits(F, x)
        if not coarse:
            logits = [self.resize(F, head_logits, x) for head_logits in logits]
        return logits[0] if len(logits) == 1 else tuple(logits)

    def resize(self, F: Operators, logits: Array, like: Array) -> Array:
        """Resize logits bilinearly to the height and width of ``like``."""
        # Stop the gradient of ``like``: MXNet leaves it unset where the sizes agree.
        return F.contrib.BilinearResize2D(
            logits, like=F.BlockGrad(like), mode="like", align_corners=self.align_corners
        )

    def add_heads(self, nclass: int, head: Callable[..., HybridBlock], aux: bool) -> None:
        """Build the heads and draw their weights.

        Args:
            nclass: number of classes.
            head: ``head(in_channels, nclass, norm_layer, preactivation)`` builds the head.
            aux: add an auxiliary FCN head on the third stage.

        Raises:
            ValueError: if ``nclass`` is below 1.
        """
        if nclass < 1:
            raise ValueError(f"nclass={nclass}: expected the number of classes, 1 or more")
        self.nclass = nclass
        *_, c3, c4 = self.pretrained.stages
        arguments = (nclass, self.norm_layer, self.pretrained.preactivation)
        self.head = head(c4.channels, *arguments)
        if aux:
            self.auxlayer = FCNHead(c3.channels, *arguments)
        initialize(self, init.Xavier())
