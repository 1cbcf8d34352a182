"""Segmentation scores: one confusion matrix over all pixels of all images, and what it says."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gluonvision.utils.arrays import to_labels


@dataclass(frozen=True, eq=False)
class SegmentationScores:
    """Scores in 0-1 over everything seen; NaN where there is nothing to judge.

    ``mean_iou``: mean over the classes that occur in label or prediction. ``class_iou``,
    ``class_accuracy``: (nclass,) float64; NaN for a class that occurs in neither, and in no label.
    ``mean_accuracy``: mean over the classes that occur in a label. ``confusion``: (nclass, nclass)
    int64, pixels by label (row) and prediction (column), read-only.
    """

    mean_iou: float
    pixel_accuracy: float
    mean_accuracy: float
    class_iou: np.ndarray
    class_accuracy: np.ndarray
    confusion: np.ndarray


class SegmentationMetric:
    """Intersection over union and accuracies of a whole data set, as VOC defines them.

    Pixels labelled -1 count nowhere. Memory does not grow with the number of images.
    """

    def __init__(self, nclass: int):
        if nclass < 1:
            raise ValueError(f"nclass {nclass}: expected the number of classes, at least 1")
        self.nclass = nclass
        self.reset()

    def reset(self) -> None:
        """Forget everything seen."""
        self.confusion = np.zeros((self.nclass, self.nclass), np.int64)

    def update(self, predicted: Any, label: Any) -> None:
        """Add class maps of equal shape, any number of axes; arrays of any framework.

        predicted: 0 to nclass-1; label: the same, or -1 for ignored. Raises ValueError, and adds
        nothing, for shapes that differ and values out of range.
        """
        predicted, label = to_labels(predicted, "predicted"), to_labels(label, "label")
        self._check(predicted, label)
        judged = label >= 0
        pairs = label[judged].astype(np.int64) * self.nclass + predicted[judged]
        counts = np.bincount(pairs, minlength=self.nclass**2)
        self.confusion += counts.reshape(self.nclass, self.nclass)

    def compute(self) -> SegmentationScores:
        """The scores of what was added since ``reset``."""
        confusion = self.confusion.copy()
        confusion.setflags(write=False)
        hit, labelled, predicted = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
        class_iou = _ratio(hit, labelled + predicted - hit)
        class_accuracy = _ratio(hit, labelled)
        return SegmentationScores(
            mean_iou=_mean(class_iou),
            pixel_accuracy=float(_ratio(hit.sum(), labelled.sum())),
            mean_accuracy=_mean(class_accuracy),
            class_iou=class_iou,
            class_accuracy=class_accuracy,
            confusion=confusion,
        )

    def _check(self, predicted: np.ndarray, label: np.ndarray) -> None:
        if predicted.shape != label.shape:
            raise ValueError(
                f"predicted {predicted.shape} and label {label.shape}: expected equal shapes; "
                "scores become classes by argmax over the class axis"
            )
        for name, array, low in (("predicted", predicted, 0), ("label", label, -1)):
            if array.size and not low <= array.min() <= array.max() < self.nclass:
                raise ValueError(
                    f"{name} holds {array.min()} to {array.max()}; expected {low} to "
                    f"{self.nclass - 1}; ignored pixels are labelled -1 (files write 255)"
                )


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def _mean(values: np.ndarray) -> float:
    present = values[~np.isnan(values)]
    return float(present.mean()) if present.size else float("nan")
