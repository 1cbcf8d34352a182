"""Draw COCO's segments, run lengths and polygons, exactly as pycocotools 2.0 does.

Run-length encoding counts pixels down the columns, alternately outside and inside. A polygon's
outline is traced at five times the size; where it passes from one column of pixels to the next, the
pixels of that column below this point toggle. The tests compare every pixel with pycocotools.
"""

import numpy as np

_SCALE = 5


def decode(segmentation: dict | list, size: tuple[int, int]) -> np.ndarray:
    """Draw a segment as bool (H, W).

    Args:
        segmentation: as in COCO's files: polygons [[x, y, x, y, ...], ...], whose union is drawn,
            or run lengths {'size': [H, W], 'counts': a list or COCO's text}.
        size: (height, width) of the image.

    Raises:
        ValueError: the segment is broken; the message says why.
    """
    if isinstance(segmentation, dict):
        return _decode_runs(segmentation, size)
    if not isinstance(segmentation, list) or not segmentation:
        got = "none" if segmentation in ([], None) else type(segmentation).__name__
        raise ValueError(f"expected polygons or run lengths, got {got}")
    pixels = np.zeros(size, bool)
    for polygon in segmentation:
        pixels |= fill(polygon, size)
    return pixels


def fill(polygon: list | np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Draw one filled polygon [x, y, x, y, ...] as bool (H, W); ``size`` is (height, width)."""
    points = _check_polygon(polygon, size)
    # Round as a C cast of (value + 0.5) does: halves go up, negative numbers go towards 0.
    points = (_SCALE * points + 0.5).astype(np.int64)
    x, y = _trace(points, np.roll(points, -1, axis=0))
    toggles = _crossings(x, y, size)
    pixels = np.zeros(size[0] * size[1], bool)
    if toggles.size:
        # Each column toggles an even number of times, so all pixels after the last are outside.
        first = int(toggles.min())
        inside = np.cumsum(np.bincount(toggles - first))[:-1] & 1
        pixels[first : first + len(inside)] = inside
    return pixels.reshape(size, order="F")


def _check_polygon(polygon: list | np.ndarray, size: tuple[int, int]) -> np.ndarray:
    try:
        points = np.asarray(polygon, np.float64)
    except (TypeError, ValueError):
        raise ValueError("a polygon holds something other than numbers") from None
    if points.ndim != 1 or points.size < 6 or points.size % 2:
        raise ValueError(
            f"a polygon has {points.size} numbers, expected x and y of at least 3 points"
        )
    # An outline far outside the image would only cost memory.
    limit = 2 * max(size)
    if not (np.abs(points) <= limit).all():
        raise ValueError(f"a polygon goes far beyond its image of {size[1]}x{size[0]}")
    return points.reshape(-1, 2)


def _trace(start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the points x, y of all edges, one for each step along an edge's longer axis."""
    wide = np.abs(end - start)
    flat = wide[:, 0] >= wide[:, 1]
    steps = np.where(flat, wide[:, 0], wide[:, 1])
    # Round the shorter axis from the end with the smaller coordinate on the longer axis.
    along = np.where(flat, end[:, 0] - start[:, 0], end[:, 1] - start[:, 1])
    low = np.where((along < 0)[:, None], end, start)
    high = np.where((along < 0)[:, None], start, end)
    rise = np.where(flat, high[:, 1] - low[:, 1], high[:, 0] - low[:, 0])
    slope = rise / np.maximum(steps, 1)

    edge = np.repeat(np.arange(len(start)), steps + 1)
    step = np.arange(len(edge)) - np.repeat(np.cumsum(steps + 1) - steps - 1, steps + 1)
    step = np.where((along < 0)[edge], steps[edge] - step, step)
    flat, low = flat[edge], low[edge]
    longer = step + np.where(flat, low[:, 0], low[:, 1])
    shorter = np.where(flat, low[:, 1], low[:, 0]) + slope[edge] * step + 0.5
    shorter = shorter.astype(np.int64)
    return np.where(flat, longer, shorter), np.where(flat, shorter, longer)


def _crossings(x: np.ndarray, y: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return where, counted down the columns, pixels toggle between outside and inside."""
    height, width = size
    moved = np.flatnonzero(x[1:] != x[:-1])
    column = np.where(x[moved + 1] < x[moved], x[moved + 1], x[moved + 1] - 1)
    row = np.minimum(y[moved + 1], y[moved])
    column = (column + 0.5) / _SCALE - 0.5
    inside = (np.floor(column) == column) & (column >= 0) & (column <= width - 1)
    row = np.ceil(((row[inside] + 0.5) / _SCALE - 0.5).clip(0, height)).astype(np.int64)
    return column[inside].astype(np.int64) * height + row


def _decode_runs(segmentation: dict, size: tuple[int, int]) -> np.ndarray:
    counts, own_size = segmentation.get("counts"), segmentation.get("size")
    if not isinstance(own_size, list) or own_size != [*size]:
        raise ValueError(f"run lengths of size {own_size}, the image has {[*size]} (height, width)")
    runs = _runs(counts)
    if runs.ndim != 1 or (runs < 0).any() or runs.sum() != size[0] * size[1]:
        raise ValueError(f"run lengths do not add up to the {size[0] * size[1]} pixels")
    pixels = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return pixels.reshape(size, order="F")


def _runs(counts: object) -> np.ndarray:
    if isinstance(counts, str | bytes):
        return _expand(counts.encode("latin-1", "replace") if isinstance(counts, str) else counts)
    if not isinstance(counts, list) or not all(type(n) is int and n < 2**31 for n in counts):
        raise ValueError("run lengths are neither integers nor text")
    return np.asarray(counts, np.int64)


def _expand(text: bytes) -> np.ndarray:
    """Decode COCO's compressed text to run lengths.

    A number is written in base 32, lowest digit first. A character is 48 + digit, + 32 if more
    digits follow; the highest bit of the last digit is the sign. From the fourth number on, each is
    the difference to the number two before it.
    """
    digits = np.frombuffer(text, np.uint8).astype(np.int64) - 48
    if digits.size == 0 or digits.min() < 0 or digits.max() > 63 or digits[-1] & 32:
        raise ValueError("the text of the run lengths is broken")
    last = np.flatnonzero((digits & 32) == 0)
    first = np.concatenate([[0], last[:-1] + 1])
    length = last - first + 1
    if length.max() > 7:
        raise ValueError("the text of the run lengths is broken: a number is too large")
    position = np.arange(digits.size) - np.repeat(first, length)
    values = np.add.reduceat((digits & 31) << (5 * position), first)
    values -= np.where(digits[last] & 16, np.int64(1) << (5 * length), 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values
