"""Faster decoders than Pillow's for the two most common kinds of file in data sets.

OpenCV decodes ordinary JPEGs with the same library as Pillow, so it gives the same pixels. zlib-ng
decodes masks in unfiltered 8-bit PNGs, such as VOC's. The functions return None for all other files
and for broken ones: Pillow then decodes them, and its errors say what is wrong.
"""

import re
from collections.abc import Iterator

import cv2
import numpy as np
from PIL import Image
from zlib_ng import zlib_ng as zlib

_START_OF_FRAME = (0xC0, 0xC1)  # baseline and extended: Huffman-coded, in one scan
_START_OF_SCAN = 0xDA
# Compressed data may contain only the restart markers 0xD0 to 0xD7; before 0, 0xFF is data.
_MARKER_IN_DATA = re.compile(rb"\xff[^\0\xd0-\xd7]")
_TABLES_AND_METADATA = (0xC4, 0xDB, 0xDD, *range(0xE0, 0xF0), 0xFE)
_ORIENTATION = 0x0112
_PNG_HEADER = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
# Bit depth and colour type, then the default compression, filter method and no interlacing.
_GREY, _PALETTE = bytes((8, 0, 0, 0, 0)), bytes((8, 3, 0, 0, 0))
# Chunks that cannot say that the image must be turned, unlike text and EXIF data.
_CHUNKS_WITHOUT_ORIENTATION = (
    b"IHDR",
    b"PLTE",
    b"tRNS",
    b"gAMA",
    b"cHRM",
    b"sRGB",
    b"pHYs",
    b"bKGD",
    b"tIME",
)
_MAX_PIXELS = 1 << 26  # above this, Pillow decides whether to trust the header


def decode_jpeg(content: bytes) -> np.ndarray | None:
    """Decode an upright 8-bit JPEG of three channels to uint8 (H, W, 3), RGB; else return None."""
    start = _scan_start(content)
    # OpenCV decodes truncated and most broken files without an error.
    if start is None or _MARKER_IN_DATA.search(content, start, len(content) - 2):
        return None
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    return cv2.imdecode(np.frombuffer(content, np.uint8), flags)


def _scan_start(content: bytes) -> int | None:
    """Return where the compressed data of an ordinary JPEG begins; None for any other file."""
    if not (content.startswith(b"\xff\xd8") and content.endswith(b"\xff\xd9")):
        return None
    has_frame = False
    for marker, start, end in _segments(content):
        if marker == _START_OF_SCAN:
            return end if has_frame else None
        if not _is_ordinary(marker, content[start:end]):
            return None
        has_frame = has_frame or marker in _START_OF_FRAME
    return None


def has_end(content: bytes) -> bool:
    """Return whether the end marker follows the compressed data of a JPEG.

    An interrupted download may be filled up with zeros, which decoders take for data.
    """
    scans = (end for marker, _, end in _segments(content) if marker == _START_OF_SCAN)
    return content.find(b"\xff\xd9", next(scans, len(content))) >= 0


def _segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the marker, start and end of each segment of a JPEG before its compressed data."""
    position = 2
    while content[position : position + 1] == b"\xff" and position + 4 <= len(content):
        if content[position + 1] == 0xFF:  # fill bytes may precede a marker
            position += 1
            continue
        end = position + 2 + int.from_bytes(content[position + 2 : position + 4], "big")
        yield content[position + 1], position + 4, end
        position = end


def _is_ordinary(marker: int, segment: bytes) -> bool:
    if marker in _START_OF_FRAME:
        height, width = (int.from_bytes(segment[i : i + 2], "big") for i in (1, 3))
        # Bits per channel, and number of channels.
        return segment[:1] + segment[5:6] == b"\x08\x03" and 0 < height * width <= _MAX_PIXELS
    return marker in _TABLES_AND_METADATA and not (marker == 0xE1 and _may_need_turning(segment))


def _may_need_turning(segment: bytes) -> bool:
    """Return whether EXIF or XMP data may say that the image must be turned."""
    if not segment.startswith(b"Exif\0\0"):
        return b"Orientation" in segment
    exif = Image.Exif()
    try:
        exif.load(segment)
        return exif.get(_ORIENTATION, 1) != 1
    except Exception:  # damaged EXIF data: leave the file to Pillow
        return True


def decode_png(content: bytes) -> np.ndarray | None:
    """Decode an unfiltered 8-bit PNG, palette or grey, to uint8 (H, W); else return None."""
    if not content.startswith(_PNG_HEADER):
        return None
    width, height = (int.from_bytes(content[i : i + 4], "big") for i in (16, 20))
    if content[24:29] not in (_GREY, _PALETTE) or not 0 < width * height <= _MAX_PIXELS:
        return None
    compressed = _compressed_pixels(content)
    return None if compressed is None else _decompress(compressed, height, width)


def _compressed_pixels(content: bytes) -> bytes | None:
    """Return the compressed pixels of a complete PNG that is certainly upright; else None."""
    start, data = 8, []
    while start + 12 <= len(content):
        kind = content[start + 4 : start + 8]
        end = start + 8 + int.from_bytes(content[start : start + 4], "big")
        checksum = int.from_bytes(content[end : end + 4], "big")
        if zlib.crc32(content[start + 4 : end]) != checksum:
            return None
        if kind == b"IDAT":
            data.append(content[start + 8 : end])
        elif kind == b"IEND":
            return b"".join(data)
        elif kind not in _CHUNKS_WITHOUT_ORIENTATION:
            return None
        start = end + 4
    return None


def _decompress(compressed: bytes, height: int, width: int) -> np.ndarray | None:
    """Decompress unfiltered rows to uint8 (H, W); None if a row is filtered."""
    size, stream = height * (width + 1), zlib.decompressobj()
    try:
        # Each row begins with the number of its filter. Filtered files show one in the first rows.
        data = stream.decompress(compressed, min(2 * (width + 1), size))
        if any(data[:: width + 1]):
            return None
        data += stream.decompress(stream.unconsumed_tail, size + 1 - len(data))
    except zlib.error:  # type: ignore[misc]  # its stubs declare a value
        return None
    if len(data) != size or not stream.eof:
        return None
    rows = np.frombuffer(data, np.uint8).reshape(height, width + 1)
    return None if rows[:, 0].any() else rows[:, 1:]
