"""The options of a trainer, which are the same for both backends."""

from collections.abc import Sequence
from dataclasses import dataclass

from gluonvision.backend.precisions import TRAINING_PRECISIONS

OPTIMIZERS = ("sgd", "adamw")


@dataclass(frozen=True)
class TrainerOptions:
    """The options of a trainer.

    Args:
        momentum: of SGD, in [0, 1).
        weight_decay: of either optimizer, 0 or more.
        optimizer: 'sgd', or 'adamw' with betas 0.9 and 0.999.
        precision: 'fp32', 'bf16', or 'fp16' with a loss scale that adapts itself.
        clip_norm: largest norm of all gradients taken together; 0 for no limit.
        ema_decay: decay of the running average of the weights, in [0, 1); 0 for no average.
        channels_last: keep activations as (N, H, W, C) in memory.
        compile: compile the forward and backward pass.
        deterministic: give the same bits in every run on a GPU too.
        fused_loss: compute losses from the logits before they are resized, where net and loss
            allow it. The losses are the same and need little memory.
        kvstore: how MXNet sums the gradients of several devices.

    Raises:
        ValueError: if a value is out of range.
    """

    momentum: float = 0.9
    weight_decay: float = 1e-4
    optimizer: str = "sgd"
    precision: str = "fp32"
    clip_norm: float = 0.0
    ema_decay: float = 0.0
    channels_last: bool = False
    compile: bool = False
    deterministic: bool = False
    fused_loss: bool = True
    kvstore: str = "device"

    def __post_init__(self) -> None:
        _check_choice("optimizer", self.optimizer, OPTIMIZERS)
        _check_choice("precision", self.precision, TRAINING_PRECISIONS)
        for name in ("momentum", "ema_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: expected a number in [0, 1)")
        for name in ("weight_decay", "clip_norm"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name}={getattr(self, name)}: expected 0 or more")


def _check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ValueError(f"{name}={value!r}: expected one of {', '.join(choices)}")


def ema_decay_at(update: int, decay: float) -> float:
    """Return the decay of a running average at its ``update``-th update: it rises to ``decay``.

    A low decay at the start forgets the first weights, which are far from good. This is the rule
    of TensorFlow's ExponentialMovingAverage with ``num_updates``.
    """
    return min(decay, (1 + update) / (10 + update))
