"""List the files of a data set. Only this module knows the data set classes.

A data set object is built as with ``skip_broken``, which tolerates missing files, but its files are
not read. The doctor uses its lists ``images`` and ``masks``, its ``meta``, and
``_read_mask`` for masks that have no file of their own.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from gluonvision.data.datasets.base import SegmentationDataset
from gluonvision.data.datasets.catalog import find_dataset_class
from gluonvision.data.meta import Meta
from gluonvision.doctor.facts import Pair

DEFAULT_SPLITS = ("train", "val")
_NO_SPLIT = "all"
# By default COCO leaves out images with few labels, and counting labels takes minutes.
_OPTIONS = {name: {"min_pixels": -1} for name in ("coco", "mscoco")}


@dataclass(frozen=True)
class Listing:
    """The files of a split.

    Attributes:
        split: the split's name.
        images: the image files.
        masks: the mask file of each image; None for a split without labels.
        read_labels: returns the labels of an index, for masks that have no file of their own.
    """

    split: str
    images: Sequence[Path]
    masks: Sequence[Path] | None = None
    read_labels: Callable[[int], Any] | None = None

    def __len__(self) -> int:
        return len(self.images)

    def pair(self, index: int) -> Pair:
        """Return the image and mask at an index."""
        if self.masks is None:
            return Pair(self.split, self.images[index])
        reader = None if self.read_labels is None else partial(self.read_labels, index)
        return Pair(self.split, self.images[index], self.masks[index], reader)


@dataclass(frozen=True)
class Source:
    """The ``Meta`` and files of a data set; ``absent``: missing default splits and the reasons."""

    name: str
    root: Path
    meta: Meta
    listings: tuple[Listing, ...]
    absent: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return sum(len(listing) for listing in self.listings)

    def pairs(self) -> Iterator[Pair]:
        """Yield all pairs, split by split."""
        for listing in self.listings:
            yield from map(listing.pair, range(len(listing)))

    def pair(self, position: int) -> Pair:
        """Return the pair at a position of ``pairs()``."""
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
    """List the files of a data set.

    Args:
        dataset: name of a data set, or a data set object.
        root: folder of the data set; by default the one that training uses.
        splits: the splits; by default train and val, if they exist.

    Raises:
        ValueError: if the name or a split is unknown, or ``splits`` are given for an object.
        FileNotFoundError: if the root or a split does not exist.
    """
    if not isinstance(dataset, str):
        if splits:
            raise ValueError(
                f"got splits {splits} for a data set object, which has its own split: pass the "
                "name of the data set, or no splits"
            )
        return _from_object(dataset, root)
    datasets, absent, last_error = {}, [], None
    for split in splits or DEFAULT_SPLITS:
        try:
            datasets[split] = _from_class(dataset, root, split)
        except (FileNotFoundError, NotADirectoryError) as error:
            if splits:
                raise
            last_error = error
            absent.append((split, str(error).splitlines()[0]))
    if last_error is not None and not datasets:
        datasets, absent = {_NO_SPLIT: _without_splits(dataset, root, last_error)}, []
    listings = tuple(_listing(dataset, split) for split, dataset in datasets.items())
    meta = next(iter(datasets.values())).meta
    return Source(dataset, _root(root, listings), meta, listings, tuple(absent))


def _from_object(dataset: SegmentationDataset, root: str | os.PathLike | None) -> Source:
    listing = _listing(dataset, getattr(dataset, "split", None) or _NO_SPLIT)
    name = dataset.NAME or type(dataset).__name__
    return Source(name, _root(root, (listing,)), dataset.meta, (listing,))


def _from_class(
    name: str, root: str | os.PathLike | None, split: str | None
) -> SegmentationDataset:
    """Build the data set with all files that it lists, even missing ones."""
    options = {"root": root, "split": split, "skip_broken": True, **_OPTIONS.get(name, {})}
    listed = type("Listed", (find_dataset_class(name),), {"_leave_out_broken": lambda self: None})
    return listed(**options)


def _without_splits(
    name: str, root: str | os.PathLike | None, error: Exception
) -> SegmentationDataset:
    """Build a data set without splits, which only a user's folder can be."""
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
