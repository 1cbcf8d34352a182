"""Read and write MXNet's ``.params`` files with NumPy only.

A file is little-endian. It holds uint64 0x112, uint64 0, the uint64 number of arrays, the arrays,
the uint64 number of names (0 for a list of arrays), and each name as a uint64 length with UTF-8
bytes. An array is

    uint32 magic, [int32 storage type,] uint32 ndim, ndim dimensions,
    int32 device type, int32 device id, int32 dtype flag, the data in C order.

The magic is 0xF993FAC9 (V2, with int64 dimensions) or 0xF993FACA (V3: as V2, but saved under
NumPy's shape semantics, so that ndim 0 is a scalar). Older files have no storage type: the magic
is 0xF993FAC8 (V1, with int64 dimensions), or is missing. In that case the field holds ndim, and
the dimensions are uint32.
"""

import math
import os
import re
import struct
from collections import Counter
from collections.abc import Mapping
from io import BufferedReader, BufferedWriter

import numpy as np

from gluonvision.utils import atomic

_FILE_MAGIC = 0x112
_V1, _V2, _V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
_FLAGS = {"<f4": 0, "<f8": 1, "<f2": 2, "|u1": 3, "<i4": 4, "|i1": 5, "<i8": 6, "|b1": 7}
_DTYPES = {flag: np.dtype(name) for name, flag in _FLAGS.items()}
_BFLOAT16 = 12
_STORAGE_TYPES = {1: "row_sparse", 2: "csr"}
_CPU = (1, 0)
_MAX_NDIM = 32  # NumPy 1's limit
_EXPORT_PREFIXES = ("arg:", "aux:")

_BY_TORCH = "read it with torch.load(weights_only=True)"
# Other files that people name .params: a pattern for their start, their kind, and how to read them.
_LOOKALIKES = (
    (rb"version https://git-lfs", "a Git LFS pointer", "fetch the weights with git lfs pull"),
    (rb"\x93NUMPY", "a NumPy array (.npy)", "read it with numpy.load"),
    (rb"PK\x03\x04.*data\.pkl", "a PyTorch checkpoint", _BY_TORCH),
    (rb"PK\x03\x04.*\.npy", "a NumPy archive (.npz)", "read it with numpy.load"),
    (rb"PK\x03\x04|\x1f\x8b", "an archive", "unpack it and give the .params file in it"),
    (rb"\x80", "a pickle, perhaps PyTorch's", _BY_TORCH),
    (rb".{5}\x00{3}\{", "safetensors", "read it with safetensors.numpy.load_file"),
    (rb"\s*<", "a web page, perhaps an error page", "download the file again"),
    (rb"\s*\{", "JSON", "give the .params file that was exported with the -symbol.json"),
)


