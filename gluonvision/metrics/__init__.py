"""What predictions are worth: one confusion matrix, the scores read off it, how sure they are."""

from gluonvision.metrics.bootstrap import Intervals, bootstrap
from gluonvision.metrics.scores import SegmentationMetric, SegmentationScores

__all__ = ["Intervals", "SegmentationMetric", "SegmentationScores", "bootstrap"]
