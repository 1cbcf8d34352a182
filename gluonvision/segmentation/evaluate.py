"""Scores of a model on a data set: whole images, one confusion matrix."""

import numpy as np
from tqdm import tqdm

from gluonvision import backend
from gluonvision.data import DataLoader, Sampler
from gluonvision.metrics import SegmentationMetric, SegmentationScores
from gluonvision.segmentation.predict import predict_batch


def evaluate(net, dataset, batch_size: int = 1, workers: int = 0) -> SegmentationScores:
    """Run ``net`` on every whole image of a data set (mode 'val') and score it.

    ``batch_size``: images a forward pass, where they have one size; ``workers`` read ahead. Where
    several processes train together each takes its share of the images, and all get the scores.
    """
    metric = SegmentationMetric(dataset.num_class)
    shard = Sampler(len(dataset), False, 0, backend.rank(), backend.world_size(), equal=False)
    batches = DataLoader(dataset, batch_size, num_workers=workers, sampler=shard, stack=False)
    progress = tqdm(
        total=len(dataset), unit="image", desc="validating", disable=backend.rank() > 0, leave=False
    )
    with progress:
        for images, labels in batches:
            for predicted, label in zip(predict_batch(net, images), labels):
                metric.update(predicted, label)
            progress.update(len(images) * backend.world_size())
    metric.confusion = np.asarray(backend.all_sum(metric.confusion))
    return metric.compute()
