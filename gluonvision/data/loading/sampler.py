"""Which samples a pass reads and in which order, for one process or several."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Sampler:
    """The order of ``length`` samples in each epoch, or one process's shard of it.

    The order depends only on ``seed`` and the epoch. Process ``rank`` takes every
    ``world_size``-th sample from the ``rank``-th on, so the batches of all processes together are
    the batches of one process with a larger batch size.

    Args:
        length: number of samples in the data set.
        shuffle: shuffle the samples, differently in each epoch.
        seed: seed of the shuffling.
        rank: number of this process.
        world_size: number of processes.
        equal: make all shards equally long, for training, where processes step together; an epoch
            then leaves out up to ``world_size - 1`` samples. Otherwise, for evaluation, every
            sample is in exactly one shard, and the lengths of shards differ by one at most.

    Raises:
        ValueError: ``rank`` is not below ``world_size``, or a number is out of range.
    """

    length: int
    shuffle: bool = False
    seed: int = 0
    rank: int = 0
    world_size: int = 1
    equal: bool = True

    def __post_init__(self) -> None:
        if self.length < 0 or self.seed < 0:
            raise ValueError(f"length {self.length}, seed {self.seed}: expected 0 or more")
        if not 0 <= self.rank < self.world_size:
            raise ValueError(
                f"rank {self.rank} of {self.world_size} processes: expected 0 to "
                f"{self.world_size - 1}, with world_size at least 1"
            )

    def __len__(self) -> int:
        """Return the number of samples in this process's shard."""
        full, rest = divmod(self.length, self.world_size)
        return full + (not self.equal and self.rank < rest)

    def order(self, epoch: int) -> np.ndarray:
        """Return the indices of this shard in one epoch, int64 (len(self),)."""
        whole = epoch_order(self.length, self.shuffle, self.seed, epoch)
        return whole[self.rank :: self.world_size][: len(self)]


def epoch_order(length: int, shuffle: bool, seed: int, epoch: int) -> np.ndarray:
    """Return the order of ``length`` samples in one epoch; it depends only on the arguments."""
    if not shuffle:
        return np.arange(length)
    sequence = np.random.SeedSequence(seed, spawn_key=(epoch,))
    return np.random.default_rng(sequence).permutation(length)
