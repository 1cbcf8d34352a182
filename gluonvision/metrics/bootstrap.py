"""How sure a score is: what it might have been on other images of the kind."""

from dataclasses import dataclass

import numpy as np

_CHUNK = 100


@dataclass(frozen=True, eq=False)
class Intervals:
    """Lowest and highest value (0-1) within the ``confidence``.

    ``mean_iou``: (low, high). ``class_iou``: (nclass, 2) float64, NaN for a class that never
    occurs.
    """

    mean_iou: tuple[float, float]
    class_iou: np.ndarray
    confidence: float
    resamples: int


def bootstrap(
    images: np.ndarray, resamples: int = 1000, seed: int = 0, confidence: float = 0.95
) -> Intervals:
    """Percentile intervals of mean and class IoU, from resampling whole images (Efron 1979).

    images: ``SegmentationScores.images``. Each resample draws as many images as there are, with
    repetition, and is scored as a data set; a class that it happens to lack counts in its mean as
    little as in any. The pixels of one image are not independent, images are taken to be: frames
    of one video are not, and make the intervals too narrow. Raises ValueError for fewer than two
    images or values out of range.
    """
    if images is None:
        raise ValueError("there are no scores of single images; keep them: per_image=True")
    if len(images) < 2 or resamples < 1 or not 0 < confidence < 1:
        raise ValueError(
            f"{len(images)} images, {resamples} resamples, confidence {confidence}: expected at "
            "least 2 and 1, and a number between 0 and 1"
        )
    class_iou = _resampled(images, resamples, np.random.default_rng(seed))
    tails = [50 * (1 - confidence), 50 * (1 + confidence)]
    low, high = np.percentile(_mean_of_present(class_iou), tails)
    present = ~np.isnan(class_iou).all(0)
    limits = np.full((class_iou.shape[1], 2), np.nan)
    limits[present] = np.nanpercentile(class_iou[:, present], tails, axis=0).T
    return Intervals((float(low), float(high)), limits, confidence, resamples)


def _resampled(images, resamples, generator):
    """The IoU of each class in each resample: (resamples, nclass), NaN where it is absent."""
    number, _, nclass = images.shape
    # As floats: products of integers are not handed to BLAS; sums stay below 2**53 and so exact.
    counts = images.reshape(number, -1).astype(np.float64)
    parts = []
    for first in range(0, resamples, _CHUNK):
        size = min(_CHUNK, resamples - first)
        times = generator.multinomial(number, np.full(number, 1 / number), size=size)
        hit, labelled, predicted = np.moveaxis(
            (times.astype(np.float64) @ counts).reshape(size, 3, nclass), 1, 0
        )
        union = labelled + predicted - hit
        parts.append(np.where(union > 0, hit / np.maximum(union, 1), np.nan))
    return np.concatenate(parts)


def _mean_of_present(class_iou):
    present = ~np.isnan(class_iou)
    total = np.where(present, class_iou, 0).sum(1)
    mean = total[present.any(1)] / present.sum(1)[present.any(1)]
    return mean if mean.size else np.array([np.nan])
