"""The one form in which a backbone publishes its stages, so that any head fits any backbone."""

from typing import NamedTuple

from gluonvision.backend import HybridBlock

OUTPUT_STRIDES = (8, 16, 32)


class Stage(NamedTuple):
    """One feature map of a backbone: its channels, and its stride in pixels of the input."""

    channels: int
    stride: int


class Backbone(HybridBlock):
    """Base class of backbones.

    ``stages`` lists the feature maps that ``extract`` returns, finest first; ``preactivation``
    says that the last of them still lack their norm and relu. Called, a backbone gives the scores
    (N, classes) of its classifier, or without one (``classes=None``) the last feature map.
    """

    stages: tuple[Stage, ...] = ()
    preactivation = False

    def extract(self, x):
        """The feature maps of ``stages`` for images (N, C, H, W)."""
        raise TypeError(f"{type(self).__name__} must define extract(x)")

    def classify(self, x):
        """Scores (N, classes) for the last feature map."""
        raise TypeError(f"{type(self).__name__} must define classify(x)")

    def hybrid_forward(self, F, x):
        x = self.extract(x)[-1]
        return x if self.classes is None else self.classify(x)


def dilations(strides: tuple[int, ...], output_stride: int) -> list[tuple[int, int, int]]:
    """For stages with ``strides``: each stage's stride, and dilation before and after it.

    A stage whose stride would pass ``output_stride`` keeps its resolution and multiplies the
    dilation of what follows instead (Yu and Koltun, ICLR 2016); the convolution that had the
    stride keeps the dilation before it, so that the weights see what they were trained on.
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


def check_classes(classes: int | None):
    """ValueError unless ``classes`` is None (no classifier) or a number of classes."""
    if classes is not None and classes < 1:
        raise ValueError(f"classes={classes}: expected a positive number, or None for features")
