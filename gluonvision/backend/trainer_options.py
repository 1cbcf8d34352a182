"""How a trainer makes its steps: facts for both backends."""

from dataclasses import dataclass

OPTIMIZERS = ("sgd", "adamw")
PRECISIONS = ("fp32", "bf16", "fp16")


@dataclass(frozen=True)
class TrainerOptions:
    """Optimizer, precision and what else a step does beside forward and backward.

    ``optimizer``: 'sgd' with ``momentum``, or 'adamw' (betas 0.9, 0.999); both with
    ``weight_decay``. ``precision``: 'fp32', 'bf16', or 'fp16' with a loss scale that adapts.
    ``clip_norm``: the largest norm of all gradients together, 0 for any. ``ema_decay``: share kept
    at each step by a running average of the weights, 0 for none. ``channels_last``: (N, H, W, C)
    in memory. ``compile``: a compiled forward and backward pass. ``deterministic``: the same
    bits every time on a GPU too. ``fused_loss``: losses from the logits before they are resized, in
    little memory, where that can be; the same numbers. ``kvstore``: how MXNet sums gradients over
    devices. Raises ValueError for values out of range.
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

    def __post_init__(self):
        _check_choice("optimizer", self.optimizer, OPTIMIZERS)
        _check_choice("precision", self.precision, PRECISIONS)
        for name in ("momentum", "ema_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: expected a number in [0, 1)")
        for name in ("weight_decay", "clip_norm"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name}={getattr(self, name)}: expected 0 or more")


def _check_choice(name, value, choices):
    if value not in choices:
        raise ValueError(f"{name}={value!r}: expected one of {', '.join(choices)}")


def ema_share(decay: float, updates: int) -> float:
    """The share that an average keeps at its ``updates``-th update: it rises to ``decay``.

    The first weights, which are far from good, are forgotten soon; as TensorFlow's
    ExponentialMovingAverage with ``num_updates``.
    """
    return min(decay, (1 + updates) / (10 + updates))
