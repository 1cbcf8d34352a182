"""Losses that are means over pixels."""

import math
from collections.abc import Sequence

import numpy as np

from gluonvision.backend import label_log_probability
from gluonvision.loss.base import (
    IGNORED,
    SegmentationLoss,
    average,
    check_class_weights,
    pixel_weights,
)

_TINY = 1e-12


class PixelLoss(SegmentationLoss):
    """The base of losses whose pixels may count differently by class."""

    def __init__(self, aux_weight: float = 0.4, class_weights: Sequence[float] | None = None):
        super().__init__(aux_weight)
        self.class_weights = check_class_weights(class_weights)

    def fitted(self, F, logits, label):
        """The logits as they are: ``log_probability`` takes coarse ones."""
        return logits

    def log_probability(self, F, logits, label):
        """The logarithm of the probability of each pixel's label, (N, H, W)."""
        return label_log_probability(F, logits, label, self.align_corners)

    def weights(self, F, logits, label):
        """The weight of each pixel, (N, H, W); None if all have the same."""
        if self.class_weights is None:
            return None
        return pixel_weights(F, logits, label, self.class_weights)

    def weighted(self, F, values, logits, label):
        """The values (N, H, W), each times its pixel's weight."""
        weights = self.weights(F, logits, label)
        return values if weights is None else values * weights


class SoftmaxCrossEntropyLoss(PixelLoss):
    """Mean cross-entropy over the labelled pixels of a batch, with an auxiliary term.

    ``class_weights``: a number from 0 for each class, how much a pixel of it counts; the mean
    divides by the sum of the labelled pixels' weights, and is 0 if that is 0. Called as
    ``SegmentationLoss`` says.
    """

    def term(self, F, logits, label):
        log_p = self.log_probability(F, logits, label)
        # One number is subtracted from 0, which costs less than a minus on all, and gives no -0.
        return 0 - average(F, log_p, label != IGNORED, self.weights(F, logits, label))

    def num_valid(self, label: np.ndarray) -> float:
        """What the loss of this batch is a mean over: the sum of its labelled pixels' weights."""
        if self.class_weights is None:
            return super().num_valid(label)
        weights = np.array([0, *self.class_weights])  # ignored pixels come first
        # Image by image, in the processor's cache: half the time of all at once.
        images = (image.ravel().astype(np.int32, copy=False) for image in np.asarray(label))
        counts = [np.bincount(image - IGNORED, minlength=len(weights)) for image in images]
        return float(sum(counts) @ weights)


class OHEMCrossEntropyLoss(PixelLoss):
    """Mean cross-entropy over the hard pixels of a batch alone (online hard example mining).

    Kept are the labelled pixels whose probability of the label is at most ``threshold``, and those
    that are among the ``min_kept`` hardest of all images of the batch together; ties with the last
    of these are kept too, and all labelled pixels where there are fewer. The mean is over the
    number of kept pixels; ``class_weights`` multiply their losses. The choice has no gradient;
    each head's logits choose their own pixels. Called as ``SegmentationLoss`` says.

    As OhemCrossEntropy of HRNet (github.com/HRNet/HRNet-Semantic-Segmentation, lib/core) and
    mmsegmentation, which differ at the edges: they drop ties, and the easiest pixel where fewer
    than ``min_kept`` are labelled.

    Not a mean that parts of a batch could be put together from: each part has its own hardest
    pixels. ``num_valid`` is the number of labelled pixels. ValueError for a ``threshold`` outside
    (0, 1] and for a ``min_kept`` outside [1, 2^24], up to where float32 counts.
    """

    def __init__(
        self,
        aux_weight: float = 0.4,
        class_weights: Sequence[float] | None = None,
        threshold: float = 0.7,
        min_kept: int = 100000,
    ):
        super().__init__(aux_weight, class_weights)
        if not 0 < threshold <= 1 or not 1 <= min_kept <= 2**24:
            raise ValueError(
                f"threshold {threshold}, min_kept {min_kept}: expected a probability above 0 and "
                f"a number from 1 to {2**24}"
            )
        self.threshold, self.min_kept = threshold, min_kept

    def term(self, F, logits, label):
        log_p = self.log_probability(F, logits, label)
        is_kept = self._is_kept(F, F.BlockGrad(log_p), label != IGNORED)
        return 0 - average(F, self.weighted(F, log_p, logits, label), is_kept)

    def _is_kept(self, F, log_p, is_labelled):
        one = F.ones_like(log_p)
        # Logarithms, from -inf to 0, tell apart what float32 probabilities do not: they reach 0 at
        # e^-104. NaN has no place in an order, and must reach the loss.
        log_p = F.where(log_p == log_p, log_p, -float("inf") * one)
        log_p = F.where(is_labelled, log_p, 2 * one)
        labelled = F.sum(F.where(is_labelled, one, F.zeros_like(one)))
        place = F.clip(labelled, 1, self.min_kept) - 1
        flat = F.reshape(log_p, shape=(-1,))
        order = F.argsort(flat, axis=0, dtype="int64")
        last_kept = F.take(flat, F.take(order, place))
        limit = F.clip(last_kept, math.log(self.threshold), 1)
        return F.broadcast_lesser_equal(log_p, limit)


class FocalLoss(PixelLoss):
    """Mean of (1 - p)^gamma times the cross-entropy over the labelled pixels, p that of the label.

    Lin et al., ICCV 2017 (arXiv:1708.02002), equations 4 and 5, with the softmax over all classes
    where they have a sigmoid for each; ``class_weights`` are their alpha. The mean is over the
    number of labelled pixels, not over their weights. Called as ``SegmentationLoss`` says.
    ValueError for a ``gamma`` below 0.
    """

    def __init__(
        self,
        aux_weight: float = 0.4,
        class_weights: Sequence[float] | None = None,
        gamma: float = 2.0,
    ):
        super().__init__(aux_weight, class_weights)
        if not gamma >= 0:
            raise ValueError(f"gamma {gamma}: expected 0 or more")
        self.gamma = gamma

    def term(self, F, logits, label):
        log_p = self.log_probability(F, logits, label)
        loss = self.weighted(F, -log_p, logits, label)
        if self.gamma:
            # 1 - p, but not 0, where a power below 1 has no gradient.
            loss = loss * F.clip(-F.expm1(log_p), _TINY, 1) ** self.gamma
        return average(F, loss, label != IGNORED)
