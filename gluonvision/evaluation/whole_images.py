"""Scores of a model on a data set: whole images, one confusion matrix."""

import dataclasses

import numpy as np
from tqdm import tqdm

from gluonvision import backend
from gluonvision.data import DataLoader, Sampler
from gluonvision.metrics import SegmentationMetric, SegmentationScores
from gluonvision.prediction.inference import Inference, predict_batch


def evaluate(
    net,
    dataset,
    batch_size: int = 1,
    workers: int = 0,
    inference: Inference | None = None,
    boundary: bool = False,
    per_image: bool = False,
) -> SegmentationScores:
    """Run ``net`` on every whole image of a data set (mode 'val') and score it.

    ``batch_size``: images a forward pass, where they have one size, or windows; ``workers`` read
    ahead; ``inference``: in windows, at several scales, with the mirror image; ``boundary`` and
    ``per_image`` as for ``SegmentationMetric``. Where several processes work together each takes
    its share of the images, and all get the scores.
    """
    inference = dataclasses.replace(inference or Inference(), batch_size=batch_size)
    metric = SegmentationMetric(dataset.num_class, boundary, per_image)
    shard = Sampler(len(dataset), False, 0, backend.rank(), backend.world_size(), equal=False)
    batches = DataLoader(dataset, batch_size, num_workers=workers, sampler=shard, stack=False)
    progress = tqdm(
        total=len(dataset), unit="image", desc="validating", disable=backend.rank() > 0, leave=False
    )
    with progress:
        for images, labels in batches:
            for predicted, label in zip(predict_batch(net, images, inference), labels):
                metric.update(predicted, label)
            progress.update(len(images) * backend.world_size())
    return _of_all_processes(metric.compute(), shard)


def _of_all_processes(scores: SegmentationScores, shard: Sampler) -> SegmentationScores:
    """The scores of all shards together; every image is in one of them."""
    images = None
    if scores.images is not None:
        # At its own place in the data set's order, and nothing at the others'.
        images = np.zeros((shard.length, *scores.images.shape[1:]), np.int64)
        images[shard.order(0)] = scores.images
    return SegmentationScores(
        np.asarray(backend.all_reduce_sum(scores.confusion)), _sum(scores.boundaries), _sum(images)
    )


def _sum(array: np.ndarray | None) -> np.ndarray | None:
    return None if array is None else np.asarray(backend.all_reduce_sum(array))
