"""Outputs and gradients under either backend, as NumPy arrays, and numerical ones to compare to."""

from typing import NamedTuple

import numpy as np

from gluonvision.backend import NAME, array, as_numpy

if NAME == "torch":
    import torch
else:
    import mxnet as mx


class Pass(NamedTuple):
    """One forward and backward pass: the output and the gradient of every input."""

    output: np.ndarray
    gradients: list[np.ndarray]


def differentiate(function, *inputs, upstream=None, train=True) -> Pass:
    """The gradients of sum(function(*inputs) * upstream); ``upstream`` is 1 unless given."""
    run = _torch_pass if NAME == "torch" else _mxnet_pass
    return run(function, [array(x) for x in inputs], upstream, train)


def _torch_pass(function, inputs, upstream, train):
    if isinstance(function, torch.nn.Module):
        function.train(train)
    for x in inputs:
        x.requires_grad_()
    output = function(*inputs)
    if output.requires_grad:
        output.backward(_upstream(upstream, output))
    return Pass(as_numpy(output), [_gradient_or_zero(x) for x in inputs])


def _gradient_or_zero(x):
    return as_numpy(torch.zeros_like(x) if x.grad is None else x.grad)


def _mxnet_pass(function, inputs, upstream, train):
    for x in inputs:
        x.attach_grad()
    with mx.autograd.record(train_mode=train):
        output = function(*inputs)
    output.backward(_upstream(upstream, output))
    return Pass(as_numpy(output), [as_numpy(x.grad) for x in inputs])


def _upstream(upstream, output):
    if upstream is None:
        upstream = np.ones(output.shape)
    dtype = str(output.dtype).removeprefix("torch.") if NAME == "torch" else output.dtype
    return array(np.reshape(upstream, output.shape), dtype=dtype)


def numerical_gradients(function, *inputs, upstream=None, step=1e-6) -> list[np.ndarray]:
    """Central differences of sum(function(*inputs) * upstream), float64, one input at a time."""

    def total(*values):
        output = np.asarray(function(*values))
        return (output * (1 if upstream is None else np.reshape(upstream, output.shape))).sum()

    return [_central_differences(total, list(inputs), i, step) for i in range(len(inputs))]


def _central_differences(total, inputs, position, step):
    x = inputs[position]
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        ends = []
        for sign in (1, -1):
            inputs[position] = x.copy()
            inputs[position][index] += sign * step
            ends.append(total(*inputs))
        gradient[index] = (ends[0] - ends[1]) / (2 * step)
    inputs[position] = x
    return gradient
