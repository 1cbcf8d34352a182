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

from gluonvision.backend.types import Array, Operators

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
    """MXNet's layer, which for one device calls the plain ``BatchNorm`` operator.

    MXNet's synchronized operator shares memory by the layer's name. Set up for one device (the
    default on a CPU) and run on two contexts in parallel, it corrupts that memory and can crash
    the process.
    """

    def hybrid_forward(
        self,
        F: Operators,
        x: Array,
        gamma: Array,
        beta: Array,
        running_mean: Array,
        running_var: Array,
    ) -> Array:
        parameters = (gamma, beta, running_mean, running_var)
        if self._kwargs["ndev"] > 1:
            return super().hybrid_forward(F, x, *parameters)
        options = {name: self._kwargs[name] for name in self._kwargs.keys() - {"ndev", "key"}}
        return F.BatchNorm(x, *parameters, name="fwd", axis=1, **options)
