"""A data set of your own: images and masks in two folders, or listed in a split file."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gluonvision.data.datasets.base import MODES, SegmentationDataset, default_mode
from gluonvision.data.datasets.pairs import (
    Pair,
    check_flat,
    images_of,
    pairs_of_folders,
    pairs_of_list,
)
from gluonvision.data.meta import IGNORED, IGNORED_VALUE, Meta, voc_palette

MASK_FORMATS = ("indices", "colours")
_KEYS = ("names", "palette", "values", "mask_format", "ignored_value", "ignored_colour")
_MAX_CLASSES = 255
_IGNORED_COLOUR = (224, 224, 192)  # VOC's

Colour = Sequence[int]


class FolderSegmentationDataset(SegmentationDataset):
    """Your own images and masks, paired by name or by a split file.

    ``root`` holds either ``SPLIT.txt``, with an image and its mask per line; or ``images/SPLIT``
    and ``masks/SPLIT``; or, for ``split=None``, just ``images`` and ``masks``. A mask has the name
    of its image. Without masks, only mode 'test' works.

    The arguments from ``names`` to ``ignored_colour`` may be in ``root/dataset.json`` instead, an
    object with these six keys, and the names in ``root/classes.txt``, one per line.

    Args:
        root: folder of the data set.
        split: name of the split, such as 'train'; None if the folder is not divided into splits.
        mode: 'train', 'val', 'testval' or 'test'; by default the split's own name, or 'train' if
            that is not a mode.
        transform: function applied to each image last.
        names: class names, by label.
        palette: colour (R, G, B) of each class; VOC's by default.
        values: class of each value in mask files that is not the class itself; -1 for ignored.
            {255: 1} reads masks of 0 and 255.
        mask_format: 'indices' (palette or grey, 8 or 16 bits) or 'colours' (RGB, which must match
            the palette exactly).
        ignored_value: value of ignored pixels in mask files, by default 255. Masks that hold only 0
            and 255 raise an error unless this is given.
        ignored_colour: colour of ignored pixels in masks of colours, by default VOC's
            (224, 224, 192).
        skip_broken: leave out images whose files are missing, broken or do not fit.
        options: further options of ``SegmentationDataset``: ``base_size``, ``crop_size``, ``seed``,
            ``photometric``, ``cat_max_ratio``.

    Raises:
        FileNotFoundError: there are no images or no names.
        ValueError: an argument is wrong, or the arguments do not fit together.
    """

    NAME = "folder"

    def __init__(
        self,
        root: str | os.PathLike | None = None,
        split: str | None = None,
        mode: str | None = None,
        transform: Callable | None = None,
        names: Sequence[str] | None = None,
        palette: Sequence[Colour] | None = None,
        values: Mapping[int, int] | None = None,
        mask_format: str | None = None,
        ignored_value: int | None = None,
        ignored_colour: Colour | None = None,
        *,
        skip_broken: bool = False,
        **options: Any,
    ) -> None:
        self.root, self.split = _check_folder(root), split
        arguments = names, palette, values, mask_format, ignored_value, ignored_colour
        given = {k: v for k, v in zip(_KEYS, arguments) if v is not None}
        self._meta = _make_meta(self.root, given)
        mode = mode or default_mode(split)
        images, masks = _list_files(self.root, split, mode, skip_broken)
        super().__init__(images, masks, mode, transform, skip_broken=skip_broken, **options)

    @property
    def meta(self) -> Meta:
        """Class names, colours and label values, as given or read from the folder."""
        return self._meta


def read_meta(root: str | os.PathLike | None) -> Meta:
    """Read a folder's class names, colours and label values as FolderSegmentationDataset does."""
    return _make_meta(_check_folder(root), {})


def _check_folder(root: str | os.PathLike | None) -> Path:
    if root is None:
        raise ValueError("folder: pass root= (--data-folder), the folder with your images")
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; check the name")
    return folder


def _list_files(
    root: Path, split: str | None, mode: str, may_miss: bool
) -> tuple[list[Path], list[Path] | None]:
    """List the images and their masks; None if there are no masks."""
    if split is not None and (root / f"{split}.txt").is_file():
        return _columns(pairs_of_list(root / f"{split}.txt", root, may_miss))
    images, masks = root / "images" / (split or ""), root / "masks" / (split or "")
    split_file = f"{split or 'SPLIT'}.txt"
    if not images.is_dir():
        raise FileNotFoundError(
            f"{root}: has neither the folder {images.relative_to(root).as_posix()} nor the split "
            f"file {split_file}; put the images into the folder, or write the split file with an "
            "image and its mask per line"
        )
    if split is not None:
        check_flat(images)
    if masks.is_dir():
        return _columns(pairs_of_folders(images, masks, may_miss))
    if mode in MODES and mode != "test":
        raise ValueError(
            f"{masks}: no such folder, and mode {mode!r} needs masks; put them there, named like "
            f"their images, or write the split file {split_file} with an image and its mask per "
            "line; without masks, use mode='test'"
        )
    return images_of(images), None


def _columns(pairs: list[Pair]) -> tuple[list[Path], list[Path]]:
    return [image for image, _ in pairs], [mask for _, mask in pairs]


