"""Confidence intervals of scores, by bootstrap over images."""

from dataclasses import dataclass

import numpy as np

_CHUNK = 100


@dataclass(frozen=True, eq=False)
class Intervals:
    """Confidence intervals of scores in 0-1.

    Attributes:
        mean_iou: (low, high).
        class_iou: (nclass, 2) float64, low and high of each class; NaN for a class that never
            occurs.
        confidence: probability in (0, 1) that an interval covers the score.
        resamples: number of resamples drawn.
    """

    mean_iou: tuple[float, float]
    class_iou: np.ndarray
    confidence: float
    resamples: int


def bootstrap(
    images: np.ndarray, resamples: int = 1000, seed: int = 0, confidence: float = 0.95
) -> Intervals:
    """Compute percentile intervals of mean and class IoU by resampling images (Efron, 1979).

    Each resample draws as many images as the data set has, with replacement, and is scored as a
    data set; classes absent from a resample do not count in its mean. Images are assumed to be
    independent. Frames of one video are not, which makes the intervals too narrow.

    Args:
        images: ``SegmentationScores.images``.
        resamples: number of resamples.
        seed: of the random draws.
        confidence: in (0, 1).

    Raises:
        ValueError: for fewer than two images, or if a value is out of range.
    """
    if images is None:
        raise ValueError(
            "the scores have no counts per image; create the metric with per_image=True"
        )
    if len(images) < 2 or resamples < 1 or not 0 < confidence < 1:
        raise ValueError(
            f"{len(images)} images, {resamples} resamples, confidence {confidence}: expected at "
            "least 2 images, at least 1 resample, and a confidence between 0 and 1"
        )
    class_iou = _resampled(images, resamples, np.random.default_rng(seed))
    tails = [50 * (1 - confidence), 50 * (1 + confidence)]
    low, high = np.percentile(_mean_of_present(class_iou), tails)
    present = ~np.isnan(class_iou).all(0)
    limits = np.full((class_iou.shape[1], 2), np.nan)
    limits[present] = np.nanpercentile(class_iou[:, present], tails, axis=0).T
    return Intervals((float(low), float(high)), limits, confidence, resamples)


def _resampled(images: np.ndarray, resamples: int, generator: np.random.Generator) -> np.ndarray:
    """Return each class's IoU in each resample: (resamples, nclass), NaN where it is absent."""
    number, _, nclass = images.shape
    # BLAS multiplies floats only. All sums stay below 2**53, so they are exact.
    counts = images.reshape(number, -1).astype(np.float64)
    chunks = []
    for first in range(0, resamples, _CHUNK):
        size = min(_CHUNK, resamples - first)
        draws = generator.multinomial(number, np.full(number, 1 / number), size=size)
        correct, labelled, predicted = np.moveaxis(
            (draws.astype(np.float64) @ counts).reshape(size, 3, nclass), 1, 0
        )
        union = labelled + predicted - correct
        chunks.append(np.where(union > 0, correct / np.maximum(union, 1), np.nan))
    return np.concatenate(chunks)


def _mean_of_present(class_iou: np.ndarray) -> np.ndarray:
    present = ~np.isnan(class_iou)
    total = np.where(present, class_iou, 0).sum(1)
    mean = total[present.any(1)] / present.sum(1)[present.any(1)]
    return mean if mean.size else np.array([np.nan])
