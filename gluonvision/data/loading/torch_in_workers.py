"""Prepare torch in a forked worker, for transforms that use it.

This package imports no framework, so torch is only looked up among the imported modules. A hook
that the torch backend registers would not be enough: a program may use this loader and plain torch
without the backend, and its workers would wait forever for OpenMP threads that a fork lacks.
"""

import sys


def start_worker() -> None:
    """Give torch one thread in this process."""
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


def seed_worker(seed: int) -> None:
    """Seed torch's random numbers with an integer in [0, 2**32)."""
    if torch := sys.modules.get("torch"):
        torch.default_generator.manual_seed(seed)
