"""Forward passes in evaluation mode."""

from typing import Any

import mxnet as mx

from gluonvision.backend.precisions import check_inference_precision


def evaluate(net: Any, x: mx.nd.NDArray) -> Any:
    """Return ``net(x)`` in evaluation mode, without gradients."""
    with mx.autograd.pause(train_mode=False):
        return net(x)


def prepare_inference(net: Any, precision: str = "auto") -> Any:
    """Return the net unchanged for 'auto' and 'fp32'.

    Raises:
        ValueError: for other precisions: MXNet 1.9.1 predicts only in fp32.
    """
    check_inference_precision(precision)
    if precision not in ("auto", "fp32"):
        raise ValueError(
            f"precision={precision!r}: MXNet 1.9.1 predicts in fp32 only; for other precisions use "
            "the PyTorch backend (GLUONVISION_BACKEND=torch)"
        )
    return net
