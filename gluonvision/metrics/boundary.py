"""Boundary IoU (Cheng et al., CVPR 2021): intersection over union of the pixels near an outline.

Mask IoU is insensitive to the outlines of large objects; boundary IoU measures only them.
"""

import math

import cv2
import numpy as np

from gluonvision.metrics.counting import count_pairs

# Pixels up to this fraction of the image's diagonal are near an outline, as in the paper.
DISTANCE = 0.02


def count_boundaries(label: np.ndarray, predicted: np.ndarray, nclass: int) -> np.ndarray:
    """Count the pixels in the intersection and the union of each class's boundaries.

    The boundary of a class is its pixels within a distance of other pixels. The distance is 2 % of
    the image's diagonal, rounded, at least one pixel, and is measured along rows, columns and
    diagonals. Pixels beyond the image's edge count as other, as in the authors' code, and so do
    unlabelled pixels, in both label and prediction.

    Args:
        label: (H, W) integers in [-1, nclass); -1 for ignored pixels.
        predicted: (H, W) integers in [0, nclass) where the label is not -1.
        nclass: number of classes.

    Returns:
        (nclass, 2) int64: intersection and union.
    """
    label, predicted = label.astype(np.int32), predicted.astype(np.int32)
    predicted[label < 0] = -1
    height, width = label.shape
    distance = max(1, round(DISTANCE * math.hypot(height, width)))
    # Pixels that are not near an outline get an extra class.
    label, predicted = (_boundaries(m, distance, nclass) for m in (label, predicted))
    pairs = count_pairs(label, predicted, nclass + 1)
    intersection = pairs.diagonal()
    return np.stack([intersection, pairs.sum(0) + pairs.sum(1) - intersection], axis=1)[:nclass]


def _boundaries(labels: np.ndarray, distance: int, inside: int) -> np.ndarray:
    """Return the labels with ``inside`` at pixels without other labels near them; -1 stays."""
    values = (labels + 1).astype(np.uint8 if inside <= 255 else np.uint16)
    # A pixel is inside if the smallest and the largest label around it are equal. That takes two
    # filters for all classes together. Beyond the edge is 0, which means unlabelled.
    window = np.ones((2 * distance + 1,) * 2, np.uint8)
    edge = {"borderType": cv2.BORDER_CONSTANT, "borderValue": 0}
    is_inside = cv2.erode(values, window, **edge) == cv2.dilate(values, window, **edge)
    return np.where(is_inside & (labels >= 0), inside, labels)
