"""Masks in the formats of the test servers of VOC, Cityscapes and ADE20K."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gluonvision.data.meta import Meta
from gluonvision.utils import atomic

_MADE_BY = "made_by.json"
# These servers expect grey masks; VOC's expects palette indices.
_GREY = ("citys", "ade20k")


def file_values(meta: Meta) -> np.ndarray:
    """Map class ids to the pixel values of the data set's own mask files.

    This is the inverse of reading a mask. For example, Cityscapes' 19 train ids become its original
    ids, and ADE20K's classes become 1 to 150.

    Returns:
        uint8 array (num_class,).

    Raises:
        ValueError: if a value is above 255.
    """
    values = np.arange(meta.num_class) + meta.label_offset
    for value, label in reversed(meta.values):
        if label >= 0:
            values[label] = value
    if values.max() > 255:
        raise ValueError(
            f"{meta.name}: its files write {meta.classes[values.argmax()]} as {values.max()}, but "
            "masks for test servers have one byte per pixel; use the demo command to write masks "
            "of class ids"
        )
    return values.astype(np.uint8)


def server_mask(classes: np.ndarray, meta: Meta) -> Image.Image:
    """Convert a mask to the image that the test server expects.

    Args:
        classes: array (H, W), class ids from 0 to num_class - 1.
        meta: the classes of the data set.

    Returns:
        A Pillow image: grey (mode L) or with a palette (mode P).
    """
    values = file_values(meta)
    image = Image.fromarray(values[classes])
    if meta.name not in _GREY:
        palette = np.zeros((256, 3), np.uint8)
        if meta.ignored_value <= 255:
            palette[meta.ignored_value] = meta.ignored_colour
        palette[values] = meta.palette
        image.putpalette(palette.tobytes())
    return image


def check_mask(path: str | os.PathLike, meta: Meta, height_width: tuple[int, int]) -> None:
    """Check that a test server would accept a mask.

    Args:
        path: the mask file.
        meta: the classes of the data set.
        height_width: size of the image, in pixels.

    Raises:
        ValueError: if the mask has another mode, another size, or values without a class.
    """
    expected = "L" if meta.name in _GREY else "P"
    with Image.open(path) as image:
        image.load()
        mode, width, height = image.mode, image.width, image.height
        values = np.unique(np.asarray(image))
    if mode != expected or (height, width) != height_width:
        raise ValueError(
            f"{path}: Pillow mode {mode}, {width}x{height}; expected {expected} and the image's "
            f"{height_width[1]}x{height_width[0]}; remove the file to write it again"
        )
    wrong = np.setdiff1d(values, file_values(meta))
    if wrong.size:
        raise ValueError(
            f"{path}: holds {wrong[0]}, which is not a class in the files of {meta.name}; remove "
            "the file to write it again"
        )


def mask_file(folder: Path, image: Path) -> Path:
    """Name the mask of an image: the image's name with the suffix .png."""
    return folder / f"{image.stem}.png"


def check_names(images: Sequence[Path]) -> None:
    """Check that all masks get different names.

    Raises:
        ValueError: if two images would share a mask file.
    """
    seen: dict[str, Path] = {}
    for file in images:
        other = seen.setdefault(file.stem, file)
        if other is not file:
            raise ValueError(
                f"{other} and {file} would share one mask, since masks are named after images; "
                "rename one of the images"
            )


def reserve(folder: Path, made_by: Mapping[str, Any]) -> None:
    """Create a folder for masks, and record how they are made.

    Args:
        folder: the folder. It may hold masks of an earlier call with the same ``made_by``.
        made_by: the weights and options of the masks, as JSON types.

    Raises:
        ValueError: if the folder holds masks made in another way.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, text = folder / _MADE_BY, json.dumps(made_by, indent=2) + "\n"
    if not path.is_file():
        atomic.write_text(path, text)
    elif path.read_text(encoding="utf-8") != text:
        raise ValueError(
            f"{folder} holds masks made with other weights or options (see its {_MADE_BY}); move "
            "it, or choose another folder with --output-folder"
        )
