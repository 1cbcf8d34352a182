"""Weights that make rare classes count, and the counts of pixels that they are computed from."""

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
    """The pixels of each class in all masks of a data set, as stored: int64 (nclass,).

    Reads every mask once, and no image. ``workers``: threads, by default one a core; 0 reads in
    the caller's. ``progress``: a bar on stderr, by default where that is a terminal.

    Raises ValueError for a data set without masks and for negative ``workers``, and what reading a
    broken mask raises: an error that names the file.
    """
    workers = (os.cpu_count() or 1) if workers is None else workers
    if workers < 0:
        raise ValueError(f"workers {workers}: expected 0 or more")
    if not dataset.masks:
        raise ValueError("the data set has no masks to count labels in; choose a split with masks")

    def count(index: int) -> np.ndarray:
        # One place further on: bincount takes no -1.
        labels = dataset._read_mask(index).ravel().astype(np.int32) + 1
        return np.bincount(labels, minlength=dataset.num_class + 1)[1:]

    total = np.zeros(dataset.num_class, np.int64)
    counts = prefetch_map(count, range(len(dataset)), workers)
    quiet = None if progress is None else not progress
    for part in tqdm(counts, "counting labels", len(dataset), unit="mask", disable=quiet):
        total += part
    return total


def class_weights(counts: np.ndarray, kind: str) -> np.ndarray:
    """Weights of classes, float32 (nclass,), from their numbers of pixels, integers (nclass,).

    p: a class's share (0-1) of all labelled pixels.

    - 'median': median(p) / p, the median over the classes that occur. A class that never occurs
      weighs 0. Median frequency balancing (Eigen and Fergus, ICCV 2015, arXiv:1411.4734), who take
      a class's share in the images where it is present, which counts alone do not tell.
    - 'inverse-log': 1 / log(1.02 + p), from 1.4 to 50.5, the weight of a class that never occurs
      (ENet, Paszke et al., 2016, arXiv:1606.02147).

    Raises ValueError for another kind, and for counts that are negative or all 0.
    """
    counts = np.asarray(counts)
    if kind not in KINDS:
        raise ValueError(f"class weights {kind!r}: expected one of {', '.join(KINDS)}")
    if counts.ndim != 1 or not counts.size or counts.min() < 0 or not counts.any():
        raise ValueError(
            f"counts {counts}: expected the number of pixels of each class, not all of them 0; "
            "count_labels counts them"
        )
    share = counts / counts.sum()
    if kind == "inverse-log":
        return (1 / np.log(_ENET_OFFSET + share)).astype(np.float32)
    occurs = share > 0
    weights = np.zeros(len(share), np.float32)
    weights[occurs] = np.median(share[occurs]) / share[occurs]
    return weights
