"""Losses that compare each class's region in the batch with its labels, as the logits do."""

from gluonvision.loss.base import IGNORED, SegmentationLoss


class RegionLoss(SegmentationLoss):
    """The base of losses that are a mean over the classes that occur in the batch's labels.

    A sub-class defines ``class_term``. Such a loss is no mean over pixels: ``num_valid`` still is
    the number of labelled pixels, and the loss of a batch in parts is the mean of its parts' losses
    by these, which is not that of the whole batch.
    """

    def term(self, F, logits, label):
        # (nclass, N, H, W)
        probabilities = F.transpose(F.softmax(logits, axis=1), axes=(1, 0, 2, 3))
        classes = F.cast(F.contrib.arange_like(probabilities, axis=0), dtype="float32")
        # One type for labels and class numbers, in which both are exact.
        label = F.cast(F.reshape(label, shape=(-1,)), dtype="float32")
        is_labelled = label != IGNORED
        zero = F.zeros_like(F.reshape(F.slice_axis(logits, axis=1, begin=0, end=1), shape=(-1,)))
        one = F.ones_like(zero)

        def one_class(data, states):
            probability, number = data
            probability = F.where(is_labelled, F.reshape(probability, shape=(-1,)), zero)
            is_class = F.broadcast_equal(label, number)
            members = F.where(is_class, one, zero)
            size = F.sum(members, axis=0, keepdims=True)
            term = self.class_term(F, probability, is_class, members, size)
            return _with_occurrence(F, term, size), states

        # Class by class: what takes memory for every pixel is held for one class at a time.
        data = [probabilities, F.reshape(classes, shape=(-1, 1))]
        terms, _ = F.contrib.foreach(one_class, data, [])  # (nclass, 2)
        total = F.sum(F.slice_axis(terms, axis=1, begin=0, end=1))
        count = F.sum(F.slice_axis(terms, axis=1, begin=1, end=2))
        return F.broadcast_div(total, F.clip(count, 1, float("inf")))

    def class_term(self, F, probability, is_class, members, size):
        """The loss (1,) of one class, whatever it is for a class that does not occur.

        ``probability`` (pixels,): 0 at ignored pixels. ``is_class`` (pixels,): the condition that a
        pixel has the class's label; ``members``: the same as numbers; ``size`` (1,): their sum.
        """
        raise NotImplementedError(f"{type(self).__name__} must define class_term")


def _with_occurrence(F, term, size):
    """(term, 1), or (0, 0) for a class without a pixel.

    In one array: MXNet's foreach has no gradient if one of its outputs has none.
    """
    pair = F.concat(term, F.ones_like(term), dim=0)
    return F.where(F.concat(size, size, dim=0) > 0, pair, F.zeros_like(pair))


class DiceLoss(RegionLoss):
    """1 - (2 overlap + s) / (size + s), the soft Dice loss, mean over the classes that occur.

    ``overlap``: the sum of the class's probability over its labelled pixels; ``size``: that over
    all labelled pixels, plus the number of those of the class; both over the whole batch. Classes
    that do not occur in the batch's labels do not count. ``smooth``, s, above 0: pixels that every
    class is taken to have hit beside its own, so that the smallest ones don't swing.

    Milletari et al., 3DV 2016 (arXiv:1606.04797), section 3, who square the probabilities in
    ``size``; plain sums are as in Sudre et al., 2017 (arXiv:1707.03237).
    Called as ``SegmentationLoss`` says.
    """

    def __init__(self, aux_weight: float = 0.4, smooth: float = 1.0):
        super().__init__(aux_weight)
        if not smooth > 0:
            raise ValueError(f"smooth {smooth}: expected a number above 0")
        self.smooth = smooth

    def class_term(self, F, probability, is_class, members, size):
        hit = F.where(is_class, probability, F.zeros_like(members))
        overlap = F.sum(hit, axis=0, keepdims=True)
        size = size + F.sum(probability, axis=0, keepdims=True)
        return 1 - (2 * overlap + self.smooth) / (size + self.smooth)


class LovaszSoftmaxLoss(RegionLoss):
    """The Lovász extension of 1 - IoU, mean over the classes that occur in the batch's labels.

    Berman et al., CVPR 2018 (arXiv:1705.08790), definition 2 and algorithm 1, over the pixels of
    the whole batch, not by image. Where two errors are equal the gradient is one of many: the order
    that a backend sorts them in decides which. Counts are exact up to 2^24 pixels a batch; beyond,
    MXNet's stop there. Called as ``SegmentationLoss`` says.
    """

    def class_term(self, F, probability, is_class, members, size):
        error = F.where(is_class, 1 - probability, probability)
        # Ignored pixels have none, and so come last. NaN has no place in an order; any will do.
        known = F.BlockGrad(error)
        known = F.where(known == known, known, F.zeros_like(known))
        order = F.argsort(known, axis=0, is_ascend=False, dtype="int64")
        weights = _lovasz_weights(F, F.take(members, order), size)
        weights = F.contrib.index_copy(F.zeros_like(members), order, weights)
        return F.sum(error * F.BlockGrad(weights), axis=0, keepdims=True)


def _lovasz_weights(F, members, size):
    """How much each pixel, the largest error first, adds to 1 - IoU once it is wrong as well.

    Algorithm 1 takes differences of 1 - IoU, which float32 loses where pixels are many. In closed
    form they are 1 / union for a pixel of the class and missed / (union - 1) / union for another:
    ``union`` counts the class and the wrong pixels so far, ``missed`` the class's pixels to come.
    """
    missed = F.broadcast_sub(size, F.cumsum(members, axis=0))
    union = F.contrib.arange_like(members, axis=0) + 1 + missed
    # The first pixel of a class that does not occur is alone in the union.
    share = missed / F.clip(union - 1, 1, float("inf"))
    return F.where(members > 0, F.ones_like(share), share) / union
