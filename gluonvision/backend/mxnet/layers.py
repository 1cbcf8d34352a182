"""The layers of the vocabulary: MXNet's own, by explicit name."""

from mxnet.gluon.contrib.nn import SyncBatchNorm
from mxnet.gluon.nn import (
    Activation,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    GlobalAvgPool2D,
    HybridBlock,
    HybridSequential,
    MaxPool2D,
)

__all__ = [
    "Activation",
    "BatchNorm",
    "Conv2D",
    "Dense",
    "Dropout",
    "GlobalAvgPool2D",
    "HybridBlock",
    "HybridSequential",
    "MaxPool2D",
    "SyncBatchNorm",
]
