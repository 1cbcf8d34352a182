"""The vocabulary of MXNet itself: Gluon's own classes, re-exported, and the adapters it needs."""

from gluonvision.backend.mxnet import numpy_names

numpy_names.supply()

from mxnet import cpu, gpu  # noqa: E402
from mxnet import ndarray as F  # noqa: E402
from mxnet.context import num_gpus  # noqa: E402
from mxnet.gluon import HybridBlock  # noqa: E402

from gluonvision.backend.mxnet import init, layers as nn  # noqa: E402
from gluonvision.backend.mxnet.arrays import array, as_numpy, image_input, seed  # noqa: E402
from gluonvision.backend.mxnet.parameters import (  # noqa: E402
    get_parameters,
    initialize,
    set_parameters,
)
from gluonvision.backend.mxnet.training import Trainer, evaluate  # noqa: E402

__all__ = [
    "F",
    "HybridBlock",
    "Trainer",
    "array",
    "as_numpy",
    "cpu",
    "evaluate",
    "get_parameters",
    "gpu",
    "image_input",
    "init",
    "initialize",
    "nn",
    "num_gpus",
    "seed",
    "set_parameters",
]
