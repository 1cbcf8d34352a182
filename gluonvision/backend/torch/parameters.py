"""Read, write and initialize a module's tensors by Gluon's structural names.

``state_dict`` keeps torch's names (a batch norm's ``weight`` and ``bias``), while ``.params`` files
and ``collect_params`` use Gluon's (``gamma`` and ``beta``). This module converts between them.
"""

from collections.abc import Container, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from gluonvision.backend.initializer import Initializer, Streams, Uniform
from gluonvision.backend.matching import check_fit
from gluonvision.backend.torch.arrays import as_numpy

_NORM_NAMES = {"weight": "gamma", "bias": "beta"}
# Initializers draw the weights of these; other modules (a group norm, a PReLU) keep torch's.
_INITIALIZED = (torch.nn.Conv2d, torch.nn.Linear, _BatchNorm)


class TensorSlot(NamedTuple):
    """The place of a tensor in a module, which may replace the tensor when it is moved or cast."""

    module: torch.nn.Module
    attribute: str

    @property
    def tensor(self) -> torch.Tensor:
        """The current tensor."""
        return getattr(self.module, self.attribute)


def unwrapped(net: torch.nn.Module) -> torch.nn.Module:
    """Return the net inside the wrappers of ``torch.compile`` and DDP."""
    inner = getattr(net, "_orig_mod", None)
    if isinstance(net, torch.nn.parallel.DistributedDataParallel):
        inner = net.module
    return net if inner is None else unwrapped(inner)


def named_slots(net: torch.nn.Module) -> Iterator[tuple[str, TensorSlot]]:
    """Yield every parameter and every saved buffer, with its structural name."""
    for path, module in unwrapped(net).named_modules(remove_duplicate=False):
        for name, slot in _own_slots(module).items():
            yield _joined(path, name), slot


def _own_slots(module: torch.nn.Module) -> dict[str, TensorSlot]:
    attributes = [name for name, _ in module.named_parameters(recurse=False)]
    for name, _ in module.named_buffers(recurse=False):
        if name not in module._non_persistent_buffers_set and name != "num_batches_tracked":
            attributes.append(name)
    names = _NORM_NAMES if isinstance(module, _BatchNorm) else {}
    return {names.get(name, name): TensorSlot(module, name) for name in attributes}


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def device_and_dtype(net: torch.nn.Module) -> tuple[torch.device, str]:
    """Return the device and the type (such as 'float32') of a net's weights, for its input."""
    weight = next(iter(net.parameters()))
    return weight.device, str(weight.dtype).removeprefix("torch.")


def parameter_shapes(net: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all weights and running statistics, by structural name."""
    return {name: tuple(slot.tensor.shape) for name, slot in named_slots(net)}


def get_parameters(net: torch.nn.Module) -> dict[str, np.ndarray]:
    """Copy all weights and running statistics, by structural name; bfloat16 becomes float32."""
    return {name: as_numpy(slot.tensor) for name, slot in named_slots(net)}


def get_gradients(net: torch.nn.Module) -> dict[str, np.ndarray]:
    """Copy the gradients of the last backward pass, by structural name."""
    with_gradient = ((n, s.tensor.grad) for n, s in named_slots(net) if s.tensor.grad is not None)
    return {name: as_numpy(gradient) for name, gradient in with_gradient}


def set_parameters(
    net: torch.nn.Module,
    arrays: Mapping[str, np.ndarray],
    allow_missing: bool = False,
    ignore_extra: bool = False,
    source: str = "the weights",
) -> None:
    """Copy arrays into a net.

    Args:
        net: the net.
        arrays: values by structural name.
        allow_missing: accept arrays that lack some of the net's names.
        ignore_extra: accept arrays whose names the net lacks.
        source: the arrays in words, for the error message.

    Raises:
        ValueError: if the arrays do not fit. The net is then unchanged.
    """
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
) -> None:
    """Draw the weights of every convolution, dense layer and batch norm that has none yet.

    Args:
        net: the net; its modules of other kinds are left as they are.
        initializer: an initializer of ``backend.init``; ``Uniform()`` if None.
        force_reinit: draw all weights again.
    """
    initializer = initializer or Uniform()
    streams = Streams()
    with torch.no_grad():
        for path, module in unwrapped(net).named_modules():
            is_new = force_reinit or not getattr(module, "_initialized", False)
            if isinstance(module, _INITIALIZED) and is_new:
                _initialize_layer(path, module, initializer, streams)


def _initialize_layer(
    path: str, module: torch.nn.Module, initializer: Initializer, streams: Streams
) -> None:
    for name, slot in _own_slots(module).items():
        full_name = _joined(path, name)
        value = initializer(full_name, tuple(slot.tensor.shape), streams(full_name))
        slot.tensor.copy_(torch.from_numpy(value))
    _set_initialized(module)


def _mark_initialized(net: torch.nn.Module, names: Container[str]) -> None:
    for path, module in net.named_modules():
        own = [_joined(path, name) for name in _own_slots(module)]
        if own and all(name in names for name in own):
            _set_initialized(module)


def _set_initialized(module: torch.nn.Module) -> None:
    module._initialized = True  # type: ignore[assignment]  # an attribute that torch does not know
