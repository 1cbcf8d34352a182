"""Count pairs of label and prediction exactly; this takes most of the time of a score."""

import cv2
import numpy as np

# OpenCV's histogram of two byte images counts in float32, which is exact up to 2**24, and a block
# has fewer pixels. A block of this size and its byte copies also stay in the cache.
_BLOCK = 1 << 18
_MAX_BYTE_CLASSES = 255


def count_pairs(label: np.ndarray, predicted: np.ndarray, nclass: int) -> np.ndarray:
    """Count pixels by label (row) and prediction (column).

    Args:
        label: integers in [-1, nclass), not checked; -1 for ignored pixels.
        predicted: integers of the same shape, in [0, nclass) where the label is not -1; not
            checked.
        nclass: number of classes.

    Returns:
        (nclass, nclass) int64.
    """
    if nclass > _MAX_BYTE_CLASSES:
        return _count_any(label, predicted, nclass)
    label, predicted = label.reshape(-1), predicted.reshape(-1)
    total = np.zeros((nclass, nclass), np.int64)
    for first in range(0, label.size, _BLOCK):
        # -1 becomes 255, which is above the last class.
        pair = [a[first : first + _BLOCK].astype(np.uint8) for a in (label, predicted)]
        limits = [0, nclass, 0, nclass]
        total += cv2.calcHist(pair, [0, 1], None, [nclass, nclass], limits).astype(np.int64)
    return total


def _count_any(label: np.ndarray, predicted: np.ndarray, nclass: int) -> np.ndarray:
    is_labelled = label >= 0
    pairs = label[is_labelled].astype(np.int64) * nclass + predicted[is_labelled]
    return np.bincount(pairs, minlength=nclass**2).reshape(nclass, nclass)
