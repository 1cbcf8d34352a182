"""Masks of images that a net cannot see whole: windows that overlap, of which the middle counts."""

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np

from gluonvision.prediction.inference import Inference
from gluonvision.prediction.large_read import Rows

# The side of windows, where none is chosen; pixels from which an image is not seen whole.
WINDOW = 1024
LARGE = 1 << 24
# Windows begin where the features of the coarsest net begin too: they then see the same in both.
_GRID = 32


def mask_parts(
    rows: Rows, classes_of: Callable[[np.ndarray], np.ndarray], inference: Inference
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows of an image and of its mask, int32, from above: (uint8 (n, W, 3), (n, W)).

    ``classes_of``: the mask of one window. ``inference``: side and stride of the windows. Of
    each the middle is kept, as wide as the stride; at the image's edges all.

    Holds the rows that a window covers and nothing else. Raises what ``rows`` raises.
    """
    side = inference.window or WINDOW
    buffer = _Buffer(rows)
    for top, first, last in cores(rows.height, side, inference.stride):
        image = buffer.rows(top, min(top + side, rows.height))
        mask = np.empty((last - first, rows.width), np.int32)
        for left, begin, end in cores(rows.width, side, inference.stride):
            window = np.ascontiguousarray(image[:, left : left + side])
            inner = classes_of(window)[first - top : last - top, begin - left : end - left]
            mask[:, begin:end] = inner
        yield image[first - top : last - top], mask


def count_windows(height: int, width: int, inference: Inference) -> int:
    """How many windows ``mask_parts`` asks about."""
    side = inference.window or WINDOW
    return len(cores(height, side, inference.stride)) * len(cores(width, side, inference.stride))


def cores(length: int, side: int, stride: float) -> list[tuple[int, int, int]]:
    """Windows along one side of an image: (where it begins, first and last of what is kept)."""
    if length <= side:
        return [(0, 0, length)]
    step = max(1, int(side * stride))
    step = step // _GRID * _GRID or step
    number = math.ceil((length - side) / step) + 1
    starts = [min(i * step, length - side) for i in range(number)]
    # Half of what two neighbours share goes to each.
    edges = [0, *((a + side + b) // 2 for a, b in itertools.pairwise(starts)), length]
    return list(zip(starts, edges, edges[1:]))


class _Buffer:
    """The rows of an image that are still needed."""

    def __init__(self, rows: Rows):
        self._parts, self._top = rows.parts, 0
        self._held = np.empty((0, rows.width, 3), np.uint8)

    def rows(self, first: int, last: int) -> np.ndarray:
        """Rows ``first`` to ``last``; those above are let go of."""
        held = [self._held[first - self._top :]]
        self._held = held[0]
        self._top = first
        missing = last - first - len(held[0])
        while missing > 0:
            part = next(self._parts)
            held.append(part)
            missing -= len(part)
        if len(held) > 1:
            self._held = np.concatenate(held)
        return self._held[: last - first]
