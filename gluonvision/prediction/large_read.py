"""Images of any size, read from above to below a few rows at a time where the format allows.

PNG by its stream of rows, TIFF by its strips or tiles (``pip install 'gluonvision[large]'``). What
cannot be read so is decoded whole: JPEG and the rest, interlaced PNG, and what is to be turned.
"""

import contextlib
import logging
import math
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from PIL import Image

from gluonvision.data.files.reading import ORIENTATION, pillow_to_rgb

logger = logging.getLogger(__name__)

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PIECE = 1 << 20
_STRIP = 256
_PART = 1 << 22  # bytes of a PNG's rows that are decoded at once
# Values a pixel, by a PNG's colour type: grey, RGB, palette, grey with alpha, RGBA.
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# Colour types that have so many bytes a pixel; their filters work on bytes alone.
_OF_BYTES = {1: 0, 2: 4, 3: 2, 4: 6}


class Rows(NamedTuple):
    """An image from above: its size, and its rows, uint8 (n, width, 3), some at a time."""

    height: int
    width: int
    parts: Iterator[np.ndarray]


def rows_of(pixels: np.ndarray) -> Rows:
    """The rows of an image that is in memory."""
    height, width = pixels.shape[:2]
    return Rows(height, width, (pixels[top : top + _STRIP] for top in range(0, height, _STRIP)))


@contextlib.contextmanager
def opened(path: str | os.PathLike, trusted: bool = False) -> Iterator[Rows]:
    """The rows of an image file.

    ``trusted``: decode whole, where it cannot be read by parts, whatever size it says it has.
    Raises FileNotFoundError, or ValueError, also from ``parts``, for what is no whole image.
    """
    path = Path(path)
    with contextlib.ExitStack() as stack:
        size, upright = _header(path)
        rows = None
        if upright and path.suffix.lower() == ".png":
            rows = _png_rows(stack.enter_context(open(path, "rb")), path)
        elif upright and path.suffix.lower() in (".tif", ".tiff"):
            rows = _tiff_rows(stack, path)
        yield rows or _whole(path, size, trusted)


def image_size(path: str | os.PathLike) -> tuple[int, int]:
    """(height, width) by the header of a file, or (0, 0) where it says none."""
    try:
        (width, height), _ = _header(Path(path))
    except (OSError, ValueError):
        return 0, 0
    return height, width


@contextlib.contextmanager
def any_size() -> Iterator[None]:
    """Pillow without its guard against images that are larger than their files let expect."""
    most, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = most


def _header(path: Path) -> tuple[tuple[int, int], bool]:
    try:
        with any_size(), Image.open(path) as picture:
            return picture.size, _is_upright(picture)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file; check the name") from None
    except Exception as error:  # whatever Pillow's decoders stumble over
        raise ValueError(
            f"{path}: cannot be read as a picture ({error}); fetch or save it again"
        ) from error


def _is_upright(picture: Image.Image) -> bool:
    """By its EXIF data, or because these are damaged."""
    try:
        if picture.format != "PNG":
            return picture.getexif().get(ORIENTATION, 1) == 1
        exif = Image.Exif()  # Pillow would decode a PNG to look for it
        exif.load(picture.info.get("exif", b""))
        return exif.get(ORIENTATION, 1) == 1
    except Exception:
        return True


def _whole(path: Path, size: tuple[int, int], trusted: bool) -> Rows:
    try:
        with any_size() if trusted else contextlib.nullcontext(), Image.open(path) as picture:
            pixels = pillow_to_rgb(picture, deep=True)
    except Image.DecompressionBombError as error:
        raise ValueError(
            f"{path}: {size[0]} x {size[1]} pixels, in a format that is decoded whole; if you know "
            "where it comes from, say --large, or convert it to PNG or TIFF"
        ) from error
    except Exception as error:
        raise ValueError(
            f"{path}: cannot be read as a picture ({error}); fetch or save it again"
        ) from error
    return rows_of(pixels)


class _Png(NamedTuple):
    width: int
    height: int
    depth: int
    kind: int
    palette: np.ndarray | None = None  # uint8 (256, 4), RGBA


