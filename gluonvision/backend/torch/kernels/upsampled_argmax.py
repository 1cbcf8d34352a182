"""The class of each pixel from coarse logits, without the logits of every pixel.

Between four neighbouring coarse logits, in a cell, the resized ones are means of theirs: a class
that is the first at all four is so everywhere between. Most of a picture is like that; what is
left, along the borders of things, is computed.
"""

import torch

from gluonvision.backend.torch.kernels.resizing import Cells

# Logits computed at a time, a thread: they stay in a core's cache.
_CHUNK = 1 << 19


def upsampled_argmax(logits, size, align_corners):
    """The first class with the largest bilinearly resized logit: int32 (N, H, W).

    ``logits`` (N, nclass, h, w), ``size`` (H, W). It may be another one where two classes' logits
    are equal but for rounding, and any one where one is NaN.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    rows = Cells(logits.shape[2], size[0], align_corners, logits)
    columns = Cells(logits.shape[3], size[1], align_corners, logits)
    corners = _at_corners(logits.argmax(1).to(_index_type(logits.shape[1])), rows, columns)
    is_mixed = torch.stack([corners[0] != other for other in corners[1:]]).any(0)
    # (N, cells down, rows of a cell, cells across, columns of a cell)
    cells = corners[0][:, :, None, :, None].repeat(1, 1, rows.width, 1, columns.width)
    _compute(logits, is_mixed.nonzero(), rows, columns, cells)
    pixels = cells.flatten(3).flatten(1, 2)
    return pixels.index_select(1, rows.pixels).index_select(2, columns.pixels).int()


def _at_corners(data, rows, columns):
    """The values (N, cells down, cells across) at the four corners of each cell."""
    return [
        data.index_select(1, row).index_select(2, column)
        for row in rows.ends
        for column in columns.ends
    ]


def _compute(logits, chosen, rows, columns, cells):
    """Put into ``cells`` the classes of those that ``chosen`` (number, 3) names."""
    nclass, height, width = logits.shape[1:]
    by_class = logits.transpose(0, 1).flatten(1)
    # The largest of the numbers counted from the end: first of equals, far quicker than argmax.
    from_end = torch.arange(nclass - 1, -1, -1, device=logits.device).to(logits)
    from_end = from_end[:, None, None, None]
    chunk = _CHUNK * torch.get_num_threads() // (nclass * rows.width * columns.width)
    for image, row, column in (part.unbind(1) for part in chosen.split(max(chunk, 1))):
        top, bottom = (
            _across(by_class, (image * height + end[row]) * width, columns, column)
            for end in rows.ends
        )
        # (nclass, rows of a cell, columns of a cell, n): what is long comes last.
        z = torch.lerp(top, bottom, rows.weights[:, None, row])
        last = z.eq_(z.amax(0)).mul_(from_end).amax(0)
        cells[image, row, :, column] = (nclass - 1 - last).to(cells.dtype).permute(2, 0, 1)


def _across(by_class, start, columns, column):
    """The logits along one side of cells, (nclass, 1, columns of a cell, n)."""
    left, right = (by_class[:, start + end[column]][:, None, None] for end in columns.ends)
    return torch.lerp(left, right, columns.weights[:, column])


def _index_type(nclass):
    return torch.uint8 if nclass <= 256 else torch.int32
