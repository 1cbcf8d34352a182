"""What a forward pass costs under MXNet: operations and time."""

import math
import os
import time
from collections.abc import Callable

import mxnet as mx

from gluonvision.backend.mxnet.training import evaluate


def inference(
    net, precision: str = "fp32", compiled: bool = False, channels_last=False
) -> Callable[[mx.nd.NDArray], object]:
    """The net's forward pass in evaluation mode; ``compiled`` hybridizes it.

    Raises ValueError for another precision or layout than MXNet has.
    """
    if precision != "fp32" or channels_last:
        raise ValueError(
            f"precision={precision!r}, channels_last={channels_last}: MXNet has fp32 with channels "
            "first here; leave them out, or take the PyTorch backend (GLUONVISION_BACKEND=torch)"
        )
    net.hybridize(compiled, static_alloc=compiled, static_shape=compiled)
    return lambda x: evaluate(net, x)


def count_multiply_adds(net, x: mx.nd.NDArray) -> int:
    """Multiply-adds of convolutions and dense layers in a forward pass, each counted once."""
    total = 0

    def add(layer, inputs, output):
        nonlocal total
        if isinstance(layer, mx.gluon.nn.Conv2D | mx.gluon.nn.Dense):
            total += output.size * math.prod(layer.weight.shape[1:])

    hooks = []
    net.apply(lambda layer: hooks.append(layer.register_forward_hook(add)))
    evaluate(net, x)
    for hook in hooks:
        hook.detach()
    return total


def timed(work: Callable[[], object], device: mx.Context) -> float:
    """Seconds that ``work`` takes on a device, its end waited for."""
    mx.nd.waitall()
    begun = time.perf_counter()
    work()
    mx.nd.waitall()
    return time.perf_counter() - begun


def peak_memory(work: Callable[[], object], device: mx.Context) -> int | None:
    """None: MXNet does not tell what it holds for one forward pass."""
    return None


def describe_device(device: mx.Context) -> str:
    """A device by its kind, and with how many threads a CPU is used."""
    if device.device_type == "gpu":
        return str(device)
    return f"CPU, {os.environ.get('OMP_NUM_THREADS', os.cpu_count())} threads"


def peer(model: str, backbone: str, nclass: int) -> None:
    """None: nobody else's models are measured under MXNet."""
    return
