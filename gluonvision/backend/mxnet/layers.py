"""The layers of the vocabulary: MXNet's own, by explicit name."""

from mxnet.gluon.contrib import nn as contrib
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


class SyncBatchNorm(contrib.SyncBatchNorm):
    """MXNet's own, and for one device the plain operator.

    MXNet's operator keeps shared memory by the layer's name: told of one device (the default on a
    CPU), and run on two contexts side by side, it corrupts that memory and may end the process.
    """

    def hybrid_forward(self, F, x, gamma, beta, running_mean, running_var):
        parameters = (gamma, beta, running_mean, running_var)
        if self._kwargs["ndev"] > 1:
            return super().hybrid_forward(F, x, *parameters)
        options = {name: self._kwargs[name] for name in self._kwargs.keys() - {"ndev", "key"}}
        return F.BatchNorm(x, *parameters, name="fwd", axis=1, **options)
