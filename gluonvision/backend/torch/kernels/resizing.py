"""The source positions of a bilinear resize, placed as in torch's own resize."""

from collections.abc import Iterator

import torch


def source_positions(
    input_size: int, output_size: int, align_corners: bool, like: torch.Tensor
) -> torch.Tensor:
    """Return each output's position among the inputs: (output_size,), in the type of ``like``.

    Without ``align_corners`` positions range from -0.5 to input_size - 0.5; one outside the inputs
    takes the value of the nearest input.
    """
    outputs = torch.arange(output_size, dtype=like.dtype, device=like.device)
    if align_corners:
        return outputs * ((input_size - 1) / (output_size - 1) if output_size > 1 else 0.0)
    return (outputs + 0.5) * (input_size / output_size) - 0.5


def sources(
    input_size: int, output_size: int, align_corners: bool, like: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the lower of each output's two inputs, and the weight of the upper one.

    Returns:
        Indices (output_size,) in [0, input_size - 2], or 0 if there is one input; and weights
        (output_size,) in [0, 1], in the type of ``like``.
    """
    position = source_positions(input_size, output_size, align_corners, like).clamp(min=0)
    lower = position.long().clamp(max=max(input_size - 2, 0))
    return lower, (position - lower).clamp(max=1 if input_size > 1 else 0)


def bands(lower: torch.Tensor, max_rows: int) -> Iterator[tuple[int, slice]]:
    """Split the output rows into bands of at most ``max_rows`` between the same two input rows.

    Yields:
        The lower of the two input rows, and the band's output rows.
    """
    lower_rows, start = lower.tolist(), 0
    for stop in range(1, len(lower_rows) + 1):
        is_end = stop == len(lower_rows) or lower_rows[stop] != lower_rows[start]
        if is_end or stop - start == max_rows:
            yield lower_rows[start], slice(start, stop)
            start = stop


class Cells:
    """One axis cut into cells at the input positions.

    Attributes:
        position: each output's position among the inputs, (output_size,).
        first: the input at which the first cell begins: 0, or -1 for the edge before input 0.
        starts, counts: the first output and the number of outputs of each cell, (cells,).
        width: the largest of ``counts``.
        pixels: each output's index if every cell had ``width`` outputs, (output_size,).
        ends: the inputs at the lower and the upper end of each cell, (cells,) each.
        weights: the weight of the upper end at each place of each cell, (width, cells).
    """

    def __init__(
        self, input_size: int, output_size: int, align_corners: bool, like: torch.Tensor
    ) -> None:
        self.position = source_positions(input_size, output_size, align_corners, like)
        floor = self.position.floor()
        cell = (floor - floor[0]).long()
        self.counts = torch.bincount(cell)
        self.starts = self.counts.cumsum(0) - self.counts
        self.width, self.first = int(self.counts.max()), int(floor[0])
        within = torch.arange(output_size, device=like.device) - self.starts[cell]
        self.pixels = cell * self.width + within
        number = torch.arange(len(self.counts), device=like.device) + self.first
        self.ends = [end.clamp(0, input_size - 1) for end in (number, number + 1)]
        self.weights = like.new_zeros(self.width, len(self.counts))
        self.weights[within, cell] = self.position - floor