def _make_meta(root: Path, given: dict) -> Meta:
    """Build the ``Meta`` from given values, then the folder's files, then the defaults."""
    options = {**_read_dataset_json(root / "dataset.json"), **given}
    if "names" not in options:
        options["names"] = _read_classes(root / "classes.txt")
    try:
        return _parse(options)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{root}: the description of the data set is wrong: {error}") from error


def _parse(options: dict) -> Meta:
    names = _names(options["names"])
    palette = options.get("palette") or voc_palette(min(len(names), 256))
    palette = tuple(_colour(colour) for colour in palette)
    ignored_colour = _colour(options.get("ignored_colour", _IGNORED_COLOUR))
    values = tuple((_whole(k), _whole(v)) for k, v in dict(options.get("values", {})).items())
    mask_format = options.get("mask_format", "indices")
    _check_names(names)
    _check_palette(palette, len(names), mask_format)
    _check_values(values, len(names))
    _check_ignored_colour(ignored_colour, palette if "ignored_colour" in options else ())
    return Meta(
        "folder",
        names,
        palette,
        ignored_value=_whole(options.get("ignored_value", IGNORED_VALUE)),
        ignored_colour=ignored_colour,
        background=0 if names[0] == "background" else None,
        values=values,
        masks=mask_format,
        refuse_binary="ignored_value" not in options and IGNORED_VALUE not in dict(values),
    )


def _names(names: object) -> tuple[str, ...]:
    if isinstance(names, (str, Mapping)):
        raise ValueError(f"names {names!r}: expected a list, in the order of the labels")
    return tuple(_name(name) for name in names)  # type: ignore[attr-defined]  # TypeError if not


def _name(name: object) -> str:
    if not isinstance(name, (str, int)) or not str(name).strip():
        raise ValueError(f"the name {name!r}: expected text")
    return str(name)


def _colour(channels: Sequence[int]) -> tuple[int, ...]:
    return tuple(int(channel) for channel in channels)


def _whole(number: object) -> int:
    """Convert a whole number, or the text of one, because JSON's keys are text."""
    whole = int(number)  # type: ignore[call-overload]  # TypeError for what is not a number
    if not isinstance(number, str) and whole != number:
        raise ValueError(f"{number}: expected a whole number")
    return whole


def _check_names(names: tuple[str, ...]) -> None:
    if not names or len(set(names)) < len(names):
        raise ValueError(f"{len(names)} names, expected at least one and no duplicates: {names}")
    if len(names) > _MAX_CLASSES:
        raise ValueError(
            f"{len(names)} names: expected {_MAX_CLASSES} at most, because masks are written with "
            "one byte per pixel and 255 for ignored; merge classes with values"
        )


def _check_palette(palette: tuple, num_class: int, mask_format: str) -> None:
    if mask_format not in MASK_FORMATS:
        raise ValueError(f"mask_format {mask_format!r}: expected {' or '.join(MASK_FORMATS)}")
    if len(palette) != num_class:
        raise ValueError(f"{len(palette)} colours for {num_class} names; give one for each name")
    if not all(map(_is_colour, palette)):
        raise ValueError("a colour is (R, G, B), each 0 to 255")
    if mask_format == "colours" and len(set(palette)) < len(palette):
        shared = next(colour for colour in palette if palette.count(colour) > 1)
        raise ValueError(
            f"two classes share the colour {shared}, so masks of colours cannot be read; give each "
            "class its own colour"
        )


def _check_values(values: tuple, num_class: int) -> None:
    if len({value for value, _ in values}) < len(values):
        raise ValueError(f"values {values}: one value is given twice")
    if any(not IGNORED <= label < num_class for _, label in values):
        raise ValueError(f"values {dict(values)}: a class is -1 to {num_class - 1}")


def _check_ignored_colour(colour: tuple, palette: tuple) -> None:
    if not _is_colour(colour):
        raise ValueError(f"ignored_colour {colour}: a colour is (R, G, B), each 0 to 255")
    if colour in palette:
        raise ValueError(
            f"ignored_colour {colour} is the colour of class {palette.index(colour)}; give another"
        )


def _is_colour(colour: tuple) -> bool:
    return len(colour) == 3 and min(colour) >= 0 and max(colour) <= 255


def _read_dataset_json(path: Path) -> dict:
    if not path.is_file():
        return {}
    try:
        options = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise ValueError(f"{path}: is not JSON ({error})") from error
    if not isinstance(options, dict):
        raise ValueError(f"{path}: expected an object with the keys {', '.join(_KEYS)}")
    if unknown := sorted(set(options) - set(_KEYS)):
        raise ValueError(f"{path}: unknown key {unknown[0]!r}; the keys are {', '.join(_KEYS)}")
    return options


def _read_classes(path: Path) -> list[str]:
    if not path.is_file():
        parent = path.parent.parent
        fix = "write the class names into it, one per line, in the order of their labels"
        if (parent / path.name).is_file():
            fix = f"there is one in {parent}: pass that folder"
        raise FileNotFoundError(f"{path}: no such file, and no names were given; {fix}")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is not UTF-8 ({error}); save it as UTF-8") from error
    return [line.strip() for line in lines if line.strip()]
