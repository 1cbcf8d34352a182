"""Segmentation scores from one confusion matrix over all pixels of all images."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gluonvision.metrics.boundary import count_boundaries
from gluonvision.metrics.counting import count_pairs
from gluonvision.utils.arrays import to_labels


@dataclass(frozen=True, eq=False)
class SegmentationScores:
    """Scores in 0-1 over a data set; NaN where there are no pixels.

    Scores by class are (nclass,) float64.

    Attributes:
        confusion: (nclass, nclass) int64, pixels by label (row) and prediction (column); read-only.
        boundaries: (nclass, 2) int64, pixels in the intersection and union of each class's
            boundaries; read-only. None if they were not counted.
        images: (number, 3, nclass) int64, for each image the correct, labelled and predicted pixels
            of each class; read-only. None if they were not kept.
    """

    confusion: np.ndarray
    boundaries: np.ndarray | None = None
    images: np.ndarray | None = None

    @property
    def class_iou(self) -> np.ndarray:
        """Intersection over union; NaN for a class that occurs neither in label nor prediction."""
        correct, labelled, predicted = class_counts(self.confusion)
        return _ratio(correct, labelled + predicted - correct)

    @property
    def class_dice(self) -> np.ndarray:
        """Dice coefficient, which equals the F1 score; NaN as for ``class_iou``."""
        correct, labelled, predicted = class_counts(self.confusion)
        return _ratio(2 * correct, labelled + predicted)

    @property
    def class_accuracy(self) -> np.ndarray:
        """Fraction of a class's labelled pixels that are correct (recall); NaN if it has none."""
        correct, labelled, _ = class_counts(self.confusion)
        return _ratio(correct, labelled)

    @property
    def class_boundary_iou(self) -> np.ndarray | None:
        """Boundary IoU (Cheng et al., CVPR 2021); None if it was not counted."""
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
        """Mean over the classes that occur in the labels."""
        return _mean(self.class_accuracy)

    @property
    def mean_boundary_iou(self) -> float | None:
        """Mean over the classes that occur in label or prediction; None if it was not counted."""
        boundary_iou = self.class_boundary_iou
        return None if boundary_iou is None else _mean(boundary_iou)

    @property
    def pixel_accuracy(self) -> float:
        """Fraction of the labelled pixels that are correct."""
        correct, labelled, _ = class_counts(self.confusion)
        return float(_ratio(correct.sum(), labelled.sum()))

    @property
    def frequency_weighted_iou(self) -> float:
        """Mean of ``class_iou``, weighted by each class's number of labelled pixels."""
        _, labelled, _ = class_counts(self.confusion)
        present = labelled > 0
        weighted = (self.class_iou[present] * labelled[present]).sum()
        return float(_ratio(weighted, labelled.sum()))

    @property
    def image_iou(self) -> np.ndarray | None:
        """mIoU of each image, (number,); None if images were not kept."""
        if self.images is None:
            return None
        correct, labelled, predicted = np.moveaxis(self.images, 1, 0)
        ious = _ratio(correct, labelled + predicted - correct)
        return np.array([_mean(row) for row in ious])


class SegmentationMetric:
    """IoU and accuracies of a whole data set, as VOC defines them.

    Pixels labelled -1 are ignored. Memory does not grow with the number of images, except with
    ``per_image``.

    Args:
        nclass: number of classes.
        boundary: also count boundary IoU; class maps must then be (H, W).
        per_image: keep the counts of each image, 24 bytes per class; every ``update`` must then
            be one image.

    Raises:
        ValueError: if ``nclass`` is below 1.
    """

    def __init__(self, nclass: int, boundary: bool = False, per_image: bool = False) -> None:
        if nclass < 1:
            raise ValueError(f"nclass {nclass}: expected the number of classes, at least 1")
        self.nclass, self.boundary, self.per_image = nclass, boundary, per_image
        self.reset()

    def reset(self) -> None:
        """Forget all images."""
        self.confusion = np.zeros((self.nclass, self.nclass), np.int64)
        self.boundaries = np.zeros((self.nclass, 2), np.int64) if self.boundary else None
        self.images: list[np.ndarray] | None = [] if self.per_image else None

    def update(self, predicted: Any, label: Any) -> None:
        """Add class maps of equal shape, with any number of axes and from any framework.

        Args:
            predicted: integers in [0, nclass).
            label: integers in [-1, nclass); -1 for ignored pixels.

        Raises:
            ValueError: if the shapes differ or a value is out of range. Nothing is then added.
        """
        predicted, label = to_labels(predicted, "predicted"), to_labels(label, "label")
        self._check(predicted, label)
        counts = count_pairs(label, predicted, self.nclass)
        if self.boundaries is not None:
            self.boundaries += count_boundaries(label, predicted, self.nclass)
        if self.images is not None:
            self.images.append(class_counts(counts))
        self.confusion += counts

    def compute(self) -> SegmentationScores:
        """Return the scores of everything added since the last ``reset``."""
        images = self.images
        return SegmentationScores(
            confusion=_read_only(self.confusion),
            boundaries=None if self.boundaries is None else _read_only(self.boundaries),
            images=None if images is None else _read_only(np.reshape(images, (-1, 3, self.nclass))),
        )

    def _check(self, predicted: np.ndarray, label: np.ndarray) -> None:
        if predicted.shape != label.shape:
            raise ValueError(
                f"predicted {predicted.shape} and label {label.shape}: expected equal shapes; "
                "turn logits into classes with argmax over the class axis"
            )
        if self.boundary and label.ndim != 2:
            raise ValueError(f"label {label.shape}: with boundary=True expected one image, (H, W)")
        for name, array, low in (("predicted", predicted, 0), ("label", label, -1)):
            if array.size and not low <= array.min() <= array.max() < self.nclass:
                raise ValueError(
                    f"{name} holds {array.min()} to {array.max()}; expected {low} to "
                    f"{self.nclass - 1}; use -1 for ignored pixels (255 in mask files)"
                )


def class_counts(confusion: np.ndarray) -> np.ndarray:
    """Return the correct, labelled and predicted pixels of each class, (3, nclass)."""
    return np.stack([confusion.diagonal(), confusion.sum(1), confusion.sum(0)])


def _read_only(array: np.ndarray) -> np.ndarray:
    array = array.astype(np.int64)
    array.setflags(write=False)
    return array


def _ratio(count: np.ndarray, total: np.ndarray) -> np.ndarray:
    return np.where(total > 0, count / np.maximum(total, 1), np.nan)


def _mean(values: np.ndarray) -> float:
    present = values[~np.isnan(values)]
    return float(present.mean()) if present.size else float("nan")
