"""Losses that are means over pixels."""

from collections.abc import Sequence

import numpy as np

from gluonvision.loss.base import (
    IGNORED,
    SegmentationLoss,
    average,
    check_class_weights,
    pixel_weights,
)


class PixelLoss(SegmentationLoss):
    """The base of losses whose pixels may count differently by class."""

    def __init__(self, aux_weight: float = 0.4, class_weights: Sequence[float] | None = None):
        super().__init__(aux_weight)
        self.class_weights = check_class_weights(class_weights)

    def weights(self, F, scores, label, like):
        """The weight of each pixel, (N, H, W)."""
        if self.class_weights is None:
            return F.ones_like(like)
        return pixel_weights(F, scores, label, self.class_weights)


class SoftmaxCrossEntropyLoss(PixelLoss):
    """Mean cross-entropy over the labelled pixels of a batch, with an auxiliary term.

    ``class_weights``: a number from 0 for each class, how much a pixel of it counts; the mean
    divides by the sum of the labelled pixels' weights, and is 0 if that is 0. Called as
    ``SegmentationLoss`` says.
    """

    def term(self, F, scores, label):
        loss = -log_probability(F, scores, label)
        return average(F, loss, label != IGNORED, self.weights(F, scores, label, loss))

    def count(self, label: np.ndarray) -> float:
        """What the loss of this batch is a mean over: the sum of its labelled pixels' weights."""
        if self.class_weights is None:
            return super().count(label)
        labels = np.asarray(label).ravel().astype(np.int32)
        counts = np.bincount(labels - IGNORED, minlength=len(self.class_weights) + 1)[1:]
        return float(counts @ np.array(self.class_weights))


def log_probability(F, scores, label):
    """The logarithm of the probability of each pixel's label, (N, H, W); ignored: of class 0."""
    return F.pick(F.log_softmax(scores, axis=1), F.relu(label), axis=1)
