"""The operators of the vocabulary, with MXNet's names and meanings, over torch.

A name stands here only if a model or a loss of this library, or the tutorial, uses it. Beside those
below: ``relu``, ``exp``, ``expm1``, ``zeros_like``, ``ones_like``, ``where``, ``broadcast_sub``,
``broadcast_div``, ``broadcast_equal`` and ``broadcast_lesser_equal``, which are torch's own
functions; and ``contrib`` with ``AdaptiveAvgPooling2D(data, output_size)``,
``BilinearResize2D(data, like=None, height=None, width=None, mode="size", align_corners=True)``,
``arange_like(data, axis)``, ``foreach(body, data, init_states)`` and
``index_copy(old_tensor, index_vector, new_tensor)``.
"""

from types import SimpleNamespace

import torch
from torch.nn import functional

relu = functional.relu
exp = torch.exp
expm1 = torch.expm1
zeros_like = torch.zeros_like
ones_like = torch.ones_like
where = torch.where
broadcast_sub = torch.sub
broadcast_div = torch.div
broadcast_equal = torch.eq
broadcast_lesser_equal = torch.le


def cast(data, dtype):
    """The values in the type of that name."""
    return data.to(getattr(torch, dtype))


def reshape(data, shape):
    """Another shape of as many elements, one of its lengths -1; none of MXNet's other codes."""
    return data.reshape(shape)


def transpose(data, axes):
    """The dimensions in the order ``axes``."""
    return data.permute(axes)


def slice_axis(data, axis, begin, end):
    """The part from ``begin`` to before ``end`` along ``axis``."""
    return data.narrow(axis, begin, end - begin)


def pad(data, mode, pad_width, constant_value=0):
    """Pad with a constant: ``pad_width`` has (before, after) of every axis, in one flat tuple."""
    if mode != "constant":
        raise ValueError(f"pad: mode={mode!r}, expected 'constant'")
    pairs = list(zip(pad_width[::2], pad_width[1::2]))
    widths = [width for pair in reversed(pairs) for width in pair]  # torch: the last axis first
    return functional.pad(data, widths, value=constant_value)


def concat(*data, dim=1):
    """Join along ``dim``."""
    return torch.cat(data, dim)


def flip(data, axis):
    """In reverse order along ``axis``."""
    return data.flip(axis)


def clip(data, a_min, a_max):
    """Limit the values to [a_min, a_max]."""
    return data.clamp(a_min, a_max)


def sum(data, axis=None, keepdims=False):
    """Sum over ``axis``: an int, a tuple, or None for all."""
    return data.sum(axis, keepdims)


def squeeze(data, axis=None):
    """Drop the dimensions of length 1, or only ``axis``."""
    return data.squeeze() if axis is None else data.squeeze(axis)


def cumsum(data, axis):
    """Sums of the elements up to each one along ``axis``."""
    if data.is_cuda and torch.are_deterministic_algorithms_enabled():
        return data.cpu().cumsum(axis).to(data.device)  # CUDA's has no fixed order
    return data.cumsum(axis)


def argmax(data, axis=None, keepdims=False):
    """Index of the largest value: int64 here, float32 in MXNet; the first of equals in both."""
    if axis is None:
        return data.argmax(axis, keepdims)
    return data.max(axis, keepdims).indices  # on a CPU in a third of argmax's time


def argsort(data, axis=-1, is_ascend=True, dtype="float32"):
    """The indices that sort along ``axis``; those of equal values in any order."""
    return data.argsort(axis, descending=not is_ascend).to(getattr(torch, dtype))


def softmax(data, axis=-1):
    """exp(data) as shares of its sum along ``axis``."""
    return data.softmax(axis)


def log_softmax(data, axis=-1):
    """Logarithm of the softmax along ``axis``."""
    return data.log_softmax(axis)


def pick(data, index, axis=-1, keepdims=False):
    """The elements of ``data`` at ``index`` along ``axis``; ``index`` has all other dimensions."""
    picked = data.gather(axis, index.long().unsqueeze(axis))
    return picked if keepdims else picked.squeeze(axis)


def take(data, indices):
    """The elements of ``data`` at ``indices`` along the first axis."""
    return data.index_select(0, indices.long().flatten()).reshape(indices.shape + data.shape[1:])


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


def _arange_like(data, axis):
    """0, 1, 2 ... as many as ``data`` is long along ``axis``, in its type and on its device."""
    return torch.arange(data.shape[axis], dtype=data.dtype, device=data.device)


def _index_copy(old_tensor, index_vector, new_tensor):
    """``old_tensor`` with the rows ``index_vector`` replaced by those of ``new_tensor``."""
    return old_tensor.index_copy(0, index_vector, new_tensor)


def _foreach(body, data, init_states):
    """Run ``body(slices, states)`` over the first axis of the arrays in the list ``data``.

    Gives the stacked outputs, and the last states; a body that has one array as output.
    """
    outputs, states = [], init_states
    for slices in zip(*data):
        output, states = body(list(slices), states)
        outputs.append(output)
    return torch.stack(outputs), states


contrib = SimpleNamespace(
    AdaptiveAvgPooling2D=_adaptive_average_pooling,
    BilinearResize2D=_bilinear_resize,
    arange_like=_arange_like,
    foreach=_foreach,
    index_copy=_index_copy,
)