def load(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read a ``.params`` file that ``mx.nd.save``, ``save_parameters`` or ``export`` wrote.

    Reading a file runs no code from it and never allocates more memory than the file's size
    justifies.

    Returns:
        The arrays by name, or by '0', '1', ... if the file holds a list. Names of an export lose
        their ``arg:`` or ``aux:``; bfloat16 becomes float32 with equal values.

    Raises:
        ValueError: if the file is damaged, holds sparse arrays, or is not a ``.params`` file.
    """
    with open(path, "rb") as file:
        reader = _Reader(path, file)
        _check_start(reader)
        count = reader.number("Q", "the number of arrays")
        arrays = [_read_array(reader, f"array {i} of {count}") for i in range(count)]
        names = _read_names(reader, count)
        if reader.left:
            raise reader.error(f"it has {reader.left} bytes after its end")
    return dict(zip(names, arrays))


def save(path: str | os.PathLike, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays to a file that MXNet's ``nd.load`` and ``load_parameters`` read.

    The write is atomic: an interrupted one leaves an existing file unchanged.

    Raises:
        ValueError: if an array is a scalar, which a V2 file cannot tell from a missing array, or
            if MXNet lacks its dtype.
    """
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    headers = [_array_header(name, array) for name, array in arrays.items()]
    with atomic.replacing(path) as file:
        _write(file, headers, arrays)


class _Reader:
    """Reads a file and checks every size that the file claims against its remaining bytes."""

    def __init__(self, path: str | os.PathLike, file: BufferedReader) -> None:
        self.path = os.fspath(path)
        self.file = file
        self.left = os.fstat(file.fileno()).st_size

    def error(self, problem: str, advice: str = "copy or download the file again") -> ValueError:
        return ValueError(f"{self.path!r} cannot be read as .params: {problem}; {advice}")

    def take(self, size: int, what: str) -> bytes:
        self.reserve(size, what)
        return self.file.read(size)

    def number(self, code: str, what: str) -> int:
        return self.numbers(code, what)[0]

    def numbers(self, code: str, what: str) -> tuple[int, ...]:
        layout = struct.Struct("<" + code)
        return layout.unpack(self.take(layout.size, what))

    def array(self, shape: tuple[int, ...], dtype: np.dtype, what: str) -> np.ndarray:
        self.reserve(math.prod(shape) * dtype.itemsize, what)
        array = np.empty(shape, dtype)
        if self.file.readinto(array.data) != array.nbytes:
            raise self.error("it became shorter while it was being read")
        return array

    def reserve(self, size: int, what: str) -> None:
        if size > self.left:
            raise self.error(
                f"{what} needs {size} bytes, but only {self.left} are left in the file"
            )
        self.left -= size


def _check_start(reader: _Reader) -> None:
    head = reader.file.peek(512)
    magic = struct.pack("<Q", _FILE_MAGIC)
    if not head:
        raise reader.error("it is empty")
    if not magic.startswith(head[:8]):
        raise reader.error(*_identify(head))
    reader.numbers("QQ", "the file's header")


def _identify(head: bytes) -> tuple[str, str]:
    """Say what a file with this start is, and how to fix it."""
    for start, kind, advice in _LOOKALIKES:
        if re.match(start, head, re.DOTALL):
            return f"it looks like {kind}", advice
    problem = f"it starts with {head[:8]!r}, expected {struct.pack('<Q', _FILE_MAGIC)!r}"
    return problem, "give a file written by save_parameters, export or mx.nd.save"


def _read_array(reader: _Reader, what: str) -> np.ndarray:
    shape = _read_shape(reader, what)
    # Ignore the device that the array was saved from.
    _, _, flag = reader.numbers("iii", f"the header of {what}")
    if flag == _BFLOAT16:
        return _widen(reader.array(shape, np.dtype("<u2"), what))
    if flag not in _DTYPES:
        raise reader.error(f"{what} has dtype flag {flag}, expected 0 to 7 or {_BFLOAT16}")
    if flag == _FLAGS["|b1"]:
        # NumPy expects a bool's byte to be 0 or 1, but a file can hold any value.
        return reader.array(shape, np.dtype("u1"), what).astype(bool)
    return reader.array(shape, _DTYPES[flag], what)


def _widen(bfloat16: np.ndarray) -> np.ndarray:
    """Convert the bits of bfloat16, the upper half of a float32, to float32."""
    wide = np.empty(bfloat16.shape, np.float32)
    np.left_shift(bfloat16, 16, out=wide.view(np.uint32), dtype=np.uint32)
    return wide


def _read_shape(reader: _Reader, what: str) -> tuple[int, ...]:
    magic = reader.number("I", f"the header of {what}")
    if magic in (_V2, _V3):
        _check_dense(reader, what)
    has_magic = magic in (_V1, _V2, _V3)
    ndim = reader.number("i", f"the header of {what}") if has_magic else magic
    if not -1 <= ndim <= _MAX_NDIM:
        raise reader.error(f"{what} starts with {magic:#x} and has ndim {ndim}")
    if ndim < 0 or (ndim == 0 and magic != _V3):
        raise reader.error(
            f"{what} has no shape, so it is a scalar or was never initialized",
            "MXNet cannot load it either: save it after initialize(), and a scalar as shape (1,)",
        )
    shape = reader.numbers(f"{ndim}{'q' if has_magic else 'I'}", f"the shape of {what}")
    _check_shape(reader, shape, what)
    return shape


def _check_dense(reader: _Reader, what: str) -> None:
    storage = reader.number("i", f"the header of {what}")
    if storage in _STORAGE_TYPES:
        raise reader.error(
            f"{what} is sparse ({_STORAGE_TYPES[storage]})",
            "in MXNet, save array.tostype('default') instead",
        )
    if storage != 0:
        raise reader.error(f"{what} has storage type {storage}, expected 0 (dense)")


def _check_shape(reader: _Reader, shape: tuple[int, ...], what: str) -> None:
    # NumPy limits the product of the nonzero dimensions, even if the array has no elements.
    if any(d < 0 for d in shape) or math.prod(d for d in shape if d) >= 2**60:
        raise reader.error(f"{what} has shape {shape}")


def _read_names(reader: _Reader, num_arrays: int) -> list[str]:
    count = reader.number("Q", "the number of names")
    if count == 0:
        return [str(i) for i in range(num_arrays)]
    if count != num_arrays:
        raise reader.error(f"it has {num_arrays} arrays but {count} names")
    names = [_read_name(reader, f"name {i} of {count}") for i in range(count)]
    if len(set(names)) != count:
        [(name, times)] = Counter(names).most_common(1)
        raise reader.error(f"{times} arrays are named {name!r}", "give each array its own name")
    return names


def _read_name(reader: _Reader, what: str) -> str:
    raw = reader.take(reader.number("Q", f"the length of {what}"), what)
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise reader.error(f"{what} is not UTF-8 ({raw[:40]!r})") from error
    return name[4:] if name.startswith(_EXPORT_PREFIXES) else name


def _array_header(name: str, array: np.ndarray) -> bytes:
    flag = _FLAGS.get(_stored_dtype(array))
    if flag is None:
        raise ValueError(
            f"{name!r} has dtype {array.dtype}; a .params file holds "
            f"{', '.join(str(d) for d in _DTYPES.values())}: convert it with astype first"
        )
    if array.ndim == 0:
        raise ValueError(
            f"{name!r} is a scalar, which MXNet cannot load from a .params file: "
            "save it as shape (1,), with reshape(1)"
        )
    layout = f"<Iii{array.ndim}qiii"
    return struct.pack(layout, _V2, 0, array.ndim, *array.shape, *_CPU, flag)


def _stored_dtype(array: np.ndarray) -> str:
    return array.dtype.newbyteorder("<").str


def _write(file: BufferedWriter, headers: list[bytes], arrays: Mapping[str, np.ndarray]) -> None:
    file.write(struct.pack("<QQQ", _FILE_MAGIC, 0, len(arrays)))
    for header, array in zip(headers, arrays.values()):
        file.write(header)
        file.write(np.ascontiguousarray(array, _stored_dtype(array)).data)
    file.write(struct.pack("<Q", len(arrays)))
    for name in arrays:
        raw = name.encode("utf-8")
        file.write(struct.pack("<Q", len(raw)) + raw)
