"""The base of all losses: auxiliary heads, ignored labels, class weights, and sums of losses."""

from collections.abc import Sequence

import numpy as np

from gluonvision.backend import HybridBlock, nn, resize_to_label
from gluonvision.backend.types import Array, Operators
from gluonvision.data.meta import IGNORED


class SegmentationLoss(HybridBlock):
    """Base class of all losses; a subclass defines ``term``, the loss of one head's logits.

    Call it as ``loss(logits, label)`` or ``loss(logits, aux_logits, label)``. It returns one
    number, which is 0 with zero gradient if no pixel is labelled. Logits are (N, nclass, H, W) in
    float32 or wider; labels are integers (N, H, W) in [-1, nclass), and -1 marks ignored pixels.

    Under PyTorch, logits may be coarser than the label, (N, nclass, h, w). The loss then resizes
    them by its attribute ``align_corners``, which must be that of the model.

    Args:
        aux_weight: weight of the auxiliary head's loss; 0.4 as in PSPNet, section 3.3.
    """

    align_corners: bool

    def __init__(self, aux_weight: float = 0.4) -> None:
        super().__init__()
        self.aux_weight = aux_weight
        self.align_corners = True

    def hybrid_forward(self, F: Operators, logits: Array, *others: Array) -> Array:
        *aux_logits, label = others
        loss = self._head_loss(F, logits, label)
        for head_logits in aux_logits:
            loss = loss + self.aux_weight * self._head_loss(F, head_logits, label)
        return loss

    def _head_loss(self, F: Operators, logits: Array, label: Array) -> Array:
        return self.term(F, self.prepare_logits(F, logits, label), label)

    def prepare_logits(self, F: Operators, logits: Array, label: Array) -> Array:
        """Resize the logits to the label for ``term``."""
        return resize_to_label(F, logits, label, self.align_corners)

    def term(self, F: Operators, logits: Array, label: Array) -> Array:
        """Return the loss of one head.

        Args:
            F: the operators.
            logits: (N, nclass, H, W).
            label: (N, H, W).
        """
        raise NotImplementedError(f"{type(self).__name__} must define term(self, F, logits, label)")

    def num_valid(self, label: np.ndarray) -> float:
        """Return the weight of this batch's loss when the losses of several batches are averaged.

        It is the number of labelled pixels. A training step weights its micro-batches by it.

        Args:
            label: (N, H, W).
        """
        return float(np.count_nonzero(np.asarray(label) != IGNORED))


class CombinedLoss(SegmentationLoss):
    """The sum of several losses, each with its auxiliary term.

    ``num_valid`` is that of the first loss.
    """

    def __init__(self, *losses: SegmentationLoss) -> None:
        super().__init__()
        if not losses:
            raise ValueError("CombinedLoss() got no losses: expected at least one")
        self.losses = nn.HybridSequential()
        self.losses.add(*losses)

    @property  # type: ignore[override]  # only here None is possible
    def align_corners(self) -> bool | None:
        """How all losses resize coarser logits; None if they differ."""
        values = {loss.align_corners for loss in self.losses}
        return values.pop() if len(values) == 1 else None

    @align_corners.setter
    def align_corners(self, value: bool | None) -> None:
        for loss in getattr(self, "losses", ()):  # the base's constructor sets it before they exist
            loss.align_corners = value

    def hybrid_forward(self, F: Operators, logits: Array, *others: Array) -> Array:
        first, *rest = [loss(logits, *others) for loss in self.losses]
        return sum(rest, first)

    def num_valid(self, label: np.ndarray) -> float:
        """Return the ``num_valid`` of the first loss."""
        return self.losses[0].num_valid(label)


def check_class_weights(class_weights: Sequence[float] | None) -> tuple[float, ...] | None:
    """Return class weights as floats, or None for None.

    Raises:
        ValueError: unless they are finite numbers of 0 or more.
    """
    if class_weights is None:
        return None
    weights = np.asarray(class_weights, "float64")
    if weights.ndim != 1 or not len(weights) or not (np.isfinite(weights) & (weights >= 0)).all():
        raise ValueError(
            f"class_weights {class_weights}: expected a finite number of 0 or more for each class"
        )
    return tuple(weights.tolist())


def average(F: Operators, values: Array, is_counted: Array, weights: Array | None = None) -> Array:
    """Return the weighted mean of the counted values, or 0 if the weights sum to 0.

    Args:
        F: the operators.
        values: an array of any shape.
        is_counted: the condition for a value to count.
        weights: a weight for each value; None for equal weights.
    """
    # Replace the other values instead of multiplying them by 0, which would keep NaN.
    zero = F.zeros_like(values)
    if weights is None:
        weights = F.ones_like(values)
    else:
        values = values * weights
    total = F.sum(F.where(is_counted, values, zero))
    weight = F.sum(F.where(is_counted, weights, zero))
    return F.broadcast_div(total, F.where(weight > 0, weight, F.ones_like(weight)))


def pixel_weights(
    F: Operators, logits: Array, label: Array, class_weights: Sequence[float]
) -> Array:
    """Return the class weight of each pixel, (N, H, W); an ignored pixel gets that of class 0.

    The weights are built from numbers inside the graph, so they need no parameter and no copy to
    the device.
    """
    classes = F.contrib.arange_like(logits, axis=1)
    one = F.ones_like(F.slice_axis(classes, axis=0, begin=0, end=1))
    weights = F.concat(*[one * weight for weight in class_weights], dim=0)
    # The sum fails unless there is one weight for each class, or one for all.
    return F.take(weights + F.zeros_like(classes), F.relu(label))
