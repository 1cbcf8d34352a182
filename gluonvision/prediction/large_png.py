"""Read PNG files by blocks of rows, in memory that does not depend on the image's height."""

import struct
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from PIL import Image

from gluonvision.prediction.large_rows import ImageRows, damaged, high_bytes, to_rgb

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_INFLATE_BYTES = 1 << 20  # decompressed at a time
_BLOCK_BYTES = 1 << 22  # of a PNG's rows, decoded at a time
# Values per pixel, by PNG colour type: grey, RGB, palette, grey with alpha, RGBA.
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# An 8-bit colour type for each number of bytes per pixel. PNG filters only depend on this number.
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}


class _Header(NamedTuple):
    width: int
    height: int
    depth: int
    colour_type: int
    palette: np.ndarray | None = None  # uint8 (256, 4), RGBA


def png_chunk(name: bytes, content: bytes) -> bytes:
    """Encode one chunk of a PNG: length, name, content and checksum."""
    checksum = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def png_rows(file: IO[bytes], path: Path) -> ImageRows | None:
    """Read a PNG by blocks of rows.

    Args:
        file: the file, open at its start.
        path: its path, for error messages.

    Returns:
        The rows; None if the file is not a PNG, is interlaced, or has 16-bit colours.

    Raises:
        ValueError: if the file is damaged; while its blocks are read, too.
    """
    if file.read(len(PNG_SIGNATURE)) != PNG_SIGNATURE:
        return None
    chunks = _chunks(file, path)
    start = _read_header(chunks, path)
    if start is None:
        return None
    header, first_data = start
    blocks = _decoded(header, _inflater(first_data, chunks, path))
    if header.depth == 16:
        shape = (-1, header.width, _CHANNELS[header.colour_type])
        values = (block.view(">u2").reshape(shape) for block in blocks)
        blocks = high_bytes(values, header.height, path)
    return ImageRows(header.height, header.width, (_to_rgb(header, block) for block in blocks))


def _read_header(chunks: Iterator[tuple[bytes, bytes]], path: Path) -> tuple[_Header, bytes] | None:
    """The header and the first chunk of image data; None if rows cannot be read one by one."""
    fields, colours, alpha, data = None, b"", b"", b""
    for name, content in chunks:
        if name == b"IHDR":
            fields = struct.unpack(">IIBBBBB", content)
            depth, colour_type, is_interlaced = fields[2], fields[3], fields[6]
            if is_interlaced or (depth == 16 and colour_type in (2, 6)):
                return None
        elif name == b"PLTE":
            colours = content
        elif name == b"tRNS":
            alpha = content
        elif name == b"IDAT":
            data = content
            break
    if fields is None or fields[3] not in _CHANNELS:
        raise damaged(path, "it has no valid PNG header")
    width, height, depth, colour_type = fields[:4]
    palette = _palette(colours, alpha) if colours else None
    return _Header(width, height, depth, colour_type, palette), data


def _chunks(file: IO[bytes], path: Path) -> Iterator[tuple[bytes, bytes]]:
    while len(start := file.read(8)) == 8:
        length, name = struct.unpack(">I4s", start)
        if name == b"IEND":
            return
        content, checksum = file.read(length), file.read(4)
        if zlib.crc32(name + content) != int.from_bytes(checksum, "big"):
            raise damaged(path)
        yield name, content


def _palette(colours: bytes, alpha: bytes) -> np.ndarray:
    table = np.full((256, 4), 255, np.uint8)
    table[: len(colours) // 3, :3] = np.frombuffer(colours, np.uint8).reshape(-1, 3)
    table[: len(alpha), 3] = np.frombuffer(alpha, np.uint8)
    return table


def _inflater(
    first_data: bytes, chunks: Iterator[tuple[bytes, bytes]], path: Path
) -> Callable[[int], bytes]:
    """Make a function that returns the next ``count`` decompressed bytes of all IDAT chunks."""
    pieces = _inflated(first_data, chunks)
    buffer = bytearray()

    def take(count: int) -> bytes:
        try:
            while len(buffer) < count:
                buffer.extend(next(pieces))
        except (StopIteration, zlib.error):
            raise damaged(path) from None
        taken = bytes(buffer[:count])
        del buffer[:count]
        return taken

    return take


def _inflated(first_data: bytes, chunks: Iterator[tuple[bytes, bytes]]) -> Iterator[bytes]:
    stream = zlib.decompressobj()
    content: bytes | None = first_data
    while content is not None:
        while content:
            yield stream.decompress(content, _INFLATE_BYTES)
            content = stream.unconsumed_tail
        content = next((data for name, data in chunks if name == b"IDAT"), None)
    yield stream.flush()


def _decoded(header: _Header, take: Callable[[int], bytes]) -> Iterator[np.ndarray]:
    """Decode blocks of rows without their filters: uint8 (n, bytes per row)."""
    pixel_bits = header.depth * _CHANNELS[header.colour_type]
    row_bytes, pixel_bytes = (header.width * pixel_bits + 7) // 8, max(1, pixel_bits // 8)
    block_rows = max(1, _BLOCK_BYTES // (row_bytes + 1))
    row_above = bytes(row_bytes)
    for top in range(0, header.height, block_rows):
        num_rows = min(block_rows, header.height - top)
        filtered = take(num_rows * (row_bytes + 1))
        rows = _unfiltered(filtered, row_above, num_rows, row_bytes, pixel_bytes)
        row_above = rows[-1].tobytes()
        yield rows


def _unfiltered(
    filtered: bytes, row_above: bytes, num_rows: int, row_bytes: int, pixel_bytes: int
) -> np.ndarray:
    """Undo the filters of ``num_rows`` rows, given the row above them.

    Pillow does the work: it reads a small PNG that starts with the row above, and whose colour
    type has the same number of bytes per pixel.
    """
    width, colour_type = row_bytes // pixel_bytes, _COLOUR_TYPES[pixel_bytes]
    fields = struct.pack(">IIBBBBB", width, num_rows + 1, 8, colour_type, 0, 0, 0)
    data = zlib.compress(b"\0" + row_above + filtered, 0)
    chunks = ((b"IHDR", fields), (b"IDAT", data), (b"IEND", b""))
    content = PNG_SIGNATURE + b"".join(png_chunk(*chunk) for chunk in chunks)
    with Image.open(BytesIO(content)) as image:
        return np.asarray(image).reshape(num_rows + 1, row_bytes)[1:]


def _to_rgb(header: _Header, values: np.ndarray) -> np.ndarray:
    if header.depth < 8:
        values = _unpacked(values, header.depth)[:, : header.width]
        if header.colour_type == 0:
            values = values * np.uint8(255 // (2**header.depth - 1))
    values = values.reshape(len(values), header.width, _CHANNELS[header.colour_type])
    if header.palette is not None and header.colour_type == 3:
        values = header.palette[values[..., 0]]
    return to_rgb(values)


def _unpacked(values: np.ndarray, depth: int) -> np.ndarray:
    bits = np.unpackbits(values, axis=1).reshape(len(values), -1, depth)
    return np.packbits(bits, axis=2)[..., 0] >> (8 - depth)
