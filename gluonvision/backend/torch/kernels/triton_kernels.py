"""Label log-probabilities, their gradient, and classes from coarse logits, in Triton.

One program handles one cell, the pixels between four neighbouring coarse logits, and loops over
the classes. It reads the four corners of a block of classes once for all pixels. In the backward
pass each program writes the gradients of its own corners, which are summed afterwards, so that
every run gives the same bits. The softmax's denominator is computed online (Milakov and
Gimelshein, arXiv:1805.02867).

Import this module only where CUDA and Triton exist.
"""

from collections.abc import Sequence
from typing import Any

import torch
import triton

from gluonvision.backend.torch.kernels import triton_programs
from gluonvision.backend.torch.kernels.resizing import Cells

_CLASSES = 16  # per block; with 32 the registers of the backward pass spill (sm_90)


def log_probability(
    logits: torch.Tensor, label: torch.Tensor, align_corners: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the log-probability of each label and the log-sum-exp, both float32 (N, H, W).

    The arguments are those of ``fused_log_probability``.
    """
    grid = _Grid(logits, label.shape[1:], align_corners)
    log_p, normalizer = (
        logits.new_empty(label.shape, dtype=torch.float32).contiguous() for _ in range(2)
    )
    grid.launch(triton_programs.forward, label.contiguous(), log_p, normalizer)
    return log_p, normalizer


def log_probability_gradient(
    logits: torch.Tensor,
    label: torch.Tensor,
    normalizer: torch.Tensor,
    gradient: torch.Tensor,
    align_corners: bool,
) -> torch.Tensor:
    """Return the gradient of ``logits``, in their type."""
    grid = _Grid(logits, label.shape[1:], align_corners)
    corners = grid.new_corners()
    others = (label.contiguous(), normalizer, gradient.contiguous(), corners)
    grid.launch(triton_programs.backward, *others)
    return grid.summed(corners).permute(0, 3, 1, 2).to(logits.dtype).contiguous()


def upsampled_argmax(
    logits: torch.Tensor, size: Sequence[int], align_corners: bool
) -> torch.Tensor:
    """Return the first class with the largest resized logit: int32 (N, H, W)."""
    grid = _Grid(logits, size, align_corners)
    classes = torch.empty((len(logits), *size), dtype=torch.int32, device=logits.device)
    grid.launch(triton_programs.argmax, classes)
    return classes


class _Grid:
    """One program for each cell of each image, and the arguments that all programs share."""

    def __init__(self, logits: torch.Tensor, size: Sequence[int], align_corners: bool) -> None:
        number, self.nclass, *self.coarse = logits.shape
        like = logits.new_empty((), dtype=torch.float32)
        pairs = zip(self.coarse, size)
        self.axes = rows, columns = [Cells(c, full, align_corners, like) for c, full in pairs]
        # Classes last: one read gets a corner's logits.
        last = logits.permute(0, 2, 3, 1).contiguous()
        self.size = (len(columns.counts), len(rows.counts), number)
        self.arguments: tuple[Any, ...] = (
            *(last, rows.position, rows.starts, rows.counts),
            *(columns.position, columns.starts, columns.counts),
            *(rows.first, columns.first, columns.width, self.nclass, *self.coarse, *size),
        )
        pixels = triton.next_power_of_2(rows.width * columns.width)
        self.constants = {"PIXELS": pixels, "CLASSES": _CLASSES}

    def launch(self, program: Any, *arguments: torch.Tensor) -> None:
        """Run a program on the logits' device; Triton by itself would use the current device."""
        with torch.cuda.device_of(self.arguments[0]):
            program[self.size](*self.arguments, *arguments, **self.constants)

    def new_corners(self) -> torch.Tensor:
        """Allocate the gradients of each cell's corners, (N, down, across, 2, 2, nclass)."""
        across, down, number = self.size
        shape = (number, down, across, 2, 2, self.nclass)
        return torch.empty(shape, dtype=torch.float32, device=self.arguments[0].device)

    def summed(self, corners: torch.Tensor) -> torch.Tensor:
        """Sum the corners that cells share into the logits' gradient (N, h, w, nclass)."""
        for axis, (cells, size) in enumerate(zip(self.axes, self.coarse), 1):
            corners = _joined(corners.unbind(3), axis, cells.first, size)
        return corners


def _joined(ends: Sequence[torch.Tensor], axis: int, first: int, size: int) -> torch.Tensor:
    """Sum the values at the two ends of each cell into values at the inputs along an axis.

    Values beyond the first and the last input are added to that input.
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
