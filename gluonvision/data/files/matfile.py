"""Read SBD's masks from MATLAB 5 files, with only NumPy and zlib.

The format is "MAT-File Level 5 File Format" (The MathWorks, 2019). Only the parts that these masks
use are read: a structure ``GTcls`` whose field ``Segmentation`` is a matrix of integers.
"""

import os
import struct
import zlib
from pathlib import Path

import numpy as np

_MATRIX, _COMPRESSED = 14, 15
_STRUCT_CLASS = 2
_NUMBER_CLASSES = range(6, 16)  # double to uint64
_NUMBERS = {1: "i1", 2: "u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<f4", 9: "<f8"}
_NUMBERS |= {12: "<i8", 13: "<u8"}
# VOC's largest images have 500 x 500 pixels; their boundaries, in the same file, add a little.
_MAX_BYTES = 1 << 26


def read_sbd_mask(path: str | os.PathLike) -> np.ndarray:
    """Read ``GTcls.Segmentation`` of a ``.mat`` file as int32 (H, W).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is truncated or not a mask of SBD.
    """
    try:
        content = Path(path).read_bytes()
        return _segmentation(_variable(content, "GTcls"))
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file; unpack the archive again") from None
    except (ValueError, IndexError, KeyError, struct.error, zlib.error, OSError) as error:
        raise ValueError(
            f"{path}: cannot be read as a mask of SBD ({error}); it is truncated, or another kind "
            "of file: download it again, or remove it from the split file"
        ) from error


def _variable(content: bytes, name: str) -> list[tuple[int, bytes]]:
    """Return the data elements of the variable with this name."""
    if len(content) < 136 or content[126:128] != b"IM":
        raise ValueError("not a little-endian MATLAB 5 file")
    for kind, body in _elements(content[128:], padded=False):
        if kind == _COMPRESSED:
            kind, body = _elements(_inflate(body))[0]
        elements = _elements(body) if kind == _MATRIX else []
        if len(elements) > 2 and elements[2][1] == name.encode():
            return elements
    raise ValueError(f"it has no variable {name}")


def _inflate(body: bytes) -> bytes:
    decoder = zlib.decompressobj()
    content = decoder.decompress(body, _MAX_BYTES)
    if not decoder.eof:
        raise ValueError("its compressed data ends too early or is too large")
    return content


def _elements(content: bytes, padded: bool = True) -> list[tuple[int, bytes]]:
    """Split ``content`` into its data elements, (type, bytes)."""
    elements, position = [], 0
    while position + 8 <= len(content):
        kind, size = struct.unpack_from("<II", content, position)
        # A small element packs its type, its size and up to four bytes of data into eight bytes.
        small, start = kind >> 16, position + (4 if kind >> 16 else 8)
        kind, size = (kind & 0xFFFF, small) if small else (kind, size)
        if start + size > len(content) or (small and size > 4):
            raise ValueError("a data element is longer than the file")
        elements.append((kind, content[start : start + size]))
        position = position + 8 if small else start + (-(-size // 8) * 8 if padded else size)
    return elements


def _segmentation(elements: list[tuple[int, bytes]]) -> np.ndarray:
    if elements[0][1][0] != _STRUCT_CLASS:
        raise ValueError("GTcls is not a structure")
    _, _, _, (_, width), (_, names), *fields = elements
    length = struct.unpack("<i", width)[0]
    if length < 1:
        raise ValueError("GTcls has no fields")
    starts = range(0, len(names), length)
    order = [names[i : i + length].split(b"\0")[0] for i in starts]
    if b"Segmentation" not in order:
        raise ValueError("GTcls has no field Segmentation")
    return _matrix(fields[order.index(b"Segmentation")][1])


def _matrix(body: bytes) -> np.ndarray:
    (_, flags), (_, sizes), _, (kind, numbers) = _elements(body)[:4]
    if flags[0] not in _NUMBER_CLASSES or kind not in _NUMBERS:
        raise ValueError("Segmentation does not hold numbers")
    shape = tuple(np.frombuffer(sizes, "<i4"))
    values = np.frombuffer(numbers, _NUMBERS[kind])
    if len(shape) != 2 or min(shape) < 1 or values.size != int(shape[0]) * int(shape[1]):
        raise ValueError(f"Segmentation has {values.size} numbers for a shape of {shape}")
    # MATLAB stores matrices by columns.
    labels = values.reshape(shape, order="F")
    if (labels != labels.astype(np.int32)).any():
        raise ValueError("Segmentation holds numbers that cannot be labels")
    return np.ascontiguousarray(labels, np.int32)
