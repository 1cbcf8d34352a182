"""Losses that compare the predicted region of each class with its labelled region."""

from gluonvision.backend.types import Array, Operators
from gluonvision.loss.base import IGNORED, SegmentationLoss


class RegionLoss(SegmentationLoss):
    """Base class of losses that are a mean over the classes in the batch's labels.

    A subclass defines ``class_term``. Such a loss is not a mean over pixels, so the loss of a batch
    differs from the mean of its micro-batches' losses (``num_valid``, the number of labelled
    pixels, is the weight).
    """

    def term(self, F: Operators, logits: Array, label: Array) -> Array:
        # (nclass, N, H, W)
        probabilities = F.transpose(F.softmax(logits, axis=1), axes=(1, 0, 2, 3))
        classes = F.cast(F.contrib.arange_like(probabilities, axis=0), dtype="float32")
        # float32 holds both labels and class numbers exactly, so that they can be compared.
        label = F.cast(F.reshape(label, shape=(-1,)), dtype="float32")
        is_labelled = label != IGNORED
        zero = F.zeros_like(F.reshape(F.slice_axis(logits, axis=1, begin=0, end=1), shape=(-1,)))
        one = F.ones_like(zero)

        def one_class(data: list[Array], states: list[Array]) -> tuple[Array, list[Array]]:
            probability, number = data
            probability = F.where(is_labelled, F.reshape(probability, shape=(-1,)), zero)
            is_class = F.broadcast_equal(label, number)
            members = F.where(is_class, one, zero)
            size = F.sum(members, axis=0, keepdims=True)
            term = self.class_term(F, probability, is_class, members, size)
            return _with_occurrence(F, term, size), states

        # One class at a time, so that only one class's arrays of all pixels are in memory.
        data = [probabilities, F.reshape(classes, shape=(-1, 1))]
        terms, _ = F.contrib.foreach(one_class, data, [])  # (nclass, 2)
        total = F.sum(F.slice_axis(terms, axis=1, begin=0, end=1))
        count = F.sum(F.slice_axis(terms, axis=1, begin=1, end=2))
        return F.broadcast_div(total, F.clip(count, 1, float("inf")))

    def class_term(
        self, F: Operators, probability: Array, is_class: Array, members: Array, size: Array
    ) -> Array:
        """Return the loss (1,) of one class; it is not used for a class that does not occur.

        Args:
            F: the operators.
            probability: (pixels,), that of the class; 0 at ignored pixels.
            is_class: (pixels,), the condition that the pixel's label is the class.
            members: (pixels,), ``is_class`` as 0 and 1.
            size: (1,), the sum of ``members``.
        """
        raise NotImplementedError(f"{type(self).__name__} must define class_term")


def _with_occurrence(F: Operators, term: Array, size: Array) -> Array:
    """Return (term, 1), or (0, 0) for a class without pixels.

    They are one array because MXNet's foreach loses its gradient if one output has none.
    """
    pair = F.concat(term, F.ones_like(term), dim=0)
    return F.where(F.concat(size, size, dim=0) > 0, pair, F.zeros_like(pair))


class DiceLoss(RegionLoss):
    """Soft Dice loss, 1 - (2 overlap + s) / (size + s), as the mean over the classes that occur.

    For each class, over the whole batch: ``overlap`` sums the class's probability over the pixels
    with its label; ``size`` sums it over all labelled pixels and adds the number of pixels with the
    class's label. Classes without a label in the batch do not count. Call it as described in
    ``SegmentationLoss``.

    Milletari et al., "V-Net", 3DV 2016 (arXiv:1606.04797), section 3, who square the probabilities
    in ``size``; plain sums are as in Sudre et al., 2017 (arXiv:1707.03237).

    Args:
        aux_weight: weight of the auxiliary head's loss.
        smooth: s, above 0. It acts as correctly predicted pixels added to every class, which
            keeps the loss of small classes from fluctuating.

    Raises:
        ValueError: if ``smooth`` is not above 0.
    """

    def __init__(self, aux_weight: float = 0.4, smooth: float = 1.0) -> None:
        super().__init__(aux_weight)
        if not smooth > 0:
            raise ValueError(f"smooth {smooth}: expected a number above 0")
        self.smooth = smooth

    def class_term(
        self, F: Operators, probability: Array, is_class: Array, members: Array, size: Array
    ) -> Array:
        correct = F.where(is_class, probability, F.zeros_like(members))
        overlap = F.sum(correct, axis=0, keepdims=True)
        size = size + F.sum(probability, axis=0, keepdims=True)
        return 1 - (2 * overlap + self.smooth) / (size + self.smooth)


class LovaszSoftmaxLoss(RegionLoss):
    """The Lovász extension of 1 - IoU, as the mean over the classes in the batch's labels.

    Berman et al., "The Lovász-Softmax loss", CVPR 2018 (arXiv:1705.08790), definition 2 and
    algorithm 1, over the pixels of the whole batch instead of each image. Where two errors are
    equal, the gradient depends on the order in which the backend sorts them. Counts are exact up to
    2^24 pixels per batch, where MXNet's stop growing. Call it as described in ``SegmentationLoss``.
    """

    def class_term(
        self, F: Operators, probability: Array, is_class: Array, members: Array, size: Array
    ) -> Array:
        error = F.where(is_class, 1 - probability, probability)
        # Ignored pixels have error 0, so they come last. NaN cannot be sorted, so it counts as 0.
        sortable = F.BlockGrad(error)
        sortable = F.where(sortable == sortable, sortable, F.zeros_like(sortable))
        order = F.argsort(sortable, axis=0, is_ascend=False, dtype="int64")
        weights = _lovasz_weights(F, F.take(members, order), size)
        weights = F.contrib.index_copy(F.zeros_like(members), order, weights)
        return F.sum(error * F.BlockGrad(weights), axis=0, keepdims=True)


def _lovasz_weights(F: Operators, members: Array, size: Array) -> Array:
    """Return how much each pixel adds to 1 - IoU when it too is wrong, by decreasing error.

    Algorithm 1 takes differences of 1 - IoU, which float32 cannot resolve for many pixels. Their
    closed form is 1 / union for a pixel of the class and missed / (union - 1) / union for another
    pixel. Here ``union`` counts the class's pixels and the other pixels so far, and ``missed`` the
    class's pixels that follow.
    """
    missed = F.broadcast_sub(size, F.cumsum(members, axis=0))
    union = F.contrib.arange_like(members, axis=0) + 1 + missed
    # The union is 1 at the first pixel of a class that does not occur, so avoid dividing by 0.
    ratio = missed / F.clip(union - 1, 1, float("inf"))
    return F.where(members > 0, F.ones_like(ratio), ratio) / union
