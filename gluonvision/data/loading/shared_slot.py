"""Memory that processes share, for one value at a time; arrays are read from it without a copy."""

import contextlib
import math
import mmap
import os
import pickle
import traceback
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

_ALIGNMENT = 64
_MADV_POPULATE_WRITE = 23  # Linux 5.14; Python has no name for it

Span = tuple[int, int]
"""Start and size of a part of a slot, in bytes."""


class _Head(NamedTuple):
    """The part of a value that is not in buffers: a pickle that refers to them, and their spans."""

    pickled: bytes
    spans: list[Span]
    traceback: str  # of an error; else empty


class SharedSlot:
    """Memory of a process and its forks, which one of them uses at a time.

    It is a file without a name (memfd_create): it grows with the value, is not limited by /dev/shm,
    and leaves nothing behind when the process is killed.
    """

    def __init__(self) -> None:
        self._file = open(os.memfd_create("gluonvision"), "r+b", buffering=0)  # noqa: SIM115
        self._map: mmap.mmap | None = None
        self._populated = 0
        self.clear()

    def clear(self) -> None:
        """Forget the value."""
        self._used = 0
        self._starts: dict[int, int] = {}  # of the arrays made by ``empty``, by their address

    def close(self) -> None:
        """Release the memory; the system reclaims it when no array of it is left."""
        self._file.close()
        self._map = None

    def empty(self, shape: tuple, dtype: npt.DTypeLike) -> np.ndarray:
        """Make an array in this memory, like ``np.empty``.

        An array of objects, or of size 0, is made outside.
        """
        dtype = np.dtype(dtype)
        size = math.prod(shape) * dtype.itemsize
        if dtype.hasobject or size == 0:
            return np.empty(shape, dtype)
        start = self._allocate(size)
        array = _slice(self._memory(), (start, size)).view(dtype).reshape(shape)
        self._starts[array.ctypes.data] = start
        return array

    def write(self, value: Any) -> Span:
        """Write a value, except the arrays that ``empty`` made here; return its span.

        Raises:
            TypeError: the value cannot be pickled.
            OSError: there is no memory for it.
        """
        try:
            return self._write(value, "")
        except (OSError, MemoryError):
            raise
        except Exception as error:
            raise TypeError(
                f"a sample holds an object that cannot go from process to process ({error}); use "
                "arrays, numbers and text, or load with threads (processes=False)"
            ) from error

    def write_error(self, error: BaseException) -> Span:
        """Write an error and its traceback; as a RuntimeError if it cannot be pickled."""
        return self._write(_picklable(error), "".join(traceback.format_exception(error)))

    def read(self, span: Span, copy: bool, on_release: Callable) -> tuple[Any, str]:
        """Return the value that was written, and the traceback if it is an error.

        Args:
            span: where it was written.
            copy: copy its arrays; otherwise they share the slot's memory.
            on_release: called with the slot when the last array that shares its memory is gone.
        """
        memory = self._memory(sum(span))
        weakref.finalize(memory, on_release, self).atexit = False
        pickled, spans, error_text = pickle.loads(_slice(memory, span))
        shared = [_slice(memory, span) for span in spans]
        buffers = [array.copy() for array in shared] if copy else shared
        return pickle.loads(pickled, buffers=buffers), error_text

    def _write(self, value: Any, error_text: str) -> Span:
        buffers: list[pickle.PickleBuffer] = []
        pickled = pickle.dumps(value, 5, buffer_callback=buffers.append)
        spans = [self._store(buffer.raw()) for buffer in buffers]
        return self._store(memoryview(pickle.dumps(_Head(pickled, spans, error_text))))

    def _store(self, raw: memoryview) -> Span:
        """Copy bytes into the slot, unless they are there already; return their span."""
        if raw.nbytes == 0:
            return 0, 0
        source = np.frombuffer(raw, np.uint8)
        start = self._starts.get(source.ctypes.data)
        if start is None:
            start = self._allocate(raw.nbytes)
            _slice(self._memory(), (start, raw.nbytes))[:] = source
        return start, raw.nbytes

    def _allocate(self, size: int) -> int:
        start = self._used
        self._used = -(-(start + size) // _ALIGNMENT) * _ALIGNMENT
        self._memory(self._used)
        self._populate()
        return start

    def _populate(self) -> None:
        """Map all used pages at once, which takes a quarter to half the time of page faults."""
        first = self._populated // mmap.PAGESIZE * mmap.PAGESIZE
        if self._map is not None and self._used > self._populated:
            with contextlib.suppress(OSError):  # an older kernel maps them when they are written
                self._map.madvise(_MADV_POPULATE_WRITE, first, self._used - first)
            self._populated = self._used

    def _memory(self, size: int = 0) -> np.ndarray:
        """Return all of the memory, at least ``size`` bytes, as a new array.

        Slices of it keep it alive.
        """
        if self._map is None or len(self._map) < size:
            self._map = mmap.mmap(self._file.fileno(), self._grow(max(size, 1)))
            self._populated = 0
        return np.frombuffer(self._map, np.uint8)

    def _grow(self, size: int) -> int:
        """Make the file at least ``size`` bytes long; return its length."""
        length = os.fstat(self._file.fileno()).st_size
        if length < size:
            # Grow generously: pages that nobody writes to cost nothing, but mapping again does.
            length = -(-4 * size // mmap.PAGESIZE) * mmap.PAGESIZE
            os.ftruncate(self._file.fileno(), length)
        return length


def _slice(memory: np.ndarray, span: Span) -> Any:
    start, size = span
    return memory[start : start + size]


def _picklable(error: BaseException) -> BaseException:
    try:
        if type(pickle.loads(pickle.dumps(error))) is type(error):
            return error
    except Exception:
        pass
    return RuntimeError("".join(traceback.format_exception_only(error)).strip())
