"""One process per device, started here or by ``torchrun``.

The process group uses gloo for host arrays and NCCL for CUDA tensors.
"""

import os
import socket
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from gluonvision.backend.torch.arrays import cpu, gpu, num_gpus
from gluonvision.backend.types import ArrayLike
from gluonvision.utils import workers

_RENDEZVOUS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


def launch(work: Callable[[Any], Any], argument: Any, num_devices: int = 1) -> Any:
    """Run ``work(argument)`` in one process per device.

    With one device it runs in this process. It also does so if ``torchrun`` started this process;
    torchrun then decides on the number of processes. Otherwise it runs in ``num_devices`` new
    processes, and ``work`` and ``argument`` must be picklable.

    Returns:
        The result of the first process.

    Raises:
        workers.WorkerError: if a process raises, exits or is killed. The others are ended within
            seconds, and the message says which process failed and why.
    """
    if started_by_torchrun():
        return _in_group((work, argument))
    if num_devices == 1:
        return work(argument)
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    shared = address | {"WORLD_SIZE": str(num_devices)}
    environments = [shared | {"RANK": str(i), "LOCAL_RANK": str(i)} for i in range(num_devices)]
    return workers.run(_in_group, (work, argument), environments)


def started_by_torchrun() -> bool:
    """Return whether the environment says that this process belongs to a group."""
    return all(name in os.environ for name in _RENDEZVOUS)


def rank() -> int:
    """Return this process's number in the group that it is in or will join; 0 without a group."""
    if dist.is_initialized():
        return dist.get_rank()
    return int(os.environ["RANK"]) if started_by_torchrun() else 0


def world_size() -> int:
    """Return the number of processes that train together; 1 without a group."""
    return dist.get_world_size() if dist.is_initialized() else 1


def device_count(number: int | None = None, no_cuda: bool = False) -> int:
    """Return the number of devices of a run; under ``torchrun`` it is its number of processes.

    Args:
        number: the number that the user asked for; None for all GPUs, or one CPU process.
        no_cuda: use the CPU.

    Raises:
        ValueError: if fewer GPUs are visible.
    """
    if started_by_torchrun():
        return int(os.environ["WORLD_SIZE"])
    num_visible = 0 if no_cuda else num_gpus()
    if not no_cuda and number is not None and number > num_visible:
        raise ValueError(
            f"ngpus={number}: only {num_visible} are visible; ask for fewer, or use CPU processes "
            "with --no-cuda"
        )
    return number or num_visible or 1


def devices(number: int | None = None, no_cuda: bool = False) -> list[torch.device]:
    """Return a list with the one device of this process; other processes drive the others."""
    if no_cuda or not num_gpus():
        return [cpu()]
    return [gpu(int(os.environ.get("LOCAL_RANK", 0)) if dist.is_initialized() else 0)]


def all_reduce_sum(values: ArrayLike) -> np.ndarray:
    """Sum an array over all processes, on the host: in float64, or in int64 for integers."""
    values = np.asarray(values)
    if world_size() == 1:
        return values
    wide = np.int64 if values.dtype.kind in "biu" else np.float64
    total = torch.from_numpy(values.astype(wide))
    dist.all_reduce(total)
    return total.numpy()


def _in_group(work_and_argument: tuple[Callable[[Any], Any], Any]) -> Any:
    work, argument = work_and_argument
    size = int(os.environ["WORLD_SIZE"])
    if num_gpus() > int(os.environ["LOCAL_RANK"]):
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    # By default, each process would start one thread per core.
    if "OMP_NUM_THREADS" not in os.environ:
        local = int(os.environ.get("LOCAL_WORLD_SIZE", size))
        torch.set_num_threads(max((os.cpu_count() or 1) // local, 1))
    dist.init_process_group("cpu:gloo,cuda:nccl" if num_gpus() else "gloo")
    result = work(argument)
    dist.destroy_process_group()  # not after an error: the others may never answer
    return result


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
