"""Losses and classes from a net's logits; MXNet's logits always have the size of the images."""

from typing import Any

import mxnet as mx
import numpy as np

from gluonvision.backend.mxnet.arrays import as_numpy
from gluonvision.backend.mxnet.evaluation import evaluate
from gluonvision.backend.types import Array, Operators


def label_log_probability(F: Operators, logits: Array, label: Array, align_corners: bool) -> Array:
    """Return log softmax(logits) at each pixel's label.

    Args:
        F: the operators.
        logits: (N, nclass, H, W).
        label: (N, H, W) integers in [-1, nclass); -1 for ignored pixels.
        align_corners: ignored.

    Returns:
        (N, H, W); the value for class 0 at ignored pixels.
    """
    return F.pick(F.log_softmax(logits, axis=1), F.relu(label), axis=1)


def resize_to_label(F: Operators, logits: Array, label: Array, align_corners: bool) -> Array:
    """Return the logits unchanged: a symbolic graph does not know their size."""
    return logits


def predicted_classes(net: Any, x: mx.nd.NDArray) -> np.ndarray:
    """Return the class of each pixel of an input: int32 (N, H, W), from the net's main head."""
    logits = evaluate(net, x)
    if isinstance(logits, tuple | list):  # the auxiliary head's logits come second
        logits = logits[0]
    return as_numpy(mx.nd.argmax(logits, 1)).astype(np.int32)
