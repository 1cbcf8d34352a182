"""The vocabulary under MXNet: Gluon's own classes, re-exported, and the adapters they need."""

import os

from gluonvision.backend.mxnet import numpy_names

# MXNet cannot be imported without these names, so all other imports come afterwards.
numpy_names.supply()
# MXNet reads this when it is imported. It must be at least the number of norms that a device can
# run at one time, or two devices can wait for each other in different branches of a net.
# DeepLabV3+ with an auxiliary head has 7.
os.environ.setdefault("MXNET_CPU_WORKER_NTHREADS", "8")

from mxnet import cpu, gpu
from mxnet import ndarray as F
from mxnet.context import num_gpus
from mxnet.gluon import HybridBlock

from gluonvision.backend.mxnet import init, layers as nn, profiling
from gluonvision.backend.mxnet.arrays import array, as_numpy, preprocess, reseed, seed
from gluonvision.backend.mxnet.evaluation import evaluate, prepare_inference
from gluonvision.backend.mxnet.export import EXPORT_FORMATS, read_graph, write_graph
from gluonvision.backend.mxnet.logits import (
    label_log_probability,
    predicted_classes,
    resize_to_label,
)
from gluonvision.backend.mxnet.parameters import (
    device_and_dtype,
    get_gradients,
    get_parameters,
    initialize,
    parameter_shapes,
    set_parameters,
)
from gluonvision.backend.mxnet.processes import (
    all_reduce_sum,
    device_count,
    devices,
    launch,
    rank,
    world_size,
)
from gluonvision.backend.mxnet.training import Trainer
