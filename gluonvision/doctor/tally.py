"""Add up what was read from all samples.

Memory hardly grows with the number of samples: it holds counters of bounded size, the first few
files of each issue, and 16 bytes per image to find duplicates.
"""

from collections import Counter
from collections.abc import Hashable
from itertools import pairwise

import numpy as np

from gluonvision.data.files.reading import LOSSY
from gluonvision.data.meta import IGNORED, Meta
from gluonvision.doctor.facts import ImageFacts, MaskFacts, Pair, Sample
from gluonvision.doctor.report import (
    ClassCount,
    Example,
    SplitStatistics,
    Spread,
    Statistics,
)
from gluonvision.doctor.rules import WRONG, find_issues, labels_or_wrong, size_text

NUM_EXAMPLES = 6
NUM_SAMPLES = 3
_NUM_SIZES = 12
_MAX_KEYS = 4096
_MAX_SIDE = 65536
_DIGEST_BYTES = 16
# Two bins follow those of the classes: of unlabelled pixels, and of values without a class.
UNLABELLED_BIN, WRONG_BIN = -2, -1


class Bucket:
    """The number of files with an issue, and the first few of them."""

    def __init__(self) -> None:
        self.count = 0
        self.examples: list[Example] = []

    def add(self, example: Example) -> None:
        """Count one more file."""
        self.count += 1
        if len(self.examples) < NUM_EXAMPLES:
            self.examples.append(example)


class BoundedCounter:
    """A counter of at most ``_MAX_KEYS`` keys; it counts all further keys as 'other'."""

    def __init__(self) -> None:
        self.counts: Counter[Hashable] = Counter()

    def add(self, key: Hashable, number: int = 1) -> None:
        """Count ``number`` more of ``key``."""
        is_full = len(self.counts) >= _MAX_KEYS and key not in self.counts
        self.counts["other" if is_full else key] += number

    def most_common(self, number: int | None = None) -> tuple[tuple[str, int], ...]:
        """Return (key, count) of the most frequent keys, or of all keys, most frequent first."""
        return tuple((str(key), count) for key, count in self.counts.most_common(number))


class SplitTally:
    """Pixels and images of a split by class, then ``UNLABELLED_BIN`` and ``WRONG_BIN``."""

    def __init__(self, name: str, num_class: int) -> None:
        self.name = name
        self.images = self.masks = self.samples = 0
        self.pixels = np.zeros(num_class + 2, np.int64)
        self.occurs = np.zeros(num_class + 2, np.int64)

    def add(self, labels: np.ndarray, counts: np.ndarray) -> None:
        """Add one mask: the class id of each distinct value, and its number of pixels."""
        self.masks += 1
        entries = np.where(labels == IGNORED, UNLABELLED_BIN, labels)
        entries = np.where(labels == WRONG, WRONG_BIN, entries)
        np.add.at(self.pixels, entries, counts)
        self.occurs[np.unique(entries)] += 1

    def statistics(self, meta: Meta) -> SplitStatistics:
        """Return the counts as plain values."""
        rows = zip(meta.classes, self.pixels.tolist(), self.occurs.tolist())
        classes = tuple(ClassCount(*row) for row in rows)
        unlabelled, wrong = self.pixels[[UNLABELLED_BIN, WRONG_BIN]].tolist()
        return SplitStatistics(self.name, self.images, self.masks, classes, unlabelled, wrong)


class Tally:
    """Adds up samples in the order of ``Source.pairs()``."""

    def __init__(self, meta: Meta, splits: list[str], length: int) -> None:
        self.meta = meta
        self.splits = {name: SplitTally(name, meta.num_class) for name in splits}
        self.buckets: dict[str, Bucket] = {}
        self.values, self.sizes = BoundedCounter(), BoundedCounter()
        self.image_kinds, self.mask_kinds = BoundedCounter(), BoundedCounter()
        self.widths, self.heights = (np.zeros(_MAX_SIDE, np.int64) for _ in range(2))
        # A file without a digest, because it is unreadable, keeps zeros.
        self.digests = np.zeros(length, f"V{_DIGEST_BYTES}")
        self.samples: list[Pair] = []
        self.length = self.num_palettes = 0

    def add(self, sample: Sample) -> None:
        """Add one pair."""
        for issue in find_issues(sample, self.meta):
            example = Example(issue.file, issue.detail, sample.pair)
            self.buckets.setdefault(issue.code, Bucket()).add(example)
        split = self.splits[sample.pair.split]
        if sample.image.size != (0, 0):
            self._add_image(sample.image, split)
        if sample.mask is not None and sample.mask.size != (0, 0):
            self._add_mask(sample.mask, split)
            self._keep_sample(sample, split)
        self.length += 1

    def _keep_sample(self, sample: Sample, split: SplitTally) -> None:
        mask = sample.mask
        if mask is None or mask.values is None or mask.size != sample.image.size:
            return
        if split.samples < NUM_SAMPLES:
            split.samples += 1
            self.samples.append(sample.pair)

    def _add_image(self, image: ImageFacts, split: SplitTally) -> None:
        split.images += 1
        self.digests[self.length] = image.digest
        self.image_kinds.add(f"{image.format} {image.mode}")
        self.sizes.add(size_text(image.size))
        width, height = (min(side, _MAX_SIDE - 1) for side in image.size)
        self.widths[width] += 1
        self.heights[height] += 1

    def _add_mask(self, mask: MaskFacts, split: SplitTally) -> None:
        self.mask_kinds.add(f"{mask.format} {mask.mode}")
        # The wrong values of a JPEG would make absent classes seem to occur.
        if mask.values is None or mask.counts is None or mask.format in LOSSY:
            return
        self.num_palettes += mask.colours is not None
        split.add(labels_or_wrong(mask.values, self.meta), mask.counts)
        for value, count in zip(mask.values.tolist(), mask.counts.tolist()):
            self.values.add(value, count)

    def duplicates(self) -> list[np.ndarray]:
        """Return groups of two or more positions whose images are equal pixel for pixel."""
        # Compare digests as two numbers, because NumPy does not sort raw bytes.
        keys = self.digests[: self.length].view("u8").reshape(-1, 2)
        order = np.lexsort((np.arange(len(keys)), keys[:, 1], keys[:, 0]))
        order = order[keys[order].any(axis=1)]
        if not len(order):
            return []
        ends = np.flatnonzero((keys[order][1:] != keys[order][:-1]).any(axis=1)) + 1
        starts = [0, *ends.tolist(), len(order)]
        groups = [order[a:b] for a, b in pairwise(starts) if b - a > 1]
        return sorted(groups, key=lambda positions: int(positions[0]))

    def statistics(self) -> Statistics:
        """Return all counters as plain values."""
        return Statistics(
            splits=tuple(split.statistics(self.meta) for split in self.splits.values()),
            widths=_spread(self.widths),
            heights=_spread(self.heights),
            sizes=self.sizes.most_common(_NUM_SIZES),
            image_kinds=self.image_kinds.most_common(),
            mask_kinds=self.mask_kinds.most_common(),
        )


def _spread(histogram: np.ndarray) -> Spread:
    cumulative = histogram.cumsum()
    total = cumulative[-1]
    if not total:
        return Spread(0, 0, 0)
    median = int(np.searchsorted(cumulative, (total + 1) // 2))
    present = np.flatnonzero(histogram)
    return Spread(int(present[0]), median, int(present[-1]))
