"""Masks of any size, written some rows at a time: PNG, or tiled TIFF, with their palette."""

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from gluonvision.data.meta import Meta
from gluonvision.plots.masks import file_palette, palette_indices
from gluonvision.utils import atomic

TIFF = (".tif", ".tiff")
NOTE = "gluonvision"  # the keyword of a PNG's note
_TILE = 256
# GeoTIFF 1.1: pixel scale, tie points, transformation, keys with their numbers and texts.
_GEOGRAPHIC = (33550, 33922, 34264, 34735, 34736, 34737)
_BIG = 1 << 31  # pixels from which a TIFF's offsets may not fit into 32 bits


def write_mask(
    path: Path,
    parts: Iterable[np.ndarray],
    size: tuple[int, int],
    meta: Meta,
    note: str = "",
    place: Sequence[tuple] = (),
) -> None:
    """Write a mask of ``size`` (height, width) from its rows, int (n, width), from above.

    As PNG or, by the file's ending, as TIFF. ``note``: a text kept in the file; ``place``: a TIFF's
    tags from ``geographic_tags``. The file appears when it is whole, or not at all.
    """
    values, colours = (palette_indices(part, meta) for part in parts), file_palette(meta)
    with atomic.replacing(path) as file:
        if path.suffix.lower() in TIFF:
            _write_tiff(file, values, size, colours, note, place)
        else:
            _write_png(file, values, size, colours, note)


def geographic_tags(path: Path) -> list[tuple]:
    """What says where on the earth a TIFF lies, as tifffile takes it; nothing of other files."""
    if path.suffix.lower() not in TIFF:
        return []
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            page: Any = file.pages[0]
            tags = page.tags
            found = [tags[code] for code in _GEOGRAPHIC if code in tags]
            return [(tag.code, tag.dtype, tag.count, tag.value, True) for tag in found]
    except tifffile.TiffFileError:  # another kind of picture by a TIFF's name
        return []


def _write_png(file: IO[bytes], parts, size, palette: np.ndarray, note: str) -> None:
    height, width = size
    file.write(b"\x89PNG\r\n\x1a\n")
    _write_chunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0))
    _write_chunk(file, b"PLTE", palette.tobytes())
    if note:
        _write_chunk(file, b"tEXt", NOTE.encode() + b"\0" + note.encode("latin-1", "replace"))
    stream = zlib.compressobj(6)
    for part in parts:
        # Each row begins with the number of its filter: none.
        rows = np.pad(part, ((0, 0), (1, 0)))
        if packed := stream.compress(rows.tobytes()):
            _write_chunk(file, b"IDAT", packed)
    _write_chunk(file, b"IDAT", stream.flush())
    _write_chunk(file, b"IEND", b"")


def _write_chunk(file: IO[bytes], name: bytes, content: bytes) -> None:
    checksum = zlib.crc32(name + content)
    file.write(struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum))


def _write_tiff(file: IO[bytes], parts, size, palette: np.ndarray, note: str, place) -> None:
    import tifffile

    tifffile.imwrite(
        file,
        _tiles(parts, size),
        shape=size,
        dtype=np.uint8,
        photometric="palette",
        colormap=palette.T.astype(np.uint16) * 257,
        tile=(_TILE, _TILE),
        compression="zlib",
        maxworkers=1,
        buffersize=1,  # else it waits for 256 MB of tiles
        description=note or None,
        metadata=None,
        extratags=place,
        bigtiff=size[0] * size[1] >= _BIG,
    )


def _tiles(parts, size) -> Iterator[np.ndarray]:
    height, width = size
    across = -(-width // _TILE)
    waiting = np.zeros((0, width), np.uint8)
    parts, top = iter(parts), 0
    while top < height:
        count = min(_TILE, height - top)
        while len(waiting) < count:
            waiting = np.concatenate([waiting, next(parts)])
        rows = np.zeros((_TILE, across * _TILE), np.uint8)
        rows[:count, :width] = waiting[:count]
        waiting, top = waiting[count:], top + count
        for left in range(0, across * _TILE, _TILE):
            yield np.ascontiguousarray(rows[:, left : left + _TILE])
