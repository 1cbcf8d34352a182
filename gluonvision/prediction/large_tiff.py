"""Read TIFF files by strips or rows of tiles (``pip install 'gluonvision[large]'``)."""

import contextlib
import logging
import math
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from gluonvision.prediction.large_rows import ImageRows, damaged, high_bytes, to_rgb

TIFF_SUFFIXES = (".tif", ".tiff")
_READ_BYTES = 1 << 20  # read from the file at a time

logger = logging.getLogger(__name__)


def tiff_rows(stack: contextlib.ExitStack, path: Path) -> ImageRows | None:
    """Read a TIFF by blocks of rows: a strip, or a row of tiles, at a time.

    Args:
        stack: closes the file.
        path: the file.

    Returns:
        The rows; None, with a warning, if tifffile is not installed or cannot read the file by
        strips or tiles.

    Raises:
        ValueError: if the file is damaged; while its blocks are read, too.
    """
    try:
        import tifffile
    except ImportError:
        logger.warning(
            "%s is decoded whole, which takes more memory: pip install 'gluonvision[large]' to "
            "read TIFF files by strips or tiles",
            path,
        )
        return None
    try:
        page: Any = stack.enter_context(tifffile.TiffFile(path)).pages[0]
        if not _is_supported(page, tifffile):
            return None
        next(page.segments(maxworkers=1, buffersize=1), None)
    except ValueError as error:  # not a TIFF, or a compression that needs another library
        logger.warning("%s is decoded whole: %s", path, error)
        return None
    except Exception as error:  # damaged files make the decoders raise errors of many types
        raise damaged(path, error) from error
    _check_segments(page, path)
    blocks = _blocks(page, path)
    if page.dtype == np.uint16 and page.colormap is None:
        blocks = high_bytes(blocks, page.imagelength, path)
    return ImageRows(page.imagelength, page.imagewidth, (_to_rgb(page, rows) for rows in blocks))


def _is_supported(page: Any, tifffile: ModuleType) -> bool:
    photometric = tifffile.PHOTOMETRIC
    # The JPEG decoder turns YCbCr back into RGB.
    is_jpeg = (
        page.photometric == photometric.YCBCR and page.compression == tifffile.COMPRESSION.JPEG
    )
    kinds = (photometric.RGB, photometric.MINISBLACK, photometric.PALETTE)
    return (
        (is_jpeg or page.photometric in kinds)
        and (page.samplesperpixel == 1 or page.planarconfig == tifffile.PLANARCONFIG.CONTIG)
        and page.dtype in (np.uint8, np.uint16)
        and page.bitspersample in (8, 16)
        and page.imagedepth == 1
    )


def _check_segments(page: Any, path: Path) -> None:
    existing, needed = len(page.dataoffsets), math.prod(page.chunked)
    if existing < needed:
        raise damaged(path, f"it has {existing} strips or tiles, but its size needs {needed}")


def _blocks(page: Any, path: Path) -> Iterator[np.ndarray]:
    rows, image_width = np.empty(0), page.imagewidth
    try:
        for data, index, shape in page.segments(maxworkers=1, buffersize=_READ_BYTES):
            top, left = index[2:4]
            height = min(shape[1], page.imagelength - top)
            if left == 0:
                rows = np.zeros((height, image_width, page.samplesperpixel), page.dtype)
            width = min(shape[2], image_width - left)
            if data is not None:  # a file may leave out tiles: they are black
                rows[:, left : left + width] = data[0, :height, :width]
            if left + width == image_width:
                yield rows
    except Exception as error:
        raise damaged(path, error) from error


def _to_rgb(page: Any, rows: np.ndarray) -> np.ndarray:
    if page.colormap is not None:
        return to_rgb((page.colormap >> 8).astype(np.uint8).T[rows[..., 0]])
    has_alpha = rows.shape[2] in (2, 4) and len(page.extrasamples) > 0 and page.extrasamples[0] > 0
    # Nets take three channels: leave out further ones, such as infrared.
    keep = rows.shape[2] if has_alpha else (3 if rows.shape[2] >= 3 else 1)
    return to_rgb(rows[..., :keep])
