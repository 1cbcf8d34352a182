"""Losses that are means over pixels."""

import math
from collections.abc import Sequence

import numpy as np

from gluonvision.backend import label_log_probability
from gluonvision.backend.types import Array, Operators
from gluonvision.loss.base import (
    IGNORED,
    SegmentationLoss,
    average,
    check_class_weights,
    pixel_weights,
)

_TINY = 1e-12


class PixelLoss(SegmentationLoss):
    """Base class of losses that are a mean over pixels; they take class weights.

    Args:
        aux_weight: weight of the auxiliary head's loss.
        class_weights: a finite number of 0 or more for each class; None for equal weights.
    """

    def __init__(
        self, aux_weight: float = 0.4, class_weights: Sequence[float] | None = None
    ) -> None:
        super().__init__(aux_weight)
        self.class_weights = check_class_weights(class_weights)

    def prepare_logits(self, F: Operators, logits: Array, label: Array) -> Array:
        """Return the logits unchanged: ``log_probability`` accepts coarse ones."""
        return logits

    def log_probability(self, F: Operators, logits: Array, label: Array) -> Array:
        """Return the log-probability of each pixel's label, (N, H, W)."""
        return label_log_probability(F, logits, label, self.align_corners)

    def weights(self, F: Operators, logits: Array, label: Array) -> Array | None:
        """Return the weight of each pixel, (N, H, W), or None for equal weights."""
        if self.class_weights is None:
            return None
        return pixel_weights(F, logits, label, self.class_weights)

    def weighted(self, F: Operators, values: Array, logits: Array, label: Array) -> Array:
        """Return the values (N, H, W), each multiplied by its pixel's weight."""
        weights = self.weights(F, logits, label)
        return values if weights is None else values * weights


class SoftmaxCrossEntropyLoss(PixelLoss):
    """Mean cross-entropy over the labelled pixels of a batch.

    Call it as described in ``SegmentationLoss``.

    Args:
        aux_weight: weight of the auxiliary head's loss.
        class_weights: a finite number of 0 or more for each class. The mean divides by the sum of
            the labelled pixels' weights, and is 0 if that sum is 0.
    """

    def term(self, F: Operators, logits: Array, label: Array) -> Array:
        log_p = self.log_probability(F, logits, label)
        # Subtracting the mean from 0 is cheaper than negating each value, and never gives -0.
        return 0 - average(F, log_p, label != IGNORED, self.weights(F, logits, label))

    def num_valid(self, label: np.ndarray) -> float:
        """Return the weight of this batch's loss when the losses of several batches are averaged.

        It is the number of labelled pixels or, with class weights, the sum of their weights.
        """
        if self.class_weights is None:
            return super().num_valid(label)
        weights = np.array([0, *self.class_weights])  # index 0 is for ignored pixels
        # One image at a time fits into the processor's cache, which halves the time.
        images = (image.ravel().astype(np.int32, copy=False) for image in np.asarray(label))
        counts = [np.bincount(image - IGNORED, minlength=len(weights)) for image in images]
        return float(sum(counts) @ weights)


class OHEMCrossEntropyLoss(PixelLoss):
    """Mean cross-entropy over the hard pixels of a batch (online hard example mining).

    The loss keeps the labelled pixels whose label has a probability of at most ``threshold``, and
    the ``min_kept`` hardest labelled pixels of the whole batch. It also keeps ties with the last of
    these, and keeps all labelled pixels if there are fewer. Each head's logits select their own
    pixels, and the selection has no gradient. Call it as described in ``SegmentationLoss``.

    The loss of a batch is not a mean of its micro-batches' losses, because each micro-batch has
    its own hardest pixels. ``num_valid`` is the number of labelled pixels.

    This is OhemCrossEntropy of HRNet (github.com/HRNet/HRNet-Semantic-Segmentation, lib/core) and
    mmsegmentation, with two differences: they drop ties, and they drop the easiest pixel if fewer
    than ``min_kept`` are labelled.

    Args:
        aux_weight: weight of the auxiliary head's loss.
        class_weights: factors of the kept pixels' losses; the mean divides by the number of kept
            pixels, not by their weights.
        threshold: a probability in (0, 1].
        min_kept: number of pixels in [1, 2^24], the range in which float32 counts exactly.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(
        self,
        aux_weight: float = 0.4,
        class_weights: Sequence[float] | None = None,
        threshold: float = 0.7,
        min_kept: int = 100000,
    ) -> None:
        super().__init__(aux_weight, class_weights)
        if not 0 < threshold <= 1 or not 1 <= min_kept <= 2**24:
            raise ValueError(
                f"threshold {threshold}, min_kept {min_kept}: expected a probability above 0 and "
                f"a number from 1 to {2**24}"
            )
        self.threshold, self.min_kept = threshold, min_kept

    def term(self, F: Operators, logits: Array, label: Array) -> Array:
        log_p = self.log_probability(F, logits, label)
        is_kept = self._is_kept(F, F.BlockGrad(log_p), label != IGNORED)
        return 0 - average(F, self.weighted(F, log_p, logits, label), is_kept)

    def _is_kept(self, F: Operators, log_p: Array, is_labelled: Array) -> Array:
        one = F.ones_like(log_p)
        # Compare logarithms, since float32 probabilities below e^-104 are all 0. NaN cannot be
        # sorted and must reach the loss, so it counts as the hardest.
        log_p = F.where(log_p == log_p, log_p, -float("inf") * one)
        log_p = F.where(is_labelled, log_p, 2 * one)
        num_labelled = F.sum(F.where(is_labelled, one, F.zeros_like(one)))
        index = F.clip(num_labelled, 1, self.min_kept) - 1
        flat = F.reshape(log_p, shape=(-1,))
        order = F.argsort(flat, axis=0, dtype="int64")
        last_kept = F.take(flat, F.take(order, index))
        limit = F.clip(last_kept, math.log(self.threshold), 1)
        return F.broadcast_lesser_equal(log_p, limit)


class FocalLoss(PixelLoss):
    """Mean over the labelled pixels of (1 - p)^gamma times the cross-entropy.

    Here p is the probability of the pixel's label. Lin et al., "Focal Loss for Dense Object
    Detection", ICCV 2017 (arXiv:1708.02002), equations 4 and 5, with one softmax over all classes
    instead of a sigmoid for each. Call it as described in ``SegmentationLoss``.

    Args:
        aux_weight: weight of the auxiliary head's loss.
        class_weights: the paper's alpha. The mean divides by the number of labelled pixels, not by
            their weights.
        gamma: 0 or more.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(
        self,
        aux_weight: float = 0.4,
        class_weights: Sequence[float] | None = None,
        gamma: float = 2.0,
    ) -> None:
        super().__init__(aux_weight, class_weights)
        if not gamma >= 0:
            raise ValueError(f"gamma {gamma}: expected 0 or more")
        self.gamma = gamma

    def term(self, F: Operators, logits: Array, label: Array) -> Array:
        log_p = self.log_probability(F, logits, label)
        loss = self.weighted(F, -log_p, logits, label)
        if self.gamma:
            # 1 - p, kept above 0, where a power below 1 has no finite gradient.
            loss = loss * F.clip(-F.expm1(log_p), _TINY, 1) ** self.gamma
        return average(F, loss, label != IGNORED)
