"""The optimizers, by Gluon's meaning of learning rate, momentum and multipliers."""

import itertools

import torch

from gluonvision.backend.trainer_options import TrainerOptions


class SGD(torch.optim.Optimizer):
    """SGD with momentum by MXNet's formula: v = m v - lr (g + wd w), w += v.

    torch's own keeps v free of the learning rate, so that the two part at a schedule's first step.
    A parameter's ``lr_mult`` and ``wd_mult`` are honoured.
    """

    def __init__(self, parameters, lr: float, momentum: float = 0.9, weight_decay: float = 0.0):
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    def set_learning_rate(self, learning_rate: float):
        """The rate of the next step, before multipliers."""
        for group in self.param_groups:
            group["lr"] = learning_rate

    @torch.no_grad()
    def step(self, closure=None):
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            weights = [w for w in group["params"] if w.grad is not None]
            for (lr_mult, wd_mult), alike in _by_multipliers(weights):
                rate, decay = group["lr"] * lr_mult, group["weight_decay"] * wd_mult
                self._update(list(alike), rate, decay, group["momentum"])
        return loss

    def _update(self, weights, rate, decay, momentum):
        # Each line goes over all weights once, and none makes a copy of them.
        velocities = [self._velocity(w) for w in weights]
        torch._foreach_mul_(velocities, momentum)
        torch._foreach_add_(velocities, [w.grad for w in weights], alpha=-rate)
        if decay:
            torch._foreach_add_(velocities, weights, alpha=-rate * decay)
        torch._foreach_add_(weights, velocities)

    def _velocity(self, weight):
        state = self.state[weight]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        return state["momentum_buffer"]


class AdamW(torch.optim.AdamW):
    """torch's AdamW, which honours a parameter's ``lr_mult`` and ``wd_mult``."""

    def __init__(self, parameters, lr: float, betas=(0.9, 0.999), weight_decay: float = 0.01):
        groups = [
            {"params": list(weights), "lr_mult": key[0], "weight_decay": weight_decay * key[1]}
            for key, weights in _by_multipliers(parameters)
        ]
        super().__init__(groups, lr, betas)

    def set_learning_rate(self, learning_rate: float):
        """The rate of the next step, before multipliers."""
        for group in self.param_groups:
            group["lr"] = learning_rate * group["lr_mult"]


def _multipliers(weight) -> tuple[float, float]:
    return getattr(weight, "lr_mult", 1.0), getattr(weight, "wd_mult", 1.0)


def _by_multipliers(weights):
    return itertools.groupby(sorted(weights, key=_multipliers), key=_multipliers)


def build_optimizer(weights, options: TrainerOptions):
    """The optimizer that ``options`` name, at learning rate 0."""
    if options.optimizer == "adamw":
        return AdamW(weights, 0.0, weight_decay=options.weight_decay)
    return SGD(weights, 0.0, options.momentum, options.weight_decay)
