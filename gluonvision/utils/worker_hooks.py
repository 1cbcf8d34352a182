"""Hooks that frameworks register for the worker processes of a ``DataLoader``.

The loader itself knows no framework. A framework that transforms may call registers here what a
forked worker needs before it can be used; the torch backend does so when it is imported.
"""

from collections.abc import Callable
from typing import NamedTuple


class _Hooks(NamedTuple):
    start: Callable[[], object]
    seed: Callable[[int], object]


_registered: dict[str, _Hooks] = {}


def register_worker_hooks(
    framework: str, start: Callable[[], object], seed: Callable[[int], object]
) -> None:
    """Register what a worker process does for a framework; a second call replaces the first.

    Args:
        framework: name of the framework.
        start: called once in each new worker.
        seed: called before each batch with its seed, an integer in [0, 2**32).
    """
    _registered[framework] = _Hooks(start, seed)


def start_worker() -> None:
    """Call every framework's ``start`` hook."""
    for hooks in _registered.values():
        hooks.start()


def seed_worker(seed: int) -> None:
    """Call every framework's ``seed`` hook."""
    for hooks in _registered.values():
        hooks.seed(seed)