def _png_rows(file: IO[bytes], path: Path) -> Rows | None:
    """None for one that is interlaced or has 16-bit colours."""
    if file.read(8) != _SIGNATURE:
        return None
    chunks = _chunks(file, path)
    header, colours, alpha = None, b"", b""
    for name, content in chunks:
        if name == b"IHDR":
            header = struct.unpack(">IIBBBBB", content)
            if header[6] or (header[2] == 16 and header[3] in (2, 6)):
                return None
        elif name == b"PLTE":
            colours = content
        elif name == b"tRNS":
            alpha = content
        elif name == b"IDAT":
            break
    if header is None or header[3] not in _CHANNELS:
        raise ValueError(f"{path}: is no whole PNG; fetch or save it again")
    width, height, depth, kind = header[:4]
    png = _Png(width, height, depth, kind, _palette(colours, alpha) if colours else None)
    data = _inflated(content, chunks, path)
    parts = _decoded(png, data, path)
    if depth == 16:
        shape = (-1, width, _CHANNELS[kind])
        values = (part.view(">u2").reshape(shape) for part in parts)
        parts = _upper_halves(values, height, path)
    return Rows(height, width, (_png_colours(png, part) for part in parts))


def _chunks(file: IO[bytes], path: Path) -> Iterator[tuple[bytes, bytes]]:
    while len(start := file.read(8)) == 8:
        length, name = struct.unpack(">I4s", start)
        if name == b"IEND":
            return
        content, checksum = file.read(length), file.read(4)
        if zlib.crc32(name + content) != int.from_bytes(checksum, "big"):
            raise ValueError(f"{path}: is damaged or truncated; fetch or save it again")
        yield name, content


