"""The common interface of backbones, which lets any head work with any backbone."""

from typing import NamedTuple

from gluonvision.backend import HybridBlock
from gluonvision.backend.types import Array, Operators

OUTPUT_STRIDES = (8, 16, 32)


class Stage(NamedTuple):
    """A feature map of a backbone: its number of channels, and its stride in input pixels."""

    channels: int
    stride: int


class Backbone(HybridBlock):
    """Base class of backbones.

    A call returns the logits (N, classes) of the classifier, or the last feature map if the
    backbone has no classifier (``classes=None``).

    Attributes:
        stages: the feature maps that ``extract`` returns, finest first.
        preactivation: whether the feature maps still lack their norm and relu.
        classes: number of classes, or None without a classifier.
    """

    stages: tuple[Stage, ...] = ()
    preactivation = False
    classes: int | None = None

    def extract(self, x: Array) -> tuple[Array, ...]:
        """Return the feature maps of ``stages`` for images (N, C, H, W)."""
        raise TypeError(f"{type(self).__name__} must define extract(x)")

    def classify(self, x: Array) -> Array:
        """Return the logits (N, classes) for the last feature map."""
        raise TypeError(f"{type(self).__name__} must define classify(x)")

    def hybrid_forward(self, F: Operators, x: Array) -> Array:
        x = self.extract(x)[-1]
        return x if self.classes is None else self.classify(x)


def dilations(strides: tuple[int, ...], output_stride: int) -> list[tuple[int, int, int]]:
    """Replace strides by dilation beyond an output stride (Yu and Koltun, ICLR 2016).

    A stage whose stride would exceed ``output_stride`` keeps its resolution and multiplies the
    dilation of the later layers instead. The convolution that had the stride keeps the dilation
    before it, so that its weights see the inputs that they were trained on.

    Args:
        strides: the stride of each stage.
        output_stride: 8, 16 or 32.

    Returns:
        For each stage its stride, the dilation before it, and the dilation after it.
    """
    if output_stride not in OUTPUT_STRIDES:
        raise ValueError(f"output_stride={output_stride}: expected one of {OUTPUT_STRIDES}")
    plan, total, dilation = [], 1, 1
    for stride in strides:
        before = dilation
        if total * stride > output_stride:
            dilation *= stride
            stride = 1
        total *= stride
        plan.append((stride, before, dilation))
    return plan


def check_classes(classes: int | None) -> None:
    """Raise ValueError unless ``classes`` is positive, or None for no classifier."""
    if classes is not None and classes < 1:
        raise ValueError(
            f"classes={classes}: expected a positive number, or None for no classifier"
        )
