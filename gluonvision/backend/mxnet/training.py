"""Training steps under MXNet."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import mxnet as mx
import numpy as np

from gluonvision.backend.mxnet.device_threads import DeviceThreads
from gluonvision.backend.mxnet.evaluation import evaluate
from gluonvision.backend.mxnet.optimizers import (
    build_optimizer,
    load_optimizer_state,
    optimizer_state,
)
from gluonvision.backend.mxnet.parameters import named_parameters
from gluonvision.backend.trainer_options import TrainerOptions, ema_decay_at
from gluonvision.backend.types import Array

_KVSTORES = ("device", "local", "nccl")
_OTHER_BACKEND = "or use the PyTorch backend (GLUONVISION_BACKEND=torch)"
# Input and label.
_Batch: TypeAlias = tuple[Array, Array]


def _widened(logits: mx.nd.NDArray) -> mx.nd.NDArray:
    """Convert half precision to float32: a sum over an image's pixels can overflow float16."""
    return logits.astype("float32") if logits.dtype == np.float16 else logits


class Trainer:
    """Trains a net on all devices that hold it.

    Args:
        net: the net.
        loss: returns one number for ``loss(logits, label)``, or for
            ``loss(logits, aux_logits, label)`` if the net has an auxiliary head.
        options: see ``TrainerOptions``; ``compile`` hybridizes the net.

    Raises:
        ValueError: for options that MXNet lacks, or if the net has no trainable parameter.
    """

    def __init__(
        self, net: Any, loss: Callable[..., Array], options: TrainerOptions | None = None
    ) -> None:
        self.net, self.loss = net, loss
        self.options = options = options or TrainerOptions()
        _check_options(options)
        parameters = named_parameters(net)
        self._trained = {n: p for n, p in parameters.items() if p.grad_req != "null"}
        if not self._trained:
            raise ValueError("the net has no trainable parameter: grad_req of all is 'null'")
        self.devices = next(iter(self._trained.values())).list_ctx()
        self.optimizer = mx.gluon.Trainer(
            net.collect_params(),
            build_optimizer(options),
            kvstore=options.kvstore,
            update_on_kvstore=False,  # the kvstore can neither clip gradients nor return its state
        )
        # The first call copies the first device's values to all devices. In a step it would undo
        # the other devices' updates of their running statistics.
        self.optimizer.allreduce_grads()
        if options.compile:
            net.hybridize(static_alloc=True)
        self._threads = DeviceThreads(len(self.devices)) if len(self.devices) > 1 else None
        self._averaged = parameters if options.ema_decay else {}
        self._average = {name: _mean(p).copy() for name, p in self._averaged.items()}
        self._updates = 0
        self._needs_trace = options.compile

    def step(self, x: Array, label: Array, learning_rate: float) -> float:
        """Update the weights from one batch.

        Args:
            x: input (N, C, H, W).
            label: (N, H, W) integers.
            learning_rate: of this step.

        Returns:
            The loss before the update.
        """
        return float(self.update([(x, label)], [1.0], learning_rate).asscalar())

    def update(
        self, micro_batches: Iterable[_Batch], loss_weights: Sequence[float], learning_rate: float
    ) -> mx.nd.NDArray:
        """Update the weights once from the gradients of several micro-batches.

        The loss of the batch is the weighted sum of the micro-batches' losses.

        Args:
            micro_batches: pairs of input and label. With D devices, micro-batches d, d + D, ...
                are on device d.
            loss_weights: the weight of each micro-batch's loss.
            learning_rate: of this update.

        Returns:
            The loss of the batch, as an array (1,) that may not be computed yet.

        Raises:
            ValueError: if the devices have different numbers of micro-batches.
        """
        self._prepare_gradients(len(loss_weights))
        if self._threads:
            losses = self._in_threads(self._threads, list(micro_batches), loss_weights)
        else:
            losses = [self._differentiate(micro_batches, loss_weights)]
        self._apply(learning_rate)
        return sum(loss.as_in_context(self.devices[0]) for loss in losses)

    def _prepare_gradients(self, number: int) -> None:
        each, rest = divmod(number, len(self.devices))
        if rest or not each:
            raise ValueError(
                f"{number} micro-batches for {len(self.devices)} devices: expected the same number "
                "on each; use a batch of at least one image per micro-batch"
            )
        for parameter in self._trained.values():
            parameter.grad_req = "write" if each == 1 else "add"
            if each > 1:
                parameter.zero_grad()

    def _differentiate(
        self, micro_batches: Iterable[_Batch], loss_weights: Sequence[float]
    ) -> Array:
        """Run the passes over the micro-batches of one device; return their weighted loss."""
        total: Array = 0
        for (x, label), loss_weight in zip(micro_batches, loss_weights):
            # A BatchNorm on the input itself updates its running statistics in the backward pass,
            # which reaches it only if the input has a gradient.
            x.attach_grad()
            with mx.autograd.record():
                logits = self.net(x)
                logits = logits if isinstance(logits, tuple | list) else (logits,)
                loss = self.loss(*map(_widened, logits), label) * loss_weight
            loss.backward()
            total = total + loss.detach()
        return total

    def _in_threads(
        self, threads: DeviceThreads, micro_batches: Sequence[_Batch], loss_weights: Sequence[float]
    ) -> list[Array]:
        if self._needs_trace:
            evaluate(self.net, micro_batches[0][0])  # only one thread at a time can trace the graph
            self._needs_trace = False
        number = len(self.devices)
        # Each thread has its own generators; derive their seeds from this thread's generator.
        seed = int(mx.nd.random.randint(0, 2**30, shape=(1,)).asscalar())
        jobs = [
            partial(
                self._differentiate_in_thread,
                device,
                seed + i,
                micro_batches[i::number],
                loss_weights[i::number],
            )
            for i, device in enumerate(self.devices)
        ]
        return threads.run(jobs)

    def _differentiate_in_thread(
        self,
        device: mx.Context,
        seed: int,
        micro_batches: Sequence[_Batch],
        loss_weights: Sequence[float],
    ) -> Array:
        mx.random.seed(seed, ctx=device)
        loss = self._differentiate(micro_batches, loss_weights)
        mx.nd.waitall()  # a SyncBatchNorm deadlock shows here, where a timeout catches it
        return loss

    def _apply(self, learning_rate: float) -> None:
        self.optimizer.allreduce_grads()
        if self.options.clip_norm:
            for device in self.devices:
                gradients = [p.grad(device) for p in self._trained.values()]
                _clip(gradients, self.options.clip_norm)
        self.optimizer.set_learning_rate(learning_rate)
        self.optimizer.update(1)
        self._updates += 1
        decay = ema_decay_at(self._updates, self.options.ema_decay)
        for name, parameter in self._averaged.items():
            self._average[name] += (_mean(parameter) - self._average[name]) * (1 - decay)

    def averaged_parameters(self) -> dict[str, np.ndarray]:
        """Return the running average of the weights by structural name, if ``ema_decay`` is set."""
        return {name: average.asnumpy() for name, average in self._average.items()}

    def state(self) -> dict[str, np.ndarray]:
        """Return everything except the weights that later steps depend on, by name."""
        state = {f"ema/{name}": value for name, value in self.averaged_parameters().items()}
        state |= optimizer_state(self.optimizer, self._trained)
        return state | {"updates": np.array([self._updates])}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Restore a result of ``state``.

        Raises:
            KeyError: if a value is missing; it has the value's name.
        """
        self._updates = int(state["updates"][0])
        for name, average in self._average.items():
            average[:] = state[f"ema/{name}"]
        load_optimizer_state(self.optimizer, self._trained if self._updates else {}, state)


def _check_options(options: TrainerOptions) -> None:
    if options.precision != "fp32":
        raise ValueError(
            f"precision={options.precision!r}: MXNet trains in fp32 only; leave it out, "
            f"{_OTHER_BACKEND}"
        )
    if options.channels_last:
        raise ValueError(f"channels_last: MXNet has channels first; leave it out, {_OTHER_BACKEND}")
    if options.kvstore not in _KVSTORES:
        raise ValueError(f"kvstore={options.kvstore!r}: expected one of {', '.join(_KVSTORES)}")


def _mean(parameter: mx.gluon.Parameter) -> mx.nd.NDArray:
    """Return a parameter's value on its first device, averaged if it is a running statistic."""
    values = parameter.list_data()
    if len(values) == 1 or parameter.grad_req != "null":
        return values[0]
    return mx.nd.add_n(*[data.as_in_context(values[0].context) for data in values]) / len(values)


def _clip(gradients: Sequence[mx.nd.NDArray], largest: float) -> None:
    """Scale one device's gradients in place to a norm of at most ``largest``, as torch does."""
    norm = mx.nd.add_n(*[(gradient * gradient).sum() for gradient in gradients]).sqrt()
    factor = mx.nd.minimum(largest / (norm + 1e-6), 1)
    for gradient in gradients:
        gradient *= factor
