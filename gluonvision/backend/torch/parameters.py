"""A module's tensors by Gluon's structural names: read, write, initialize.

``state_dict`` keeps torch's names (a batch norm's ``weight`` and ``bias``); ``.params`` files and
``collect_params`` have Gluon's (``gamma`` and ``beta``). This file is where one becomes the other.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import torch

from gluonvision.backend.initializer import Initializer, Streams, Uniform
from gluonvision.backend.matching import check_fit

_NORM_NAMES = {"weight": "gamma", "bias": "beta"}


def named_tensors(net: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Every parameter and every buffer that a file keeps, under its Gluon name."""
    for path, module in net.named_modules():
        for name, tensor in _own_tensors(module).items():
            yield (f"{path}.{name}" if path else name), tensor


def _own_tensors(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = dict(module.named_parameters(recurse=False))
    for name, buffer in module.named_buffers(recurse=False):
        if name not in module._non_persistent_buffers_set and name != "num_batches_tracked":
            tensors[name] = buffer
    if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
        return {_NORM_NAMES.get(name, name): tensor for name, tensor in tensors.items()}
    return tensors


def parameter_shapes(net: torch.nn.Module) -> dict[str, tuple]:
    """The shapes of all weights and running statistics, by structural name."""
    return {name: tuple(tensor.shape) for name, tensor in named_tensors(net)}


def get_parameters(net: torch.nn.Module) -> dict[str, np.ndarray]:
    """Copies of all weights and running statistics, by structural name (bfloat16 as float32)."""
    return {
        name: (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).cpu().numpy().copy()
        for name, tensor in ((n, t.detach()) for n, t in named_tensors(net))
    }


def get_gradients(net: torch.nn.Module) -> dict[str, np.ndarray]:
    """Copies of the gradients of the last backward pass, by structural name."""
    with_gradient = ((n, t.grad) for n, t in named_tensors(net) if t.grad is not None)
    return {name: gradient.cpu().numpy().copy() for name, gradient in with_gradient}


def set_parameters(
    net: torch.nn.Module,
    arrays: Mapping[str, np.ndarray],
    allow_missing: bool = False,
    ignore_extra: bool = False,
    source: str = "the weights",
):
    """Copy ``arrays`` into the model, or raise ValueError and change nothing if they do not fit."""
    tensors = dict(named_tensors(net))
    check_fit(
        parameter_shapes(net),
        {name: array.shape for name, array in arrays.items()},
        allow_missing,
        ignore_extra,
        source,
    )
    with torch.no_grad():
        for name, tensor in tensors.items():
            if name in arrays:
                tensor.copy_(torch.tensor(arrays[name]))
    _mark_initialized(net, arrays)


def initialize(
    net: torch.nn.Module, initializer: Initializer | None = None, force_reinit: bool = False
):
    """Draw the weights of every layer that has none yet; the others are left as they are."""
    initializer = initializer or Uniform()
    streams = Streams()
    with torch.no_grad():
        for path, module in net.named_modules():
            if force_reinit or not getattr(module, "_initialized", False):
                _initialize_layer(path, module, initializer, streams)


def _initialize_layer(path, module, initializer, streams):
    for name, tensor in _own_tensors(module).items():
        full_name = f"{path}.{name}" if path else name
        drawn = initializer(full_name, tuple(tensor.shape), streams(full_name))
        tensor.copy_(torch.from_numpy(drawn))
    module._initialized = True


def _mark_initialized(net, names):
    for path, module in net.named_modules():
        own = [f"{path}.{name}" if path else name for name in _own_tensors(module)]
        if own and all(name in names for name in own):
            module._initialized = True
