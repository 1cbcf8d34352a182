"""What a function returns for one number after another, computed ahead by processes.

They are forks of this process, made for one pass: what they read is in memory once, and a transform
may be a lambda. They touch no framework and no device. Arrays come through memory that is shared.

Nobody waits for another alone. Pipes carry small records, each whole or not there; whoever waits
for one looks at the workers too, and a worker looks at its parent.
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
from collections.abc import Callable, Generator
from itertools import islice
from multiprocessing import current_process, get_context
from typing import Any

import numpy as np

# Now: NumPy 2 imports it when it is asked for, which another thread may be at when we fork.
from numpy.random import get_bit_generator, set_bit_generator
from tqdm import tqdm

from gluonvision.data.loading.shared_slot import SharedSlot
from gluonvision.utils.workers import WorkerError, manner_of_death

Load = Callable[[int, Callable], Any]

_AHEAD = 2  # values that are read ahead, a worker
_HELD = 4  # values in the caller's hands before he gets copies
_LOOK = 1000  # milliseconds until a worker is looked at whose end has not been told
_LOOK_AT_PARENT = 0.2

# What a terminal or a scheduler sends to all of a job: the parent ends its work, and then us.
_PARENTS_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_NOTHING = -1
# Their sizes divide a pipe's pages, and so no record is ever in two parts.
_TASK = struct.Struct("qq")  # number, slot
_RECORD = struct.Struct("qqq8x")  # number, start and size of what was written of it


def can_fork() -> bool:
    """Whether ``prefetch`` works here: on Linux, but for daemons of multiprocessing."""
    return sys.platform == "linux" and not current_process().daemon


def prefetch(
    load: Load, numbers: range, workers: int, files: Callable[[int], list]
) -> Generator[Any, None, None]:
    """``load(number, empty)`` of every number, in order, two ahead for each of the ``workers``.

    Arrays that ``load`` makes by ``empty(shape, dtype)`` are handed out without a copy; who keeps
    more than a few values gets copies, and an array in anyone's hands never changes. ``files`` of
    a number are named when a worker dies over it.

    What ``load`` raises is raised at its place, from a ``WorkerError`` with the worker's traceback.
    Raises ``WorkerError`` where a worker has died.
    """
    following, workers = iter(numbers), min(workers, len(numbers))
    team = _Team(load, workers, files)
    try:
        team.start()
        for number in islice(following, _AHEAD * workers):
            team.submit(number)
        for number in numbers:
            value = team.take(number, next(following, None))
            yield value
            del value  # its memory may be wanted for another
    finally:
        team.close()


class _Team:
    """The workers of one pass, their memory, and a pipe to all of them and one from all of them."""

    def __init__(self, load: Load, workers: int, files: Callable[[int], list]):
        self.load, self.files = load, files
        self.parent = os.getpid()
        self.slots = [SharedSlot() for _ in range(_AHEAD * workers + _HELD)]
        # The one freed last is the next one used: its memory is there.
        self.free = deque(self.slots)
        self.tasks, self._tasks = _pipe()
        self._records, self.records = _pipe()
        os.set_blocking(self._records.fileno(), False)
        fork = get_context("fork").Process
        self.processes = [fork(target=_work, args=(self, i), daemon=True) for i in range(workers)]
        self.reading = np.frombuffer(mmap.mmap(-1, 8 * workers or 8), np.int64)  # of a worker
        self.reading[:] = _NOTHING
        self._poll = select.poll()
        self._ended: list[int] = []  # workers
        self._in: dict[int, SharedSlot] = {}  # where a number is or will be
        self._places: dict[int, tuple[int, int]] = {}  # where in it

    def start(self):
        """Fork the workers."""
        # Before multiprocessing's own handler, which would wait for them.
        atexit.register(self.close)
        with _without_signals(), tqdm.get_lock(), warnings.catch_warnings():
            # A fork has the locks that other threads held, and they never open. Those that a worker
            # needs are opened by Python and the C library, held here (tqdm's) or made anew.
            warnings.filterwarnings("ignore", ".*multi-threaded, use of fork", DeprecationWarning)
            for process in self.processes:
                process.start()
        for file in (self._records, *(process.sentinel for process in self.processes)):
            self._poll.register(file, select.POLLIN)

    def submit(self, number: int):
        """Have one of the workers read it."""
        slot = self._in[number] = self.free.pop()
        self._tasks.write(_TASK.pack(number, self.slots.index(slot)))

    def take(self, number: int, following: int | None) -> Any:
        """What was read of a number, when it is there; the ``following`` one is submitted."""
        self._wait_for(number)
        slot, place = self._in.pop(number), self._places.pop(number)
        must_be_free = following is not None and not self.free
        value, told = slot.read(place, copy=must_be_free, on_release=self.free.append)
        if told:
            raise value from WorkerError(f"in a worker process:\n{told}")
        if following is not None:
            self.submit(following)
        return value

    def close(self):
        """End the workers, whatever they do."""
        if os.getpid() != self.parent:
            return  # another fork of the parent has this object too
        started = [process for process in self.processes if process.pid]
        for process in started:
            process.kill()
        for process in started:
            process.join()
        for part in (self.tasks, self._tasks, self._records, self.records, *self.slots):
            part.close()
        self.processes, self.slots = [], []
        # Not before: whom an interrupt leaves alive must end before multiprocessing waits for him.
        atexit.unregister(self.close)

    def _wait_for(self, number: int):
        while number not in self._places:
            self._look()
            # Whoever died over a later number has left this one to the others, or read it before.
            lost = [w for w in self._ended if self.reading[w] in (_NOTHING, number)]
            if lost and number not in self._places:
                raise WorkerError(self._end_of(lost[0]))

    def _look(self):
        ready = [file for file, _ in self._poll.poll(_LOOK)]
        for worker, process in enumerate(self.processes):
            # A sentinel tells of an end, unless a child of the worker's has it too.
            ended = process.sentinel in ready or not (ready or process.is_alive())
            if ended and worker not in self._ended:
                self._ended.append(worker)
                self._poll.unregister(process.sentinel)
        # Not before that: the last record may have come in between.
        self._read_records()

    def _read_records(self):
        for number, *place in _RECORD.iter_unpack(self._records.read(4096) or b""):
            self._places[number] = tuple(place)

    def _end_of(self, worker: int) -> str:
        process = self.processes[worker]
        process.join(_LOOK / 1000)
        name = f"worker process {worker + 1} of {len(self.processes)} (pid {process.pid})"
        told = f"{name} {manner_of_death(process.exitcode)}; {_remedy(process.exitcode)}"
        number = int(self.reading[worker])
        if number == _NOTHING:
            return told
        files = [f"\n  {file}" for file in self.files(number)]
        return f"{told}. It was reading the batch of{''.join(files)}"


def _pipe():
    """Its ends, to read and to write; small records come whole, whoever reads and writes."""
    reader, writer = os.pipe()
    return open(reader, "rb", buffering=0), open(writer, "wb", buffering=0)


def _remedy(exitcode: int | None) -> str:
    if exitcode in (-signal.SIGKILL, -signal.SIGBUS):
        return "take fewer workers (--workers) or a smaller batch (--batch-size)"
    return "without workers (--workers 0) one sees where that happens"


@contextlib.contextmanager
def _without_signals():
    """Hold back what a child is to ignore, until it does."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _PARENTS_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(team: _Team, worker: int):
    """A worker's life. It ends with its parent, or by its hand."""
    try:
        # What is garbage now is the parent's to free: memory of devices, open files.
        gc.freeze()
        kept = _part_from(team.parent)
        while task := team.tasks.read(_TASK.size):
            number, slot = _TASK.unpack(task)
            team.reading[worker] = number
            place = _answer(team.load, number, team.slots[slot])
            team.reading[worker] = _NOTHING
            team.records.write(_RECORD.pack(number, *place))
        del kept
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)  # the parent's handlers and destructors are not to run here


