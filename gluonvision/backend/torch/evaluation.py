"""Forward passes in evaluation mode."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch


def evaluate(net: torch.nn.Module, x: torch.Tensor, **options: Any) -> Any:
    """Return ``net(x, **options)`` in evaluation mode, without gradients.

    Every module returns to its own mode afterwards.
    """
    with evaluation_mode(net), torch.no_grad():
        return net(x, **options)


@contextlib.contextmanager
def evaluation_mode(net: torch.nn.Module) -> Iterator[None]:
    """Keep every module of ``net`` in evaluation mode, and restore its own mode at the end."""
    training = [module for module in net.modules() if module.training]
    net.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
