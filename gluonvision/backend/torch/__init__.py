"""The vocabulary over ``torch.nn``: every model is a plain ``torch.nn.Module``."""

from gluonvision.backend import initializer as init
from gluonvision.backend.torch import functional as F
from gluonvision.backend.torch import layers as nn
from gluonvision.backend.torch import measuring
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
from gluonvision.backend.torch.export import EXPORT_FORMATS, read_graph, write_graph
from gluonvision.backend.torch.kernels.coarse_logits import at_label_size, label_log_probability
from gluonvision.backend.torch.kernels.prepared_inference import prepare_inference
from gluonvision.backend.torch.loader_workers import register_loader_workers
from gluonvision.backend.torch.parameters import (
    get_gradients,
    get_parameters,
    initialize,
    parameter_shapes,
    placement,
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
from gluonvision.backend.torch.training import Trainer, evaluate, predicted_classes

register_loader_workers()
