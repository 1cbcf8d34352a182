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
            if weights:
                self._update(weights, group)
        return loss

    def _update(self, weights, group):
        rates = [group["lr"] * getattr(w, "lr_mult", 1.0) for w in weights]
        decays = [group["weight_decay"] * getattr(w, "wd_mult", 1.0) for w in weights]
        velocities = [self._velocity(w) for w in weights]
        steps = torch._foreach_mul(weights, decays)
        torch._foreach_add_(steps, [w.grad for w in weights])
        torch._foreach_mul_(steps, rates)
        torch._foreach_mul_(velocities, group["momentum"])
        torch._foreach_sub_(velocities, steps)
        torch._foreach_add_(weights, velocities)

    def _velocity(self, weight):
        state = self.state[weight]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        return state["momentum_buffer"]


class AdamW(torch.optim.AdamW):
    """torch's AdamW, which honours a parameter's ``lr_mult`` and ``wd_mult``."""

    def __init__(self, parameters, lr: float, betas=(0.9, 0.999), weight_decay: float = 0.01):
        ordered = sorted(parameters, key=_multipliers)
        groups = [
            {"params": list(weights), "lr_mult": key[0], "weight_decay": weight_decay * key[1]}
            for key, weights in itertools.groupby(ordered, key=_multipliers)
        ]
        super().__init__(groups, lr, betas)

    def set_learning_rate(self, learning_rate: float):
        """The rate of the next step, before multipliers."""
        for group in self.param_groups:
            group["lr"] = learning_rate * group["lr_mult"]


def _multipliers(weight) -> tuple[float, float]:
    return getattr(weight, "lr_mult", 1.0), getattr(weight, "wd_mult", 1.0)


def build_optimizer(weights, options: TrainerOptions):
    """The optimizer that ``options`` name, at learning rate 0."""
    if options.optimizer == "adamw":
        return AdamW(weights, 0.0, weight_decay=options.weight_decay)
    return SGD(weights, 0.0, options.momentum, options.weight_decay)
