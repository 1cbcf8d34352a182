"""Scores of a model on a data set: whole images, one confusion matrix."""

import dataclasses

import numpy as np
from tqdm import tqdm

from gluonvision import backend
from gluonvision.data import DataLoader, Sampler
from gluonvision.metrics import SegmentationMetric, SegmentationScores
from gluonvision.segmentation.inference import Inference, classes_of_batch


def evaluate(
    net, dataset, batch_size: int = 1, workers: int = 0, how: Inference | None = None
) -> SegmentationScores:
    """Run ``net`` on every whole image of a data set (mode 'val') and score it.

    ``batch_size``: images a forward pass, where they have one size, or windows; ``workers`` read
    ahead; ``how``: in windows, at several scales, with the mirror image. Where several processes
    work together each takes its share of the images, and all get the scores.
    """
    how = dataclasses.replace(how or Inference(), batch_size=batch_size)
    metric = SegmentationMetric(dataset.num_class)
    shard = Sampler(len(dataset), False, 0, backend.rank(), backend.world_size(), equal=False)
    batches = DataLoader(dataset, batch_size, num_workers=workers, sampler=shard, stack=False)
    progress = tqdm(
        total=len(dataset), unit="image", desc="validating", disable=backend.rank() > 0, leave=False
    )
    with progress:
        for images, labels in batches:
            for predicted, label in zip(classes_of_batch(net, images, how), labels):
                metric.update(predicted, label)
            progress.update(len(images) * backend.world_size())
    metric.confusion = np.asarray(backend.all_sum(metric.confusion))
    return metric.compute()
