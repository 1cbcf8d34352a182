"""COCO's annotation files: the images in one, and the masks drawn from their segments."""

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from gluonvision.data.files.rle import decode
from gluonvision.data.meta import COCO_NAMES_OF_VOC, IGNORED, Meta

_LONGEST_SIDE = 1 << 16


class AnnotatedImage:
    """One image of an annotation file: its id, file name, size and segments.

    Attributes:
        id: id of the image.
        file_name: name of its file.
        size: (height, width) of the image.
        segments: pairs (class, segmentation); class -1 for a crowd, which is ignored.
        problem: why the image cannot be drawn, or ''.
    """

    def __init__(self, image: dict) -> None:
        self.id, self.file_name = int(image["id"]), str(image["file_name"])
        if "height" not in image or "width" not in image:
            raise ValueError(f"image {self.id} has no height, or no width")
        self.size = int(image["height"]), int(image["width"])
        if min(self.size) < 1 or max(self.size) > _LONGEST_SIDE:
            raise ValueError(f"image {self.id} is {self.size[1]}x{self.size[0]}")
        self.segments: list[tuple[int, Any]] = []
        self.problem = ""

    def add(self, annotation: dict, labels: dict[int, int | None]) -> None:
        """Add a segment if its category is a class; ``draw`` reports what is wrong with it.

        Args:
            annotation: entry of "annotations" in the file.
            labels: class of each category id; None for a category that is not a class.
        """
        category = annotation.get("category_id")
        if category not in labels:
            self.problem = f"a segment has category_id {category}, which no category has"
        elif (label := labels[category]) is not None:
            self._add(annotation, label)

    def _add(self, annotation: dict, label: int) -> None:
        segmentation = annotation.get("segmentation")
        if isinstance(segmentation, list):
            # Python's own floats would take four times the memory.
            with contextlib.suppress(TypeError, ValueError):
                segmentation = [np.asarray(polygon, np.float64) for polygon in segmentation]
        crowd = annotation.get("iscrowd", 0)
        if crowd not in (0, 1):
            self.problem = f"a segment has iscrowd {crowd!r}, expected 0 or 1"
        self.segments.append((IGNORED if crowd else label, segmentation))

    def draw(self) -> np.ndarray:
        """Draw the mask, int32 (H, W): the first segment on top, crowds at the bottom.

        Raises:
            ValueError: a segment is broken.
        """
        if self.problem:
            raise ValueError(self.problem)
        mask = np.zeros(self.size, np.int32)
        for label, segmentation in sorted(self.segments, key=lambda segment: segment[0] < 0):
            np.copyto(mask, label, where=decode(segmentation, self.size) & (mask == 0))
        return mask

    def has_more_than(self, min_pixels: int) -> bool:
        """Return whether more than ``min_pixels`` pixels have a class other than the background.

        True for a broken image, so that it is not dropped silently but fails when it is read.
        """
        if not self.segments and not self.problem:
            return False
        try:
            return int((self.draw() > 0).sum()) > min_pixels
        except ValueError:
            return True


def read_annotations(path: Path, meta: Meta) -> list[AnnotatedImage]:
    """Read the images of an annotation file, in its order.

    Args:
        path: file ``instances_*.json``.
        meta: the classes to draw; categories of other names become background.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not an annotation file of COCO.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file; run python -m gluonvision prepare mscoco, or unpack "
            "annotations_trainval2017.zip there"
        )
    try:
        with open(path, encoding="utf-8-sig") as file:
            content = json.load(file)
        labels = _labels(content["categories"], meta)
        images = _images(content["images"])
        for number, annotation in enumerate(content["annotations"]):
            _image_of(annotation, images, number).add(annotation, labels)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"{path}: is not an annotation file of COCO ({type(error).__name__}: {error}); "
            "download it again, or fix the named entry"
        ) from error
    return list(images.values())


def _images(entries: list[dict]) -> dict[int, AnnotatedImage]:
    images: dict[int, AnnotatedImage] = {}
    for entry in entries:
        if "id" not in entry or "file_name" not in entry:
            raise ValueError(f"image number {len(images)} has no id, or no file_name: {entry}")
        image = AnnotatedImage(entry)
        if image.id in images:
            raise ValueError(f"two images have the id {image.id}, one is {image.file_name}")
        images[image.id] = image
    return images


def _image_of(annotation: dict, images: dict[int, AnnotatedImage], number: int) -> AnnotatedImage:
    image_id = annotation.get("image_id")
    if image_id not in images:
        raise ValueError(
            f"annotation {annotation.get('id', f'number {number}')} belongs to image "
            f"{image_id!r}, and no image has this id"
        )
    return images[image_id]


def _labels(categories: list[dict], meta: Meta) -> dict[int, int | None]:
    """Map each category id to its class, or to None if it is not a class.

    Categories are matched by name, because other files number them differently.
    """
    names = [COCO_NAMES_OF_VOC.get(name, name) for name in meta.classes]
    classes = {name: label for label, name in enumerate(names) if label}
    labels = {category["id"]: classes.get(category["name"]) for category in categories}
    if len(labels) < len(categories):
        raise ValueError("two of its categories have the same id")
    missing = [name for name, label in classes.items() if label not in labels.values()]
    if missing:
        raise ValueError(f"it has no category {', '.join(missing)}")
    return labels
