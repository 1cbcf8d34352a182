"""What is done with a model's scores: here, at the size of the images."""


def label_log_probability(F, scores, label, align_corners):
    """log softmax(scores) at each pixel's label, (N, H, W); of class 0 where that is ignored.

    ``scores`` (N, nclass, H, W), of the label's size.
    """
    return F.pick(F.log_softmax(scores, axis=1), F.relu(label), axis=1)


def at_label_size(F, scores, label, align_corners):
    """The scores as they are: a graph does not know whether they have the label's size."""
    return scores
