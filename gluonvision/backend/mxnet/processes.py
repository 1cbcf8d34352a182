"""One process drives all devices under MXNet, one thread each: see ``training``."""

import mxnet as mx
import numpy as np


def launch(work, argument, num_devices: int = 1):
    """``work(argument)``, in this process, whatever the number of devices."""
    return work(argument)


def rank() -> int:
    """This process's number: 0."""
    return 0


def world_size() -> int:
    """How many processes train together: 1."""
    return 1


def device_count(number: int | None = None, no_cuda: bool = False) -> int:
    """How many devices a run of ``number`` (None: every GPU, or one CPU context) is to have.

    Raises ValueError where there are fewer GPUs.
    """
    found = 0 if no_cuda else mx.context.num_gpus()
    if not no_cuda and number is not None and number > found:
        raise ValueError(
            f"ngpus={number}: {found} are visible; ask for no more, or for CPU contexts by "
            "--no-cuda"
        )
    return number or found or 1


def devices(number: int | None = None, no_cuda: bool = False) -> list[mx.Context]:
    """The contexts of a run of ``number`` devices; all are this process's."""
    kind = mx.cpu if no_cuda or not mx.context.num_gpus() else mx.gpu
    return [kind(i) for i in range(device_count(number, no_cuda))]


def all_reduce_sum(values) -> np.ndarray:
    """The sum of an array over all processes: itself."""
    return np.asarray(values)