def _answer(load: Load, number: int, slot: SharedSlot) -> tuple[int, int]:
    slot.clear()
    try:
        return slot.write(load(number, slot.empty))
    except BaseException as error:
        slot.clear()
        return slot.write_error(error)


def _part_from(parent: int) -> list:
    """Leave alone what is the parent's: signals, locks, streams (returned, to be kept)."""
    for number in _PARENTS_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _PARENTS_SIGNALS)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    tqdm.set_lock(threading.RLock())
    # np.random's lock is that of its generator.
    set_bit_generator(type(get_bit_generator())())
    # In a transform torch would wait for OpenMP's threads, and those are the parent's.
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)
    return [_renew(name) for name in ("stdout", "stderr")]


def _renew(name: str):
    """Open a stream anew, as a thread of the parent may have had it locked; the old one."""
    stream = getattr(sys, name)
    if isinstance(stream, io.TextIOWrapper):
        encoding, errors = stream.encoding, stream.errors
        with contextlib.suppress(OSError, ValueError):  # one in memory, or closed
            new = open(stream.fileno(), "w", 1, encoding, errors, closefd=False)  # noqa: SIM115
            setattr(sys, name, new)
    return stream


def _end_with(parent: int):
    while os.getppid() == parent:
        time.sleep(_LOOK_AT_PARENT)
    os._exit(1)