def _palette(colours: bytes, alpha: bytes) -> np.ndarray:
    table = np.full((256, 4), 255, np.uint8)
    table[: len(colours) // 3, :3] = np.frombuffer(colours, np.uint8).reshape(-1, 3)
    table[: len(alpha), 3] = np.frombuffer(alpha, np.uint8)
    return table


def _inflated(first: bytes, chunks: Iterator[tuple[bytes, bytes]], path: Path) -> Callable:
    """A function that gives the next so many bytes of all IDAT chunks together."""
    stream = zlib.decompressobj()
    waiting = bytearray()

    def pieces():
        content = first
        while content is not None:
            while content:
                yield stream.decompress(content, _PIECE)
                content = stream.unconsumed_tail
            content = next((c for name, c in chunks if name == b"IDAT"), None)
        yield stream.flush()

    source = pieces()

    def take(count: int) -> bytes:
        try:
            while len(waiting) < count:
                waiting.extend(next(source))
        except (StopIteration, zlib.error):
            raise ValueError(f"{path}: is damaged or truncated; fetch or save it again") from None
        taken = bytes(waiting[:count])
        del waiting[:count]
        return taken

    return take


def _decoded(png: _Png, take: Callable, path: Path) -> Iterator[np.ndarray]:
    """A PNG's rows without their filters, bytes (n, row_bytes)."""
    bits = png.depth * _CHANNELS[png.kind]
    row_bytes, pixel_bytes = (png.width * bits + 7) // 8, max(1, bits // 8)
    number = max(1, _PART // (row_bytes + 1))
    last = bytes(row_bytes)
    for first in range(0, png.height, number):
        count = min(number, png.height - first)
        raw = take(count * (row_bytes + 1))
        values = _unfiltered(last, raw, row_bytes, pixel_bytes, count)
        last = values[-1].tobytes()
        yield values


def _unfiltered(last: bytes, raw: bytes, row_bytes: int, pixel_bytes: int, count: int):
    """Filtered rows as bytes (count, row_bytes), given the row above them.

    Pillow does it: as a small PNG of their own that begins with the row above, and whose kind has
    as many bytes a pixel, which is all that filters know.
    """
    kind = struct.pack(
        ">IIBBBBB", row_bytes // pixel_bytes, count + 1, 8, _OF_BYTES[pixel_bytes], 0, 0, 0
    )
    data = zlib.compress(b"\0" + last + raw, 0)
    content = b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in ((b"IHDR", kind), (b"IDAT", data), (b"IEND", b""))
    )
    with Image.open(BytesIO(_SIGNATURE + content)) as picture:
        return np.asarray(picture).reshape(count + 1, row_bytes)[1:]


def _png_colours(png: _Png, values: np.ndarray) -> np.ndarray:
    if png.depth < 8:
        values = _unpacked(values, png.depth)[:, : png.width]
        if png.kind == 0:
            values = values * np.uint8(255 // (2**png.depth - 1))
    values = values.reshape(len(values), png.width, _CHANNELS[png.kind])
    if png.palette is not None and png.kind == 3:
        values = png.palette[values[..., 0]]
    return rgb(values)


def _upper_halves(parts: Iterator[np.ndarray], height: int, path: Path) -> Iterator[np.ndarray]:
    """Of 16 bits the upper eight; ValueError instead of the last rows if 12 are all there is."""
    most, top = 0, 0
    for values in parts:
        colours = values[..., : 1 if values.shape[2] < 3 else 3]
        most, top = max(most, int(colours.max())), top + len(values)
        if top >= height and 0 < most < 0x1000:
            raise ValueError(
                f"{path}: 16 bits of which the upper four are empty (values up to {most}); scale "
                "it to 0-255 once, by the range that its sensor has, and save that"
            )
        yield (values >> 8).astype(np.uint8)


def _unpacked(values: np.ndarray, depth: int) -> np.ndarray:
    bits = np.unpackbits(values, axis=1).reshape(len(values), -1, depth)
    return np.packbits(bits, axis=2)[..., 0] >> (8 - depth)


def rgb(values: np.ndarray) -> np.ndarray:
    """Grey or RGB with or without alpha, uint8 (n, W, 1-4), as RGB; alpha over white."""
    channels = values.shape[2]
    colours = values[..., : 1 if channels < 3 else 3]
    if channels in (2, 4):
        alpha = values[..., -1:].astype(np.uint16)
        if alpha.min() < 255:
            colours = (colours * alpha + 255 * (255 - alpha) + 127) // 255
    return np.ascontiguousarray(np.broadcast_to(colours, (*values.shape[:2], 3)), np.uint8)


def _tiff_rows(stack: contextlib.ExitStack, path: Path) -> Rows | None:
    """None for one that tifffile, or this, cannot read by parts."""
    try:
        import tifffile
    except ImportError:
        logger.warning("pip install 'gluonvision[large]' reads TIFF by parts; %s is not", path)
        return None
    try:
        page: Any = stack.enter_context(tifffile.TiffFile(path)).pages[0]
        if not _is_simple(page, tifffile):
            return None
        next(page.segments(maxworkers=1, buffersize=1), None)
    except ValueError as error:  # no TIFF, or a compression that needs another library
        logger.warning("%s is decoded whole: %s", path, error)
        return None
    except Exception as error:  # whatever the decoders stumble over
        raise _damaged(path, error) from error
    there, needed = len(page.dataoffsets), math.prod(page.chunked)
    if there < needed:
        raise _damaged(path, f"{there} strips or tiles, its size needs {needed}")
    parts = _tiff_parts(page, path)
    if page.dtype == np.uint16 and page.colormap is None:
        parts = _upper_halves(parts, page.imagelength, path)
    return Rows(page.imagelength, page.imagewidth, (_tiff_colours(page, rows) for rows in parts))


def _is_simple(page, tifffile) -> bool:
    kinds = tifffile.PHOTOMETRIC
    # What JPEG has made YCbCr it makes RGB again.
    is_jpeg = page.photometric == kinds.YCBCR and page.compression == tifffile.COMPRESSION.JPEG
    return (
        (is_jpeg or page.photometric in (kinds.RGB, kinds.MINISBLACK, kinds.PALETTE))
        and (page.samplesperpixel == 1 or page.planarconfig == tifffile.PLANARCONFIG.CONTIG)
        and page.dtype in (np.uint8, np.uint16)
        and page.bitspersample in (8, 16)
        and page.imagedepth == 1
    )


def _tiff_parts(page, path: Path) -> Iterator[np.ndarray]:
    """A strip, or a row of tiles, at a time."""
    rows, width = np.empty(0), page.imagewidth
    try:
        for data, index, shape in page.segments(maxworkers=1, buffersize=_PIECE):
            top, left = index[2:4]
            height = min(shape[1], page.imagelength - top)
            if left == 0:
                rows = np.zeros((height, width, page.samplesperpixel), page.dtype)
            wide = min(shape[2], width - left)
            if data is not None:  # a tile may be left out: black
                rows[:, left : left + wide] = data[0, :height, :wide]
            if left + wide == width:
                yield rows
    except Exception as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception | str) -> ValueError:
    return ValueError(f"{path}: is damaged or truncated ({error}); fetch or save it again")


def _tiff_colours(page, rows: np.ndarray) -> np.ndarray:
    if page.colormap is not None:
        return rgb((page.colormap >> 8).astype(np.uint8).T[rows[..., 0]])
    has_alpha = rows.shape[2] in (2, 4) and len(page.extrasamples) > 0 and page.extrasamples[0] > 0
    # Further channels, such as infrared, are not for a net of three.
    keep = rows.shape[2] if has_alpha else (3 if rows.shape[2] >= 3 else 1)
    return rgb(rows[..., :keep])
