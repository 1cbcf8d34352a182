"""A module's tensors by Gluon's structural names: read, write, initialize.

``state_dict`` keeps torch's names (a batch norm's ``weight`` and ``bias``); ``.params`` files and
``collect_params`` have Gluon's (``gamma`` and ``beta``). This file is where one becomes the other.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from gluonvision.backend.initializer import Initializer, Streams, Uniform
from gluonvision.backend.matching import check_fit
from gluonvision.backend.torch.arrays import as_numpy

_NORM_NAMES = {"weight": "gamma", "bias": "beta"}
# What an initializer draws; other modules (a group norm, a PReLU) keep what torch gave them.
_DRAWN = (torch.nn.Conv2d, torch.nn.Linear, _BatchNorm)


class Slot(NamedTuple):
    """Where a tensor lives. The tensor itself may be replaced when a module is moved or cast."""

    module: torch.nn.Module
    attribute: str

    @property
    def tensor(self) -> torch.Tensor:
        """The tensor that is there now."""
        return getattr(self.module, self.attribute)


def unwrapped(net: torch.nn.Module) -> torch.nn.Module:
    """The model inside what ``torch.compile`` and DDP wrap around it."""
    inner = getattr(net, "_orig_mod", None)
    if isinstance(net, torch.nn.parallel.DistributedDataParallel):
        inner = net.module
    return net if inner is None else unwrapped(inner)


def named_slots(net: torch.nn.Module) -> Iterator[tuple[str, Slot]]:
    """Every parameter and every buffer that a file keeps, under its Gluon name."""
    for path, module in unwrapped(net).named_modules(remove_duplicate=False):
        for name, slot in _own_slots(module).items():
            yield _joined(path, name), slot


def _own_slots(module: torch.nn.Module) -> dict[str, Slot]:
    attributes = [name for name, _ in module.named_parameters(recurse=False)]
    for name, _ in module.named_buffers(recurse=False):
        if name not in module._non_persistent_buffers_set and name != "num_batches_tracked":
            attributes.append(name)
    names = _NORM_NAMES if isinstance(module, _BatchNorm) else {}
    return {names.get(name, name): Slot(module, name) for name in attributes}


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def placement(net: torch.nn.Module) -> tuple[torch.device, str]:
    """The device and the type ('float32') of a net's weights, for its input."""
    weight = next(iter(net.parameters()))
    return weight.device, str(weight.dtype).removeprefix("torch.")


def parameter_shapes(net: torch.nn.Module) -> dict[str, tuple]:
    """The shapes of all weights and running statistics, by structural name."""
    return {name: tuple(slot.tensor.shape) for name, slot in named_slots(net)}


def get_parameters(net: torch.nn.Module) -> dict[str, np.ndarray]:
    """Copies of all weights and running statistics, by structural name (bfloat16 as float32)."""
    return {name: as_numpy(slot.tensor) for name, slot in named_slots(net)}


def get_gradients(net: torch.nn.Module) -> dict[str, np.ndarray]:
    """Copies of the gradients of the last backward pass, by structural name."""
    with_gradient = ((n, s.tensor.grad) for n, s in named_slots(net) if s.tensor.grad is not None)
    return {name: as_numpy(gradient) for name, gradient in with_gradient}


def set_parameters(
    net: torch.nn.Module,
    arrays: Mapping[str, np.ndarray],
    allow_missing: bool = False,
    ignore_extra: bool = False,
    source: str = "the weights",
):
    """Copy ``arrays`` into the model, or raise ValueError and change nothing if they do not fit."""
    check_fit(
        parameter_shapes(net),
        {name: array.shape for name, array in arrays.items()},
        allow_missing,
        ignore_extra,
        source,
    )
    with torch.no_grad():
        for name, slot in named_slots(net):
            if name in arrays:
                slot.tensor.copy_(torch.tensor(arrays[name]))
    _mark_initialized(unwrapped(net), arrays)


def initialize(
    net: torch.nn.Module, initializer: Initializer | None = None, force_reinit: bool = False
):
    """Draw the weights of every convolution, dense layer and batch norm that has none yet.

    Layers with weights, and modules of other kinds, are left as they are.
    """
    initializer = initializer or Uniform()
    streams = Streams()
    with torch.no_grad():
        for path, module in unwrapped(net).named_modules():
            is_new = force_reinit or not getattr(module, "_initialized", False)
            if isinstance(module, _DRAWN) and is_new:
                _initialize_layer(path, module, initializer, streams)


def _initialize_layer(path, module, initializer, streams):
    for name, slot in _own_slots(module).items():
        full_name = _joined(path, name)
        drawn = initializer(full_name, tuple(slot.tensor.shape), streams(full_name))
        slot.tensor.copy_(torch.from_numpy(drawn))
    module._initialized = True


def _mark_initialized(net, names):
    for path, module in net.named_modules():
        own = [_joined(path, name) for name in _own_slots(module)]
        if own and all(name in names for name in own):
            module._initialized = True
