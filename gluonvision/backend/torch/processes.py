"""One process for each device: started here, or joined where ``torchrun`` started them.

The group has gloo for host arrays and NCCL for CUDA tensors.
"""

import os
import socket

import numpy as np
import torch
import torch.distributed as dist

from gluonvision.backend.torch.arrays import cpu, gpu, num_gpus
from gluonvision.utils import workers

_RENDEZVOUS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


def launch(work, argument, num_devices: int = 1):
    """``work(argument)`` in one process for each of ``num_devices``; returns what it returns.

    With one device, and in a process that ``torchrun`` started (its numbers are what counts then),
    it runs here. Otherwise in that many new processes, and the first one's result is returned;
    ``work`` and ``argument`` must be picklable. When one of them raises, exits or is killed, the
    others are ended within seconds, and a ``workers.WorkerError`` says which and why.
    """
    if started_by_torchrun():
        return _in_group((work, argument))
    if num_devices == 1:
        return work(argument)
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    numbers = [{"RANK": str(i), "LOCAL_RANK": str(i)} for i in range(num_devices)]
    environments = [address | {"WORLD_SIZE": str(num_devices)} | own for own in numbers]
    return workers.run(_in_group, (work, argument), environments)


def started_by_torchrun() -> bool:
    """Whether this process is one of a group that is described in its environment."""
    return all(name in os.environ for name in _RENDEZVOUS)


def rank() -> int:
    """This process's number in its group, or in that which it is to join; 0 without one."""
    if dist.is_initialized():
        return dist.get_rank()
    return int(os.environ["RANK"]) if started_by_torchrun() else 0


def world_size() -> int:
    """How many processes train together, 1 without a group."""
    return dist.get_world_size() if dist.is_initialized() else 1


def device_count(number: int | None = None, no_cuda: bool = False) -> int:
    """How many devices a run of ``number`` (None: every GPU, or one CPU process) is to have.

    What ``torchrun`` started is what there is. Raises ValueError where there are fewer GPUs.
    """
    if started_by_torchrun():
        return int(os.environ["WORLD_SIZE"])
    found = 0 if no_cuda else num_gpus()
    if not no_cuda and number is not None and number > found:
        raise ValueError(
            f"ngpus={number}: {found} are visible; ask for no more, or for CPU processes by "
            "--no-cuda"
        )
    return number or found or 1


def devices(number: int | None = None, no_cuda: bool = False) -> list[torch.device]:
    """The device of this process, as a list of one; the others' are in processes of their own."""
    if no_cuda or not num_gpus():
        return [cpu()]
    return [gpu(int(os.environ.get("LOCAL_RANK", 0)) if dist.is_initialized() else 0)]


def all_reduce_sum(values) -> np.ndarray:
    """The sum of an array over all processes, on the host: float64, or int64 for whole numbers."""
    values = np.asarray(values)
    if world_size() == 1:
        return values
    wide = np.int64 if values.dtype.kind in "biu" else np.float64
    total = torch.from_numpy(values.astype(wide))
    dist.all_reduce(total)
    return total.numpy()


def _in_group(work_and_argument):
    work, argument = work_and_argument
    size = int(os.environ["WORLD_SIZE"])
    if num_gpus() > int(os.environ["LOCAL_RANK"]):
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    # Each would start as many threads as there are cores.
    if "OMP_NUM_THREADS" not in os.environ:
        local = int(os.environ.get("LOCAL_WORLD_SIZE", size))
        torch.set_num_threads(max((os.cpu_count() or 1) // local, 1))
    dist.init_process_group("cpu:gloo,cuda:nccl" if num_gpus() else "gloo")
    result = work(argument)
    dist.destroy_process_group()  # after an error the others may never answer
    return result


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
