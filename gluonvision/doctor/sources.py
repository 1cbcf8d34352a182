"""Which files a data set is made of: the one place where the doctor knows a data set.

A data set contributes what it has already: its lists ``images`` and ``masks``, its facts ``meta``,
and ``_read_mask`` for masks that are in no file of their own. Its class is asked to list its files
as for ``skip_broken``, which lets files be missing, and kept from reading them.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gluonvision.data.datasets.base import SegmentationDataset
from gluonvision.data.datasets.catalog import find_dataset_class
from gluonvision.data.meta import Meta
from gluonvision.doctor.facts import Pair

DEFAULT_SPLITS = ("train", "val")
_UNDIVIDED = "all"
# COCO leaves out images with few labels by default, and takes minutes to count them.
_OPTIONS = {name: {"min_pixels": -1} for name in ("coco", "mscoco")}


@dataclass(frozen=True)
class Listing:
    """One split's files; ``masks`` is None for a split without labels.

    ``read_labels``: from an index to its labels, for masks that are in no file of their own.
    """

    split: str
    images: Sequence[Path]
    masks: Sequence[Path] | None = None
    read_labels: Callable | None = None

    def __len__(self) -> int:
        return len(self.images)

    def pair(self, index: int) -> Pair:
        """The image and the mask of one index."""
        if self.masks is None:
            return Pair(self.split, self.images[index])
        reader = None if self.read_labels is None else partial(self.read_labels, index)
        return Pair(self.split, self.images[index], self.masks[index], reader)


@dataclass(frozen=True)
class Source:
    """A data set's facts and files; ``absent``: default splits that are not there, and why."""

    name: str
    root: Path
    meta: Meta
    listings: tuple[Listing, ...]
    absent: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return sum(len(listing) for listing in self.listings)

    def pairs(self) -> Iterator[Pair]:
        """Every pair, split by split."""
        for listing in self.listings:
            yield from map(listing.pair, range(len(listing)))

    def pair(self, position: int) -> Pair:
        """The pair at a place in ``pairs()``."""
        for listing in self.listings:
            if position < len(listing):
                return listing.pair(position)
            position -= len(listing)
        raise IndexError(position)


def open_source(
    dataset: str | SegmentationDataset,
    root: str | os.PathLike | None = None,
    splits: Sequence[str] | None = None,
) -> Source:
    """The files of a data set by name, or of one that is made already.

    Without ``splits``, those of train and val that are there. Raises FileNotFoundError and
    ValueError, as the data set does, where there is none of that name, at that root, or of a split
    that was asked for.
    """
    if not isinstance(dataset, str):
        if splits:
            raise ValueError(f"splits {splits}: a data set that is made already has its own")
        return _from_object(dataset, root)
    datasets, absent, last = {}, [], None
    for split in splits or DEFAULT_SPLITS:
        try:
            datasets[split] = _from_class(dataset, root, split)
        except (FileNotFoundError, NotADirectoryError) as error:
            if splits:
                raise
            last = error
            absent.append((split, str(error).splitlines()[0]))
    if last is not None and not datasets:
        datasets, absent = {_UNDIVIDED: _undivided(dataset, root, last)}, []
    listings = tuple(_listing(dataset, split) for split, dataset in datasets.items())
    meta = next(iter(datasets.values())).meta
    return Source(dataset, _root(root, listings), meta, listings, tuple(absent))


def _from_object(dataset: SegmentationDataset, root: str | os.PathLike | None) -> Source:
    listing = _listing(dataset, getattr(dataset, "split", None) or _UNDIVIDED)
    name = dataset.NAME or type(dataset).__name__
    return Source(name, _root(root, (listing,)), dataset.meta, (listing,))


def _from_class(name: str, root, split: str | None) -> SegmentationDataset:
    """The data set with all files that it lists, there or not."""
    options = {"root": root, "split": split, "skip_broken": True, **_OPTIONS.get(name, {})}
    listed = type("Listed", (find_dataset_class(name),), {"_leave_out_broken": lambda self: None})
    return listed(**options)


def _undivided(name: str, root, error: Exception) -> SegmentationDataset:
    """A folder of one's own may have no splits."""
    if name != "folder":
        raise error
    return _from_class(name, root, None)


def _listing(dataset: SegmentationDataset, split: str) -> Listing:
    return Listing(split, dataset.images, dataset.masks or None, dataset._read_mask)


def _root(root: str | os.PathLike | None, listings: tuple[Listing, ...]) -> Path:
    if root is not None:
        return Path(root).expanduser()
    images = [listing.images[0] for listing in listings if len(listing)]
    return images[0].parent.parent if images else Path()
