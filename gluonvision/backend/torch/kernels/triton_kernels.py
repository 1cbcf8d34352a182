"""On CUDA: the label's probability and the class of each pixel from coarse logits, in Triton.

A program has one cell, the pixels between four neighbouring coarse logits, and goes over the
classes; the four corners of a block of classes come in one read each, for all pixels. The
gradients of its four corners a program writes for itself, and they are summed afterwards, so that
every run gives the same bits. The softmax's denominator is kept online (Milakov and Gimelshein,
arXiv:1805.02867).

Only imported where there is CUDA, and Triton with it.
"""

import torch
import triton
import triton.language as tl

from gluonvision.backend.torch.kernels.resizing import Cells

_CLASSES = 16  # a block's; of 32 the backward pass's registers spill (sm_90)


def log_probability(logits, label, align_corners):
    """As ``fused_loss``: the logarithms, and those of the softmax's denominators, float32."""
    grid = _Grid(logits, label.shape[1:], align_corners)
    log_p, normalizer = (
        logits.new_empty(label.shape, dtype=torch.float32).contiguous() for _ in range(2)
    )
    grid.launch(_forward, label.contiguous(), log_p, normalizer)
    return log_p, normalizer


def log_probability_gradient(logits, label, normalizer, gradient, align_corners):
    """The gradient of ``logits``, in their type."""
    grid = _Grid(logits, label.shape[1:], align_corners)
    corners = grid.new_corners()
    others = (label.contiguous(), normalizer, gradient.contiguous(), corners)
    grid.launch(_backward, *others)
    return grid.summed(corners).permute(0, 3, 1, 2).to(logits.dtype).contiguous()


def upsampled_argmax(logits, size, align_corners):
    """The first class with the largest resized logit: int32 (N, H, W)."""
    grid = _Grid(logits, size, align_corners)
    classes = torch.empty((len(logits), *size), dtype=torch.int32, device=logits.device)
    grid.launch(_argmax, classes)
    return classes


class _Grid:
    """A program for each cell of each image, and what all kernels take."""

    def __init__(self, logits, size, align_corners):
        number, self.nclass, *self.coarse = logits.shape
        like = logits.new_empty((), dtype=torch.float32)
        pairs = zip(self.coarse, size)
        self.axes = rows, columns = [Cells(c, full, align_corners, like) for c, full in pairs]
        # Classes last: a corner's come in one read.
        last = logits.permute(0, 2, 3, 1).contiguous()
        self.size = (len(columns.counts), len(rows.counts), number)
        self.arguments = (
            *(last, rows.place, rows.starts, rows.counts),
            *(columns.place, columns.starts, columns.counts),
            *(rows.first, columns.first, columns.width, self.nclass, *self.coarse, *size),
        )
        pixels = triton.next_power_of_2(rows.width * columns.width)
        self.constants = {"PIXELS": pixels, "CLASSES": _CLASSES}

    def launch(self, kernel, *arguments):
        """Run a kernel on the device of the logits: Triton's own choice is the current one."""
        with torch.cuda.device_of(self.arguments[0]):
            kernel[self.size](*self.arguments, *arguments, **self.constants)

    def new_corners(self):
        """Room for the gradients of each cell's corners, (N, down, across, 2, 2, nclass)."""
        across, down, number = self.size
        shape = (number, down, across, 2, 2, self.nclass)
        return torch.empty(shape, dtype=torch.float32, device=self.arguments[0].device)

    def summed(self, corners):
        """The gradient (N, h, w, nclass) of what the cells share."""
        for axis, (cells, size) in enumerate(zip(self.axes, self.coarse), 1):
            corners = _joined(corners.unbind(3), axis, cells.first, size)
        return corners


def _joined(ends, axis, first, size):
    """Values at the inputs, from those at the two ends of each cell along an axis.

    Beyond the first and the last input are the first and the last.
    """
    lower, upper = ends
    shape = list(lower.shape)
    shape[axis] += 1
    total = lower.new_zeros(shape)
    total.narrow(axis, 0, shape[axis] - 1).add_(lower)
    total.narrow(axis, 1, shape[axis] - 1).add_(upper)
    inner = total.narrow(axis, -first, size)
    if first < 0:
        inner.narrow(axis, 0, 1).add_(total.narrow(axis, 0, 1))
    if shape[axis] > size - first:
        inner.narrow(axis, size - 1, 1).add_(total.narrow(axis, shape[axis] - 1, 1))
    return inner


