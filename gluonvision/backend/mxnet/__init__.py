"""The vocabulary of MXNet itself: Gluon's own classes, re-exported, and the adapters it needs."""

from gluonvision.backend.mxnet import numpy_names

# MXNet does not import without them, so everything below comes after.
numpy_names.supply()

from mxnet import cpu, gpu
from mxnet import ndarray as F
from mxnet.context import num_gpus
from mxnet.gluon import HybridBlock

from gluonvision.backend.mxnet import init, layers as nn
from gluonvision.backend.mxnet.arrays import array, as_numpy, image_input, seed
from gluonvision.backend.mxnet.parameters import (
    get_gradients,
    get_parameters,
    initialize,
    parameter_shapes,
    placement,
    set_parameters,
)
from gluonvision.backend.mxnet.training import Trainer, evaluate

__all__ = [
    "F",
    "HybridBlock",
    "Trainer",
    "array",
    "as_numpy",
    "cpu",
    "evaluate",
    "get_gradients",
    "get_parameters",
    "gpu",
    "image_input",
    "init",
    "initialize",
    "nn",
    "num_gpus",
    "parameter_shapes",
    "placement",
    "seed",
    "set_parameters",
]
