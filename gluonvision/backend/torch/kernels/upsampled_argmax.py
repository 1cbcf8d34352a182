"""The class of each pixel from coarse logits on a CPU, without the logits of every pixel.

A cell is the area between four neighbouring coarse logits; the resized logits in it are weighted
means of these four. A class that wins at all four corners therefore wins in the whole cell. Most
cells of an image are like that, so only the rest, along the borders of objects, is computed.
"""

from collections.abc import Sequence

import torch

from gluonvision.backend.torch.kernels.resizing import Cells

# Logits computed at a time per thread: they then stay in a core's cache.
_CHUNK = 1 << 19


def upsampled_argmax(
    logits: torch.Tensor, size: Sequence[int], align_corners: bool
) -> torch.Tensor:
    """Return the first class with the largest bilinearly resized logit.

    The class may be another one where two logits are equal within rounding, and any class where a
    logit is NaN.

    Args:
        logits: (N, nclass, h, w).
        size: (H, W).
        align_corners: how to resize.

    Returns:
        int32 (N, H, W).
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    rows = Cells(logits.shape[2], size[0], align_corners, logits)
    columns = Cells(logits.shape[3], size[1], align_corners, logits)
    corners = _at_corners(logits.argmax(1).to(_index_type(logits.shape[1])), rows, columns)
    is_mixed = torch.stack([corners[0] != other for other in corners[1:]]).any(0)
    # (N, cells down, rows of a cell, cells across, columns of a cell)
    cells = corners[0][:, :, None, :, None].repeat(1, 1, rows.width, 1, columns.width)
    _fill_cells(logits, is_mixed.nonzero(), rows, columns, cells)
    pixels = cells.flatten(3).flatten(1, 2)
    return pixels.index_select(1, rows.pixels).index_select(2, columns.pixels).int()


def _at_corners(data: torch.Tensor, rows: Cells, columns: Cells) -> list[torch.Tensor]:
    """Return the values at each cell's four corners, four times (N, cells down, cells across)."""
    return [
        data.index_select(1, row).index_select(2, column)
        for row in rows.ends
        for column in columns.ends
    ]


def _fill_cells(
    logits: torch.Tensor,
    chosen: torch.Tensor,
    rows: Cells,
    columns: Cells,
    cells: torch.Tensor,
) -> None:
    """Compute the classes of the chosen cells, given as (image, row, column), (number, 3)."""
    nclass, height, width = logits.shape[1:]
    by_class = logits.transpose(0, 1).flatten(1)
    # Counting classes from the end, the largest number is the first class: faster than argmax.
    from_end = torch.arange(nclass - 1, -1, -1, device=logits.device).to(logits)
    from_end = from_end[:, None, None, None]
    chunk = _CHUNK * torch.get_num_threads() // (nclass * rows.width * columns.width)
    for image, row, column in (some.unbind(1) for some in chosen.split(max(chunk, 1))):
        top, bottom = (
            _across(by_class, (image * height + end[row]) * width, columns, column)
            for end in rows.ends
        )
        # (nclass, rows of a cell, columns of a cell, n): the longest axis is the last.
        z = torch.lerp(top, bottom, rows.weights[:, None, row])
        last = z.eq_(z.amax(0)).mul_(from_end).amax(0)
        cells[image, row, :, column] = (nclass - 1 - last).to(cells.dtype).permute(2, 0, 1)


def _across(
    by_class: torch.Tensor, start: torch.Tensor, columns: Cells, column: torch.Tensor
) -> torch.Tensor:
    """Return the logits along one side of cells, (nclass, 1, columns of a cell, n)."""
    left, right = (by_class[:, start + end[column]][:, None, None] for end in columns.ends)
    return torch.lerp(left, right, columns.weights[:, column])


def _index_type(nclass: int) -> torch.dtype:
    return torch.uint8 if nclass <= 256 else torch.int32
