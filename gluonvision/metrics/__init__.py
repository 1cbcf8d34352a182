"""Segmentation scores from one confusion matrix, with confidence intervals."""

from gluonvision.metrics.intervals import Intervals, bootstrap
from gluonvision.metrics.scores import SegmentationMetric, SegmentationScores

__all__ = ["Intervals", "SegmentationMetric", "SegmentationScores", "bootstrap"]
