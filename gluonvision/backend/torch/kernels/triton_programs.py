"""The Triton programs of ``triton_kernels``: one program per cell.

Triton has no star arguments, so each program lists the arguments of ``_Grid.arguments``.
"""

import triton
import triton.language as tl


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
    """Return the cell's pixels: their mask, index and weights, and the offsets of its corners."""
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
    """Return the resized logits of the cell for a block of classes, (PIXELS, CLASSES)."""
    known = classes < nclass
    upper_left = tl.load(logits + corner_0 + classes, mask=known, other=0.0).to(tl.float32)
    upper_right = tl.load(logits + corner_1 + classes, mask=known, other=0.0).to(tl.float32)
    lower_left = tl.load(logits + corner_2 + classes, mask=known, other=0.0).to(tl.float32)
    lower_right = tl.load(logits + corner_3 + classes, mask=known, other=0.0).to(tl.float32)
    upper = upper_left[None, :] + right[:, None] * (upper_right - upper_left)[None, :]
    lower = lower_left[None, :] + right[:, None] * (lower_right - lower_left)[None, :]
    return tl.where(known[None, :], upper + down[:, None] * (lower - upper), -float("inf"))


@triton.jit
def forward(
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
    # A label out of range gives NaN, which stops the training.
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
def backward(
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
    upstream = tl.load(gradient + pixel, mask=inside, other=0.0)
    cell = tl.program_id(2).to(tl.int64) * tl.num_programs(1) + tl.program_id(1)
    corners += (cell * tl.num_programs(0) + tl.program_id(0)) * 4 * nclass
    upper_left, upper_right = upstream * (1 - down) * (1 - right), upstream * (1 - down) * right
    lower_left, lower_right = upstream * down * (1 - right), upstream * down * right
    for first in range(0, nclass, CLASSES):
        classes = first + tl.arange(0, CLASSES)
        z = _resized(logits, corner_0, corner_1, corner_2, corner_3, down, right, classes, nclass)
        is_wanted = tl.where(classes[None, :] == wanted[:, None], 1.0, 0.0)
        slope = tl.where(inside[:, None], is_wanted - tl.exp(z - log_sum[:, None]), 0.0)
        known, place = classes < nclass, corners + classes
        tl.store(place, tl.sum(upper_left[:, None] * slope, 0), mask=known)
        tl.store(place + nclass, tl.sum(upper_right[:, None] * slope, 0), mask=known)
        tl.store(place + 2 * nclass, tl.sum(lower_left[:, None] * slope, 0), mask=known)
        tl.store(place + 3 * nclass, tl.sum(lower_right[:, None] * slope, 0), mask=known)


@triton.jit
def argmax(
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
