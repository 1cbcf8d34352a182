"""One step of training and one forward pass of evaluation, under MXNet."""

from collections.abc import Iterable, Sequence
from functools import partial

import mxnet as mx
import numpy as np

from gluonvision.backend.mxnet.arrays import as_numpy
from gluonvision.backend.mxnet.device_threads import DeviceThreads
from gluonvision.backend.mxnet.optimizers import (
    build_optimizer,
    load_optimizer_state,
    optimizer_state,
)
from gluonvision.backend.mxnet.parameters import named_parameters
from gluonvision.backend.trainer_options import TrainerOptions, ema_share

_KVSTORES = ("device", "local", "nccl")
_OTHER_BACKEND = "or take the PyTorch backend (GLUONVISION_BACKEND=torch)"


def _wide(logits: mx.nd.NDArray) -> mx.nd.NDArray:
    """Half precision as float32: a sum over an image's pixels passes float16's range."""
    return logits.astype("float32") if logits.dtype == np.float16 else logits


class Trainer:
    """Trains a net on the devices that it is on.

    ``loss`` is called as ``loss(logits, label)``, or ``loss(logits, aux_logits, label)`` if the
    net has an auxiliary head, and gives one number. ``compile`` hybridizes the net. Raises
    ValueError for options that MXNet has not.
    """

    def __init__(self, net, loss, options: TrainerOptions | None = None):
        self.net, self.loss = net, loss
        self.options = options = options or TrainerOptions()
        _check_options(options)
        parameters = named_parameters(net)
        self._learned = {n: p for n, p in parameters.items() if p.grad_req != "null"}
        if not self._learned:
            raise ValueError("no parameter of the net is learned: grad_req of all is 'null'")
        self.devices = next(iter(self._learned.values())).list_ctx()
        self.optimizer = mx.gluon.Trainer(
            net.collect_params(),
            build_optimizer(options),
            kvstore=options.kvstore,
            update_on_kvstore=False,  # there, gradients cannot be clipped nor states be read
        )
        # The first call gives all devices the first one's values. In a step, it would undo what
        # the norms of the others have learned in it.
        self.optimizer.allreduce_grads()
        if options.compile:
            net.hybridize(static_alloc=True)
        self._threads = DeviceThreads(len(self.devices)) if len(self.devices) > 1 else None
        self._averaged = parameters if options.ema_decay else {}
        self._average = {name: _mean(p).copy() for name, p in self._averaged.items()}
        self._updates = 0
        self._needs_graph = options.compile

    def step(self, x, label, learning_rate: float) -> float:
        """Forward, loss, backward and update on one batch; returns the loss before the update."""
        return float(self.update([(x, label)], [1.0], learning_rate).asscalar())

    def update(
        self, micro_batches: Iterable[tuple], loss_weights: Sequence[float], learning_rate: float
    ):
        """One update from the gradients of several parts of a batch, each an (x, label).

        The batch's loss is the sum of the parts' losses, each times its share: an array (1,) that
        need not be ready yet. Of D devices, device d must have parts d, d + D ...; a ValueError if
        a device has fewer of them than another.
        """
        self._prepare_gradients(len(loss_weights))
        if self._threads:
            losses = self._in_threads(list(micro_batches), loss_weights)
        else:
            losses = [self._differentiate(micro_batches, loss_weights)]
        self._apply(learning_rate)
        return sum(loss.as_in_context(self.devices[0]) for loss in losses)

    def _prepare_gradients(self, number):
        each, rest = divmod(number, len(self.devices))
        if rest or not each:
            raise ValueError(
                f"{number} parts for {len(self.devices)} devices: expected as many for each; "
                "give a batch at least as many images as there are parts"
            )
        for parameter in self._learned.values():
            parameter.grad_req = "write" if each == 1 else "add"
            if each > 1:
                parameter.zero_grad()

    def _differentiate(self, micro_batches, loss_weights):
        """Forward and backward passes over parts that are on one device; their loss."""
        total = 0
        for (x, label), loss_weight in zip(micro_batches, loss_weights):
            # A BatchNorm right on the input moves its running statistics in the backward pass
            # only, and has one only if the input has a gradient.
            x.attach_grad()
            with mx.autograd.record():
                logits = self.net(x)
                logits = logits if isinstance(logits, tuple | list) else (logits,)
                loss = self.loss(*map(_wide, logits), label) * loss_weight
            loss.backward()
            total = total + loss.detach()
        return total

    def _in_threads(self, micro_batches, loss_weights):
        if self._needs_graph:
            evaluate(self.net, micro_batches[0][0])  # threads cannot share the making of it
            self._needs_graph = False
        number = len(self.devices)
        # A thread's generators are its own: what they draw is to follow from this one's.
        seed = int(mx.nd.random.randint(0, 2**30, shape=(1,)).asscalar())
        jobs = [
            partial(
                self._differentiate_here,
                device,
                seed + i,
                micro_batches[i::number],
                loss_weights[i::number],
            )
            for i, device in enumerate(self.devices)
        ]
        return self._threads.run(jobs)

    def _differentiate_here(self, device, seed, micro_batches, loss_weights):
        mx.random.seed(seed, ctx=device)
        loss = self._differentiate(micro_batches, loss_weights)
        mx.nd.waitall()  # where norms wait for each other, it is in here, which has a bound
        return loss

    def _apply(self, learning_rate):
        self.optimizer.allreduce_grads()
        if self.options.clip_norm:
            for device in self.devices:
                gradients = [p.grad(device) for p in self._learned.values()]
                _clip(gradients, self.options.clip_norm)
        self.optimizer.set_learning_rate(learning_rate)
        self.optimizer.update(1)
        self._updates += 1
        decay = ema_share(self.options.ema_decay, self._updates)
        for name, parameter in self._averaged.items():
            self._average[name] += (_mean(parameter) - self._average[name]) * (1 - decay)

    def averaged_parameters(self) -> dict[str, np.ndarray]:
        """The running average of the weights by structural name; empty without ``ema_decay``."""
        return {name: average.asnumpy() for name, average in self._average.items()}

    def state(self) -> dict[str, np.ndarray]:
        """What a later step depends on beside the weights, by name."""
        state = {f"ema/{name}": value for name, value in self.averaged_parameters().items()}
        state |= optimizer_state(self.optimizer, self._learned)
        return state | {"updates": np.array([self._updates])}

    def load_state(self, state: dict[str, np.ndarray]):
        """Continue where ``state`` was taken; a KeyError names what it lacks."""
        self._updates = int(state["updates"][0])
        for name, average in self._average.items():
            average[:] = state[f"ema/{name}"]
        load_optimizer_state(self.optimizer, self._learned if self._updates else {}, state)


