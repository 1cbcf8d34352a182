"""COCO 2017 (Lin et al., ECCV 2014): 118,287 train, 5,000 val images, segments of things."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from gluonvision.data.datasets.locations import Location, find_files, find_folder
from gluonvision.data.datasets.published import PublishedDataset, Root
from gluonvision.data.files.coco_annotations import AnnotatedImage, read_annotations
from gluonvision.data.meta import Meta, get_meta
from gluonvision.utils import atomic

LOCATION = Location(
    title="COCO",
    folder="coco",
    subfolders=("coco", "."),
    marker="annotations",
    prepare_name="mscoco",
)
CLASSES = {"voc": "coco", "things": "coco_things"}
_DRAWING_VERSION = 2  # change it when masks are drawn differently, so that images are counted again


class COCOSegmentationDataset(PublishedDataset):
    """COCO's images, with masks drawn from the polygons and run lengths of its annotation file.

    Where segments overlap, the first in the file wins, as in GluonCV. A crowd is ignored where no
    segment covers it; GluonCV draws it as one thing.

    ``root`` is the folder that holds annotations, train2017 and val2017. The splits are 'train' and
    'val', of 2017. The other arguments are those of ``PublishedDataset``, and:

    Args:
        classes: 'voc' for VOC's 21 (20 categories and the background), or 'things' for all 80 and
            the background.
        min_pixels: use only images with more labelled pixels than this: 1000 as in GluonCV, 0 for
            all that have any, -1 for all images (torchvision evaluates on all 5,000 of val).
            Counting takes minutes, so the result is cached next to the annotations, in
            ``*.kept.json``.

    Raises:
        FileNotFoundError: the data set or one of its files is missing.
        ValueError: an argument is wrong, or the annotation file is not one of COCO's.
    """

    NAME = "coco"
    NUM_CLASS = 21
    SPLITS = ("train", "val")

    def __init__(
        self,
        root: Root = None,
        split: str = "train",
        mode: str | None = None,
        transform: Callable | None = None,
        classes: str = "voc",
        min_pixels: int = 1000,
        **options: Any,
    ) -> None:
        if classes not in CLASSES:
            raise ValueError(f"classes {classes!r}: expected one of {', '.join(CLASSES)}")
        self._class_set, self._min_pixels = classes, min_pixels
        super().__init__(root, split, mode, transform, **options)

    @property
    def meta(self) -> Meta:
        """Class names, colours and label values of the chosen classes."""
        return get_meta(CLASSES[self._class_set])

    def _list_files(self, root: Root, may_miss: bool) -> tuple[list[Path], list[Path] | None]:
        self.root = find_folder(LOCATION, root)
        self.annotations = self.root / "annotations" / f"instances_{self.split}2017.json"
        self._entries = read_annotations(self.annotations, self.meta)
        if self._min_pixels >= 0:
            kept = self._kept_ids()
            self._entries = [entry for entry in self._entries if entry.id in kept]
        names = [entry.file_name for entry in self._entries]
        images = find_files(self.root / f"{self.split}2017", names, "", may_miss)
        return images, [self.annotations] * len(images)

    def _read_mask(self, index: int) -> np.ndarray:
        entry = self._entries[index]
        try:
            return entry.draw()
        except ValueError as error:
            raise ValueError(
                f"{self.annotations}: image {entry.id} ({entry.file_name}): {error}; download the "
                "file again, or fix the annotation"
            ) from error

    def _keep(self, indices: list[int]) -> None:
        super()._keep(indices)
        self._entries = [self._entries[i] for i in indices]

    def _kept_ids(self) -> set[int]:
        """Return the ids of images with enough labelled pixels, from the cache if it is valid."""
        stem, min_pixels = self.annotations.stem, self._min_pixels
        path = self.annotations.with_name(f"{stem}.{self._class_set}.{min_pixels}.kept.json")
        status = self.annotations.stat()
        source = {
            "size": status.st_size,
            "mtime_ns": status.st_mtime_ns,
            "drawing": _DRAWING_VERSION,
        }
        kept = _read_cache(path, source)
        if kept is None:
            kept = _count_pixels(self._entries, min_pixels)
            _write_cache(path, source, kept)
        if not kept:
            raise ValueError(
                f"{self.annotations}: no image has more than {min_pixels} labelled pixels; choose "
                "a smaller min_pixels"
            )
        return set(kept)


def _count_pixels(entries: list[AnnotatedImage], min_pixels: int) -> list[int]:
    bar = tqdm(entries, desc="counting labelled pixels", unit="image", disable=None)
    return [entry.id for entry in bar if entry.has_more_than(min_pixels)]


def _read_cache(path: Path, source: dict) -> list[int] | None:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        content = json.loads(path.read_text(encoding="utf-8"))
        ids = content.get("ids")
        is_valid = isinstance(ids, list) and all(type(number) is int for number in ids)
        if content.get("source") == source and is_valid:
            return ids
    return None


def _write_cache(path: Path, source: dict, ids: list[int]) -> None:
    # If the folder is read-only, the pixels are counted again next time.
    with contextlib.suppress(OSError):
        atomic.write_text(path, json.dumps({"source": source, "ids": ids}))
