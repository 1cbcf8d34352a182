"""Initial weights drawn in NumPy, so that one seed gives the same weights on both backends.

Every parameter has its own random stream. The stream's seed combines the global seed, the number
of the call to ``initialize`` and the parameter's structural name, so the order of the parameters
does not matter.
"""

import itertools
import secrets
import zlib
from collections.abc import Iterable

import numpy as np

_FIXED = {"bias": 0.0, "beta": 0.0, "gamma": 1.0, "running_mean": 0.0, "running_var": 1.0}


class _Seed:
    """The process-wide seed, with a count of the calls to ``initialize`` since it was set."""

    def __init__(self) -> None:
        self.set(secrets.randbits(64))

    def set(self, seed: int) -> None:
        self.value, self.calls = seed, itertools.count()


_seed = _Seed()


def seed(value: int) -> None:
    """Fix the weights that later calls to ``initialize`` draw.

    Without a seed, every process draws different weights.
    """
    _seed.set(value)


def joined_seed(numbers: Iterable[int]) -> int:
    """Return one seed in [0, 2^63) that depends on each of several numbers of 0 or more."""
    return int(np.random.SeedSequence(list(numbers)).generate_state(1, np.uint64)[0]) >> 1


class Streams:
    """The random streams of one call to ``initialize``: one for each structural name."""

    def __init__(self) -> None:
        self._entropy = (_seed.value, next(_seed.calls))

    def __call__(self, name: str) -> np.random.Generator:
        """Return the stream of the parameter with this structural name."""
        return np.random.Generator(np.random.SFC64((*self._entropy, zlib.crc32(name.encode()))))


class Initializer:
    """Base class of initializers.

    A subclass defines ``draw`` for weights. Biases and norms start from fixed values.
    """

    def __call__(
        self, name: str, shape: tuple[int, ...], generator: np.random.Generator
    ) -> np.ndarray:
        """Return the initial float32 value of a parameter.

        The last part of its structural ``name`` says whether it is a weight, a bias or a norm's.
        """
        kind = name.rpartition(".")[2]
        if kind in _FIXED:
            return np.full(shape, _FIXED[kind], np.float32)
        return self.draw(shape, generator)

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        """Draw a float32 weight of this shape."""
        raise TypeError(f"{type(self).__name__} must define draw(shape, generator)")


class Constant(Initializer):
    """Set every weight to ``value``."""

    def __init__(self, value: float = 0.0) -> None:
        self.value = value

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        return np.full(shape, self.value, np.float32)


class Zero(Constant):
    """Set every weight to 0."""

    def __init__(self) -> None:
        super().__init__(0.0)


class One(Constant):
    """Set every weight to 1."""

    def __init__(self) -> None:
        super().__init__(1.0)


class Uniform(Initializer):
    """Draw weights uniformly from [-scale, scale)."""

    def __init__(self, scale: float = 0.07) -> None:
        self.scale = scale

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        return (2 * generator.random(shape, np.float32) - 1) * np.float32(self.scale)


class Normal(Initializer):
    """Draw weights from a normal distribution with mean 0 and standard deviation ``sigma``."""

    def __init__(self, sigma: float = 0.01) -> None:
        self.sigma = sigma

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        return generator.standard_normal(shape, np.float32) * np.float32(self.sigma)


class Xavier(Initializer):
    """Draw weights with the spread s = sqrt(magnitude / fan); the arguments are Gluon's.

    Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", AISTATS 2010.

    Args:
        rnd_type: 'uniform' in [-s, s), or 'gaussian' with standard deviation s.
        factor_type: the fan: 'in', 'out', or 'avg' for their mean.
        magnitude: see above.
    """

    def __init__(
        self, rnd_type: str = "uniform", factor_type: str = "avg", magnitude: float = 3
    ) -> None:
        if rnd_type not in ("uniform", "gaussian"):
            raise ValueError(f"rnd_type={rnd_type!r}: expected 'uniform' or 'gaussian'")
        if factor_type not in ("avg", "in", "out"):
            raise ValueError(f"factor_type={factor_type!r}: expected 'avg', 'in' or 'out'")
        self.rnd_type, self.factor_type, self.magnitude = rnd_type, factor_type, magnitude

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        if len(shape) < 2:
            raise ValueError(
                f"Xavier: got a weight of shape {shape}, expected 2 dimensions or more"
            )
        area = int(np.prod(shape[2:]))
        fan_in, fan_out = shape[1] * area, shape[0] * area
        fan = {"avg": (fan_in + fan_out) / 2, "in": fan_in, "out": fan_out}[self.factor_type]
        scale = float(np.sqrt(self.magnitude / fan))
        distribution = Uniform(scale) if self.rnd_type == "uniform" else Normal(scale)
        return distribution.draw(shape, generator)


class MSRAPrelu(Xavier):
    """Draw weights from a normal distribution with variance 2 / ((1 + slope^2) fan).

    He et al., "Delving Deep into Rectifiers", ICCV 2015. The arguments are Gluon's.

    Args:
        factor_type: the fan: 'in', 'out', or 'avg' for their mean.
        slope: of the PReLU for negative values; 0 for a ReLU.
    """

    def __init__(self, factor_type: str = "avg", slope: float = 0.25) -> None:
        super().__init__("gaussian", factor_type, 2 / (1 + slope**2))
        self.slope = slope
