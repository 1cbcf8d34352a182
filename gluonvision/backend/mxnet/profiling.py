"""The cost of a forward pass under MXNet: operations and time."""

import math
import os
import time
from collections.abc import Callable
from typing import Any

import mxnet as mx

from gluonvision.backend.mxnet.evaluation import evaluate
from gluonvision.backend.types import Array


def build_inference(
    net: Any, precision: str = "fp32", compiled: bool = False, channels_last: bool = False
) -> Callable[[mx.nd.NDArray], object]:
    """Return a function that runs ``net`` in evaluation mode, without gradients.

    Args:
        net: the net.
        precision: must be 'fp32'.
        compiled: hybridize the net.
        channels_last: must be False.

    Raises:
        ValueError: for another precision or layout.
    """
    if precision != "fp32" or channels_last:
        raise ValueError(
            f"precision={precision!r}, channels_last={channels_last}: MXNet runs in fp32 with "
            "channels first; leave both out, or use the PyTorch backend (GLUONVISION_BACKEND=torch)"
        )
    net.hybridize(compiled, static_alloc=compiled, static_shape=compiled)
    return lambda x: evaluate(net, x)


def count_multiply_adds(net: Any, x: mx.nd.NDArray) -> int:
    """Count the multiply-adds of convolutions and dense layers in a forward pass of ``x``.

    A multiplication and its addition count as one.
    """
    total = 0

    def add(layer: Any, inputs: tuple[Array, ...], output: Array) -> None:
        nonlocal total
        if isinstance(layer, mx.gluon.nn.Conv2D | mx.gluon.nn.Dense):
            total += output.size * math.prod(layer.weight.shape[1:])

    hooks: list[Any] = []
    net.apply(lambda layer: hooks.append(layer.register_forward_hook(add)))
    evaluate(net, x)
    for hook in hooks:
        hook.detach()
    return total


def measure_seconds(work: Callable[[], object], device: mx.Context) -> float:
    """Return the seconds that ``work`` takes on a device, until its last operation has ended."""
    mx.nd.waitall()
    start = time.perf_counter()
    work()
    mx.nd.waitall()
    return time.perf_counter() - start


def measure_peak_memory(work: Callable[[], object], device: mx.Context) -> int | None:
    """Return None: MXNet does not report the memory of a forward pass."""
    return None


def describe_device(device: mx.Context) -> str:
    """Return the name of a GPU, or the number of threads used on the CPU."""
    if device.device_type == "gpu":
        return str(device)
    return f"CPU, {os.environ.get('OMP_NUM_THREADS', os.cpu_count())} threads"


def build_peer(model: str, backbone: str, nclass: int) -> None:
    """Return None: MXNet has no other library's models to compare with."""
    return
