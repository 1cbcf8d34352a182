"""Optimizers with Gluon's meaning of learning rate, momentum and multipliers."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch

from gluonvision.backend.trainer_options import TrainerOptions


class SGD(torch.optim.Optimizer):
    """SGD with momentum by MXNet's formula: v = m v - lr (g + wd w), w += v.

    torch's SGD keeps the learning rate out of v, so the two differ once the rate changes. This
    optimizer also applies a parameter's ``lr_mult`` and ``wd_mult``.
    """

    def __init__(
        self,
        parameters: Iterable[torch.Tensor],
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    def set_learning_rate(self, learning_rate: float) -> None:
        """Set the learning rate of the next step, before multipliers."""
        for group in self.param_groups:
            group["lr"] = learning_rate

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all weights that have a gradient; return the loss of ``closure``, if given."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            weights = [w for w in group["params"] if w.grad is not None]
            for (lr_mult, wd_mult), members in _by_multipliers(weights):
                rate, decay = group["lr"] * lr_mult, group["weight_decay"] * wd_mult
                self._update(list(members), rate, decay, group["momentum"])
        return loss

    def _update(
        self, weights: list[torch.Tensor], rate: float, decay: float, momentum: float
    ) -> None:
        # Each line passes over all weights once, and none copies them.
        velocities = [self._velocity(w) for w in weights]
        torch._foreach_mul_(velocities, momentum)
        gradients = [w.grad for w in weights if w.grad is not None]
        torch._foreach_add_(velocities, gradients, alpha=-rate)
        if decay:
            torch._foreach_add_(velocities, weights, alpha=-rate * decay)
        torch._foreach_add_(weights, velocities)

    def _velocity(self, weight: torch.Tensor) -> torch.Tensor:
        state = self.state[weight]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        return state["momentum_buffer"]


class AdamW(torch.optim.AdamW):
    """torch's AdamW, which also applies a parameter's ``lr_mult`` and ``wd_mult``."""

    def __init__(
        self,
        parameters: Iterable[torch.Tensor],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.01,
    ) -> None:
        groups = [
            {"params": list(weights), "lr_mult": key[0], "weight_decay": weight_decay * key[1]}
            for key, weights in _by_multipliers(parameters)
        ]
        super().__init__(groups, lr, betas)

    def set_learning_rate(self, learning_rate: float) -> None:
        """Set the learning rate of the next step, before multipliers."""
        for group in self.param_groups:
            group["lr"] = learning_rate * group["lr_mult"]


def _multipliers(weight: torch.Tensor) -> tuple[float, float]:
    return getattr(weight, "lr_mult", 1.0), getattr(weight, "wd_mult", 1.0)


def _by_multipliers(
    weights: Iterable[torch.Tensor],
) -> Iterator[tuple[tuple[float, float], Iterator[torch.Tensor]]]:
    return itertools.groupby(sorted(weights, key=_multipliers), key=_multipliers)


def build_optimizer(weights: Iterable[torch.Tensor], options: TrainerOptions) -> SGD | AdamW:
    """Build the optimizer that ``options`` name, with learning rate 0."""
    if options.optimizer == "adamw":
        return AdamW(weights, 0.0, weight_decay=options.weight_decay)
    return SGD(weights, 0.0, options.momentum, options.weight_decay)
