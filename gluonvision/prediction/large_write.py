"""Write masks of any size by blocks of rows, as PNG or tiled TIFF with a palette."""

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from gluonvision.data.meta import Meta
from gluonvision.plots.masks import file_palette, palette_indices
from gluonvision.prediction.large_png import PNG_SIGNATURE, png_chunk
from gluonvision.prediction.large_tiff import TIFF_SUFFIXES
from gluonvision.utils import atomic

NOTE_KEYWORD = "gluonvision"  # of the text chunk in PNG files
_TILE = 256
# GeoTIFF 1.1: pixel scale, tie points, transformation, and the keys with their numbers and texts.
_GEO_TAGS = (33550, 33922, 34264, 34735, 34736, 34737)
_BIG_TIFF_PIXELS = 1 << 31  # from here on, offsets may exceed 32 bits


def write_mask(
    path: Path,
    blocks: Iterable[np.ndarray],
    height_width: tuple[int, int],
    meta: Meta,
    note: str = "",
    geo_tags: Sequence[tuple] = (),
) -> None:
    """Write a mask block by block; the file only appears once it is complete.

    Args:
        path: the file to write: TIFF if it ends in ``.tif`` or ``.tiff``, otherwise PNG.
        blocks: rows of the mask from top to bottom, int (n, width).
        height_width: size of the whole mask, in pixels.
        meta: the classes and their colours.
        note: text to store in the file.
        geo_tags: tags from ``geographic_tags``, for TIFF files.
    """
    values, palette = (palette_indices(block, meta) for block in blocks), file_palette(meta)
    with atomic.replacing(path) as file:
        if path.suffix.lower() in TIFF_SUFFIXES:
            _write_tiff(file, values, height_width, palette, note, geo_tags)
        else:
            _write_png(file, values, height_width, palette, note)


def geographic_tags(path: Path) -> list[tuple]:
    """Read the tags that locate a GeoTIFF on the earth, in tifffile's form.

    Returns:
        The tags; an empty list for other files.
    """
    if path.suffix.lower() not in TIFF_SUFFIXES:
        return []
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            page: Any = file.pages[0]
            tags = [page.tags[code] for code in _GEO_TAGS if code in page.tags]
            return [(tag.code, tag.dtype, tag.count, tag.value, True) for tag in tags]
    except tifffile.TiffFileError:  # another format under a TIFF's name
        return []


def _write_png(
    file: IO[bytes],
    blocks: Iterable[np.ndarray],
    height_width: tuple[int, int],
    palette: np.ndarray,
    note: str,
) -> None:
    height, width = height_width
    file.write(PNG_SIGNATURE)
    file.write(png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)))
    file.write(png_chunk(b"PLTE", palette.tobytes()))
    if note:
        text = NOTE_KEYWORD.encode() + b"\0" + note.encode("latin-1", "replace")
        file.write(png_chunk(b"tEXt", text))
    stream = zlib.compressobj(6)
    for block in blocks:
        # Each row starts with the number of its filter; 0 means no filter.
        rows = np.pad(block, ((0, 0), (1, 0)))
        if packed := stream.compress(rows.tobytes()):
            file.write(png_chunk(b"IDAT", packed))
    file.write(png_chunk(b"IDAT", stream.flush()))
    file.write(png_chunk(b"IEND", b""))


def _write_tiff(
    file: IO[bytes],
    blocks: Iterable[np.ndarray],
    height_width: tuple[int, int],
    palette: np.ndarray,
    note: str,
    geo_tags: Sequence[tuple],
) -> None:
    import tifffile

    height, width = height_width
    tifffile.imwrite(
        file,
        _tiles(blocks, height, width),
        shape=height_width,
        dtype=np.uint8,
        photometric="palette",
        colormap=palette.T.astype(np.uint16) * 257,
        tile=(_TILE, _TILE),
        compression="zlib",
        maxworkers=1,
        buffersize=1,  # by default, tifffile collects 256 MB of tiles before it writes them
        description=note or None,
        metadata=None,
        extratags=geo_tags,
        bigtiff=height * width >= _BIG_TIFF_PIXELS,
    )


def _tiles(blocks: Iterable[np.ndarray], height: int, width: int) -> Iterator[np.ndarray]:
    """Cut rows into tiles, from left to right and from top to bottom."""
    num_columns = -(-width // _TILE)
    pending = np.zeros((0, width), np.uint8)
    blocks = iter(blocks)
    for top in range(0, height, _TILE):
        num_rows = min(_TILE, height - top)
        while len(pending) < num_rows:
            pending = np.concatenate([pending, next(blocks)])
        rows = np.zeros((_TILE, num_columns * _TILE), np.uint8)
        rows[:num_rows, :width] = pending[:num_rows]
        pending = pending[num_rows:]
        for left in range(0, num_columns * _TILE, _TILE):
            yield np.ascontiguousarray(rows[:, left : left + _TILE])
