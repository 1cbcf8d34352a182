"""Gluon's ``HybridBlock`` as a ``torch.nn.Module``."""

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
import torch

from gluonvision.backend import parameters_file
from gluonvision.backend.initializer import Initializer
from gluonvision.backend.torch import functional
from gluonvision.backend.torch.parameters import (
    TensorSlot,
    get_parameters,
    initialize,
    named_slots,
    set_parameters,
)
from gluonvision.backend.types import ArrayLike, Operators

_Context: TypeAlias = torch.device | str | list[torch.device] | tuple[torch.device, ...]


class HybridBlock(torch.nn.Module):
    """A ``torch.nn.Module`` with Gluon's methods.

    A subclass defines ``hybrid_forward(self, F, x)``, where ``F`` holds the operators, or
    ``forward``. Everything of ``torch.nn.Module`` works as usual. ``prefix`` is accepted and
    ignored: names come from the structure.
    """

    def __init__(self, prefix: str | None = None, params: None = None) -> None:
        super().__init__()
        if params is not None:
            raise ValueError(
                "params: the torch backend does not share parameters between blocks. Share the "
                "block itself: assign it to both attributes"
            )

    def forward(self, x: Any, *args: Any, **options: Any) -> Any:
        """Call ``hybrid_forward`` with torch's operators."""
        return self.hybrid_forward(functional, x, *args, **options)

    def hybrid_forward(self, F: Operators, *args: Any, **options: Any) -> Any:
        """Compute the output; a subclass defines it.

        Args:
            F: the operators of the vocabulary (``backend.F``).
            args: the inputs.
            options: keyword arguments of the call.
        """
        raise TypeError(f"{type(self).__name__} must define hybrid_forward(self, F, x) or forward")

    def name_scope(self) -> contextlib.AbstractContextManager:
        """Do nothing; Gluon names parameters in this scope."""
        return contextlib.nullcontext(self)

    def hybridize(self, active: bool = True, **kwargs: Any) -> None:
        """Do nothing; Gluon compiles the graph here. Use ``torch.compile(net)`` instead."""

    def initialize(
        self,
        init: Initializer | None = None,
        ctx: _Context | None = None,
        verbose: bool = False,
        force_reinit: bool = False,
    ) -> None:
        """Initialize weights that are not yet loaded or initialized.

        Args:
            init: an initializer of ``backend.init``; ``Uniform()`` if None.
            ctx: the device to move the net to.
            verbose: ignored.
            force_reinit: draw all weights again.
        """
        initialize(self, init, force_reinit)
        if ctx is not None:
            self.to(_single_device(ctx))

    def cast(self, dtype: torch.dtype | str | type) -> None:
        """Change the type of the weights.

        Batch norms stay in float32 when the type is float16 or bfloat16, as in MXNet.
        """
        target = dtype if isinstance(dtype, torch.dtype) else getattr(torch, _type_name(dtype))
        for module in self.modules():
            is_norm = isinstance(module, torch.nn.modules.batchnorm._BatchNorm)
            stays = is_norm and target in (torch.float16, torch.bfloat16)
            module._apply(_conversion(torch.float32 if stays else target), recurse=False)

    def collect_params(self, select: str | None = None) -> "ParameterDict":
        """Return Gluon's view of the parameters and running statistics, by structural name.

        ``select`` is a regular expression that the names must match.
        """
        return ParameterDict(self, select)

    def save_parameters(self, filename: str | os.PathLike, deduplicate: bool = False) -> None:
        """Write a ``.params`` file, which MXNet can read too; the write is atomic.

        Args:
            filename: the file.
            deduplicate: ignored; Gluon has it for shared parameters.
        """
        parameters_file.save(filename, get_parameters(self))

    def load_parameters(
        self,
        filename: str | os.PathLike,
        ctx: _Context | None = None,
        allow_missing: bool = False,
        ignore_extra: bool = False,
        cast_dtype: bool = False,
    ) -> None:
        """Load a ``.params`` file that either backend wrote.

        Args:
            filename: the file.
            ctx: the device to move the net to.
            allow_missing: accept a file that lacks some of the net's parameters.
            ignore_extra: accept a file with parameters that the net lacks.
            cast_dtype: ignored; values always take the type of the net's parameters.

        Raises:
            ValueError: if the file does not fit. The message lists the mismatches.
        """
        arrays = parameters_file.load(filename)
        set_parameters(self, arrays, allow_missing, ignore_extra, source=str(filename))
        if ctx is not None:
            self.to(_single_device(ctx))

    def save_params(self, filename: str | os.PathLike) -> None:
        """Alias of ``save_parameters`` (its name before Gluon 1.4)."""
        self.save_parameters(filename)

    def load_params(
        self,
        filename: str | os.PathLike,
        ctx: _Context | None = None,
        allow_missing: bool = False,
        ignore_extra: bool = False,
    ) -> None:
        """Alias of ``load_parameters`` (its name before Gluon 1.4)."""
        self.load_parameters(filename, ctx, allow_missing, ignore_extra)


