"""Optimizers, and their state between steps as arrays by name."""

from collections.abc import Mapping
from typing import Any

import mxnet as mx
import numpy as np

from gluonvision.backend.trainer_options import TrainerOptions

_BETAS = (0.9, 0.999)
_EPSILON = 1e-8


class AdamW(mx.optimizer.Optimizer):
    """Adam with decoupled weight decay, as in torch.

    Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019, algorithm 2. The
    decay of a step is lr wd w, with the learning rate of that step. MXNet has an operator for
    AdamW, but no optimizer; the operator's options are float32, which makes 1 - 0.999 wrong by
    5e-5.
    """

    def create_state(self, index: int, weight: mx.nd.NDArray) -> dict[str, Any]:
        """Return the moments and number of updates of one weight, named as in torch."""
        zeros = mx.nd.zeros_like
        return {"exp_avg": zeros(weight), "exp_avg_sq": zeros(weight), "step": 0}

    def update(
        self, index: int, weight: mx.nd.NDArray, grad: mx.nd.NDArray, state: dict[str, Any]
    ) -> None:
        """Update one weight in place; ``rescale_grad`` is not applied."""
        state["step"] += 1
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        correction, square_correction = (1 - beta ** state["step"] for beta in _BETAS)
        rate = self._get_lr(index)
        weight *= 1 - rate * self._get_wd(index)
        mean += (grad - mean) * (1 - _BETAS[0])
        square *= _BETAS[1]
        square += grad * grad * (1 - _BETAS[1])
        deviation = square.sqrt() / square_correction**0.5 + _EPSILON
        weight -= mean / deviation * (rate / correction)


def build_optimizer(options: TrainerOptions) -> mx.optimizer.Optimizer:
    """Build the optimizer that ``options`` name, with learning rate 0."""
    common = {"learning_rate": 0.0, "wd": options.weight_decay}
    if options.optimizer == "adamw":
        return AdamW(**common)
    return mx.optimizer.SGD(momentum=options.momentum, **common)


def optimizer_state(
    trainer: mx.gluon.Trainer, parameters: Mapping[str, mx.gluon.Parameter]
) -> dict[str, np.ndarray]:
    """Return the optimizer's state, named as in torch: ``momentum_buffer/NAME``, ``exp_avg/NAME``.

    ``parameters`` are given by structural name. The state is that of the first device; all devices
    have the same.
    """
    states = trainer._updaters[0].states
    arrays: dict[str, np.ndarray] = {}
    for name, parameter in parameters.items():
        state = _by_kind(states.get(trainer._param2idx[parameter.name]))
        arrays |= {f"{kind}/{name}": _as_numpy(value) for kind, value in state.items()}
    return arrays


def load_optimizer_state(
    trainer: mx.gluon.Trainer,
    parameters: Mapping[str, mx.gluon.Parameter],
    arrays: Mapping[str, np.ndarray],
) -> None:
    """Restore a result of ``optimizer_state``.

    Raises:
        KeyError: if an array is missing; it has the array's name.
    """
    for device, updater in zip(trainer._contexts, trainer._updaters):
        updater.states.clear()
        for name, parameter in parameters.items():
            index = trainer._param2idx[parameter.name]
            state = trainer.optimizer.create_state(index, parameter.data(device))
            for kind, value in _by_kind(state).items():
                if isinstance(value, mx.nd.NDArray):
                    value[:] = arrays[f"{kind}/{name}"]
                else:
                    state[kind] = int(arrays[f"{kind}/{name}"])
            updater.states[index], updater.states_synced[index] = state, True


def _by_kind(state: Any) -> dict[str, Any]:
    if state is None:  # SGD without momentum
        return {}
    return state if isinstance(state, dict) else {"momentum_buffer": state}


def _as_numpy(value: Any) -> np.ndarray:
    return value.asnumpy() if isinstance(value, mx.nd.NDArray) else np.array(value, "float32")
