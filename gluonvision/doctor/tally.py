"""All samples' facts, added up in memory that does not grow with their number.

What is kept: counters of bounded size, the first few files of each fault, and sixteen bytes a file
to tell duplicates by.
"""

from collections import Counter
from itertools import pairwise

import numpy as np

from gluonvision.data.files.reading import LOSSY
from gluonvision.data.meta import Meta
from gluonvision.doctor.facts import Mask, Pair, Photo, Sample
from gluonvision.doctor.report import (
    ClassCount,
    Example,
    SplitStatistics,
    Spread,
    Statistics,
)
from gluonvision.doctor.rules import IGNORED, WRONG, faults, labels_of, size_text

NUM_EXAMPLES = 6
NUM_SAMPLES = 3
_NUM_SIZES = 12
_MOST_DIFFERENT = 4096
_LONGEST = 65536
DIGEST = 16


class Bucket:
    """The number of times that a fault was seen, and its first few examples."""

    def __init__(self):
        self.count, self.examples = 0, []

    def add(self, example: Example) -> None:
        """Count one more."""
        self.count += 1
        if len(self.examples) < NUM_EXAMPLES:
            self.examples.append(example)


class BoundedCounter:
    """A counter of at most ``_MOST_DIFFERENT`` keys; what is beyond is counted as 'other'."""

    def __init__(self):
        self.counts = Counter()

    def add(self, key, number: int = 1) -> None:
        """Count ``number`` more of ``key``."""
        full = len(self.counts) >= _MOST_DIFFERENT and key not in self.counts
        self.counts["other" if full else key] += number

    def most_common(self, number: int | None = None) -> tuple[tuple[str, int], ...]:
        """(key, count), the most frequent first."""
        return tuple((str(key), count) for key, count in self.counts.most_common(number))


class SplitTally:
    """One split's pixels and images by class; the last two entries are unlabelled and wrong."""

    def __init__(self, name: str, num_class: int):
        self.name = name
        self.images = self.masks = self.samples = 0
        self.pixels = np.zeros(num_class + 2, np.int64)
        self.occurs = np.zeros(num_class + 2, np.int64)

    def add(self, labels: np.ndarray, counts: np.ndarray) -> None:
        """Add one mask: the class of each of its values, and their pixels."""
        self.masks += 1
        place = np.where(labels == IGNORED, len(self.pixels) - 2, labels)
        place = np.where(labels == WRONG, len(self.pixels) - 1, place)
        np.add.at(self.pixels, place, counts)
        self.occurs[np.unique(place)] += 1

    def statistics(self, meta: Meta) -> SplitStatistics:
        """The counts as plain values."""
        rows = zip(meta.classes, self.pixels.tolist(), self.occurs.tolist())
        classes = tuple(ClassCount(*row) for row in rows)
        unlabelled, wrong = self.pixels[-2:].tolist()
        return SplitStatistics(self.name, self.images, self.masks, classes, unlabelled, wrong)


class Tally:
    """Adds up samples, in the order of ``Source.pairs()``."""

    def __init__(self, meta: Meta, splits: list[str], length: int):
        self.meta = meta
        self.splits = {name: SplitTally(name, meta.num_class) for name in splits}
        self.buckets: dict[str, Bucket] = {}
        self.values, self.sizes = BoundedCounter(), BoundedCounter()
        self.image_kinds, self.mask_kinds = BoundedCounter(), BoundedCounter()
        self.widths, self.heights = (np.zeros(_LONGEST, np.int64) for _ in range(2))
        # All zeros: no digest, as of a file that cannot be read.
        self.digests = np.zeros(length, f"V{DIGEST}")
        self.samples: list[Pair] = []
        self.length = self.palettes = 0

    def add(self, sample: Sample) -> None:
        """Add one pair."""
        for fault in faults(sample, self.meta):
            example = Example(fault.file, fault.detail, sample.pair)
            self.buckets.setdefault(fault.code, Bucket()).add(example)
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

    def _add_image(self, image: Photo, split: SplitTally) -> None:
        split.images += 1
        self.digests[self.length] = image.digest
        self.image_kinds.add(f"{image.format} {image.mode}")
        self.sizes.add(image.size)
        width, height = (min(side, _LONGEST - 1) for side in image.size)
        self.widths[width] += 1
        self.heights[height] += 1

    def _add_mask(self, mask: Mask, split: SplitTally) -> None:
        self.mask_kinds.add(f"{mask.format} {mask.mode}")
        # What a JPEG invented would hide that a class never occurs.
        if mask.values is None or mask.counts is None or mask.format in LOSSY:
            return
        self.palettes += mask.colours is not None
        split.add(labels_of(mask.values, self.meta), mask.counts)
        for value, count in zip(mask.values.tolist(), mask.counts.tolist()):
            self.values.add(value, count)

    def duplicates(self) -> list[np.ndarray]:
        """Places of images that are equal pixel for pixel: each group in order, two at least."""
        # As two numbers: NumPy does not sort raw bytes.
        keys = self.digests[: self.length].view("u8").reshape(-1, 2)
        order = np.lexsort((np.arange(len(keys)), keys[:, 1], keys[:, 0]))
        order = order[keys[order].any(axis=1)]
        if not len(order):
            return []
        ends = np.flatnonzero((keys[order][1:] != keys[order][:-1]).any(axis=1)) + 1
        starts = [0, *ends.tolist(), len(order)]
        groups = [order[a:b] for a, b in pairwise(starts) if b - a > 1]
        return sorted(groups, key=lambda places: int(places[0]))

    def statistics(self) -> Statistics:
        """All counters as plain values."""
        sizes = [
            (key if key == "other" else size_text(key), count)
            for key, count in self.sizes.counts.most_common(_NUM_SIZES)
        ]
        return Statistics(
            splits=tuple(split.statistics(self.meta) for split in self.splits.values()),
            widths=_spread(self.widths),
            heights=_spread(self.heights),
            sizes=tuple(sizes),
            image_kinds=self.image_kinds.most_common(),
            mask_kinds=self.mask_kinds.most_common(),
        )


def _spread(histogram: np.ndarray) -> Spread:
    total = histogram.cumsum()
    if not total[-1]:
        return Spread(0, 0, 0)
    middle = int(np.searchsorted(total, (total[-1] + 1) // 2))
    present = np.flatnonzero(histogram)
    return Spread(int(present[0]), middle, int(present[-1]))
