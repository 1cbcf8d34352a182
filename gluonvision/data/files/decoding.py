"""The two kinds of file that data sets are made of, decoded in less time than Pillow takes.

Ordinary JPEGs by OpenCV: the library inside is the same one, and so is every pixel. Masks in
unfiltered 8-bit PNGs, which is how VOC's are written, by zlib-ng alone. What is unusual in any way,
a broken file above all, is not decoded here but left to Pillow, whose errors say what is wrong.
"""

import re
from collections.abc import Iterator

import cv2
import numpy as np
from PIL import Image
from zlib_ng import zlib_ng as zlib

_START_OF_FRAME = (0xC0, 0xC1)  # baseline and extended: Huffman-coded, in one scan
_START_OF_SCAN = 0xDA
# Between compressed data only those to restart at, 0xD0 to 0xD7, have a place; 0 makes it data.
_MARKER_AMID_DATA = re.compile(rb"\xff[^\0\xd0-\xd7]")
_TABLES_AND_NOTES = (0xC4, 0xDB, 0xDD, *range(0xE0, 0xF0), 0xFE)
_ORIENTATION = 0x0112
_PNG_START = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
# Depth, colour type, and no compression, filter method or interlacing but the usual ones.
_GREY, _PALETTE = bytes((8, 0, 0, 0, 0)), bytes((8, 3, 0, 0, 0))
# Text, and EXIF data, might say that the picture is to be turned.
_WITHOUT_TURN = (b"IHDR", b"PLTE", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"pHYs", b"bKGD", b"tIME")
_MOST_PIXELS = 1 << 26  # beyond, Pillow decides whether the header is to be believed


def decode_jpeg(content: bytes) -> np.ndarray | None:
    """An upright three-channel JPEG of 8 bits as uint8 (H, W, 3), RGB; None for any other file."""
    start = _scan_start(content)
    # OpenCV takes half a file, and most of a broken one, without an error.
    if start is None or _MARKER_AMID_DATA.search(content, start, len(content) - 2):
        return None
    stored = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    return cv2.imdecode(np.frombuffer(content, np.uint8), stored)


def _scan_start(content: bytes) -> int | None:
    """Where the compressed data of an ordinary JPEG begin, None for any other file."""
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
    """Whether the end's marker follows the compressed data of a JPEG.

    Zeros may fill the rest of a download that was broken off: to decoders they are data.
    """
    scans = (end for marker, _, end in _segments(content) if marker == _START_OF_SCAN)
    return content.find(b"\xff\xd9", next(scans, len(content))) >= 0


def _segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """The marker of each segment of a JPEG up to its data, and its content's beginning and end."""
    at = 2
    while content[at : at + 1] == b"\xff" and at + 4 <= len(content):
        if content[at + 1] == 0xFF:  # markers may begin with more than one
            at += 1
            continue
        end = at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        yield content[at + 1], at + 4, end
        at = end


def _is_ordinary(marker: int, segment: bytes) -> bool:
    if marker in _START_OF_FRAME:
        height, width = (int.from_bytes(segment[at : at + 2], "big") for at in (1, 3))
        # Bits a channel, and channels.
        return segment[:1] + segment[5:6] == b"\x08\x03" and 0 < height * width <= _MOST_PIXELS
    return marker in _TABLES_AND_NOTES and not (marker == 0xE1 and _may_turn(segment))


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
    """What an 8-bit PNG, palette or grey, without filters holds: uint8 (H, W); else None."""
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
        # Each row begins with the number of its filter; a file that has any shows it soon.
        data = stream.decompress(compressed, min(2 * (width + 1), size))
        if any(data[:: width + 1]):
            return None
        data += stream.decompress(stream.unconsumed_tail, size + 1 - len(data))
    except zlib.error:  # type: ignore[misc]  # its stubs have it as a value
        return None
    if len(data) != size or not stream.eof:
        return None
    rows = np.frombuffer(data, np.uint8).reshape(height, width + 1)
    return None if rows[:, 0].any() else rows[:, 1:]
