"""Class weights that make rare classes count, computed from the number of pixels of each class."""

import os

import numpy as np
from tqdm import tqdm

from gluonvision.data.datasets.base import SegmentationDataset
from gluonvision.data.loading.prefetch import prefetch_map

KINDS = ("median", "inverse-log")
_ENET_OFFSET = 1.02


def count_labels(
    dataset: SegmentationDataset, workers: int | None = None, progress: bool | None = None
) -> np.ndarray:
    """Count the pixels of each class in all masks of a data set, without augmentation.

    Reads every mask once, and no image.

    Args:
        dataset: a data set with masks.
        workers: number of threads, by default one per core; 0 reads in the caller's thread.
        progress: show a progress bar on stderr, by default if that is a terminal.

    Returns:
        The counts, int64 (nclass,).

    Raises:
        ValueError: the data set has no masks, ``workers`` is negative, or a mask is broken; the
            message names the file.
    """
    workers = (os.cpu_count() or 1) if workers is None else workers
    if workers < 0:
        raise ValueError(f"workers {workers}: expected 0 or more")
    if not dataset.masks:
        raise ValueError("the data set has no masks to count labels in; choose a split with masks")

    def count(index: int) -> np.ndarray:
        # Shifted by one, because bincount does not accept -1.
        labels = dataset._read_mask(index).ravel().astype(np.int32) + 1
        return np.bincount(labels, minlength=dataset.num_class + 1)[1:]

    total = np.zeros(dataset.num_class, np.int64)
    counts = prefetch_map(count, range(len(dataset)), workers)
    quiet = None if progress is None else not progress
    for count_of_mask in tqdm(counts, "counting labels", len(dataset), unit="mask", disable=quiet):
        total += count_of_mask
    return total


def class_weights(counts: np.ndarray, kind: str) -> np.ndarray:
    """Compute class weights from the number of pixels of each class.

    With p, the fraction (0-1) of labelled pixels that belong to a class, the kinds are:

    - 'median': median(p) / p, where the median is over the classes that occur; 0 for a class that
      never occurs. Median frequency balancing (Eigen and Fergus, ICCV 2015, arXiv:1411.4734). The
      paper takes p over the images that contain the class, which counts alone do not provide.
    - 'inverse-log': 1 / log(1.02 + p), from 1.4 to 50.5, the weight of a class that never occurs
      (ENet, Paszke et al., 2016, arXiv:1606.02147).

    Args:
        counts: number of pixels of each class, integers (nclass,).
        kind: 'median' or 'inverse-log'.

    Returns:
        The weights, float32 (nclass,).

    Raises:
        ValueError: the kind is unknown, or the counts are negative or all 0.
    """
    counts = np.asarray(counts)
    if kind not in KINDS:
        raise ValueError(f"class weights {kind!r}: expected one of {', '.join(KINDS)}")
    if counts.ndim != 1 or not counts.size or counts.min() < 0 or not counts.any():
        raise ValueError(
            f"counts {counts}: expected the number of pixels of each class, not all 0, as "
            "count_labels returns them"
        )
    fraction = counts / counts.sum()
    if kind == "inverse-log":
        return (1 / np.log(_ENET_OFFSET + fraction)).astype(np.float32)
    occurs = fraction > 0
    weights = np.zeros(len(fraction), np.float32)
    weights[occurs] = np.median(fraction[occurs]) / fraction[occurs]
    return weights
