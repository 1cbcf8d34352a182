"""Losses of semantic segmentation, on the vocabulary."""

from gluonvision.backend import HybridBlock

IGNORED = -1


class SoftmaxCrossEntropyLoss(HybridBlock):
    """Mean cross-entropy over the labelled pixels of a batch, with an auxiliary term.

    Called as ``loss(scores, label)`` or ``loss(scores, aux_scores, label)``: scores
    (N, nclass, H, W) in float32 or wider, label (N, H, W) integers in [-1, nclass), -1 ignored.
    Gives one number, 0 if no pixel is labelled. The auxiliary scores count ``aux_weight`` (0.4 as
    in PSPNet, section 3.3).
    """

    def __init__(self, aux_weight: float = 0.4):
        super().__init__()
        self.aux_weight = aux_weight

    def hybrid_forward(self, F, scores, *others):
        *aux_scores, label = others
        loss = _cross_entropy(F, scores, label)
        for scores in aux_scores:
            loss = loss + self.aux_weight * _cross_entropy(F, scores, label)
        return loss


def _cross_entropy(F, scores, label):
    # An ignored label picks class 0, and its loss is replaced: a product with 0 would keep NaN.
    picked = F.pick(F.log_softmax(scores, axis=1), F.relu(label), axis=1)  # (N, H, W)
    is_labelled = label != IGNORED
    total = F.sum(F.where(is_labelled, picked, F.zeros_like(picked)))
    count = F.sum(F.where(is_labelled, F.ones_like(picked), F.zeros_like(picked)))
    return F.broadcast_div(-total, F.clip(count, 1, float("inf")))
