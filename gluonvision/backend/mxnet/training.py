"""One step of training and one forward pass of evaluation, under MXNet."""

import mxnet as mx
import numpy as np


def _wide(scores: mx.nd.NDArray) -> mx.nd.NDArray:
    """Half precision as float32: a sum over an image's pixels passes float16's range."""
    return scores.astype("float32") if scores.dtype == np.float16 else scores


class Trainer:
    """Trains a net on one device by SGD.

    ``loss`` is called as ``loss(scores, label)``, or ``loss(scores, aux_scores, label)`` if the
    net has an auxiliary head, and gives one number.
    """

    def __init__(self, net, loss, momentum: float = 0.9, weight_decay: float = 1e-4):
        self.net, self.loss = net, loss
        options = {"learning_rate": 0.0, "momentum": momentum, "wd": weight_decay}
        self.optimizer = mx.gluon.Trainer(net.collect_params(), "sgd", options)

    def step(self, x, label, learning_rate: float) -> float:
        """Forward, loss, backward and update on one batch; returns the loss before the update."""
        # A BatchNorm right on the input moves its running statistics in the backward pass only,
        # and has one only if the input has a gradient.
        x.attach_grad()
        with mx.autograd.record():
            scores = self.net(x)
            scores = scores if isinstance(scores, tuple | list) else (scores,)
            loss = self.loss(*map(_wide, scores), label)
        loss.backward()
        self.optimizer.set_learning_rate(learning_rate)
        self.optimizer.step(1)
        return float(loss.asscalar())


def evaluate(net, x):
    """The net's output in evaluation mode, without gradients."""
    with mx.autograd.pause(train_mode=False):
        return net(x)
