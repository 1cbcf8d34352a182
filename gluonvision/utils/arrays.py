"""NumPy arrays of class labels from whatever holds them: arrays of NumPy, PyTorch, MXNet, lists."""

from typing import Any

import numpy as np


def to_numpy(array: Any) -> np.ndarray:
    """A NumPy array of anything array-like; shares memory with it where that is possible.

    MXNet's arrays have no ``__array__``, only ``asnumpy``: without it NumPy would read them one
    element at a time. torch's come from their device, without their gradient.
    """
    if hasattr(array, "asnumpy"):
        return array.asnumpy()
    if hasattr(array, "detach"):
        array = array.detach().cpu()
    return np.asarray(array)


def to_labels(array: Any, what: str = "mask") -> np.ndarray:
    """Class labels as integers, any shape; whole-number floats (MXNet's argmax) become int64.

    Raises ValueError, naming ``what``, for fractions, NaN and what is no number.
    """
    labels = to_numpy(array)
    if labels.dtype.kind in "iu":
        return labels
    if labels.dtype.kind == "b":
        return labels.astype(np.uint8)
    if labels.dtype.kind != "f":
        raise ValueError(f"{what}: expected numbers, got an array of {labels.dtype}")
    if not np.array_equal(labels, np.trunc(labels)):
        raise ValueError(
            f"{what}: expected whole class numbers, got {labels.dtype} with fractions or NaN; "
            "class scores become labels by argmax over the class axis"
        )
    return labels.astype(np.int64)
