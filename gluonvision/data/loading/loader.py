"""Batches of NumPy arrays, read ahead by threads or by processes.

Threads work on every system, start at once and share all that there is. What takes a sample's
time, decoding and warping, goes on without the interpreter's lock; for the tenth of it that needs
the lock, threads wait for one another and keep waiting who trains. Processes do not. They take
Linux, and 30 ms or more a pass to start and to have their memory; training has them where it can.
benchmarks/augmentation.py measures both.
"""

import random
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

import cv2
import numpy as np

from gluonvision.data.loading.forked_workers import can_fork, prefetch
from gluonvision.data.loading.sampler import Sampler

_LAST_BATCH = ("keep", "discard")
_KEPT = 31 << 20

# Makes an array of a shape and a type, as np.empty.
Empty = Callable[[tuple, np.dtype], np.ndarray]


@dataclass
class _Pass:
    """One pass under way: its epoch, and how many of its batches have been handed out."""

    epoch: int
    position: int


class SampleError(RuntimeError):
    """A sample could not be had; says which, from which file, and why."""


class DataLoader:
    """A data set's samples in batches: uint8 (N, H, W, 3) images and int32 (N, H, W) masks.

    File names (mode 'test') become a list. ``num_workers`` threads, or with ``processes`` so many
    processes, read ahead by two batches each; 0 reads in the caller's thread. ``last_batch``:
    'keep' or 'discard' one that is not full. ``stack=False`` leaves images and masks in lists, so
    that whole images of any sizes are a batch and no padding enters a score.

    The order depends on ``seed`` and the epoch alone, and a sampler decides it: by default one
    made of ``shuffle`` and ``seed``, or ``sampler``, for a process that reads its own shard. The
    first pass is epoch 0 and each further pass the next one; ``set_epoch`` chooses the epoch of
    the pass that follows. A data set that has ``set_epoch`` is asked for ``dataset[index, epoch]``,
    another one for ``dataset[index]``: passes under way at the same time do not touch each other.

    ``state_dict`` is where the pass begun last stands, in a few numbers; a loader of the same
    arguments that loads it goes on with the batch that comes next, and reads nothing before it.

    With workers, OpenCV's own threads are switched off for the whole process: each worker would
    start as many as there are cores. Worker processes (Linux) are forks, made for each pass;
    memory that this process writes to while they live is there twice. In their transforms
    ``random``, ``np.random`` and torch draw what seed, epoch and batch say (a generator of one's
    own draws the same in each worker and each pass), and torch has one thread.

    Raises ValueError for arguments out of range; SampleError, with its cause and the sample's
    file, when a sample cannot be had; WorkerError when a process is killed.
    """

    def __init__(
        self,
        dataset,
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
        num_workers: int = 0,
        last_batch: str = "keep",
        *,
        sampler: Sampler | None = None,
        stack: bool = True,
        processes: bool = False,
    ):
        self.dataset, self.batch_size, self.stack = dataset, batch_size, stack
        self.num_workers, self.last_batch = num_workers, last_batch
        self.processes = processes
        # Not "sampler or": a shard without a sample is one too, and its length is its truth.
        own = Sampler(len(dataset), shuffle, seed)
        self.sampler = own if sampler is None else sampler
        self.epoch, self._start = 0, 0
        self._current: _Pass | None = None
        self._check(sampler is not None and (shuffle or seed != 0))
        keep_freed_memory()

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next pass: its order, and its augmentation.

        Naming the epoch that ``load_state_dict`` restored keeps the position in it.
        """
        if epoch != self.epoch:
            self._start = 0
        self.epoch = epoch

    def state_dict(self) -> dict:
        """Epoch and position (batches handed out) of the pass begun last, and what they hold for.

        Numbers and truth values only, fit for JSON; equal in all processes of a run.
        """
        at = self._current or _Pass(self.epoch, self._start)
        ended = at.position == len(self)
        position = _Pass(at.epoch + 1, 0) if ended else at
        return {"epoch": position.epoch, "position": position.position, **self._kind()}

    def load_state_dict(self, state: dict) -> None:
        """Let the next pass go on where ``state_dict`` stood.

        Raises ValueError where the data set's length, the batch size, the order or the number of
        processes is another: the position would be one among other batches.
        """
        kind = self._kind()
        other = [f"{k}: {state.get(k)!r}, now {v!r}" for k, v in kind.items() if state.get(k) != v]
        if other or not 0 <= state["position"] <= len(self):
            raise ValueError(
                f"the saved position {state.get('position')} is one among other batches "
                f"({'; '.join(other)}); continue with the same data and options, or begin a new run"
            )
        self.epoch, self._start = state["epoch"], state["position"]
        self._current = None

    def __len__(self) -> int:
        """Batches in one whole pass."""
        full, rest = divmod(len(self.sampler), self.batch_size)
        return full + (1 if rest and self.last_batch == "keep" else 0)

    def __iter__(self) -> Iterator[tuple]:
        current = self._current = _Pass(self.epoch, self._start)
        self.epoch, self._start = self.epoch + 1, 0
        return self._counted(current)

    def _counted(self, current: _Pass) -> Iterator[tuple]:
        order = self.sampler.order(current.epoch).tolist()
        numbers = range(current.position, len(self))
        with closing(self._read(numbers, order, current.epoch)) as loaded:
            for batch in loaded:
                current.position += 1
                yield batch
                del batch  # its memory may be wanted for another

    def _read(self, numbers: range, order: list[int], epoch: int) -> Generator[tuple, None, None]:
        if not self.num_workers:
            return (self._load(order, epoch, number) for number in numbers)
        cv2.setNumThreads(0)
        if not self.processes:
            return self._in_threads(partial(self._load, order, epoch), numbers)

        def files(number: int) -> list:
            return self._named(self._indices(order, number))

        load = partial(self._load_seeded, order, epoch)
        return prefetch(load, numbers, self.num_workers, files)

    def _in_threads(self, load: Callable, numbers: range) -> Generator[tuple, None, None]:
        pool, following = ThreadPoolExecutor(self.num_workers), iter(numbers)
        try:
            first = islice(following, 2 * self.num_workers)
            pending = deque(pool.submit(load, number) for number in first)
            while pending:
                loaded = pending.popleft().result()
                pending.extend(pool.submit(load, number) for number in islice(following, 1))
                yield loaded
        finally:
            pool.shutdown(cancel_futures=True)

    def _load_seeded(self, order: list[int], epoch: int, number: int, empty: Empty) -> tuple:
        """In a process: its siblings began with the same random numbers."""
        s = self.sampler
        seed = np.random.SeedSequence((s.seed, epoch, s.rank, number)).generate_state(4)
        np.random.seed(seed)  # noqa: NPY002
        random.seed(seed.tobytes())
        if torch := sys.modules.get("torch"):
            torch.default_generator.manual_seed(int(seed[0]))
        return self._load(order, epoch, number, empty)

    def _load(self, order: list[int], epoch: int, number: int, empty: Empty | None = None) -> tuple:
        """The batch of that number; ``empty``: what makes its arrays."""
        has_epochs = hasattr(self.dataset, "set_epoch")
        indices = self._indices(order, number)
        samples = [self._sample((i, epoch) if has_epochs else i) for i in indices]
        columns = zip(*samples)
        return tuple(_stack(column, empty) if self.stack else list(column) for column in columns)

    def _indices(self, order: list[int], number: int) -> list[int]:
        return order[number * self.batch_size :][: self.batch_size]

    def _sample(self, key) -> tuple:
        try:
            return self.dataset[key]
        # A worker's sys.exit() would end the run without a word.
        except (Exception, SystemExit) as error:
            index = key[0] if isinstance(key, tuple) else key
            lists = [getattr(self.dataset, name, None) for name in ("images", "masks")]
            files = [str(files[index]) for files in lists if files]
            name = f" ({files[0]})" if files else ""
            told = f"sample {index}{name} failed: {type(error).__name__}: {error}"
            if str(error).startswith(tuple(files)):
                told += (
                    "; skip_broken=True (--skip-broken) leaves out all such, the doctor lists them"
                )
            raise SampleError(told) from error

    def files(self, epoch: int, number: int) -> list:
        """The image files (or else the indices) of batch ``number`` of an epoch, in all shards."""
        size = self.batch_size * self.sampler.world_size
        whole = replace(self.sampler, rank=0, world_size=1).order(epoch)
        return self._named(whole[number * size :][:size].tolist())

    def _named(self, indices: list[int]) -> list:
        files = getattr(self.dataset, "images", None)
        return [files[index] for index in indices] if files else indices

    def _kind(self) -> dict:
        """What a position depends on."""
        s = self.sampler
        return {
            "length": s.length,
            "shuffle": s.shuffle,
            "equal": s.equal,
            "seed": s.seed,
            "world_size": s.world_size,
            "batch_size": self.batch_size,
            "last_batch": self.last_batch,
        }

    def _check(self, order_twice: bool) -> None:
        if self.batch_size < 1 or self.num_workers < 0:
            raise ValueError(
                f"batch_size {self.batch_size}, num_workers {self.num_workers}: expected at least "
                "1 and 0"
            )
        if self.last_batch not in _LAST_BATCH:
            raise ValueError(f"last_batch {self.last_batch!r}: expected 'keep' or 'discard'")
        if order_twice or self.sampler.length != len(self.dataset):
            raise ValueError(
                f"the sampler orders {self.sampler.length} samples, the data set has "
                f"{len(self.dataset)}; give the sampler the data set's length, its own shuffle and "
                "seed, and the loader neither"
            )
        if self.processes and not can_fork():
            raise ValueError(
                f"processes=True on {sys.platform}: it needs Linux, and a process that may have "
                "children, as daemons of multiprocessing may not; leave it out"
            )
        self._check_length()

    def _check_length(self) -> None:
        # One of many processes may well have no sample to evaluate.
        if len(self) == 0 and (self.sampler.equal or self.sampler.length == 0):
            raise ValueError(
                f"{len(self.sampler)} samples make no batch of {self.batch_size} (last_batch "
                f"{self.last_batch!r}); choose a smaller batch_size or a larger data set"
            )


def keep_freed_memory() -> None:
    """Have the C library keep the memory of freed images, where it is glibc; else nothing.

    It hands larger blocks back to the system, which clears them page by page when they are wanted
    again: a third of a sample's time. What "larger" means it learns from the largest block freed,
    up to 32 MB (mallopt(3), M_MMAP_THRESHOLD); this block is never written to and costs nothing.
    """
    np.empty(_KEPT, np.uint8)


def _stack(column: tuple, empty: Empty | None) -> np.ndarray | list[str]:
    if isinstance(column[0], str):
        return list(column)
    if any(item is None for item in column):
        raise ValueError("a sample holds None; does a transform return nothing?")
    shapes = {np.shape(item) for item in column}
    if len(shapes) > 1:
        raise ValueError(
            f"samples of different shapes cannot be one batch: {sorted(shapes)}; whole images need "
            "batch_size=1 or stack=False, crops of one size come with mode='train'"
        )
    if empty is None:
        return np.stack(column)
    arrays = [np.asarray(item) for item in column]
    dtype = np.result_type(*(array.dtype for array in arrays))
    return np.stack(arrays, out=empty((len(arrays), *shapes.pop()), dtype))
