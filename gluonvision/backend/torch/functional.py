"""The operators of the vocabulary over torch, with MXNet's names and meanings.

They are the operators that this library's models and losses and the tutorial use. torch's own
functions serve as ``relu``, ``exp``, ``expm1``, ``zeros_like``, ``ones_like``, ``where``,
``broadcast_sub``, ``broadcast_div``, ``broadcast_equal`` and ``broadcast_lesser_equal``.
``contrib`` holds
``AdaptiveAvgPooling2D(data, output_size)``,
``BilinearResize2D(data, like=None, height=None, width=None, mode="size", align_corners=True)``,
``arange_like(data, axis)``, ``foreach(body, data, init_states)`` and
``index_copy(old_tensor, index_vector, new_tensor)``.
"""

# Import only modules here: every other public name is an operator.
import typing
from collections import abc
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


def cast(data: torch.Tensor, dtype: str) -> torch.Tensor:
    """Convert to the type of that name, such as 'float32'."""
    return data.to(getattr(torch, dtype))


def reshape(data: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Reshape; one length may be -1, but MXNet's other codes are not supported."""
    return data.reshape(shape)


def transpose(data: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
    """Put the dimensions into the order ``axes``."""
    return data.permute(axes)


def slice_axis(data: torch.Tensor, axis: int, begin: int, end: int) -> torch.Tensor:
    """Select the positions from ``begin`` up to, but not including, ``end`` along ``axis``."""
    return data.narrow(axis, begin, end - begin)


def pad(
    data: torch.Tensor, mode: str, pad_width: abc.Sequence[int], constant_value: float = 0
) -> torch.Tensor:
    """Pad with a constant; ``pad_width`` lists (before, after) for every axis in a flat tuple."""
    if mode != "constant":
        raise ValueError(f"pad: mode={mode!r}, expected 'constant'")
    pairs = list(zip(pad_width[::2], pad_width[1::2]))
    widths = [width for pair in reversed(pairs) for width in pair]  # torch starts at the last axis
    return functional.pad(data, widths, value=constant_value)


def concat(*data: torch.Tensor, dim: int = 1) -> torch.Tensor:
    """Concatenate along ``dim``."""
    return torch.cat(data, dim)


def flip(data: torch.Tensor, axis: int) -> torch.Tensor:
    """Reverse the order along ``axis``."""
    return data.flip(axis)


def clip(data: torch.Tensor, a_min: float, a_max: float) -> torch.Tensor:
    """Limit the values to [a_min, a_max]; as in MXNet, the gradient is 1 at the limits too."""
    # From PyTorch 2.14 on, the gradient of ``clamp`` is 0 there.
    limited = torch.where(data < a_min, a_min, data)
    return torch.where(limited > a_max, a_max, limited)


def sum(
    data: torch.Tensor, axis: int | tuple[int, ...] | None = None, keepdims: bool = False
) -> torch.Tensor:
    """Sum over ``axis``: an int, a tuple, or None for all axes."""
    return data.sum(axis, keepdims)


def squeeze(data: torch.Tensor, axis: int | tuple[int, ...] | None = None) -> torch.Tensor:
    """Drop all dimensions of length 1, or only ``axis``."""
    return data.squeeze() if axis is None else data.squeeze(axis)


def cumsum(data: torch.Tensor, axis: int) -> torch.Tensor:
    """Return the cumulative sum along ``axis``."""
    if data.is_cuda and torch.are_deterministic_algorithms_enabled():
        return data.cpu().cumsum(axis).to(data.device)  # CUDA's cumsum has no fixed order
    return data.cumsum(axis)


def argmax(data: torch.Tensor, axis: int | None = None, keepdims: bool = False) -> torch.Tensor:
    """Return the index of the first largest value: int64, where MXNet has float32."""
    if axis is None:
        return data.argmax(axis, keepdims)
    return data.max(axis, keepdims).indices  # takes a third of argmax's time on a CPU


def argsort(
    data: torch.Tensor, axis: int = -1, is_ascend: bool = True, dtype: str = "float32"
) -> torch.Tensor:
    """Return the indices that sort along ``axis``; equal values have no fixed order."""
    return data.argsort(axis, descending=not is_ascend).to(getattr(torch, dtype))


def softmax(data: torch.Tensor, axis: int = -1) -> torch.Tensor:
    """Return the softmax along ``axis``."""
    return data.softmax(axis)


def log_softmax(data: torch.Tensor, axis: int = -1) -> torch.Tensor:
    """Return the logarithm of the softmax along ``axis``."""
    return data.log_softmax(axis)


def pick(
    data: torch.Tensor, index: torch.Tensor, axis: int = -1, keepdims: bool = False
) -> torch.Tensor:
    """Select one element along ``axis`` for each position; ``index`` lacks this axis."""
    picked = data.gather(axis, index.long().unsqueeze(axis))
    return picked if keepdims else picked.squeeze(axis)


def take(data: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    """Select elements along the first axis."""
    return data.index_select(0, indices.long().flatten()).reshape(indices.shape + data.shape[1:])


def BlockGrad(data: torch.Tensor) -> torch.Tensor:
    """Return the same values and stop their gradient."""
    return data.detach()


def _bilinear_resize(
    data: torch.Tensor,
    like: torch.Tensor | None = None,
    height: int | None = None,
    width: int | None = None,
    mode: str = "size",
    align_corners: bool = True,
) -> torch.Tensor:
    """Resize (N, C, H, W) bilinearly to height x width, or to the size of ``like``."""
    if mode not in ("size", "like"):
        raise ValueError(f"BilinearResize2D: mode={mode!r}, expected 'size' or 'like'")
    size: typing.Any = (height, width)
    if mode == "like" and like is not None:
        size = like.shape[2:]
    return functional.interpolate(data, size, mode="bilinear", align_corners=align_corners)


def _averaging_matrix(output_size: int, input_size: int, like: torch.Tensor) -> torch.Tensor:
    """Return (output_size, input_size): row i averages floor(i s) <= j < ceil((i + 1) s)."""
    row = torch.arange(output_size, device=like.device).unsqueeze(1)
    first = (row * input_size) // output_size
    last = ((row + 1) * input_size + output_size - 1) // output_size
    column = torch.arange(input_size, device=like.device)
    inside = (column >= first) & (column < last)
    return inside.to(like.dtype) / (last - first).to(like.dtype)


def _adaptive_average_pooling(data: torch.Tensor, output_size: int) -> torch.Tensor:
    """Pool (N, C, H, W) to output_size x output_size by two products with averaging matrices.

    The values are those of ``adaptive_avg_pool2d``, whose ONNX export is wrong at sizes that are
    not a multiple of ``output_size``.
    """
    height, width = data.shape[2:]
    rows = _averaging_matrix(output_size, height, data)
    columns = _averaging_matrix(output_size, width, data)
    return rows @ (data @ columns.t())  # (N, C, output_size, output_size)


def _arange_like(data: torch.Tensor, axis: int) -> torch.Tensor:
    """Return 0, 1, 2, ... up to the length of ``axis``, in the type and on the device of data."""
    return torch.arange(data.shape[axis], dtype=data.dtype, device=data.device)


def _index_copy(
    old_tensor: torch.Tensor, index_vector: torch.Tensor, new_tensor: torch.Tensor
) -> torch.Tensor:
    """Replace the rows ``index_vector`` of ``old_tensor`` by those of ``new_tensor``."""
    return old_tensor.index_copy(0, index_vector, new_tensor)


def _foreach(
    body: abc.Callable[[list, list], tuple[torch.Tensor, list]],
    data: abc.Sequence[torch.Tensor],
    init_states: list,
) -> tuple[torch.Tensor, list]:
    """Call ``body(slices, states)`` for each position of the first axis of the arrays ``data``.

    ``body`` returns one array and the new states.

    Returns:
        The stacked arrays, and the last states.
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
