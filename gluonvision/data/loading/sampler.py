"""Which samples a pass reads, in which order, and which of them are this process's."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Sampler:
    """The order of ``length`` samples in every epoch, or one process's shard of it.

    The order depends on ``seed`` and the epoch alone, and is that of the file unless ``shuffle``.
    Process ``rank`` of ``world_size`` takes every ``world_size``-th sample from the ``rank``-th on,
    so the batches of all processes together are those of one process with the larger batch.

    ``equal``: shards of one length, for training, where processes step together: up to
    ``world_size - 1`` samples of an epoch are in none, and no sample is in two. Otherwise, for
    evaluation, every sample is in exactly one shard, and shards differ by one sample at most.

    Raises ValueError for a rank that is not below ``world_size``, or a number out of range.
    """

    length: int
    shuffle: bool = False
    seed: int = 0
    rank: int = 0
    world_size: int = 1
    equal: bool = True

    def __post_init__(self):
        if self.length < 0 or self.seed < 0:
            raise ValueError(f"length {self.length}, seed {self.seed}: expected 0 or more")
        if not 0 <= self.rank < self.world_size:
            raise ValueError(
                f"rank {self.rank} of {self.world_size} processes: expected 0 to "
                f"{self.world_size - 1}, with world_size at least 1"
            )

    def __len__(self) -> int:
        """Samples in this process's shard."""
        full, rest = divmod(self.length, self.world_size)
        return full + (not self.equal and self.rank < rest)

    def order(self, epoch: int) -> np.ndarray:
        """The indices of this shard in one epoch: int64, (len(self),)."""
        whole = epoch_order(self.length, self.shuffle, self.seed, epoch)
        return whole[self.rank :: self.world_size][: len(self)]


def epoch_order(length: int, shuffle: bool, seed: int, epoch: int) -> np.ndarray:
    """The order of ``length`` samples in one epoch, a function of its arguments alone."""
    if not shuffle:
        return np.arange(length)
    sequence = np.random.SeedSequence(seed, spawn_key=(epoch,))
    return np.random.default_rng(sequence).permutation(length)
