"""Batches of NumPy arrays, read ahead by threads.

Threads and not processes: Pillow's decoders and OpenCV release the interpreter's lock, a batch then
needs no copy from process to process, and an error keeps its traceback.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import cv2
import numpy as np

_LAST_BATCH = ("keep", "discard")


class DataLoader:
    """A data set's samples in batches: uint8 (N, H, W, 3) images and int32 (N, H, W) masks.

    File names (mode 'test') become a list. ``num_workers`` threads read ahead by two batches each;
    0 reads in the caller's thread. ``last_batch``: 'keep' or 'discard' one that is not full.

    The order depends on ``seed`` and the epoch alone. The first pass is epoch 0 and each further
    pass the next one; ``set_epoch`` chooses the epoch of the pass that follows, so a resumed run
    sees what it would have seen. Passes of one loader come one after the other.

    With workers, OpenCV's own threads are switched off for the whole process: each worker would
    start as many as there are cores.

    Raises ValueError for arguments out of range; RuntimeError, with its cause and the sample's
    file, when a sample cannot be had.
    """

    def __init__(
        self,
        dataset,
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
        num_workers: int = 0,
        last_batch: str = "keep",
    ):
        self.dataset, self.batch_size = dataset, batch_size
        self.shuffle, self.seed, self.epoch = shuffle, seed, 0
        self.num_workers, self.last_batch = num_workers, last_batch
        self._check()

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next pass: its order, and its augmentation."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Batches in one pass."""
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full + (1 if rest and self.last_batch == "keep" else 0)

    def __iter__(self) -> Iterator[tuple]:
        if hasattr(self.dataset, "set_epoch"):
            self.dataset.set_epoch(self.epoch)
        batches = self._batches(epoch_order(len(self.dataset), self.shuffle, self.seed, self.epoch))
        self.epoch += 1
        return self._read_ahead(batches) if self.num_workers else map(self._load, batches)

    def _batches(self, order: np.ndarray) -> Iterator[list[int]]:
        for number in range(len(self)):
            yield order[number * self.batch_size :][: self.batch_size].tolist()

    def _read_ahead(self, batches: Iterator[list[int]]) -> Iterator[tuple]:
        pool = ThreadPoolExecutor(self.num_workers, initializer=cv2.setNumThreads, initargs=(0,))
        try:
            first = islice(batches, 2 * self.num_workers)
            pending = deque(pool.submit(self._load, batch) for batch in first)
            while pending:
                loaded = pending.popleft().result()
                pending.extend(pool.submit(self._load, batch) for batch in islice(batches, 1))
                yield loaded
        finally:
            pool.shutdown(cancel_futures=True)

    def _load(self, indices: list[int]) -> tuple:
        samples = [self._sample(index) for index in indices]
        return tuple(_stack(column) for column in zip(*samples))

    def _sample(self, index: int) -> tuple:
        try:
            return self.dataset[index]
        except Exception as error:
            files = getattr(self.dataset, "images", None)
            name = f" ({files[index]})" if files else ""
            raise RuntimeError(
                f"sample {index}{name} failed: {type(error).__name__}: {error}"
            ) from error

    def _check(self) -> None:
        if self.batch_size < 1 or self.num_workers < 0:
            raise ValueError(
                f"batch_size {self.batch_size}, num_workers {self.num_workers}: expected at least "
                "1 and 0"
            )
        if self.last_batch not in _LAST_BATCH:
            raise ValueError(f"last_batch {self.last_batch!r}: expected 'keep' or 'discard'")
        if len(self) == 0:
            raise ValueError(
                f"{len(self.dataset)} samples make no batch of {self.batch_size} (last_batch "
                f"{self.last_batch!r}); choose a smaller batch_size or a larger data set"
            )


def epoch_order(length: int, shuffle: bool, seed: int, epoch: int) -> np.ndarray:
    """The order of ``length`` samples in one epoch, a function of its arguments alone."""
    if not shuffle:
        return np.arange(length)
    sequence = np.random.SeedSequence(seed, spawn_key=(epoch,))
    return np.random.default_rng(sequence).permutation(length)


def _stack(column: tuple) -> np.ndarray | list[str]:
    if isinstance(column[0], str):
        return list(column)
    shapes = {np.shape(item) for item in column}
    if len(shapes) > 1:
        raise ValueError(
            f"samples of different shapes cannot be one batch: {sorted(shapes)}; whole images need "
            "batch_size=1, crops of one size come with mode='train'"
        )
    return np.stack(column)
