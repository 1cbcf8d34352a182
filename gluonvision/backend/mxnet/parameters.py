"""A block's arrays by structural name: read, write, initialize."""

from collections.abc import Mapping

import mxnet as mx
import numpy as np

from gluonvision.backend.initializer import Streams
from gluonvision.backend.matching import check_fit
from gluonvision.backend.mxnet import init


def named_parameters(net) -> dict[str, mx.gluon.Parameter]:
    """All weights and running statistics, by structural name."""
    return net._collect_params_with_prefix()


def _is_initialized(parameter) -> bool:
    return parameter._data is not None or bool(parameter._deferred_init)


def placement(net) -> tuple[mx.Context, str]:
    """The device and the type ('float32') of a net's weights, for its input."""
    parameters = net.collect_params().values()
    weight = next(p for p in parameters if np.issubdtype(p.dtype, np.floating))
    return weight.list_ctx()[0], np.dtype(weight.dtype).name


def parameter_shapes(net) -> dict[str, tuple]:
    """The shapes of all weights and running statistics, by structural name."""
    return {name: parameter.shape for name, parameter in named_parameters(net).items()}


def get_parameters(net) -> dict[str, np.ndarray]:
    """Copies of all weights and running statistics, by structural name."""
    # A forward pass under way may be laying weights out anew, in place, for its convolutions.
    mx.nd.waitall()
    return {name: _value(parameter) for name, parameter in named_parameters(net).items()}


def _value(parameter) -> np.ndarray:
    """The mean over devices, whose running statistics differ: as Gluon's save_parameters."""
    held = [data.asnumpy() for data in parameter.list_data()]
    # The mean of equal numbers may be another one, by rounding.
    is_same = all(np.array_equal(held[0], other) for other in held[1:])
    return held[0] if is_same else np.mean(held, axis=0)


def get_gradients(net) -> dict[str, np.ndarray]:
    """Copies of the gradients of the last backward pass, by structural name."""
    learned = ((n, p) for n, p in named_parameters(net).items() if p.grad_req != "null")
    return {name: p.grad(p.list_ctx()[0]).asnumpy() for name, p in learned}


def set_parameters(
    net,
    arrays: Mapping[str, np.ndarray],
    allow_missing: bool = False,
    ignore_extra: bool = False,
    source: str = "the weights",
):
    """Copy ``arrays`` into the model, or raise ValueError and change nothing if they do not fit."""
    parameters = named_parameters(net)
    check_fit(
        parameter_shapes(net),
        {name: array.shape for name, array in arrays.items()},
        allow_missing,
        ignore_extra,
        source,
    )
    for name, parameter in parameters.items():
        if name in arrays:
            if not _is_initialized(parameter):
                parameter.initialize(init="zeros")
            parameter.set_data(mx.nd.array(arrays[name], dtype=parameter.dtype))


def initialize(net, initializer=None, force_reinit: bool = False):
    """Draw every parameter that has no value yet; the others are left as they are.

    A parameter with an initializer of its own (``weight_initializer=``) gets that.
    """
    initializer = initializer or init.Uniform()
    streams = Streams()
    for name, parameter in named_parameters(net).items():
        if force_reinit or not _is_initialized(parameter):
            own = parameter.init
            parameter.initialize(
                own if own is not None else init.wrap(initializer, name, streams),
                force_reinit=force_reinit,
            )
