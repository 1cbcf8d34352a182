"""Score a model on the whole images of a data set."""

import dataclasses
from typing import Any

import numpy as np
from tqdm import tqdm

from gluonvision import backend
from gluonvision.data import DataLoader, Sampler
from gluonvision.data.datasets.base import SegmentationDataset
from gluonvision.metrics import SegmentationMetric, SegmentationScores
from gluonvision.prediction.inference import Inference, predict_batch


def evaluate(
    net: Any,
    dataset: SegmentationDataset,
    batch_size: int = 1,
    workers: int = 0,
    inference: Inference | None = None,
    boundary: bool = False,
    per_image: bool = False,
) -> SegmentationScores:
    """Score a net on every image of a data set.

    All pixels of all images are counted in one confusion matrix. With several processes, each
    predicts a part of the images, and all return the scores of the whole data set.

    Args:
        net: a segmentation net.
        dataset: a data set in mode "val", which gives whole images.
        batch_size: number of images of the same size, or of windows, per forward pass.
        workers: number of data-loading workers; 0 loads images in this thread.
        inference: scales, mirroring and windows.
        boundary: also compute the boundary IoU.
        per_image: also keep the scores of each image.

    Returns:
        The scores of the data set.
    """
    inference = dataclasses.replace(inference or Inference(), batch_size=batch_size)
    metric = SegmentationMetric(dataset.num_class, boundary, per_image)
    shard = Sampler(len(dataset), False, 0, backend.rank(), backend.world_size(), equal=False)
    batches = DataLoader(dataset, batch_size, num_workers=workers, sampler=shard, stack=False)
    is_silent, total = backend.rank() > 0, len(dataset)
    with tqdm(
        total=total, unit="image", desc="validating", disable=is_silent, leave=False
    ) as progress:
        for images, labels in batches:
            for predicted, label in zip(predict_batch(net, images, inference), labels):
                metric.update(predicted, label)
            progress.update(len(images) * backend.world_size())
    return _gather(metric.compute(), shard)


def _gather(scores: SegmentationScores, shard: Sampler) -> SegmentationScores:
    """Add up the scores of all processes; each image is in the shard of one of them."""
    images = None
    if scores.images is not None:
        # Scatter into the order of the data set; the images of other processes stay zero.
        images = np.zeros((shard.length, *scores.images.shape[1:]), np.int64)
        images[shard.order(0)] = scores.images
    return SegmentationScores(
        np.asarray(backend.all_reduce_sum(scores.confusion)), _sum(scores.boundaries), _sum(images)
    )


def _sum(array: np.ndarray | None) -> np.ndarray | None:
    return None if array is None else np.asarray(backend.all_reduce_sum(array))
