"""One step of training and one forward pass of evaluation, under MXNet."""

from collections.abc import Iterable, Sequence

import mxnet as mx
import numpy as np

from gluonvision.backend.trainer_options import TrainerOptions


def _wide(scores: mx.nd.NDArray) -> mx.nd.NDArray:
    """Half precision as float32: a sum over an image's pixels passes float16's range."""
    return scores.astype("float32") if scores.dtype == np.float16 else scores


class Trainer:
    """Trains a net on the devices that it is on.

    ``loss`` is called as ``loss(scores, label)``, or ``loss(scores, aux_scores, label)`` if the
    net has an auxiliary head, and gives one number.
    """

    def __init__(self, net, loss, options: TrainerOptions | None = None):
        self.net, self.loss = net, loss
        self.options = options = options or TrainerOptions()
        settings = {"learning_rate": 0.0, "momentum": options.momentum, "wd": options.weight_decay}
        self.optimizer = mx.gluon.Trainer(net.collect_params(), "sgd", settings)

    def step(self, x, label, learning_rate: float) -> float:
        """Forward, loss, backward and update on one batch; returns the loss before the update."""
        return float(self.update([(x, label)], [1.0], learning_rate).asscalar())

    def update(self, parts: Iterable[tuple], shares: Sequence[float], learning_rate: float):
        """One update from the gradients of several parts of a batch, each an (x, label).

        The batch's loss is the sum of the parts' losses, each times its share.
        """
        ((x, label),) = parts
        # A BatchNorm right on the input moves its running statistics in the backward pass only,
        # and has one only if the input has a gradient.
        x.attach_grad()
        with mx.autograd.record():
            scores = self.net(x)
            scores = scores if isinstance(scores, tuple | list) else (scores,)
            loss = self.loss(*map(_wide, scores), label) * shares[0]
        loss.backward()
        self.optimizer.set_learning_rate(learning_rate)
        self.optimizer.step(1)
        return loss


def evaluate(net, x):
    """The net's output in evaluation mode, without gradients."""
    with mx.autograd.pause(train_mode=False):
        return net(x)
