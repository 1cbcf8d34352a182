"""Masks as the test servers of VOC, Cityscapes and ADE20K take them, and the folder of them."""

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
_ORIENTATION, _LYING = 0x0112, range(5, 9)  # EXIF: width and height are exchanged

# Their servers read grey values; VOC's reads its palette's indices.
_GREY = ("citys", "ade20k")


def file_values(meta: Meta) -> np.ndarray:
    """The pixel value of each class in the data set's own mask files: uint8 (num_class,).

    The other way round than masks are read: Cityscapes' 34 ids for its 19 train ids, ADE20K's 1 to
    150. Raises ValueError where one is above 255.
    """
    values = np.arange(meta.num_class) + meta.label_offset
    for value, label in reversed(meta.values):
        if label >= 0:
            values[label] = value
    if values.max() > 255:
        raise ValueError(
            f"{meta.name}: its files write {meta.classes[values.argmax()]} as {values.max()}, and "
            "a mask for a test server has a byte a pixel; demo writes masks of the class numbers"
        )
    return values.astype(np.uint8)


def server_mask(classes: np.ndarray, meta: Meta) -> Image.Image:
    """Classes (H, W), 0 to num_class-1, as a Pillow image: grey (L) or with a palette (P)."""
    values = file_values(meta)
    picture = Image.fromarray(values[classes])
    if meta.name not in _GREY:
        palette = np.zeros((256, 3), np.uint8)
        if meta.ignored_value <= 255:
            palette[meta.ignored_value] = meta.ignored_colour
        palette[values] = meta.palette
        picture.putpalette(palette.tobytes())
    return picture


def check_mask(path: str | os.PathLike, meta: Meta, size: tuple[int, int]) -> None:
    """Raise ValueError for a mask that a server would refuse; size: (width, height)."""
    expected = "L" if meta.name in _GREY else "P"
    with Image.open(path) as picture:
        picture.load()
        mode, found = picture.mode, picture.size
        values = np.unique(np.asarray(picture))
    if mode != expected or found != size:
        raise ValueError(
            f"{path}: Pillow mode {mode}, {found[0]}x{found[1]}; expected {expected} and the "
            f"image's {size[0]}x{size[1]}: remove it, and it is written again"
        )
    wrong = np.setdiff1d(values, file_values(meta))
    if wrong.size:
        raise ValueError(
            f"{path}: holds {wrong[0]}, which is no class of {meta.name} in its files: remove it, "
            "and it is written again"
        )


def mask_file(folder: Path, image: Path) -> Path:
    """Where the mask of an image file goes: it is called as the image."""
    return folder / f"{image.stem}.png"


def check_names(images: Sequence[Path]) -> None:
    """Raise ValueError where two images would have one mask file."""
    seen: dict[str, Path] = {}
    for file in images:
        other = seen.setdefault(file.stem, file)
        if other is not file:
            raise ValueError(f"{other} and {file}: masks are named as images; rename one of them")


def reserve(folder: Path, made_by: Mapping[str, Any]) -> None:
    """Make the folder, and note what its masks are made by; ValueError where others' are there."""
    folder.mkdir(parents=True, exist_ok=True)
    path, text = folder / _MADE_BY, json.dumps(made_by, indent=2) + "\n"
    if not path.is_file():
        atomic.write_text(path, text)
    elif path.read_text() != text:
        raise ValueError(
            f"{folder} holds masks by other weights or options (its {_MADE_BY}); move it away, or "
            "choose another folder (test.py --output-folder)"
        )


def image_size(file: Path) -> tuple[int, int]:
    """(width, height) of an image turned upright, without reading its pixels."""
    with Image.open(file) as picture:
        width, height = picture.size
        is_lying = picture.getexif().get(_ORIENTATION) in _LYING
    return (height, width) if is_lying else (width, height)
