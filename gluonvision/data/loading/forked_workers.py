"""Prefetch batches in forked worker processes.

The workers are forks of this process, made for one pass: the data set is in memory once, and a
transform may be a lambda. They use no device. Arrays reach the parent through shared memory.

No process can hang waiting for a dead one. Pipes carry small records, each written and read
whole. While the parent waits for one, it also watches the workers, and a worker watches its parent.
"""

import atexit
import contextlib
import gc
import io
import mmap
import os
import select
import signal
import struct
import sys
import threading
import time
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator
from itertools import islice
from multiprocessing import current_process, get_context
from typing import Any, BinaryIO

import numpy as np

# Import it now: NumPy 2 imports it on first use, and another thread could be doing that during a
# fork.
from numpy.random import get_bit_generator, set_bit_generator
from tqdm import tqdm

from gluonvision.data.loading.shared_slot import SharedSlot, Span
from gluonvision.data.loading.torch_in_workers import start_worker
from gluonvision.utils.workers import WorkerError, describe_exit

Load = Callable[[int, Callable], Any]

_PREFETCHED = 2  # values per worker
_HELD = 4  # values that the caller may hold before it gets copies
_POLL_MS = 1000  # after this time, check for workers that died without notice
_PARENT_CHECK_S = 0.2

# A terminal or a scheduler sends these to the whole job. The parent then stops its work and the
# workers.
_PARENTS_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_NOTHING = -1
# The sizes of the records divide a pipe's pages, so no record is ever split.
_TASK = struct.Struct("qq")  # number, slot
_RECORD = struct.Struct("qqq8x")  # number, and start and size of its value


def can_fork() -> bool:
    """Return whether ``prefetch`` works here: on Linux, except in daemonic processes."""
    return sys.platform == "linux" and not current_process().daemon


def prefetch(
    load: Load, numbers: range, workers: int, files: Callable[[int], list]
) -> Generator[Any, None, None]:
    """Yield ``load(number, empty)`` of every number in order, two per worker in advance.

    Arrays that ``load`` makes with ``empty(shape, dtype)`` are yielded without a copy. A caller
    that holds more than a few values gets copies, so an array that it holds never changes.

    Args:
        load: function of a number and ``empty``; runs in a worker.
        numbers: the numbers.
        workers: number of processes.
        files: files that ``load`` reads for a number; the error names them if a worker dies.

    Raises:
        WorkerError: a worker died. An exception of ``load`` is raised at its number's turn, with a
            WorkerError that holds the worker's traceback as its cause.
    """
    remaining, workers = iter(numbers), min(workers, len(numbers))
    pool = _Pool(load, workers, files)
    try:
        pool.start()
        for number in islice(remaining, _PREFETCHED * workers):
            pool.submit(number)
        for number in numbers:
            value = pool.take(number, next(remaining, None))
            yield value
            del value  # a worker may need its memory
    finally:
        pool.close()


