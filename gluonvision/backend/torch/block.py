"""Gluon's ``HybridBlock`` as a ``torch.nn.Module``."""

import contextlib
import re
from collections.abc import Iterator, Mapping

import numpy as np
import torch

from gluonvision.backend import parameters_file
from gluonvision.backend.torch import functional
from gluonvision.backend.torch.parameters import (
    Slot,
    get_parameters,
    initialize,
    named_slots,
    set_parameters,
)


class HybridBlock(torch.nn.Module):
    """A ``torch.nn.Module`` written as in Gluon: ``hybrid_forward(self, F, x)``, or ``forward``.

    ``prefix`` is taken and ignored: names come from the structure. Nothing of torch is replaced;
    the methods below are added.
    """

    def __init__(self, prefix=None, params=None):
        super().__init__()
        if params is not None:
            raise ValueError(
                "params: the torch backend does not share parameters between blocks; share the "
                "block itself: assign it to both attributes"
            )

    def forward(self, x, *args, **options):
        return self.hybrid_forward(functional, x, *args, **options)

    def hybrid_forward(self, F, x, *args):
        raise TypeError(f"{type(self).__name__} must define hybrid_forward(self, F, x) or forward")

    def name_scope(self):
        """Gluon's scope for names: nothing to do here."""
        return contextlib.nullcontext(self)

    def hybridize(self, active=True, **kwargs):
        """Gluon's switch to a compiled graph: nothing here; use ``torch.compile(net)``."""

    def initialize(self, init=None, ctx=None, verbose=False, force_reinit=False):
        """Draw the weights that no file and no earlier call has set (``init``: see ``init``)."""
        initialize(self, init, force_reinit)
        if ctx is not None:
            self.to(_single_device(ctx))

    def cast(self, dtype):
        """Change the type of the weights; batch norms stay float32 under float16, as in MXNet."""
        kind = dtype if isinstance(dtype, torch.dtype) else getattr(torch, _type_name(dtype))
        for module in self.modules():
            is_norm = isinstance(module, torch.nn.modules.batchnorm._BatchNorm)
            keep = is_norm and kind in (torch.float16, torch.bfloat16)
            module._apply(_conversion(torch.float32 if keep else kind), recurse=False)

    def collect_params(self, select=None):
        """The parameters and running statistics by structural name, as Gluon presents them."""
        return ParameterDict(self, select)

    def save_parameters(self, filename, deduplicate=False):
        """Write a ``.params`` file that MXNet reads, in one step that never leaves half a file."""
        parameters_file.save(filename, get_parameters(self))

    def load_parameters(
        self, filename, ctx=None, allow_missing=False, ignore_extra=False, cast_dtype=False
    ):
        """Read a ``.params`` file of either backend; ValueError lists what does not fit."""
        arrays = parameters_file.load(filename)
        set_parameters(self, arrays, allow_missing, ignore_extra, source=str(filename))
        if ctx is not None:
            self.to(_single_device(ctx))

    def save_params(self, filename):
        """The name of ``save_parameters`` before Gluon 1.4."""
        self.save_parameters(filename)

    def load_params(self, filename, ctx=None, allow_missing=False, ignore_extra=False):
        """The name of ``load_parameters`` before Gluon 1.4."""
        self.load_parameters(filename, ctx, allow_missing, ignore_extra)


def _type_name(dtype) -> str:
    return dtype if isinstance(dtype, str) else np.dtype(dtype).name


def _conversion(dtype):
    return lambda tensor: tensor.to(dtype) if tensor.is_floating_point() else tensor


def _single_device(ctx):
    if isinstance(ctx, list | tuple):
        if len(ctx) != 1:
            raise ValueError(
                f"ctx={ctx}: the torch backend runs one process for each device; give one device"
            )
        return ctx[0]
    return ctx


class Parameter:
    """Gluon's view of one tensor of a module; writing through it changes the module."""

    def __init__(self, name: str, slot: Slot):
        self.__dict__.update(name=name, slot=slot)

    @property
    def tensor(self) -> torch.Tensor:
        return self.slot.tensor

    @property
    def shape(self):
        return tuple(self.tensor.shape)

    @property
    def dtype(self):
        return self.tensor.dtype

    @property
    def grad_req(self):
        return "write" if self.tensor.requires_grad else "null"

    def data(self, ctx=None) -> torch.Tensor:
        """The values, without gradient; shared with the model."""
        return self.tensor.detach()

    def grad(self, ctx=None) -> torch.Tensor | None:
        """The gradient, None before the first backward pass."""
        return self.tensor.grad

    def set_data(self, data):
        """Copy ``data`` (tensor or array) of the same shape into the model."""
        data = torch.as_tensor(data)
        if data.shape != self.tensor.shape:
            raise ValueError(f"shape {tuple(data.shape)}: expected {tuple(self.tensor.shape)}")
        with torch.no_grad():
            self.tensor.copy_(data)

    def zero_grad(self):
        """Set the gradient to zero, if there is one."""
        if self.tensor.grad is not None:
            self.tensor.grad.zero_()

    def __setattr__(self, name, value):
        if name == "grad_req":
            # As in Gluon, what is never trained (running statistics, a fixed gamma) stays "null".
            is_trained = isinstance(self.tensor, torch.nn.Parameter)
            self.tensor.requires_grad_(is_trained and value != "null")
        elif name in ("lr_mult", "wd_mult"):
            setattr(self.tensor, name, float(value))  # read by the optimizer
        else:
            raise AttributeError(
                f"a parameter's {name} cannot be set; grad_req, lr_mult, wd_mult can"
            )

    def __getattr__(self, name):
        if name in ("lr_mult", "wd_mult"):
            return getattr(self.tensor, name, 1.0)
        raise AttributeError(name)

    def __repr__(self):
        return f"Parameter {self.name} (shape={self.shape}, dtype={self.dtype})"


class ParameterDict(Mapping):
    """The parameters of a block by structural name; ``select`` is a regular expression."""

    def __init__(self, block: torch.nn.Module, select: str | None = None):
        matches = re.compile(select).match if select else lambda name: True
        self._block = block
        self._parameters = {n: Parameter(n, s) for n, s in named_slots(block) if matches(n)}

    def __getitem__(self, name: str) -> Parameter:
        return self._parameters[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __len__(self):
        return len(self._parameters)

    def setattr(self, name, value):
        """Set an attribute of every parameter, for example ``('lr_mult', 10)``."""
        for parameter in self.values():
            setattr(parameter, name, value)

    def reset_ctx(self, ctx):
        """Move the whole block to a device."""
        self._block.to(_single_device(ctx))

    def initialize(self, init=None, ctx=None, verbose=False, force_reinit=False):
        """Draw the weights that nothing has set yet."""
        self._block.initialize(init, ctx, verbose, force_reinit)

    def zero_grad(self):
        """Set the gradients of these parameters to zero."""
        for parameter in self.values():
            parameter.zero_grad()