# Triton knows no star arguments: each kernel names what ``_Grid.arguments`` has.


@triton.jit
def _cell(
    rows,
    row_starts,
    row_counts,
    columns,
    column_starts,
    column_counts,
    first_row,
    first_column,
    width,
    nclass,
    coarse_height,
    coarse_width,
    full_height,
    full_width,
    PIXELS: tl.constexpr,
):
    """This program's pixels: whether they are there, where, their weights, and the corners."""
    across, down, image = tl.program_id(0), tl.program_id(1), tl.program_id(2).to(tl.int64)
    place = tl.arange(0, PIXELS)
    row, column = place // width, place % width
    inside = (row < tl.load(row_counts + down)) & (column < tl.load(column_counts + across))
    row += tl.load(row_starts + down)
    column += tl.load(column_starts + across)
    pixel = (image * full_height + row) * full_width + column
    upper, left = first_row + down, first_column + across
    weight_down = tl.load(rows + row, mask=inside, other=0.0) - upper
    weight_right = tl.load(columns + column, mask=inside, other=0.0) - left
    lower, right = tl.minimum(upper + 1, coarse_height - 1), tl.minimum(left + 1, coarse_width - 1)
    upper, left = tl.maximum(upper, 0), tl.maximum(left, 0)
    above = (image * coarse_height + upper) * coarse_width
    below = (image * coarse_height + lower) * coarse_width
    return (
        inside,
        pixel,
        weight_down,
        weight_right,
        (above + left) * nclass,
        (above + right) * nclass,
        (below + left) * nclass,
        (below + right) * nclass,
    )


@triton.jit
def _resized(logits, corner_0, corner_1, corner_2, corner_3, down, right, classes, nclass):
    """The logits of the cell's pixels for a block of classes, (PIXELS, CLASSES)."""
    known = classes < nclass
    upper_left = tl.load(logits + corner_0 + classes, mask=known, other=0.0).to(tl.float32)
    upper_right = tl.load(logits + corner_1 + classes, mask=known, other=0.0).to(tl.float32)
    lower_left = tl.load(logits + corner_2 + classes, mask=known, other=0.0).to(tl.float32)
    lower_right = tl.load(logits + corner_3 + classes, mask=known, other=0.0).to(tl.float32)
    upper = upper_left[None, :] + right[:, None] * (upper_right - upper_left)[None, :]
    lower = lower_left[None, :] + right[:, None] * (lower_right - lower_left)[None, :]
    return tl.where(known[None, :], upper + down[:, None] * (lower - upper), -float("inf"))


@triton.jit
def _forward(
    logits,
    rows,
    row_starts,
    row_counts,
    columns,
    column_starts,
    column_counts,
    first_row,
    first_column,
    width,
    nclass,
    coarse_height,
    coarse_width,
    full_height,
    full_width,
    label,
    log_p,
    normalizer,
    PIXELS: tl.constexpr,
    CLASSES: tl.constexpr,
):
    inside, pixel, down, right, corner_0, corner_1, corner_2, corner_3 = _cell(
        rows,
        row_starts,
        row_counts,
        columns,
        column_starts,
        column_counts,
        first_row,
        first_column,
        width,
        nclass,
        coarse_height,
        coarse_width,
        full_height,
        full_width,
        PIXELS,
    )
    wanted = tl.maximum(tl.load(label + pixel, mask=inside, other=0), 0).to(tl.int32)
    largest = tl.full((PIXELS,), -float("inf"), tl.float32)
    total = tl.zeros((PIXELS,), tl.float32)
    # A label that there is not has NaN, which ends the training.
    picked = tl.where(wanted < nclass, 0.0, float("nan"))
    for first in range(0, nclass, CLASSES):
        classes = first + tl.arange(0, CLASSES)
        z = _resized(logits, corner_0, corner_1, corner_2, corner_3, down, right, classes, nclass)
        larger = tl.maximum(largest, tl.max(z, 1))
        total = total * tl.exp(largest - larger) + tl.sum(tl.exp(z - larger[:, None]), 1)
        largest = larger
        picked += tl.sum(tl.where(classes[None, :] == wanted[:, None], z, 0.0), 1)
    log_sum = largest + tl.log(total)
    tl.store(normalizer + pixel, log_sum, mask=inside)
    tl.store(log_p + pixel, picked - log_sum, mask=inside)


