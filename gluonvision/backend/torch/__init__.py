"""The vocabulary over ``torch.nn``: every model is a plain ``torch.nn.Module``."""

from gluonvision.backend import initializer as init
from gluonvision.backend.torch import functional as F
from gluonvision.backend.torch import layers as nn
from gluonvision.backend.torch import profiling
from gluonvision.backend.torch.arrays import (
    array,
    as_numpy,
    cpu,
    gpu,
    num_gpus,
    preprocess,
    reseed,
    seed,
)
from gluonvision.backend.torch.block import HybridBlock
from gluonvision.backend.torch.evaluation import evaluate
from gluonvision.backend.torch.export import EXPORT_FORMATS, read_graph, write_graph
from gluonvision.backend.torch.kernels import prepare_inference
from gluonvision.backend.torch.logits import (
    label_log_probability,
    predicted_classes,
    resize_to_label,
)
from gluonvision.backend.torch.parameters import (
    device_and_dtype,
    get_gradients,
    get_parameters,
    initialize,
    parameter_shapes,
    set_parameters,
)
from gluonvision.backend.torch.processes import (
    all_reduce_sum,
    device_count,
    devices,
    launch,
    rank,
    world_size,
)
from gluonvision.backend.torch.training import Trainer
