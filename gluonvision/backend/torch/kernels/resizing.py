"""Where the pixels of a bilinear resize come from, as torch's own resize places them."""

from collections.abc import Iterator

import torch


def places(input_size: int, output_size: int, align_corners: bool, like: torch.Tensor):
    """The place of each output position among the inputs, (output_size,), as ``like``'s type.

    Without ``align_corners`` from -0.5 to input_size - 0.5: outside of the inputs is the same as
    at the nearest of them.
    """
    outputs = torch.arange(output_size, dtype=like.dtype, device=like.device)
    if align_corners:
        return outputs * ((input_size - 1) / (output_size - 1) if output_size > 1 else 0.0)
    return (outputs + 0.5) * (input_size / output_size) - 0.5


def sources(input_size: int, output_size: int, align_corners: bool, like: torch.Tensor):
    """For each output position the lower of its two input positions, and the weight of the upper.

    Indices (output_size,) in [0, input_size - 2], or 0 where there is but one input; weights in
    [0, 1] as ``like``'s type.
    """
    place = places(input_size, output_size, align_corners, like).clamp(min=0)
    lower = place.long().clamp(max=max(input_size - 2, 0))
    return lower, (place - lower).clamp(max=1 if input_size > 1 else 0)


def bands(lower: torch.Tensor, longest: int) -> Iterator[tuple[int, slice]]:
    """Output rows in order, by at most ``longest`` that lie between the same two input rows.

    Gives the lower of the two, and the output rows.
    """
    lower_rows, start = lower.tolist(), 0
    for stop in range(1, len(lower_rows) + 1):
        is_end = stop == len(lower_rows) or lower_rows[stop] != lower_rows[start]
        if is_end or stop - start == longest:
            yield lower_rows[start], slice(start, stop)
            start = stop


class Cells:
    """One axis cut where input positions are: cells, each with a place for as many outputs.

    ``place``, ``first``: where each output is among the inputs, and the first cell, -1 or 0, which
    begins at the input of that number. ``starts``, ``counts``: each cell's first output and how
    many it has; ``width``: the most. ``pixels``: each output's place among all cells' places.
    ``ends``: the inputs at both ends of each cell. ``weights``: the upper end's, (width, cells).
    """

    def __init__(self, input_size: int, output_size: int, align_corners: bool, like: torch.Tensor):
        self.place = places(input_size, output_size, align_corners, like)
        floor = self.place.floor()
        cell = (floor - floor[0]).long()
        self.counts = torch.bincount(cell)
        self.starts = self.counts.cumsum(0) - self.counts
        self.width, self.first = int(self.counts.max()), int(floor[0])
        within = torch.arange(output_size, device=like.device) - self.starts[cell]
        self.pixels = cell * self.width + within
        number = torch.arange(len(self.counts), device=like.device) + self.first
        self.ends = [end.clamp(0, input_size - 1) for end in (number, number + 1)]
        self.weights = like.new_zeros(self.width, len(self.counts))
        self.weights[within, cell] = self.place - floor
