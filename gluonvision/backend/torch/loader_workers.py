"""What torch needs in the worker processes of a ``DataLoader``."""

from functools import partial

import torch

from gluonvision.utils.worker_hooks import register_worker_hooks


def register_loader_workers() -> None:
    """Give each worker one thread, and seed its random numbers for each batch.

    With more threads a transform would wait for OpenMP's threads, which a fork does not have.
    """
    register_worker_hooks(
        "torch",
        start=partial(torch.set_num_threads, 1),
        seed=torch.default_generator.manual_seed,
    )
