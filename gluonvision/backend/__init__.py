"""The seam: the only package that imports torch or mxnet.

It picks a backend once, when first imported, and exports one vocabulary for both:

- ``HybridBlock``, ``nn``, ``F``, ``init``: what models are written with;
- ``initialize``, ``get_parameters``, ``parameter_shapes``, ``set_parameters``,
  ``get_gradients``: weights, by structural name;
- ``cpu``, ``gpu``, ``num_gpus``, ``array``, ``as_numpy``, ``image_input``: arrays and devices;
- ``seed``, ``reseed``: generators;
- ``Trainer``, ``evaluate``, ``predicted_classes``: one training step; a forward pass in evaluation
  mode, and the classes by it;
- ``label_log_probability``, ``at_label_size``: of scores that may be coarser than the labels;
- ``EXPORT_FORMS``, ``write_graph``, ``read_graph``: files that run without this package;
- ``measuring``: what a forward pass costs;
- ``prepare_inference``: a net in another precision, for prediction alone;
- ``launch``, ``rank``, ``world_size``, ``device_count``, ``devices``, ``all_sum``: many devices.

``F`` is for code outside ``hybrid_forward``; inside, the framework comes in as its argument.
"""

import importlib.util
import os

BACKENDS = ("torch", "mxnet")
_INSTALL = {
    "torch": "pip install 'torch>=2.6'",
    "mxnet": "pip install 'gluonvision[mxnet]' (or mxnet-cu112 for CUDA 11.2)",
}


def _choose_backend() -> str:
    """The backend's name: ``GLUONVISION_BACKEND``, else the first of torch, mxnet installed."""
    name = os.environ.get("GLUONVISION_BACKEND", "").strip().lower()
    if name:
        if name not in BACKENDS:
            raise ValueError(
                f"GLUONVISION_BACKEND={name!r}: expected 'torch' or 'mxnet' (or unset it: torch is "
                "taken if it is installed, else mxnet)"
            )
        return name
    for name in BACKENDS:
        if importlib.util.find_spec(name):
            return name
    raise ImportError(
        f"gluonvision needs PyTorch ({_INSTALL['torch']}) or MXNet ({_INSTALL['mxnet']}), and "
        "neither is installed"
    )


NAME = _choose_backend()

try:
    if NAME == "torch":
        from gluonvision.backend.torch import (
            EXPORT_FORMS,
            F,
            HybridBlock,
            Trainer,
            all_sum,
            array,
            as_numpy,
            at_label_size,
            cpu,
            device_count,
            devices,
            evaluate,
            get_gradients,
            get_parameters,
            gpu,
            image_input,
            init,
            initialize,
            label_log_probability,
            launch,
            measuring,
            nn,
            num_gpus,
            parameter_shapes,
            placement,
            predicted_classes,
            prepare_inference,
            rank,
            read_graph,
            reseed,
            seed,
            set_parameters,
            world_size,
            write_graph,
        )
    else:
        from gluonvision.backend.mxnet import (
            EXPORT_FORMS,
            F,
            HybridBlock,
            Trainer,
            all_sum,
            array,
            as_numpy,
            at_label_size,
            cpu,
            device_count,
            devices,
            evaluate,
            get_gradients,
            get_parameters,
            gpu,
            image_input,
            init,
            initialize,
            label_log_probability,
            launch,
            measuring,
            nn,
            num_gpus,
            parameter_shapes,
            placement,
            predicted_classes,
            prepare_inference,
            rank,
            read_graph,
            reseed,
            seed,
            set_parameters,
            world_size,
            write_graph,
        )
except ImportError as error:
    _mend = (
        f"it is not installed: {_INSTALL[NAME]}"
        if importlib.util.find_spec(NAME) is None
        else "it is installed, but its import failed, as shown above"
    )
    raise ImportError(f"the {NAME} backend could not be loaded ({error}); {_mend}") from error

__all__ = [
    "BACKENDS",
    "EXPORT_FORMS",
    "NAME",
    "F",
    "HybridBlock",
    "Trainer",
    "all_sum",
    "array",
    "as_numpy",
    "at_label_size",
    "cpu",
    "device_count",
    "devices",
    "evaluate",
    "get_gradients",
    "get_parameters",
    "gpu",
    "image_input",
    "init",
    "initialize",
    "label_log_probability",
    "launch",
    "measuring",
    "nn",
    "num_gpus",
    "parameter_shapes",
    "placement",
    "predicted_classes",
    "prepare_inference",
    "rank",
    "read_graph",
    "reseed",
    "seed",
    "set_parameters",
    "world_size",
    "write_graph",
]
