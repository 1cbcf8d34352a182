"""Read, write and initialize a block's arrays by structural name."""

from collections.abc import Mapping
from typing import Any

import mxnet as mx
import numpy as np

from gluonvision.backend.initializer import Streams
from gluonvision.backend.matching import check_fit
from gluonvision.backend.mxnet import init


def named_parameters(net: Any) -> dict[str, mx.gluon.Parameter]:
    """Return all weights and running statistics, by structural name."""
    return net._collect_params_with_prefix()


def _is_initialized(parameter: mx.gluon.Parameter) -> bool:
    return parameter._data is not None or bool(parameter._deferred_init)


def device_and_dtype(net: Any) -> tuple[mx.Context, str]:
    """Return the device and the type (such as 'float32') of a net's weights, for its input."""
    parameters = net.collect_params().values()
    weight = next(p for p in parameters if np.issubdtype(p.dtype, np.floating))
    return weight.list_ctx()[0], np.dtype(weight.dtype).name


def parameter_shapes(net: Any) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all weights and running statistics, by structural name."""
    return {name: parameter.shape for name, parameter in named_parameters(net).items()}


def get_parameters(net: Any) -> dict[str, np.ndarray]:
    """Copy all weights and running statistics, by structural name."""
    # A forward pass in progress may be changing the memory layout of its convolutions' weights.
    mx.nd.waitall()
    return {name: _value(parameter) for name, parameter in named_parameters(net).items()}


def _value(parameter: mx.gluon.Parameter) -> np.ndarray:
    """Return the mean over devices, as save_parameters does: their running statistics differ."""
    values = [data.asnumpy() for data in parameter.list_data()]
    # Rounding can make the mean of equal numbers differ from them.
    are_equal = all(np.array_equal(values[0], other) for other in values[1:])
    return values[0] if are_equal else np.mean(values, axis=0)


def get_gradients(net: Any) -> dict[str, np.ndarray]:
    """Copy the gradients of the last backward pass, by structural name."""
    trained = ((n, p) for n, p in named_parameters(net).items() if p.grad_req != "null")
    return {name: p.grad(p.list_ctx()[0]).asnumpy() for name, p in trained}


def set_parameters(
    net: Any,
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


def initialize(net: Any, initializer: Any = None, force_reinit: bool = False) -> None:
    """Draw every parameter that has no value yet.

    A parameter that was given its own initializer (``weight_initializer=``) uses that one.

    Args:
        net: the net.
        initializer: an initializer of ``backend.init``; ``Uniform()`` if None.
        force_reinit: draw all parameters again.
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
