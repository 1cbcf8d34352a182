"""Scores of a model on a data set: whole images, one confusion matrix."""

from tqdm import tqdm

from gluonvision.metrics import SegmentationMetric, SegmentationScores
from gluonvision.segmentation.predict import predict


def evaluate(net, dataset) -> SegmentationScores:
    """Run ``net`` on every whole image of a data set (mode 'val') and score it."""
    metric = SegmentationMetric(dataset.num_class)
    for i in tqdm(range(len(dataset)), unit="image", desc="validating"):
        image, label = dataset[i]
        metric.update(predict(net, image), label)
    return metric.compute()
