"""Nets made ready for prediction, under MXNet: as they are."""

from gluonvision.backend.precisions import check_precision


def prepare_inference(net, precision="auto"):
    """The net itself, for 'auto' and 'fp32'; ValueError for what MXNet 1.9.1 has not."""
    check_precision(precision)
    if precision not in ("auto", "fp32"):
        raise ValueError(
            f"precision={precision!r}: under MXNet it is fp32; or take the PyTorch backend "
            "(GLUONVISION_BACKEND=torch)"
        )
    return net
