"""Segment images in overlapping windows, and keep the middle of each window's mask."""

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np

from gluonvision.prediction.inference import Inference
from gluonvision.prediction.large_rows import ImageRows

WINDOW = 1024  # default side of a window, in pixels
LARGE = 1 << 24  # images with more pixels are segmented in windows
# Align windows to the coarsest feature map, so that a window and the whole image share its grid.
_GRID = 32


def is_large(height: int, width: int) -> bool:
    """Whether an image has too many pixels to be segmented in one forward pass."""
    return height * width > LARGE


def mask_blocks(
    rows: ImageRows, predict_window: Callable[[np.ndarray], np.ndarray], inference: Inference
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Segment an image in windows, from top to bottom.

    Neighbouring windows overlap. Half of the overlap is taken from each of them, since a net
    predicts the border of a window less well than its middle. Only the rows under one row of
    windows are in memory.

    Args:
        rows: the image.
        predict_window: function from a window, uint8 (h, w, 3), to its mask, int (h, w).
        inference: gives the side and the stride of the windows.

    Yields:
        Blocks of the image, uint8 (n, W, 3), each with its mask, int32 (n, W).
    """
    side = inference.window or WINDOW
    buffer = _RowBuffer(rows)
    columns = window_spans(rows.width, side, inference.stride)
    for top, first, last in window_spans(rows.height, side, inference.stride):
        image = buffer.rows(top, min(top + side, rows.height))
        mask = np.empty((last - first, rows.width), np.int32)
        for left, begin, end in columns:
            window = np.ascontiguousarray(image[:, left : left + side])
            classes = predict_window(window)
            mask[:, begin:end] = classes[first - top : last - top, begin - left : end - left]
        yield image[first - top : last - top], mask


def count_windows(height: int, width: int, inference: Inference) -> int:
    """Count the windows that ``mask_blocks`` segments."""
    side = inference.window or WINDOW
    num_rows, num_columns = (
        len(window_spans(length, side, inference.stride)) for length in (height, width)
    )
    return num_rows * num_columns


def window_spans(length: int, side: int, stride: float) -> list[tuple[int, int, int]]:
    """Place windows along one side of an image.

    Args:
        length: length of the image's side, in pixels.
        side: length of a window's side, in pixels.
        stride: distance between windows, as a fraction of ``side``.

    Returns:
        For each window: its start, and the start and the end of the pixels kept from it.
    """
    if length <= side:
        return [(0, 0, length)]
    step = max(1, int(side * stride))
    step = step // _GRID * _GRID or step
    num_windows = math.ceil((length - side) / step) + 1
    starts = [min(i * step, length - side) for i in range(num_windows)]
    # Split the overlap of two neighbours in the middle.
    edges = [0, *((a + side + b) // 2 for a, b in itertools.pairwise(starts)), length]
    return list(zip(starts, edges, edges[1:]))


class _RowBuffer:
    """The rows of an image that the current row of windows covers."""

    def __init__(self, rows: ImageRows):
        self._blocks, self._top = rows.blocks, 0
        self._held = np.empty((0, rows.width, 3), np.uint8)

    def rows(self, first: int, last: int) -> np.ndarray:
        """Read rows ``first`` to ``last``, and drop those above."""
        held = [self._held[first - self._top :]]
        self._held = held[0]
        self._top = first
        missing = last - first - len(held[0])
        while missing > 0:
            block = next(self._blocks)
            held.append(block)
            missing -= len(block)
        if len(held) > 1:
            self._held = np.concatenate(held)
        return self._held[: last - first]