class _Pool:
    """The workers of one pass, their memory, and one pipe to and one pipe from all of them."""

    def __init__(self, load: Load, workers: int, files: Callable[[int], list]) -> None:
        self.load, self.files = load, files
        self.parent = os.getpid()
        self.slots = [SharedSlot() for _ in range(_PREFETCHED * workers + _HELD)]
        # Reuse the slot that was freed last: its pages are mapped already.
        self.free = deque(self.slots)
        self.tasks, self._tasks_end = _pipe()
        self._records_end, self.records = _pipe()
        os.set_blocking(self._records_end.fileno(), False)
        fork = get_context("fork").Process
        self.processes = [fork(target=_work, args=(self, i), daemon=True) for i in range(workers)]
        # The number that each worker is loading.
        self.current = np.frombuffer(mmap.mmap(-1, 8 * workers or 8), np.int64)
        self.current[:] = _NOTHING
        self._poll = select.poll()
        self._dead_workers: list[int] = []
        self._slot_of: dict[int, SharedSlot] = {}  # for submitted numbers
        self._span_of: dict[int, Span] = {}  # for loaded numbers

    def start(self) -> None:
        """Fork the workers."""
        # Register it before multiprocessing's own handler, which would wait for the workers.
        atexit.register(self.close)
        with _blocked_signals(), tqdm.get_lock(), warnings.catch_warnings():
            # Locks that other threads hold during a fork stay locked in the child forever. Python
            # and the C library take care of theirs, tqdm's is held here, and the workers replace
            # the others that they need.
            warnings.filterwarnings("ignore", ".*multi-threaded, use of fork", DeprecationWarning)
            for process in self.processes:
                process.start()
        for descriptor in (self._records_end.fileno(), *(p.sentinel for p in self.processes)):
            self._poll.register(descriptor, select.POLLIN)

    def submit(self, number: int) -> None:
        """Let one of the workers load a number."""
        slot = self._slot_of[number] = self.free.pop()
        self._tasks_end.write(_TASK.pack(number, self.slots.index(slot)))

    def take(self, number: int, next_number: int | None) -> Any:
        """Wait for the value of a number and return it; submit ``next_number``."""
        self._wait_for(number)
        slot, span = self._slot_of.pop(number), self._span_of.pop(number)
        must_be_free = next_number is not None and not self.free
        value, error_text = slot.read(span, copy=must_be_free, on_release=self.free.append)
        if error_text:
            raise value from WorkerError(f"in a worker process:\n{error_text}")
        if next_number is not None:
            self.submit(next_number)
        return value

    def close(self) -> None:
        """Kill the workers, whatever they are doing."""
        if os.getpid() != self.parent:
            return  # another fork of the parent, which inherited this object
        started = [process for process in self.processes if process.pid]
        for process in started:
            process.kill()
        for process in started:
            process.join()
        pipes = self.tasks, self._tasks_end, self._records_end, self.records
        for pipe in pipes:
            pipe.close()
        for slot in self.slots:
            slot.close()
        self.processes, self.slots = [], []
        # Unregister it last: if an interrupt leaves a worker alive, it must be killed before
        # multiprocessing waits for it at exit.
        atexit.unregister(self.close)

    def _wait_for(self, number: int) -> None:
        while number not in self._span_of:
            self._poll_once()
            # A worker that died while loading a later number does not delay this one.
            died = [w for w in self._dead_workers if self.current[w] in (_NOTHING, number)]
            if died and number not in self._span_of:
                raise WorkerError(self._describe_death(died[0]))

    def _poll_once(self) -> None:
        ready = [file for file, _ in self._poll.poll(_POLL_MS)]
        for worker, process in enumerate(self.processes):
            # A sentinel reports the end of a worker, unless the worker left a child that holds it.
            has_ended = process.sentinel in ready or not (ready or process.is_alive())
            if has_ended and worker not in self._dead_workers:
                self._dead_workers.append(worker)
                self._poll.unregister(process.sentinel)
        # Read records after that, because a worker's last one may have arrived in between.
        self._read_records()

    def _read_records(self) -> None:
        for number, start, size in _RECORD.iter_unpack(self._records_end.read(4096) or b""):
            self._span_of[number] = start, size

    def _describe_death(self, worker: int) -> str:
        process = self.processes[worker]
        process.join(_POLL_MS / 1000)
        name = f"worker process {worker + 1} of {len(self.processes)} (pid {process.pid})"
        message = f"{name} {describe_exit(process.exitcode)}; {_fix(process.exitcode)}"
        number = int(self.current[worker])
        if number == _NOTHING:
            return message
        files = [f"\n  {file}" for file in self.files(number)]
        return f"{message}. It was reading the batch of{''.join(files)}"


def _pipe() -> tuple[BinaryIO, BinaryIO]:
    """Make a pipe and return its read and write ends, without buffers."""
    reader, writer = os.pipe()
    return open(reader, "rb", buffering=0), open(writer, "wb", buffering=0)  # type: ignore[return-value]  # raw files have every method used here


def _fix(exitcode: int | None) -> str:
    if exitcode in (-signal.SIGKILL, -signal.SIGBUS):
        return "use fewer workers (--workers) or a smaller batch (--batch-size)"
    return "run without workers (--workers 0) to see where it happens"


@contextlib.contextmanager
def _blocked_signals() -> Iterator[None]:
    """Block these signals until the child ignores them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _PARENTS_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(pool: _Pool, worker: int) -> None:
    """Load numbers in a worker process, until the parent kills it or exits."""
    try:
        # Never collect the parent's garbage here: it may own memory of devices and open files.
        gc.freeze()
        parents_streams = _detach_from_parent(pool.parent)
        while task := pool.tasks.read(_TASK.size):
            number, slot = _TASK.unpack(task)
            pool.current[worker] = number
            span = _load_into(pool.slots[slot], pool.load, number)
            pool.current[worker] = _NOTHING
            pool.records.write(_RECORD.pack(number, *span))
        del parents_streams
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)  # do not run the parent's exit handlers and destructors


def _load_into(slot: SharedSlot, load: Load, number: int) -> Span:
    slot.clear()
    try:
        return slot.write(load(number, slot.empty))
    except BaseException as error:
        slot.clear()
        return slot.write_error(error)


def _detach_from_parent(parent: int) -> list:
    """Ignore the parent's signals and replace its locks and streams; return the old streams."""
    for number in _PARENTS_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _PARENTS_SIGNALS)
    threading.Thread(target=_exit_with_parent, args=(parent,), daemon=True).start()
    tqdm.set_lock(threading.RLock())
    # A new generator, because the lock of np.random is the lock of its generator.
    set_bit_generator(type(get_bit_generator())())
    start_worker()
    return [_reopen(name) for name in ("stdout", "stderr")]


def _reopen(name: str) -> Any:
    """Open a stream again, since a thread of the parent may hold its lock; return the old one."""
    stream = getattr(sys, name)
    if isinstance(stream, io.TextIOWrapper):
        encoding, errors = stream.encoding, stream.errors
        with contextlib.suppress(OSError, ValueError):  # it is in memory, or closed
            new = open(stream.fileno(), "w", 1, encoding, errors, closefd=False)  # noqa: SIM115
            setattr(sys, name, new)
    return stream


def _exit_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PARENT_CHECK_S)
    os._exit(1)