@triton.jit
def _backward(
    logits,
    rows,
    row_starts,
    row_counts,
    columns,
    column_starts,
    column_counts,
    first_row,
    first_column,
    width,
    nclass,
    coarse_height,
    coarse_width,
    full_height,
    full_width,
    label,
    normalizer,
    gradient,
    corners,
    PIXELS: tl.constexpr,
    CLASSES: tl.constexpr,
):
    inside, pixel, down, right, corner_0, corner_1, corner_2, corner_3 = _cell(
        rows,
        row_starts,
        row_counts,
        columns,
        column_starts,
        column_counts,
        first_row,
        first_column,
        width,
        nclass,
        coarse_height,
        coarse_width,
        full_height,
        full_width,
        PIXELS,
    )
    wanted = tl.maximum(tl.load(label + pixel, mask=inside, other=0), 0).to(tl.int32)
    log_sum = tl.load(normalizer + pixel, mask=inside, other=0.0)
    own = tl.load(gradient + pixel, mask=inside, other=0.0)
    cell = tl.program_id(2).to(tl.int64) * tl.num_programs(1) + tl.program_id(1)
    corners += (cell * tl.num_programs(0) + tl.program_id(0)) * 4 * nclass
    upper_left, upper_right = own * (1 - down) * (1 - right), own * (1 - down) * right
    lower_left, lower_right = own * down * (1 - right), own * down * right
    for first in range(0, nclass, CLASSES):
        classes = first + tl.arange(0, CLASSES)
        z = _resized(logits, corner_0, corner_1, corner_2, corner_3, down, right, classes, nclass)
        is_wanted = tl.where(classes[None, :] == wanted[:, None], 1.0, 0.0)
        share = tl.where(inside[:, None], is_wanted - tl.exp(z - log_sum[:, None]), 0.0)
        known, place = classes < nclass, corners + classes
        tl.store(place, tl.sum(upper_left[:, None] * share, 0), mask=known)
        tl.store(place + nclass, tl.sum(upper_right[:, None] * share, 0), mask=known)
        tl.store(place + 2 * nclass, tl.sum(lower_left[:, None] * share, 0), mask=known)
        tl.store(place + 3 * nclass, tl.sum(lower_right[:, None] * share, 0), mask=known)


@triton.jit
def _argmax(
    logits,
    rows,
    row_starts,
    row_counts,
    columns,
    column_starts,
    column_counts,
    first_row,
    first_column,
    width,
    nclass,
    coarse_height,
    coarse_width,
    full_height,
    full_width,
    result,
    PIXELS: tl.constexpr,
    CLASSES: tl.constexpr,
):
    inside, pixel, down, right, corner_0, corner_1, corner_2, corner_3 = _cell(
        rows,
        row_starts,
        row_counts,
        columns,
        column_starts,
        column_counts,
        first_row,
        first_column,
        width,
        nclass,
        coarse_height,
        coarse_width,
        full_height,
        full_width,
        PIXELS,
    )
    largest = tl.full((PIXELS,), -float("inf"), tl.float32)
    best = tl.zeros((PIXELS,), tl.int32)
    for first in range(0, nclass, CLASSES):
        classes = first + tl.arange(0, CLASSES)
        z = _resized(logits, corner_0, corner_1, corner_2, corner_3, down, right, classes, nclass)
        larger, index = tl.max(z, 1, return_indices=True)
        best = tl.where(larger > largest, first + index, best)
        largest = tl.maximum(largest, larger)
    tl.store(result + pixel, best, mask=inside)
