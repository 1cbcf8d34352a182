"""Batches of NumPy arrays, prefetched by threads or by processes.

Threads work on every system and start immediately. Decoding and warping, most of a sample's time,
run without Python's global lock. The remaining tenth needs the lock, so threads wait for each other
and stall the training loop. Processes do not, but they need Linux, and 30 ms or more per pass to
start and allocate memory; training uses them where it can (benchmarks/augmentation.py).
"""

import random
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import cv2
import numpy as np

from gluonvision.data.loading.forked_workers import can_fork, prefetch
from gluonvision.data.loading.prefetch import prefetch_map
from gluonvision.data.loading.sampler import Sampler
from gluonvision.data.loading.torch_in_workers import seed_worker

_LAST_BATCH = ("keep", "discard")
_BATCHES_PER_WORKER = 2
_KEPT_BYTES = 31 << 20

# Makes an array of a shape and a type, like np.empty.
Empty = Callable[[tuple, np.dtype], np.ndarray]


@dataclass
class _Pass:
    """A running pass: its epoch, and how many of its batches have been handed out."""

    epoch: int
    position: int


class SampleError(RuntimeError):
    """A sample could not be read; the message says which, from which file, and why."""


class DataLoader:
    """A data set's samples in batches: uint8 (N, H, W, 3) images and int32 (N, H, W) masks.

    File names (mode 'test') become a list.

    The order depends only on ``seed`` and the epoch. The first pass is epoch 0, and each further
    pass is the next epoch; ``set_epoch`` chooses the epoch of the next pass. If the data set has
    ``set_epoch``, the loader reads ``dataset[index, epoch]``, otherwise ``dataset[index]``, so
    simultaneous passes do not affect each other.

    ``state_dict`` holds the position of the latest pass in a few numbers. A loader with the same
    arguments that loads it resumes with the next batch, and reads nothing before that.

    With workers, OpenCV's own threads are switched off for the whole process, because each worker
    would start one per core. Worker processes are forks, made for each pass; memory that this
    process writes to while they run is duplicated. In their transforms, ``random``, ``np.random``
    and torch draw numbers that depend on seed, epoch and batch, and torch has one thread. A
    generator of your own draws the same numbers in each worker and each pass.

    Args:
        dataset: a ``SegmentationDataset``, or anything with ``__len__`` and ``__getitem__``.
        batch_size: samples per batch.
        shuffle: shuffle the samples, differently in each epoch.
        seed: seed of the shuffling.
        num_workers: threads, or with ``processes`` processes, that prefetch two batches each; 0
            reads in the caller's thread.
        last_batch: 'keep' or 'discard' a last batch that is not full.
        sampler: the order, in place of ``shuffle`` and ``seed``, for a process that reads its own
            shard.
        stack: stack images and masks to arrays. False leaves them in lists, so that whole images
            of different sizes are a batch, and no padding counts in a metric.
        processes: prefetch in processes, which needs Linux.

    Raises:
        ValueError: an argument is out of range.
        SampleError: a sample cannot be read; raised from its cause, during a pass.
        WorkerError: a worker process died; raised during a pass.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
        num_workers: int = 0,
        last_batch: str = "keep",
        *,
        sampler: Sampler | None = None,
        stack: bool = True,
        processes: bool = False,
    ) -> None:
        self.dataset, self.batch_size, self.stack = dataset, batch_size, stack
        self.num_workers, self.last_batch = num_workers, last_batch
        self.processes = processes
        # Not "sampler or ...": an empty shard is falsy.
        self.sampler = Sampler(len(dataset), shuffle, seed) if sampler is None else sampler
        self.epoch, self._start = 0, 0
        self._current: _Pass | None = None
        self._check(sampler is not None and (shuffle or seed != 0))
        keep_freed_memory()

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next pass: its order and its augmentation.

        The position that ``load_state_dict`` restored is kept if the epoch is the same.
        """
        if epoch != self.epoch:
            self._start = 0
        self.epoch = epoch

    def state_dict(self) -> dict:
        """Return epoch and position (batches handed out) of the latest pass, and what they need.

        Holds numbers, strings and booleans only, so it can be saved as JSON. It is the same in all
        processes of a run.
        """
        latest = self._current or _Pass(self.epoch, self._start)
        has_ended = latest.position == len(self)
        position = _Pass(latest.epoch + 1, 0) if has_ended else latest
        return {"epoch": position.epoch, "position": position.position, **self._batch_options()}

    def load_state_dict(self, state: dict) -> None:
        """Let the next pass resume at the position of ``state_dict``.

        Raises:
            ValueError: the length of the data set, the batch size, the order or the number of
                processes differs, so that the position would belong to other batches.
        """
        options = self._batch_options()
        different = [
            f"{k}: {state.get(k)!r}, now {v!r}" for k, v in options.items() if state.get(k) != v
        ]
        if different or not 0 <= state["position"] <= len(self):
            raise ValueError(
                f"the saved position {state.get('position')} belongs to other batches "
                f"({'; '.join(different)}); resume with the same data and options, or start a new "
                "run"
            )
        self.epoch, self._start = state["epoch"], state["position"]
        self._current = None

    def __len__(self) -> int:
        """Return the number of batches in a whole pass."""
        full, rest = divmod(len(self.sampler), self.batch_size)
        return full + (1 if rest and self.last_batch == "keep" else 0)

    def __iter__(self) -> Iterator[tuple]:
        current = self._current = _Pass(self.epoch, self._start)
        self.epoch, self._start = self.epoch + 1, 0
        return self._count_batches(current)

    def _count_batches(self, current: _Pass) -> Iterator[tuple]:
        order = self.sampler.order(current.epoch).tolist()
        numbers = range(current.position, len(self))
        with closing(self._read(numbers, order, current.epoch)) as batches:
            for batch in batches:
                current.position += 1
                yield batch
                del batch  # a worker may need its memory

    def _read(self, numbers: range, order: list[int], epoch: int) -> Generator[tuple, None, None]:
        load = partial(self._load, order, epoch)
        if not self.num_workers:
            return prefetch_map(load, numbers, 0)
        cv2.setNumThreads(0)
        if not self.processes:
            return prefetch_map(load, numbers, self.num_workers, _BATCHES_PER_WORKER)

        def files(number: int) -> list:
            return self._files_of(self._indices(order, number))

        return prefetch(partial(self._load_seeded, order, epoch), numbers, self.num_workers, files)

    def _load_seeded(self, order: list[int], epoch: int, number: int, empty: Empty) -> tuple:
        """Load a batch in a worker process; all workers were forked with the same random state."""
        s = self.sampler
        seed = np.random.SeedSequence((s.seed, epoch, s.rank, number)).generate_state(4)
        np.random.seed(seed)  # noqa: NPY002  # transforms may use it
        random.seed(seed.tobytes())
        seed_worker(int(seed[0]))
        return self._load(order, epoch, number, empty)

    def _load(self, order: list[int], epoch: int, number: int, empty: Empty | None = None) -> tuple:
        """Load batch ``number``; ``empty`` makes its arrays."""
        has_epochs = hasattr(self.dataset, "set_epoch")
        indices = self._indices(order, number)
        samples = [self._sample((i, epoch) if has_epochs else i) for i in indices]
        columns = zip(*samples)
        return tuple(_stack(column, empty) if self.stack else list(column) for column in columns)

    def _indices(self, order: list[int], number: int) -> list[int]:
        return order[number * self.batch_size :][: self.batch_size]

    def _sample(self, key: int | tuple[int, int]) -> tuple:
        try:
            return self.dataset[key]
        # sys.exit() in a worker would end the run without a message.
        except (Exception, SystemExit) as error:
            index = key[0] if isinstance(key, tuple) else key
            lists = [getattr(self.dataset, name, None) for name in ("images", "masks")]
            files = [str(files[index]) for files in lists if files]
            name = f" ({files[0]})" if files else ""
            message = f"sample {index}{name} failed: {type(error).__name__}: {error}"
            if str(error).startswith(tuple(files)):
                message += (
                    "; skip_broken=True (--skip-broken) skips all such samples, and gluonvision "
                    "doctor lists them"
                )
            raise SampleError(message) from error

    def files(self, epoch: int, number: int) -> list:
        """Return the image files (else the indices) of batch ``number`` of an epoch, in all shards.

        Args:
            epoch: number of the epoch.
            number: number of the batch in it.
        """
        size = self.batch_size * self.sampler.world_size
        whole = replace(self.sampler, rank=0, world_size=1).order(epoch)
        return self._files_of(whole[number * size :][:size].tolist())

    def _files_of(self, indices: list[int]) -> list:
        files = getattr(self.dataset, "images", None)
        return [files[index] for index in indices] if files else indices

    def _batch_options(self) -> dict:
        """Return everything that decides which samples a batch holds."""
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

    def _check(self, order_given_twice: bool) -> None:
        if self.batch_size < 1 or self.num_workers < 0:
            raise ValueError(
                f"batch_size {self.batch_size}, num_workers {self.num_workers}: expected at least "
                "1 and 0"
            )
        if self.last_batch not in _LAST_BATCH:
            raise ValueError(f"last_batch {self.last_batch!r}: expected 'keep' or 'discard'")
        if order_given_twice or self.sampler.length != len(self.dataset):
            raise ValueError(
                f"the sampler orders {self.sampler.length} samples, the data set has "
                f"{len(self.dataset)}; give the sampler the data set's length, shuffle and seed, "
                "and the loader neither shuffle nor seed"
            )
        if self.processes and not can_fork():
            raise ValueError(
                f"processes=True on {sys.platform}: worker processes need Linux, and a parent that "
                "is not a daemon of multiprocessing; use threads (processes=False)"
            )
        self._check_length()

    def _check_length(self) -> None:
        # With many processes, one of them may have no sample to evaluate.
        if len(self) == 0 and (self.sampler.equal or self.sampler.length == 0):
            raise ValueError(
                f"{len(self.sampler)} samples do not fill a batch of {self.batch_size} (last_batch "
                f"{self.last_batch!r}); choose a smaller batch_size or a larger data set"
            )


def keep_freed_memory() -> None:
    """Make glibc keep the memory of freed images for reuse; no effect with other C libraries.

    By default it returns large blocks to the system, which clears each page when it is allocated
    again: a third of a sample's time. glibc takes the largest block freed so far, up to 32 MB, as
    the threshold for "large" (mallopt(3), M_MMAP_THRESHOLD). So this frees a block just below that;
    the block is never written to and costs nothing.
    """
    np.empty(_KEPT_BYTES, np.uint8)


def _stack(column: tuple, empty: Empty | None) -> np.ndarray | list[str]:
    if isinstance(column[0], str):
        return list(column)
    if any(item is None for item in column):
        raise ValueError("a sample holds None; does a transform return nothing?")
    shapes = {np.shape(item) for item in column}
    if len(shapes) > 1:
        raise ValueError(
            f"samples of different shapes cannot be one batch: {sorted(shapes)}; whole images need "
            "batch_size=1 or stack=False, and mode='train' makes crops of one size"
        )
    if empty is None:
        return np.stack(column)
    arrays = [np.asarray(item) for item in column]
    dtype = np.result_type(*(array.dtype for array in arrays))
    return np.stack(arrays, out=empty((len(arrays), *shapes.pop()), dtype))
