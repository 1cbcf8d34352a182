"""Arrays under MXNet."""

import mxnet as mx
import numpy as np

from gluonvision.backend import initializer
from gluonvision.backend.image_statistics import MEAN, STD


def array(source, ctx=None, dtype=None) -> mx.nd.NDArray:
    """An NDArray that holds a copy of ``source``, of its own type unless ``dtype`` is given."""
    source = np.asarray(source)
    return mx.nd.array(source, ctx=ctx, dtype=dtype or source.dtype)


def as_numpy(data: mx.nd.NDArray) -> np.ndarray:
    """A NumPy copy of an array on any device."""
    return data.asnumpy()


def preprocess(images: np.ndarray, ctx=None, dtype: str = "float32") -> mx.nd.NDArray:
    """uint8 images (N, H, W, C) as a normalized input (N, C, H, W), computed on the device.

    Three channels are normalized by ImageNet's statistics; another number is scaled to [-1, 1].
    """
    pixels = array(images, ctx).transpose((0, 3, 1, 2)).astype(dtype)
    if images.shape[3] != len(MEAN):
        return pixels / 127.5 - 1
    mean = array(np.reshape(MEAN, (1, -1, 1, 1)), ctx, dtype)
    return (pixels - mean) / array(np.reshape(STD, (1, -1, 1, 1)), ctx, dtype)


def reseed(*numbers: int):
    """Let MXNet's generators begin anew from ``numbers``: what they draw depends on these alone."""
    mx.random.seed(initializer.joined_seed(numbers) % 2**31)


def seed(value: int):
    """Seed the initial weights and MXNet's own generators."""
    initializer.seed(value)
    mx.random.seed(value)
