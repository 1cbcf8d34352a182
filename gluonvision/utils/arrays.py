"""Arrays of NumPy, PyTorch and MXNet, and lists, to NumPy arrays."""

from typing import Any

import numpy as np


def to_numpy(array: Any) -> np.ndarray:
    """Convert anything array-like to a NumPy array, without a copy where that is possible.

    torch's tensors are detached and moved to the CPU. MXNet's arrays have no ``__array__``, so
    NumPy would read them one element at a time; ``asnumpy`` converts them at once.
    """
    if hasattr(array, "asnumpy"):
        return array.asnumpy()
    if hasattr(array, "detach"):
        array = array.detach().cpu()
    return np.asarray(array)


def to_labels(array: Any, what: str = "mask") -> np.ndarray:
    """Convert anything array-like to integer class labels of the same shape.

    Floats with integer values, such as MXNet's argmax, become int64.

    Args:
        array: the labels.
        what: name of the array for the message of an error.

    Raises:
        ValueError: a value is a fraction, NaN or not a number.
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
            f"{what}: expected integer class labels, got {labels.dtype} with fractions or NaN; "
            "convert class scores to labels with argmax over the class axis"
        )
    return labels.astype(np.int64)
