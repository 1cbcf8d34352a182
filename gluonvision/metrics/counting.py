"""How often which label met which prediction; exact, and most of the time that a score takes."""

import cv2
import numpy as np

# OpenCV counts bytes in two images at once, into float32, which is exact up to 2**24: more than a
# block has pixels. A block of that size and its copies as bytes also stay in the cache.
_BLOCK = 1 << 18
_MOST_BYTES = 255


def count_pairs(label: np.ndarray, predicted: np.ndarray, nclass: int) -> np.ndarray:
    """Pixels by label (row) and prediction (column): (nclass, nclass) int64.

    Integers of one shape; label -1 to nclass-1, -1 counts nowhere; predicted 0 to nclass-1 where
    the label is not -1. Other values are not looked for.
    """
    if nclass > _MOST_BYTES:
        return _count_any(label, predicted, nclass)
    label, predicted = label.reshape(-1), predicted.reshape(-1)
    total = np.zeros((nclass, nclass), np.int64)
    for first in range(0, label.size, _BLOCK):
        # -1 becomes 255, which is beyond the last class.
        pair = [a[first : first + _BLOCK].astype(np.uint8) for a in (label, predicted)]
        limits = [0, nclass, 0, nclass]
        total += cv2.calcHist(pair, [0, 1], None, [nclass, nclass], limits).astype(np.int64)
    return total


def _count_any(label, predicted, nclass):
    judged = label >= 0
    pairs = label[judged].astype(np.int64) * nclass + predicted[judged]
    return np.bincount(pairs, minlength=nclass**2).reshape(nclass, nclass)
