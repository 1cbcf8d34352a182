"""Initial weights drawn in NumPy, so that one seed gives the same weights on both backends.

Every parameter has a random stream of its own, seeded by the seed, the number of the call to
``initialize`` and the parameter's structural name: the order of the parameters does not matter.
"""

import itertools
import secrets
import zlib
from collections.abc import Iterable

import numpy as np

_FIXED = {"bias": 0.0, "beta": 0.0, "gamma": 1.0, "running_mean": 0.0, "running_var": 1.0}


class _Seed:
    """The process-wide seed and how often it was drawn from."""

    def __init__(self):
        self.set(secrets.randbits(64))

    def set(self, seed: int):
        self.value, self.calls = seed, itertools.count()


_seed = _Seed()


def seed(value: int):
    """Fix what the following calls to ``initialize`` draw. Without it every process differs."""
    _seed.set(value)


def joined_seed(numbers: Iterable[int]) -> int:
    """One seed in [0, 2^63) of several numbers, 0 or more: each of them changes all of it."""
    return int(np.random.SeedSequence(list(numbers)).generate_state(1, np.uint64)[0]) >> 1


class Streams:
    """The random streams of one call to ``initialize``: one for each structural name."""

    def __init__(self):
        self._entropy = (_seed.value, next(_seed.calls))

    def __call__(self, name: str) -> np.random.Generator:
        return np.random.Generator(np.random.SFC64((*self._entropy, zlib.crc32(name.encode()))))


class Initializer:
    """Base class: ``draw`` is asked for weights; biases and norms have fixed initial values."""

    def __call__(self, name: str, shape: tuple, generator: np.random.Generator) -> np.ndarray:
        """The initial float32 value of the parameter ``name`` (only its last part matters)."""
        kind = name.rpartition(".")[2]
        if kind in _FIXED:
            return np.full(shape, _FIXED[kind], np.float32)
        return self.draw(shape, generator)

    def draw(self, shape: tuple, generator: np.random.Generator) -> np.ndarray:
        raise TypeError(f"{type(self).__name__} must define draw(shape, generator)")


class Constant(Initializer):
    """Every weight is ``value``."""

    def __init__(self, value=0.0):
        self.value = value

    def draw(self, shape, generator):
        return np.full(shape, self.value, np.float32)


class Zero(Constant):
    """Every weight is 0."""

    def __init__(self):
        super().__init__(0.0)


class One(Constant):
    """Every weight is 1."""

    def __init__(self):
        super().__init__(1.0)


class Uniform(Initializer):
    """Uniform in [-scale, scale)."""

    def __init__(self, scale=0.07):
        self.scale = scale

    def draw(self, shape, generator):
        return (2 * generator.random(shape, np.float32) - 1) * np.float32(self.scale)


class Normal(Initializer):
    """Normal with mean 0 and standard deviation ``sigma``."""

    def __init__(self, sigma=0.01):
        self.sigma = sigma

    def draw(self, shape, generator):
        return generator.standard_normal(shape, np.float32) * np.float32(self.sigma)


class Xavier(Initializer):
    """Spread s = sqrt(magnitude / fan) (Glorot and Bengio, AISTATS 2010); Gluon's arguments.

    ``rnd_type`` is 'uniform' in [-s, s) or 'gaussian' with standard deviation s; ``factor_type``
    says which fan: 'avg', 'in' or 'out'.
    """

    def __init__(self, rnd_type="uniform", factor_type="avg", magnitude=3):
        if rnd_type not in ("uniform", "gaussian"):
            raise ValueError(f"rnd_type={rnd_type!r}: expected 'uniform' or 'gaussian'")
        if factor_type not in ("avg", "in", "out"):
            raise ValueError(f"factor_type={factor_type!r}: expected 'avg', 'in' or 'out'")
        self.rnd_type, self.factor_type, self.magnitude = rnd_type, factor_type, magnitude

    def draw(self, shape, generator):
        if len(shape) < 2:
            raise ValueError(f"Xavier needs a weight of two dimensions or more, got shape {shape}")
        area = int(np.prod(shape[2:]))
        fan_in, fan_out = shape[1] * area, shape[0] * area
        fan = {"avg": (fan_in + fan_out) / 2, "in": fan_in, "out": fan_out}[self.factor_type]
        scale = float(np.sqrt(self.magnitude / fan))
        spread = Uniform(scale) if self.rnd_type == "uniform" else Normal(scale)
        return spread.draw(shape, generator)


class MSRAPrelu(Xavier):
    """Normal, variance ``2 / ((1 + slope^2) fan)`` (He et al., ICCV 2015); Gluon's arguments."""

    def __init__(self, factor_type="avg", slope=0.25):
        super().__init__("gaussian", factor_type, 2 / (1 + slope**2))
        self.slope = slope
