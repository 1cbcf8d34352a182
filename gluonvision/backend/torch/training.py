"""One step of training and one forward pass of evaluation, under torch."""

import torch

from gluonvision.backend.torch.arrays import as_numpy


class SGD(torch.optim.Optimizer):
    """SGD with momentum by MXNet's formula: v = m v - lr (g + wd w), w += v.

    torch's own keeps v free of the learning rate, so that the two part at a schedule's first step.
    A parameter's ``lr_mult`` and ``wd_mult`` are honoured.
    """

    def __init__(self, parameters, lr: float, momentum: float = 0.9, weight_decay: float = 0.0):
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

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


def _wide(scores: torch.Tensor) -> torch.Tensor:
    """Half precision as float32: a sum over an image's pixels passes float16's range."""
    return scores.float() if scores.dtype in (torch.float16, torch.bfloat16) else scores


class Trainer:
    """Trains a net on one device by SGD.

    ``loss`` is called as ``loss(scores, label)``, or ``loss(scores, aux_scores, label)`` if the
    net has an auxiliary head, and gives one number.
    """

    def __init__(self, net, loss, momentum: float = 0.9, weight_decay: float = 1e-4):
        self.net, self.loss = net.train(), loss
        weights = [w for w in net.parameters() if w.requires_grad]
        self.optimizer = SGD(weights, 0.0, momentum, weight_decay)

    def step(self, x, label, learning_rate: float) -> float:
        """Forward, loss, backward and update on one batch; returns the loss before the update."""
        scores = self.net(x)
        scores = scores if isinstance(scores, tuple) else (scores,)
        loss = self.loss(*map(_wide, scores), label)
        self.optimizer.zero_grad()
        loss.backward()
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()
        return float(as_numpy(loss))


def evaluate(net, x):
    """The net's output in evaluation mode, without gradients; every module's mode is put back."""
    training = [module for module in net.modules() if module.training]
    net.eval()
    try:
        with torch.no_grad():
            return net(x)
    finally:
        for module in training:
            module.training = True
