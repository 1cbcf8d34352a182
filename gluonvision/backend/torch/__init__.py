"""The vocabulary over ``torch.nn``: every model is a plain ``torch.nn.Module``."""

from gluonvision.backend import initializer as init
from gluonvision.backend.torch import functional as F
from gluonvision.backend.torch import layers as nn
from gluonvision.backend.torch.arrays import array, as_numpy, cpu, gpu, image_input, num_gpus, seed
from gluonvision.backend.torch.block import HybridBlock
from gluonvision.backend.torch.parameters import (
    get_gradients,
    get_parameters,
    initialize,
    parameter_shapes,
    placement,
    set_parameters,
)
from gluonvision.backend.torch.training import Trainer, evaluate

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
