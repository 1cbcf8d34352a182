"""Images as blocks of rows, and the conversions that all file formats share."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

_BLOCK_ROWS = 256


class ImageRows(NamedTuple):
    """An image as blocks of rows, from top to bottom.

    Args:
        height: height of the whole image, in pixels.
        width: width of the whole image, in pixels.
        blocks: uint8 arrays (n, width, 3), RGB, with ``height`` rows in total.
    """

    height: int
    width: int
    blocks: Iterator[np.ndarray]


def rows_of_array(pixels: np.ndarray) -> ImageRows:
    """Split an image in memory, uint8 (H, W, 3), into blocks of rows."""
    height, width = pixels.shape[:2]
    starts = range(0, height, _BLOCK_ROWS)
    return ImageRows(height, width, (pixels[top : top + _BLOCK_ROWS] for top in starts))


def to_rgb(values: np.ndarray) -> np.ndarray:
    """Convert grey or RGB rows, uint8 (n, W, 1 to 4), to RGB; blend alpha with white."""
    channels = values.shape[2]
    colours = values[..., : 1 if channels < 3 else 3]
    if channels in (2, 4):
        alpha = values[..., -1:].astype(np.uint16)
        if alpha.min() < 255:
            colours = (colours * alpha + 255 * (255 - alpha) + 127) // 255
    return np.ascontiguousarray(np.broadcast_to(colours, (*values.shape[:2], 3)), np.uint8)


def high_bytes(blocks: Iterator[np.ndarray], height: int, path: Path) -> Iterator[np.ndarray]:
    """Reduce uint16 rows (n, W, channels) to the high byte of each value.

    Raises:
        ValueError: instead of the last block, if no value of the image uses the upper four bits.
    """
    largest, top = 0, 0
    for values in blocks:
        colours = values[..., : 1 if values.shape[2] < 3 else 3]
        largest, top = max(largest, int(colours.max())), top + len(values)
        if top >= height and 0 < largest < 0x1000:
            raise ValueError(
                f"{path}: 16-bit values, but the upper four bits are empty (largest value "
                f"{largest}); scale the image to 0-255 by the range of its sensor and save it again"
            )
        yield (values >> 8).astype(np.uint8)


def damaged(path: Path, reason: Exception | str = "") -> ValueError:
    """Make the error for a file whose content is incomplete or corrupt."""
    detail = f" ({reason})" if reason else ""
    return ValueError(f"{path}: damaged or truncated{detail}; download it or save it again")