def _type_name(dtype: str | type) -> str:
    return dtype if isinstance(dtype, str) else np.dtype(dtype).name


def _conversion(dtype: torch.dtype) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda tensor: tensor.to(dtype) if tensor.is_floating_point() else tensor


def _single_device(ctx: _Context) -> torch.device | str:
    if not isinstance(ctx, list | tuple):
        return ctx
    if len(ctx) != 1:
        raise ValueError(
            f"ctx={ctx}: the torch backend runs one process for each device; give one device"
        )
    return ctx[0]


class Parameter:
    """Gluon's view of one tensor of a module; writing through it changes the module."""

    name: str
    slot: TensorSlot

    def __init__(self, name: str, slot: TensorSlot) -> None:
        self.__dict__.update(name=name, slot=slot)

    @property
    def tensor(self) -> torch.Tensor:
        """The module's tensor."""
        return self.slot.tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape."""
        return tuple(self.tensor.shape)

    @property
    def dtype(self) -> torch.dtype:
        """The tensor's type."""
        return self.tensor.dtype

    @property
    def grad_req(self) -> str:
        """'write' if the parameter is trained, else 'null'."""
        return "write" if self.tensor.requires_grad else "null"

    def data(self, ctx: Any = None) -> torch.Tensor:
        """Return the values without gradient; they share memory with the module."""
        return self.tensor.detach()

    def grad(self, ctx: Any = None) -> torch.Tensor | None:
        """Return the gradient, or None before the first backward pass."""
        return self.tensor.grad

    def set_data(self, data: ArrayLike) -> None:
        """Copy a tensor or array of the same shape into the module."""
        data = torch.as_tensor(data)
        if data.shape != self.tensor.shape:
            raise ValueError(f"shape {tuple(data.shape)}: expected {tuple(self.tensor.shape)}")
        with torch.no_grad():
            self.tensor.copy_(data)

    def zero_grad(self) -> None:
        """Set the gradient to zero, if the parameter has one."""
        if self.tensor.grad is not None:
            self.tensor.grad.zero_()

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "grad_req":
            # As in Gluon, running statistics and a fixed gamma stay "null".
            is_trained = isinstance(self.tensor, torch.nn.Parameter)
            self.tensor.requires_grad_(is_trained and value != "null")
        elif name in ("lr_mult", "wd_mult"):
            setattr(self.tensor, name, float(value))  # read by the optimizer
        else:
            raise AttributeError(
                f"a parameter's {name} cannot be set; set grad_req, lr_mult or wd_mult"
            )

    def __getattr__(self, name: str) -> Any:
        if name in ("lr_mult", "wd_mult"):
            return getattr(self.tensor, name, 1.0)
        raise AttributeError(name)

    def __repr__(self) -> str:
        return f"Parameter {self.name} (shape={self.shape}, dtype={self.dtype})"


class ParameterDict(Mapping):
    """The parameters of a block by structural name.

    ``select`` is a regular expression that the names must match.
    """

    def __init__(self, block: HybridBlock, select: str | None = None) -> None:
        pattern = re.compile(select or "")
        slots = named_slots(block)
        self._block = block
        self._parameters = {n: Parameter(n, slot) for n, slot in slots if pattern.match(n)}

    def __getitem__(self, name: str) -> Parameter:
        return self._parameters[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __len__(self) -> int:
        return len(self._parameters)

    def setattr(self, name: str, value: Any) -> None:
        """Set an attribute of every parameter, for example ``('lr_mult', 10)``."""
        for parameter in self.values():
            setattr(parameter, name, value)

    def reset_ctx(self, ctx: _Context) -> None:
        """Move the whole block to a device."""
        self._block.to(_single_device(ctx))

    def initialize(
        self,
        init: Initializer | None = None,
        ctx: _Context | None = None,
        verbose: bool = False,
        force_reinit: bool = False,
    ) -> None:
        """Call ``HybridBlock.initialize`` on the whole block."""
        self._block.initialize(init, ctx, verbose, force_reinit)

    def zero_grad(self) -> None:
        """Set the gradients of these parameters to zero."""
        for parameter in self.values():
            parameter.zero_grad()
