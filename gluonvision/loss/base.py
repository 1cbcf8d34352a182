"""What all losses share: the auxiliary term, ignored labels, class weights, and sums of losses."""

from collections.abc import Sequence

import numpy as np

from gluonvision.backend import HybridBlock, at_label_size, nn
from gluonvision.data.meta import IGNORED


class SegmentationLoss(HybridBlock):
    """The base of all losses; a sub-class defines ``term``, the loss of one head's logits.

    Called as ``loss(logits, label)`` or ``loss(logits, aux_logits, label)``: logits
    (N, nclass, H, W) in float32 or wider, label (N, H, W) integers in [-1, nclass), -1 ignored.
    Gives one number, 0 with zero gradient if no pixel is labelled. The auxiliary logits' term
    counts ``aux_weight`` (0.4 as in PSPNet, section 3.3).

    Under PyTorch logits may be coarser than the label, (N, nclass, h, w): they are resized to it,
    as the attribute ``align_corners`` says, which is to be that of the model.
    """

    def __init__(self, aux_weight: float = 0.4):
        super().__init__()
        self.aux_weight = aux_weight
        self.align_corners: bool | None = True

    def hybrid_forward(self, F, logits, *others):
        *aux_logits, label = others
        loss = self.term(F, self.fitted(F, logits, label), label)
        for logits in aux_logits:
            loss = loss + self.aux_weight * self.term(F, self.fitted(F, logits, label), label)
        return loss

    def fitted(self, F, logits, label):
        """The logits as ``term`` takes them: at the size of the label."""
        return at_label_size(F, logits, label, self.align_corners)

    def term(self, F, logits, label):
        """The loss of one head's logits (N, nclass, H, W)."""
        raise NotImplementedError(f"{type(self).__name__} must define term(self, F, logits, label)")

    def num_valid(self, label: np.ndarray) -> float:
        """What the loss of this batch is a mean over: its labelled pixels.

        The loss of a whole batch is the mean of its parts' losses, each counting its ``num_valid``.
        """
        return float(np.count_nonzero(np.asarray(label) != IGNORED))


class CombinedLoss(SegmentationLoss):
    """The sum of ``losses``, each with its auxiliary term. ``num_valid`` is that of the first."""

    def __init__(self, *losses: SegmentationLoss):
        super().__init__()
        if not losses:
            raise ValueError("CombinedLoss(): expected one loss at least")
        self.losses = nn.HybridSequential()
        self.losses.add(*losses)

    @property
    def align_corners(self) -> bool | None:
        """How all of them resize coarser logits; None where they differ."""
        ways = {loss.align_corners for loss in self.losses}
        return ways.pop() if len(ways) == 1 else None

    @align_corners.setter
    def align_corners(self, value: bool | None):
        for loss in getattr(self, "losses", ()):  # the first time there are none yet
            loss.align_corners = value

    def hybrid_forward(self, F, logits, *others):
        first, *rest = [loss(logits, *others) for loss in self.losses]
        return sum(rest, first)

    def num_valid(self, label: np.ndarray) -> float:
        """What the first of the losses is a mean over."""
        return self.losses[0].num_valid(label)


def check_class_weights(class_weights: Sequence[float] | None) -> tuple[float, ...] | None:
    """The weights as numbers; ValueError for what is no list of finite numbers from 0."""
    if class_weights is None:
        return None
    weights = np.asarray(class_weights, "float64")
    if weights.ndim != 1 or not len(weights) or not (np.isfinite(weights) & (weights >= 0)).all():
        raise ValueError(
            f"class_weights {class_weights}: expected a finite number, 0 or more, for each class"
        )
    return tuple(weights.tolist())


def average(F, values, is_counted, weights=None):
    """The mean of the values that are counted, each with its weight; 0 if the weights sum to 0.

    ``weights``: default: all count the same. What is not counted is replaced: a product with 0
    would keep NaN.
    """
    zero = F.zeros_like(values)
    if weights is None:
        weights = F.ones_like(values)
    else:
        values = values * weights
    total = F.sum(F.where(is_counted, values, zero))
    weight = F.sum(F.where(is_counted, weights, zero))
    return F.broadcast_div(total, F.where(weight > 0, weight, F.ones_like(weight)))


def pixel_weights(F, logits, label, class_weights):
    """The weight of each pixel's class, (N, H, W); an ignored pixel has that of class 0.

    An array made of numbers inside of the graph needs no device, no copy to it and no parameter.
    """
    classes = F.contrib.arange_like(logits, axis=1)
    one = F.ones_like(F.slice_axis(classes, axis=0, begin=0, end=1))
    weights = F.concat(*[one * weight for weight in class_weights], dim=0)
    # The sum is an error if there is not one weight for each class, or one for all.
    return F.take(weights + F.zeros_like(classes), F.relu(label))
