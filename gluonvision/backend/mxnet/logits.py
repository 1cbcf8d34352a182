"""What the loss and the predictor do with logits; MXNet needs no special cases."""

from gluonvision.backend.precisions import check_precision


def label_log_probability(F, logits, label, align_corners):
    """Compute log softmax(logits) at each pixel's label: (N, H, W), class 0 where it is ignored.

    ``logits`` (N, nclass, H, W) have the size of the label.
    """
    return F.pick(F.log_softmax(logits, axis=1), F.relu(label), axis=1)


def at_label_size(F, logits, label, align_corners):
    """Return the logits unchanged: a symbolic graph does not know their size."""
    return logits


def prepare_inference(net, precision="auto"):
    """Return the net unchanged for 'auto' and 'fp32'; other precisions are a ValueError."""
    check_precision(precision)
    if precision not in ("auto", "fp32"):
        raise ValueError(
            f"precision={precision!r}: MXNet 1.9.1 predicts in fp32 only; for other precisions use "
            "the PyTorch backend (GLUONVISION_BACKEND=torch)"
        )
    return net
