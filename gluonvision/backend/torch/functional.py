"""The operators of the vocabulary, with MXNet's names and meanings, over torch.

A name stands here only if a model or a loss of this library, or the tutorial, uses it.
"""

from types import SimpleNamespace

import torch
from torch.nn import functional

relu = functional.relu
zeros_like = torch.zeros_like
ones_like = torch.ones_like
where = torch.where
broadcast_div = torch.div


def concat(*data, dim=1):
    """Join along ``dim``."""
    return torch.cat(data, dim)


def clip(data, a_min, a_max):
    """Limit the values to [a_min, a_max]."""
    return data.clamp(a_min, a_max)


def sum(data, axis=None, keepdims=False):
    """Sum over ``axis``: an int, a tuple, or None for all."""
    return data.sum(axis, keepdims)


def squeeze(data, axis=None):
    """Drop the dimensions of length 1, or only ``axis``."""
    return data.squeeze() if axis is None else data.squeeze(axis)


def argmax(data, axis=None, keepdims=False):
    """Index of the largest value: int64 here, float32 in MXNet; the first of equals in both."""
    return data.argmax(axis, keepdims)


def log_softmax(data, axis=-1):
    """Logarithm of the softmax along ``axis``."""
    return data.log_softmax(axis)


def pick(data, index, axis=-1, keepdims=False):
    """The elements of ``data`` at ``index`` along ``axis``; ``index`` has all other dimensions."""
    picked = data.gather(axis, index.long().unsqueeze(axis))
    return picked if keepdims else picked.squeeze(axis)


def BlockGrad(data):
    """The same values, through which no gradient flows."""
    return data.detach()


def _bilinear_resize(data, like=None, height=None, width=None, mode="size", align_corners=True):
    """Bilinear resize of (N, C, H, W) to ``like``'s size or height x width."""
    if mode not in ("size", "like"):
        raise ValueError(f"BilinearResize2D: mode={mode!r}, expected 'size' or 'like'")
    size = like.shape[2:] if mode == "like" else (height, width)
    return functional.interpolate(data, size, mode="bilinear", align_corners=align_corners)


def _averaging_matrix(output_size, input_size, like):
    """(output_size, input_size): row i averages the pixels floor(i s) <= j < ceil((i + 1) s)."""
    row = torch.arange(output_size, device=like.device).unsqueeze(1)
    first = (row * input_size) // output_size
    last = ((row + 1) * input_size + output_size - 1) // output_size
    column = torch.arange(input_size, device=like.device)
    inside = (column >= first) & (column < last)
    return inside.to(like.dtype) / (last - first).to(like.dtype)


def _adaptive_average_pooling(data, output_size):
    """Adaptive average pooling of (N, C, H, W) as two products with averaging matrices.

    The same values as ``adaptive_avg_pool2d``, which exports to ONNX wrongly at a size that is
    not a multiple of the output's.
    """
    height, width = data.shape[2:]
    rows = _averaging_matrix(output_size, height, data)
    columns = _averaging_matrix(output_size, width, data)
    return rows @ (data @ columns.t())  # (N, C, output_size, output_size)


contrib = SimpleNamespace(
    BilinearResize2D=_bilinear_resize, AdaptiveAvgPooling2D=_adaptive_average_pooling
)
