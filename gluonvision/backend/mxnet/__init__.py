"""The vocabulary of MXNet itself: Gluon's own classes, re-exported, and the adapters it needs."""

import os

from gluonvision.backend.mxnet import numpy_names

# MXNet does not import without them, so everything below comes after.
numpy_names.supply()
# At least the norms that a device can have to do at one time: with fewer, two devices can wait in
# different branches for each other. DeepLabV3+ with an auxiliary head has 7. Read at the import.
os.environ.setdefault("MXNET_CPU_WORKER_NTHREADS", "8")

from mxnet import cpu, gpu
from mxnet import ndarray as F
from mxnet.context import num_gpus
from mxnet.gluon import HybridBlock

from gluonvision.backend.mxnet import init, layers as nn, measuring
from gluonvision.backend.mxnet.arrays import array, as_numpy, preprocess, reseed, seed
from gluonvision.backend.mxnet.export import EXPORT_FORMATS, read_graph, write_graph
from gluonvision.backend.mxnet.logits import (
    at_label_size,
    label_log_probability,
    prepare_inference,
)
from gluonvision.backend.mxnet.parameters import (
    get_gradients,
    get_parameters,
    initialize,
    parameter_shapes,
    placement,
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
from gluonvision.backend.mxnet.training import Trainer, evaluate, predicted_classes
