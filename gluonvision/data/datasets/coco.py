"""COCO 2017 (Lin et al., ECCV 2014): 118,287 train, 5,000 val images, segments of things."""

import contextlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from gluonvision.data.datasets.base import SegmentationDataset
from gluonvision.data.datasets.locations import Place, check_split, files, find
from gluonvision.data.files.reading import IGNORED
from gluonvision.data.files.rle import decode
from gluonvision.data.meta import COCO_NAMES_OF_VOC, Meta, get_meta

PLACE = Place(
    title="COCO", folder="coco", inner=("coco", "."), proof="annotations", script="mscoco"
)
SPLITS = ("train", "val")
CLASSES = {"voc": "coco", "things": "coco_things"}


class COCOSegmentationDataset(SegmentationDataset):
    """COCO's images, with masks drawn from the polygons and run lengths of its annotation file.

    ``root``: the folder that holds annotations, train2017 and val2017; by default
    ``$GLUONVISION_DATA`` (or its folder ``coco``), else ``~/.mxnet/datasets/coco``.
    ``classes``: 'voc', VOC's 21 (20 categories and the background), or 'things', all 80 and the
    background. Where segments overlap, the first in the file wins, as in GluonCV; crowds are
    ignored (GluonCV drew them as one thing) where no segment lies on them.
    ``min_pixels``: images with no more pixels of a class than these are left out, 1000 as in
    GluonCV; 0 keeps all that have any, -1 all (torchvision scores on all 5,000 of val). What is
    left is kept beside the annotations, as counting takes minutes, in a file ``*.kept.json``.
    ``split``: 'train' or 'val', of 2017. ``mode`` (by default the split), ``transform`` and the
    ``options`` as in ``SegmentationDataset``.

    Raises FileNotFoundError where there is no such data, ValueError for wrong arguments and for an
    annotation file that is none.
    """

    NAME = "coco"
    NUM_CLASS = 21

    def __init__(
        self,
        root: str | os.PathLike | None = None,
        split: str = "train",
        mode: str | None = None,
        transform: Callable | None = None,
        classes: str = "voc",
        min_pixels: int = 1000,
        **options,
    ):
        check_split(split, SPLITS)
        if classes not in CLASSES:
            raise ValueError(f"classes {classes!r}: expected one of {', '.join(CLASSES)}")
        self._meta = get_meta(CLASSES[classes])
        self.root, self.split = find(PLACE, root), split
        self.annotations = self.root / "annotations" / f"instances_{split}2017.json"
        self._entries = _load(self.annotations, self._meta)
        if min_pixels >= 0:
            kept = self._kept_ids(classes, min_pixels)
            self._entries = [entry for entry in self._entries if entry.id in kept]
        names = [entry.file_name for entry in self._entries]
        may_miss = options.get("skip_broken", False)
        images = files(self.root / f"{split}2017", names, "", may_miss)
        masks = [self.annotations] * len(images)
        super().__init__(images, masks, mode or split, transform, **options)

    @property
    def meta(self) -> Meta:
        """The facts of the classes chosen."""
        return self._meta

    def _read_mask(self, index: int) -> np.ndarray:
        entry = self._entries[index]
        try:
            return entry.draw()
        except ValueError as error:
            raise ValueError(
                f"{self.annotations}: image {entry.id} ({entry.file_name}): {error}; fetch the "
                "file again, or mend the annotation"
            ) from error

    def _keep(self, indices: list[int]) -> None:
        super()._keep(indices)
        self._entries = [self._entries[i] for i in indices]

    def _kept_ids(self, classes: str, min_pixels: int) -> set[int]:
        path = self.annotations.with_name(f"{self.annotations.stem}.{classes}.{min_pixels}")
        path = path.with_name(path.name + ".kept.json")
        state = self.annotations.stat()
        source = {"size": state.st_size, "mtime_ns": state.st_mtime_ns, "drawing": 2}
        kept = _read_cache(path, source)
        if kept is None:
            bar = tqdm(self._entries, desc="counting labelled pixels", unit="image", disable=None)
            kept = [entry.id for entry in bar if entry.has_more_than(min_pixels)]
            _write_cache(path, source, kept)
        if not kept:
            raise ValueError(
                f"{self.annotations}: no image has more than {min_pixels} labelled pixels; choose "
                "a smaller min_pixels"
            )
        return set(kept)