def _check_options(options):
    if options.precision != "fp32":
        raise ValueError(
            f"precision={options.precision!r}: under MXNet expected 'fp32'; leave it out, "
            f"{_OTHER_BACKEND}"
        )
    if options.channels_last:
        raise ValueError(f"channels_last: MXNet has channels first; leave it out, {_OTHER_BACKEND}")
    if options.kvstore not in _KVSTORES:
        raise ValueError(f"kvstore={options.kvstore!r}: expected one of {', '.join(_KVSTORES)}")


def _mean(parameter):
    """A parameter's value, on its first device: running statistics differ from one to the next."""
    held = parameter.list_data()
    if len(held) == 1 or parameter.grad_req != "null":
        return held[0]
    return mx.nd.add_n(*[data.as_in_context(held[0].context) for data in held]) / len(held)


def _clip(gradients, largest):
    """Scale the gradients of one device so that their norm is ``largest`` at most, as torch."""
    norm = mx.nd.add_n(*[(gradient * gradient).sum() for gradient in gradients]).sqrt()
    factor = mx.nd.minimum(largest / (norm + 1e-6), 1)
    for gradient in gradients:
        gradient *= factor


def evaluate(net, x):
    """The net's output in evaluation mode, without gradients."""
    with mx.autograd.pause(train_mode=False):
        return net(x)


def predicted_classes(net, x) -> np.ndarray:
    """The class of each pixel of an input, int32 (N, H, W), by the net's first logits."""
    logits = evaluate(net, x)
    if isinstance(logits, tuple | list):  # an auxiliary head's logits come second
        logits = logits[0]
    return as_numpy(mx.nd.argmax(logits, 1)).astype(np.int32)
