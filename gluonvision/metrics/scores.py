"""Segmentation scores: one confusion matrix over all pixels of all images, and what it says."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gluonvision.metrics.boundary import count_boundaries
from gluonvision.metrics.counting import count_pairs
from gluonvision.utils.arrays import to_labels


@dataclass(frozen=True, eq=False)
class SegmentationScores:
    """Scores in 0-1 over everything seen; NaN where there is nothing to judge.

    ``confusion``: (nclass, nclass) int64, pixels by label (row) and prediction (column).
    ``boundaries``: (nclass, 2) int64, pixels in intersection and union of the boundaries of each
    class, None where they were not counted. ``images``: (number, 3, nclass) int64, of each image
    the pixels of each class that are right, labelled, and predicted; None where they were not kept.
    All are read-only. Scores of classes are (nclass,) float64.
    """

    confusion: np.ndarray
    boundaries: np.ndarray | None = None
    images: np.ndarray | None = None

    @property
    def class_iou(self) -> np.ndarray:
        """Intersection over union; NaN for a class that occurs neither in label nor prediction."""
        hit, labelled, predicted = margins(self.confusion)
        return _ratio(hit, labelled + predicted - hit)

    @property
    def class_dice(self) -> np.ndarray:
        """Dice coefficient, which is the F1 score; NaN as for ``class_iou``."""
        hit, labelled, predicted = margins(self.confusion)
        return _ratio(2 * hit, labelled + predicted)

    @property
    def class_accuracy(self) -> np.ndarray:
        """Share of a class's pixels that are right (recall); NaN for a class of no label."""
        hit, labelled, _ = margins(self.confusion)
        return _ratio(hit, labelled)

    @property
    def class_boundary_iou(self) -> np.ndarray | None:
        """Boundary IoU (Cheng et al., CVPR 2021), as ``class_iou``; None where not counted."""
        return None if self.boundaries is None else _ratio(*self.boundaries.T)

    @property
    def mean_iou(self) -> float:
        """mIoU: mean over the classes that occur in label or prediction."""
        return _mean(self.class_iou)

    @property
    def mean_dice(self) -> float:
        """Mean over the classes that occur in label or prediction."""
        return _mean(self.class_dice)

    @property
    def mean_accuracy(self) -> float:
        """Mean over the classes that occur in a label."""
        return _mean(self.class_accuracy)

    @property
    def mean_boundary_iou(self) -> float | None:
        """Mean over the classes that occur in label or prediction; None where not counted."""
        return None if self.boundaries is None else _mean(_ratio(*self.boundaries.T))

    @property
    def pixel_accuracy(self) -> float:
        """Share of the labelled pixels that are right."""
        hit, labelled, _ = margins(self.confusion)
        return float(_ratio(hit.sum(), labelled.sum()))

    @property
    def frequency_weighted_iou(self) -> float:
        """Mean of ``class_iou`` weighted by how many pixels have the label."""
        _, labelled, _ = margins(self.confusion)
        present = labelled > 0
        weighted = (self.class_iou[present] * labelled[present]).sum()
        return float(_ratio(weighted, labelled.sum()))

    @property
    def image_iou(self) -> np.ndarray | None:
        """mIoU of each image by itself: (number,); None where images were not kept."""
        if self.images is None:
            return None
        hit, labelled, predicted = np.moveaxis(self.images, 1, 0)
        ious = _ratio(hit, labelled + predicted - hit)
        return np.array([_mean(row) for row in ious])


class SegmentationMetric:
    """Intersection over union and accuracies of a whole data set, as VOC defines them.

    Pixels labelled -1 count nowhere. Memory does not grow with the number of images, unless
    ``per_image``, which takes every ``update`` for one image and keeps 24 bytes a class of it.
    ``boundary`` counts for boundary IoU too; class maps are (H, W) then.
    """

    def __init__(self, nclass: int, boundary: bool = False, per_image: bool = False):
        if nclass < 1:
            raise ValueError(f"nclass {nclass}: expected the number of classes, at least 1")
        self.nclass, self.boundary, self.per_image = nclass, boundary, per_image
        self.reset()

    def reset(self) -> None:
        """Forget everything seen."""
        self.confusion = np.zeros((self.nclass, self.nclass), np.int64)
        self.boundaries = np.zeros((self.nclass, 2), np.int64) if self.boundary else None
        self.images: list[np.ndarray] | None = [] if self.per_image else None

    def update(self, predicted: Any, label: Any) -> None:
        """Add class maps of equal shape, any number of axes; arrays of any framework.

        predicted: 0 to nclass-1; label: the same, or -1 for ignored. Raises ValueError, and adds
        nothing, for shapes that differ and values out of range.
        """
        predicted, label = to_labels(predicted, "predicted"), to_labels(label, "label")
        self._check(predicted, label)
        counts = count_pairs(label, predicted, self.nclass)
        if self.boundaries is not None:
            self.boundaries += count_boundaries(label, predicted, self.nclass)
        if self.images is not None:
            self.images.append(margins(counts))
        self.confusion += counts

    def compute(self) -> SegmentationScores:
        """The scores of what was added since ``reset``."""
        images = self.images
        return SegmentationScores(
            confusion=_frozen(self.confusion),
            boundaries=None if self.boundaries is None else _frozen(self.boundaries),
            images=None if images is None else _frozen(np.reshape(images, (-1, 3, self.nclass))),
        )

    def _check(self, predicted: np.ndarray, label: np.ndarray) -> None:
        if predicted.shape != label.shape:
            raise ValueError(
                f"predicted {predicted.shape} and label {label.shape}: expected equal shapes; "
                "scores become classes by argmax over the class axis"
            )
        if self.boundary and label.ndim != 2:
            raise ValueError(
                f"label {label.shape}: boundaries are those of one image, expected (H, W)"
            )
        for name, array, low in (("predicted", predicted, 0), ("label", label, -1)):
            if array.size and not low <= array.min() <= array.max() < self.nclass:
                raise ValueError(
                    f"{name} holds {array.min()} to {array.max()}; expected {low} to "
                    f"{self.nclass - 1}; ignored pixels are labelled -1 (files write 255)"
                )


def margins(confusion: np.ndarray) -> np.ndarray:
    """Of each class the pixels that are right, labelled, and predicted: (3, nclass)."""
    return np.stack([confusion.diagonal(), confusion.sum(1), confusion.sum(0)])


def _frozen(array: np.ndarray) -> np.ndarray:
    array = array.astype(np.int64)
    array.setflags(write=False)
    return array


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def _mean(values: np.ndarray) -> float:
    present = values[~np.isnan(values)]
    return float(present.mean()) if present.size else float("nan")
