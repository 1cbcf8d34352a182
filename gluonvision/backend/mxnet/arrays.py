"""Arrays under MXNet."""

import mxnet as mx
import numpy as np

from gluonvision.backend import initializer
from gluonvision.backend.image_statistics import MEAN, STD
from gluonvision.backend.types import ArrayLike


def array(
    source: ArrayLike, ctx: mx.Context | None = None, dtype: str | None = None
) -> mx.nd.NDArray:
    """Copy ``source`` into an NDArray.

    Args:
        source: a NumPy array or nested lists of numbers.
        ctx: the device; the CPU if None.
        dtype: name of the type, such as 'float32'; that of ``source`` if None.
    """
    source = np.asarray(source)
    return mx.nd.array(source, ctx=ctx, dtype=dtype or source.dtype)


def as_numpy(data: mx.nd.NDArray) -> np.ndarray:
    """Copy an array from any device into a NumPy array."""
    return data.asnumpy()


def preprocess(
    images: np.ndarray, ctx: mx.Context | None = None, dtype: str = "float32"
) -> mx.nd.NDArray:
    """Turn images into a normalized input, computed on the device.

    Args:
        images: uint8 (N, H, W, C). Three channels (RGB) are normalized by ImageNet's statistics;
            another number of channels is scaled to [-1, 1].
        ctx: the device; the CPU if None.
        dtype: name of the input's type.

    Returns:
        The input (N, C, H, W).
    """
    pixels = array(images, ctx).transpose((0, 3, 1, 2)).astype(dtype)
    if images.shape[3] != len(MEAN):
        return pixels / 127.5 - 1
    mean = array(np.reshape(MEAN, (1, -1, 1, 1)), ctx, dtype)
    return (pixels - mean) / array(np.reshape(STD, (1, -1, 1, 1)), ctx, dtype)


def reseed(*numbers: int) -> None:
    """Restart MXNet's generators from ``numbers``: later draws depend only on these."""
    mx.random.seed(initializer.joined_seed(numbers) % 2**31)


def seed(value: int) -> None:
    """Seed the initial weights and MXNet's generators."""
    initializer.seed(value)
    mx.random.seed(value)
