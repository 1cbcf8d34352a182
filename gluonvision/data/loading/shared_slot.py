"""Memory that processes share, for one value at a time: arrays come out of it without a copy."""

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

_ALIGNED = 64
_MADV_POPULATE_WRITE = 23  # Linux 5.14; Python has no name for it


class _Head(NamedTuple):
    """What lies in a slot besides buffers: a pickle that asks for them, and where they are."""

    pickled: bytes
    spans: list[tuple[int, int]]
    traceback: str  # of an error; else empty


class SharedSlot:
    """Memory of a process and its forks, one of which uses it at a time.

    A file without a name (memfd_create): it grows to what a value takes, /dev/shm does not bound
    it, and a kill leaves nothing. Places in it are (start, size), in bytes.
    """

    def __init__(self):
        self._file = open(os.memfd_create("gluonvision"), "r+b", buffering=0)  # noqa: SIM115
        self._map: mmap.mmap | None = None
        self._populated = 0
        self.clear()

    def clear(self) -> None:
        """Forget what is in it."""
        self._used = 0
        self._starts: dict[int, int] = {}  # of the arrays made here, by their address

    def close(self) -> None:
        """Give it up; the memory is the system's again when nobody has an array of it."""
        self._file.close()
        self._map = None

    def empty(self, shape: tuple, dtype) -> np.ndarray:
        """As ``np.empty``, in this memory; an array of objects, or of nothing, outside of it."""
        dtype = np.dtype(dtype)
        size = math.prod(shape) * dtype.itemsize
        if dtype.hasobject or size == 0:
            return np.empty(shape, dtype)
        start = self._take(size)
        array = _part(self._memory(), (start, size)).view(dtype).reshape(shape)
        self._starts[array.ctypes.data] = start
        return array

    def write(self, value) -> tuple[int, int]:
        """Put a value there, where ``empty`` has not put its arrays already; the value's place.

        Raises TypeError where it cannot be pickled; OSError where there is no memory for it.
        """
        try:
            return self._write(value, "")
        except (OSError, MemoryError):
            raise
        except Exception as error:
            raise TypeError(
                f"a sample holds what cannot go from process to process ({error}); let it hold "
                "arrays, numbers and texts, or read by threads (processes=False)"
            ) from error

    def write_error(self, error: BaseException) -> tuple[int, int]:
        """Put an error there, and its traceback; one that cannot be pickled as a RuntimeError."""
        told = "".join(traceback.format_exception(error))
        return self._write(_portable(error), told)

    def read(self, place: tuple[int, int], copy: bool, on_release: Callable) -> tuple[Any, str]:
        """What was written, and the traceback where it is an error.

        Its arrays are those of the slot, or with ``copy`` copies. ``on_release(slot)`` is called
        when the last of the slot's is gone.
        """
        memory = self._memory(sum(place))
        weakref.finalize(memory, on_release, self).atexit = False
        pickled, spans, told = pickle.loads(_part(memory, place))
        parts = [_part(memory, span) for span in spans]
        buffers = [part.copy() for part in parts] if copy else parts
        return pickle.loads(pickled, buffers=buffers), told

    def _write(self, value, told: str) -> tuple[int, int]:
        buffers: list[pickle.PickleBuffer] = []
        pickled = pickle.dumps(value, 5, buffer_callback=buffers.append)
        spans = [self._place(buffer.raw()) for buffer in buffers]
        return self._place(memoryview(pickle.dumps(_Head(pickled, spans, told))))

    def _place(self, raw: memoryview) -> tuple[int, int]:
        if raw.nbytes == 0:
            return 0, 0
        source = np.frombuffer(raw, np.uint8)
        start = self._starts.get(source.ctypes.data)
        if start is None:
            start = self._take(raw.nbytes)
            _part(self._memory(), (start, raw.nbytes))[:] = source
        return start, raw.nbytes

    def _take(self, size: int) -> int:
        start = self._used
        self._used = -(-(start + size) // _ALIGNED) * _ALIGNED
        self._memory(self._used)
        self._populate()
        return start

    def _populate(self) -> None:
        """Have all pages in use mapped at once, which takes half the time, or a quarter, of one
        by one."""
        first = self._populated // mmap.PAGESIZE * mmap.PAGESIZE
        if self._map is not None and self._used > self._populated:
            with contextlib.suppress(OSError):  # an older kernel: they are mapped when written to
                self._map.madvise(_MADV_POPULATE_WRITE, first, self._used - first)
            self._populated = self._used

    def _memory(self, size: int = 0) -> np.ndarray:
        """All of it, at least ``size`` bytes: a new array, that parts of it keep alive."""
        if self._map is None or len(self._map) < size:
            self._map = mmap.mmap(self._file.fileno(), self._grown(max(size, 1)))
            self._populated = 0
        return np.frombuffer(self._map, np.uint8)

    def _grown(self, size: int) -> int:
        there = os.fstat(self._file.fileno()).st_size
        if there < size:
            # Generously: pages that nobody writes to cost nothing, and mapping anew does.
            there = -(-4 * size // mmap.PAGESIZE) * mmap.PAGESIZE
            os.ftruncate(self._file.fileno(), there)
        return there


def _part(memory: np.ndarray, place: tuple[int, int]) -> Any:
    start, size = place
    return memory[start : start + size]


def _portable(error: BaseException) -> BaseException:
    try:
        if type(pickle.loads(pickle.dumps(error))) is type(error):
            return error
    except Exception:
        pass
    return RuntimeError("".join(traceback.format_exception_only(error)).strip())
