"""Boundary IoU (Cheng et al., CVPR 2021): intersection over union of what is close to an outline.

Mask IoU hardly sees the outline of anything large; this sees nothing else.
"""

import math

import cv2
import numpy as np

from gluonvision.metrics.counting import count_pairs

# Of the image's diagonal: the distance up to which a pixel is close, as in the paper.
DISTANCE = 0.02


def count_boundaries(label: np.ndarray, predicted: np.ndarray, nclass: int) -> np.ndarray:
    """(nclass, 2) int64: pixels in the intersection and in the union of each class's boundaries.

    label, predicted: (H, W), as for ``count_pairs``. The boundary of a class is what of it lies
    within 2 % of the diagonal (rounded, at least one pixel, along rows, columns and diagonals)
    of something else; beyond the image's edge is something else, as in the authors' code. So is
    what is not labelled, for the label and the prediction alike, as neither is judged there.
    """
    label, predicted = label.astype(np.int32), predicted.astype(np.int32)
    predicted[label < 0] = -1
    height, width = label.shape
    distance = max(1, round(DISTANCE * math.hypot(height, width)))
    # Inside, a pixel is of one more class; which of the ignored are close is of no interest.
    label, predicted = (_outlined(m, distance, nclass) for m in (label, predicted))
    pairs = count_pairs(label, predicted, nclass + 1)
    hit = pairs.diagonal()
    return np.stack([hit, pairs.sum(0) + pairs.sum(1) - hit], axis=1)[:nclass]


def _outlined(labels, distance, inside):
    """The labels with ``inside`` where no other is near; -1 stays."""
    values = (labels + 1).astype(np.uint8 if inside <= 255 else np.uint16)
    # The least and the greatest label around a pixel are one where there is one: two filters for
    # all classes together. Beyond the edge is 0, what is not labelled.
    window = np.ones((2 * distance + 1,) * 2, np.uint8)
    edge = {"borderType": cv2.BORDER_CONSTANT, "borderValue": 0}
    is_inside = cv2.erode(values, window, **edge) == cv2.dilate(values, window, **edge)
    return np.where(is_inside & (labels >= 0), inside, labels)
