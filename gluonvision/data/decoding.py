"""The two kinds of file that data sets are made of, decoded in less time than Pillow takes.

Ordinary JPEGs by OpenCV: the library inside is the same one, and so is every pixel. Masks in
unfiltered 8-bit PNGs, which is how VOC's are written, by zlib alone. What is unusual in any way,
a broken file above all, is not decoded here but left to Pillow, whose errors say what is wrong.
"""

import zlib
from collections.abc import Iterator

import cv2
import numpy as np
from PIL import Image

_START_OF_FRAME = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive; all Huffman-coded
_WITHOUT_FRAME = (0xC4, 0xDB, 0xDD, *range(0xE0, 0xF0), 0xFE)  # tables, applications', comments
_ORIENTATION = 0x0112
_PNG_START = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
# Depth, colour type, and no compression, filter method or interlacing but the usual ones.
_GREY, _PALETTE = bytes((8, 0, 0, 0, 0)), bytes((8, 3, 0, 0, 0))
# Text, and EXIF data, might say that the picture is to be turned.
_WITHOUT_TURN = (b"IHDR", b"PLTE", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"pHYs", b"bKGD", b"tIME")
_MOST_PIXELS = 1 << 26  # beyond, Pillow decides whether the header is to be believed


def decode_jpeg(content: bytes) -> np.ndarray | None:
    """An upright three-channel JPEG of 8 bits as uint8 (H, W, 3), RGB; None for any other file."""
    # OpenCV takes half a file without a word. Within compressed data this marker cannot occur, so
    # what was cut in there has lost it.
    if not content.endswith(b"\xff\xd9") or not _is_ordinary(content):
        return None
    stored = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    return cv2.imdecode(np.frombuffer(content, np.uint8), stored)


def _is_ordinary(content: bytes) -> bool:
    for marker, segment in _segments(content):
        if marker in _START_OF_FRAME:
            height, width = (int.from_bytes(segment[at : at + 2], "big") for at in (1, 3))
            # Bits a channel, and channels.
            return segment[:1] + segment[5:6] == b"\x08\x03" and 0 < height * width <= _MOST_PIXELS
        if marker not in _WITHOUT_FRAME or (marker == 0xE1 and _may_turn(segment)):
            return False
    return False


def _segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """A JPEG's markers and what they hold, as far as they follow each other without a gap."""
    at = 2 if content.startswith(b"\xff\xd8") else len(content)
    while at + 10 < len(content) and content[at] == 0xFF:
        length = int.from_bytes(content[at + 2 : at + 4], "big")
        yield content[at + 1], content[at + 4 : at + 2 + length]
        at += 2 + length


def _may_turn(segment: bytes) -> bool:
    """Whether a picture's EXIF or XMP data say, or could say, that it is to be turned."""
    if not segment.startswith(b"Exif\0\0"):
        return b"Orientation" in segment
    exif = Image.Exif()
    try:
        exif.load(segment)
        return exif.get(_ORIENTATION, 1) != 1
    except Exception:  # whatever is wrong with them: Pillow knows what it makes of that
        return True


def decode_png(content: bytes) -> np.ndarray | None:
    """An 8-bit palette or grey PNG without filters as stored, uint8 (H, W), read-only; else None."""
    if not content.startswith(_PNG_START):
        return None
    width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))
    if content[24:29] not in (_GREY, _PALETTE) or not 0 < width * height <= _MOST_PIXELS:
        return None
    pixels = _pixel_data(content)
    return None if pixels is None else _rows(pixels, height, width)


def _pixel_data(content: bytes) -> bytes | None:
    """The compressed pixels of a whole and sound PNG that is upright for certain; else None."""
    at, parts = 8, []
    while at + 12 <= len(content):
        kind, end = content[at + 4 : at + 8], at + 8 + int.from_bytes(content[at : at + 4], "big")
        if zlib.crc32(content[at + 4 : end]) != int.from_bytes(content[end : end + 4], "big"):
            return None
        if kind == b"IDAT":
            parts.append(content[at + 8 : end])
        elif kind == b"IEND":
            return b"".join(parts)
        elif kind not in _WITHOUT_TURN:
            return None
        at = end + 4
    return None


def _rows(compressed: bytes, height: int, width: int) -> np.ndarray | None:
    size, stream = height * (width + 1), zlib.decompressobj()
    try:
        data = stream.decompress(compressed, size + 1)
    except zlib.error:
        return None
    if len(data) != size or not stream.eof:
        return None
    # Each row begins with the number of its filter.
    rows = np.frombuffer(data, np.uint8).reshape(height, width + 1)
    return None if rows[:, 0].any() else rows[:, 1:]
