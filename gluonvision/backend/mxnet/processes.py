"""One process drives all devices under MXNet, with one thread each: see ``device_threads``."""

from collections.abc import Callable
from typing import Any

import mxnet as mx
import numpy as np

from gluonvision.backend.types import ArrayLike


def launch(work: Callable[[Any], Any], argument: Any, num_devices: int = 1) -> Any:
    """Run ``work(argument)`` in this process, for any number of devices; return its result."""
    return work(argument)


def rank() -> int:
    """Return this process's number: 0."""
    return 0


def world_size() -> int:
    """Return the number of processes that train together: 1."""
    return 1


def device_count(number: int | None = None, no_cuda: bool = False) -> int:
    """Return the number of devices of a run.

    Args:
        number: the number that the user asked for; None for all GPUs, or one CPU context.
        no_cuda: use the CPU.

    Raises:
        ValueError: if fewer GPUs are visible.
    """
    num_visible = 0 if no_cuda else mx.context.num_gpus()
    if not no_cuda and number is not None and number > num_visible:
        raise ValueError(
            f"ngpus={number}: only {num_visible} are visible; ask for fewer, or use CPU contexts "
            "with --no-cuda"
        )
    return number or num_visible or 1


def devices(number: int | None = None, no_cuda: bool = False) -> list[mx.Context]:
    """Return the contexts of a run; this process drives all of them."""
    kind = mx.cpu if no_cuda or not mx.context.num_gpus() else mx.gpu
    return [kind(i) for i in range(device_count(number, no_cuda))]


def all_reduce_sum(values: ArrayLike) -> np.ndarray:
    """Sum an array over all processes: with one process, return it."""
    return np.asarray(values)