class _Entry:
    """One image: its id, file, size, and segments as (class, segmentation)."""

    def __init__(self, image: dict):
        self.id, self.file_name = int(image["id"]), str(image["file_name"])
        if "height" not in image or "width" not in image:
            raise ValueError(f"image {self.id} has no height, or no width")
        self.size = int(image["height"]), int(image["width"])
        if min(self.size) < 1 or max(self.size) > 1 << 16:
            raise ValueError(f"image {self.id} is {self.size[1]}x{self.size[0]}")
        self.segments: list[tuple[int, Any]] = []
        self.problem = ""

    def add(self, annotation: dict, labels: dict[int, int | None]) -> None:
        """Take a segment whose category is a class; what is wrong with it is said when drawn."""
        category = annotation.get("category_id")
        if category not in labels:
            self.problem = f"a segment's category_id is {category}, which is no category's"
        elif (label := labels[category]) is not None:
            self._add(annotation, label)

    def _add(self, annotation: dict, label: int) -> None:
        segmentation = annotation.get("segmentation")
        if isinstance(segmentation, list):
            # Floats of Python's own would take four times the memory.
            with contextlib.suppress(TypeError, ValueError):
                segmentation = [np.asarray(part, np.float64) for part in segmentation]
        crowd = annotation.get("iscrowd", 0)
        if crowd not in (0, 1):
            self.problem = f"a segment's iscrowd is {crowd!r}, expected 0 or 1"
        self.segments.append((IGNORED if crowd else label, segmentation))

    def draw(self) -> np.ndarray:
        """The mask, int32 (H, W): the first segment on top, crowds at the bottom."""
        if self.problem:
            raise ValueError(self.problem)
        mask = np.zeros(self.size, np.int32)
        for label, segmentation in sorted(self.segments, key=lambda segment: segment[0] < 0):
            np.copyto(mask, label, where=decode(segmentation, self.size) & (mask == 0))
        return mask

    def has_more_than(self, min_pixels: int) -> bool:
        """Whether more pixels than these have a class; a broken one stays, to fail when read."""
        if not self.segments and not self.problem:
            return False
        try:
            return int((self.draw() > 0).sum()) > min_pixels
        except ValueError:
            return True


def _load(path: Path, meta: Meta) -> list[_Entry]:
    """The images of an annotation file, in its order."""
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file; run python -m gluonvision prepare mscoco, or unpack "
            "annotations_trainval2017.zip there"
        )
    try:
        with open(path, encoding="utf-8-sig") as file:
            content = json.load(file)
        labels = _labels(content["categories"], meta)
        entries = _entries(content["images"])
        for number, annotation in enumerate(content["annotations"]):
            _entry_of(annotation, entries, number).add(annotation, labels)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"{path}: is no annotation file of COCO ({type(error).__name__}: {error}); fetch it "
            "again, or mend what is named"
        ) from error
    return list(entries.values())


def _entries(images: list[dict]) -> dict[int, _Entry]:
    entries: dict[int, _Entry] = {}
    for image in images:
        if "id" not in image or "file_name" not in image:
            raise ValueError(f"image number {len(entries)} has no id, or no file_name: {image}")
        entry = _Entry(image)
        if entry.id in entries:
            raise ValueError(f"two images have the id {entry.id}, one is {entry.file_name}")
        entries[entry.id] = entry
    return entries


def _entry_of(annotation: dict, entries: dict[int, _Entry], number: int) -> _Entry:
    image = annotation.get("image_id")
    if image not in entries:
        raise ValueError(
            f"annotation {annotation.get('id', f'number {number}')} is of image {image!r}, whose "
            "id no image has"
        )
    return entries[image]


def _labels(categories: list[dict], meta: Meta) -> dict[int, int | None]:
    """The class of each category id, None for what is no class.

    By name, as other files number categories otherwise.
    """
    names = [COCO_NAMES_OF_VOC.get(name, name) for name in meta.classes]
    classes = {name: label for label, name in enumerate(names) if label}
    labels = {category["id"]: classes.get(category["name"]) for category in categories}
    if len(labels) < len(categories):
        raise ValueError("two of its categories have one id")
    missing = [name for name, label in classes.items() if label not in labels.values()]
    if missing:
        raise ValueError(f"it has no category {', '.join(missing)}")
    return labels


def _read_cache(path: Path, source: dict) -> list[int] | None:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        content = json.loads(path.read_text())
        ids = content.get("ids")
        good = isinstance(ids, list) and all(type(number) is int for number in ids)
        if content.get("source") == source and good:
            return ids
    return None


def _write_cache(path: Path, source: dict, ids: list[int]) -> None:
    # The folder may not be ours to write to: then they are counted again next time.
    with contextlib.suppress(OSError):
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        try:
            with open(handle, "w") as file:
                json.dump({"source": source, "ids": ids}, file)
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        finally:
            Path(temporary).unlink(missing_ok=True)
