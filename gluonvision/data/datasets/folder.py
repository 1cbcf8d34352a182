"""A data set of one's own: images and masks in two folders, or in a list file."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from gluonvision.data.datasets.base import MODES, SegmentationDataset
from gluonvision.data.datasets.pairs import (
    Pair,
    check_flat,
    images_of,
    pairs_of_folders,
    pairs_of_list,
)
from gluonvision.data.meta import Meta, voc_palette

MASK_FORMATS = ("indices", "colours")
_FACTS = ("names", "palette", "values", "mask_format", "ignored_value", "ignored_colour")
_MOST_CLASSES = 255
_IGNORED_COLOUR = (224, 224, 192)  # VOC's

Colour = Sequence[int]


class FolderSegmentationDataset(SegmentationDataset):
    """Images and masks of one's own, paired by name or by a list.

    ``root`` holds ``SPLIT.txt``, a line for an image and its mask; or else ``images/SPLIT`` and
    ``masks/SPLIT``; or, for ``split=None``, just ``images`` and ``masks``. A mask is called as its
    image; without any masks there is mode 'test' alone.

    ``names``: the classes, by label. ``palette``: a colour (R, G, B) for each, VOC's by default.
    ``values``: pairs {value in a mask file: class}, -1 for ignored, where files hold anything but
    the class: {255: 1} reads 0/255 masks. ``mask_format``: 'indices' (palette or grey of 8 or 16
    bits) or 'colours' (RGB, matched exactly with the palette). ``ignored_value``: the value of
    pixels without a label, 255; masks of 0 and 255 alone are refused until it is given.
    ``ignored_colour``: the same in masks of colours; VOC's (224, 224, 192) by default.

    What is not given is read from ``root/dataset.json``, an object of the same six keys, or, for
    the names, from ``root/classes.txt``, one a line. ``mode`` (by default what the split is for),
    ``transform`` and the ``options`` as in ``SegmentationDataset``.

    Raises FileNotFoundError where there are no images or no names, ValueError for what does not
    fit.
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
        **options,
    ):
        self.root, self.split = _folder(root), split
        facts = names, palette, values, mask_format, ignored_value, ignored_colour
        given = dict(zip(_FACTS, facts))
        self._meta = _meta(self.root, {k: v for k, v in given.items() if v is not None})
        mode = mode or (split if split in MODES else "train")
        images, masks = _files(self.root, split, mode, options.get("skip_broken", False))
        super().__init__(images, masks, mode, transform, **options)

    @property
    def meta(self) -> Meta:
        """The facts given, or read from the folder."""
        return self._meta


def read_meta(root: str | os.PathLike | None) -> Meta:
    """The facts that lie in a folder, as FolderSegmentationDataset reads them."""
    return _meta(_folder(root), {})


def _folder(root: str | os.PathLike | None) -> Path:
    if root is None:
        raise ValueError("folder: pass root= (--data-folder), the folder with your images")
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; check the name")
    return folder


def _files(
    root: Path, split: str | None, mode: str, may_miss: bool
) -> tuple[list[Path], list[Path] | None]:
    """The images and, where there are any, their masks."""
    if split is not None and (root / f"{split}.txt").is_file():
        return _columns(pairs_of_list(root / f"{split}.txt", root, may_miss))
    images, masks = root / "images" / (split or ""), root / "masks" / (split or "")
    if not images.is_dir():
        raise FileNotFoundError(
            f"{root}: neither the folder {images.relative_to(root)} nor a list "
            f"{split or 'SPLIT'}.txt is there; lay the images out so, or write the list, a line "
            "for an image and its mask"
        )
    if split is not None:
        check_flat(images)
    if masks.is_dir():
        return _columns(pairs_of_folders(images, masks, may_miss))
    if mode in MODES and mode != "test":
        raise ValueError(
            f"{masks}: no such folder, and mode {mode!r} needs masks; put them there, called as "
            f"their images, or write the list {split or 'SPLIT'}.txt, a line for an image and its "
            "mask; images alone are for mode='test'"
        )
    return images_of(images), None


def _columns(pairs: list[Pair]) -> tuple[list[Path], list[Path]]:
    return [image for image, _ in pairs], [mask for _, mask in pairs]


def _meta(root: Path, given: dict) -> Meta:
    """The facts: those given, then those in the folder's files, then the defaults."""
    facts = {**_read_facts(root / "dataset.json"), **given}
    if "names" not in facts:
        facts["names"] = _read_classes(root / "classes.txt")
    try:
        return _build(facts)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{root}: the facts of the data set do not fit: {error}") from error


def _build(facts: dict) -> Meta:
    names = _names(facts["names"])
    palette = facts.get("palette") or voc_palette(min(len(names), 256))
    palette = tuple(tuple(int(channel) for channel in colour) for colour in palette)
    ignored_colour = tuple(int(channel) for channel in facts.get("ignored_colour", _IGNORED_COLOUR))
    values = tuple((_whole(k), _whole(v)) for k, v in dict(facts.get("values", {})).items())
    _check(names, palette, values, facts.get("mask_format", "indices"))
    _check_ignored_colour(ignored_colour, palette if "ignored_colour" in facts else ())
    return Meta(
        "folder",
        names,
        palette,
        ignored_value=_whole(facts.get("ignored_value", 255)),
        ignored_colour=ignored_colour,
        background=0 if names[0] == "background" else None,
        values=values,
        masks=facts.get("mask_format", "indices"),
        refuse_binary="ignored_value" not in facts and 255 not in dict(values),
    )


def _names(names: object) -> tuple[str, ...]:
    if isinstance(names, (str, Mapping)):
        raise ValueError(f"names {names!r}: expected a list, in the order of the labels")
    return tuple(_name(name) for name in names)  # type: ignore[attr-defined]


def _name(name: object) -> str:
    if not isinstance(name, (str, int)) or not str(name).strip():
        raise ValueError(f"the name {name!r}: expected text")
    return str(name)


def _whole(number: object) -> int:
    """A number, or, as the keys of JSON are, the text of one."""
    whole = int(number)  # type: ignore[call-overload]
    if not isinstance(number, str) and whole != number:
        raise ValueError(f"{number}: expected a whole number")
    return whole


def _check(names: tuple, palette: tuple, values: tuple, mask_format: str) -> None:
    if not names or len(set(names)) < len(names):
        raise ValueError(f"{len(names)} names, some of them twice: {names}; each class needs one")
    if len(names) > _MOST_CLASSES:
        raise ValueError(
            f"{len(names)} names: expected {_MOST_CLASSES} at most, as masks are written with a "
            "byte a pixel, and 255 for ignored; merge classes by values"
        )
    if len(palette) != len(names):
        raise ValueError(f"{len(palette)} colours for {len(names)} names; give one for each")
    if not all(map(_is_colour, palette)):
        raise ValueError("a colour is (R, G, B), each 0 to 255")
    if mask_format == "colours" and len(set(palette)) < len(palette):
        twice = next(colour for colour in palette if palette.count(colour) > 1)
        raise ValueError(
            f"two classes share the colour {twice}, so masks of colours cannot be read; give each "
            "class its own"
        )
    if len({value for value, _ in values}) < len(values):
        raise ValueError(f"values {values}: one of them stands there twice")
    if any(not -1 <= label < len(names) for _, label in values):
        raise ValueError(f"values {dict(values)}: a class is -1 to {len(names) - 1}")
    if mask_format not in MASK_FORMATS:
        raise ValueError(f"mask_format {mask_format!r}: expected {' or '.join(MASK_FORMATS)}")


def _check_ignored_colour(colour: tuple, palette: tuple) -> None:
    if not _is_colour(colour):
        raise ValueError(f"ignored_colour {colour}: a colour is (R, G, B), each 0 to 255")
    if colour in palette:
        raise ValueError(
            f"ignored_colour {colour} is class {palette.index(colour)}'s; give another"
        )


def _is_colour(colour: tuple) -> bool:
    return len(colour) == 3 and min(colour) >= 0 and max(colour) <= 255


def _read_facts(path: Path) -> dict:
    if not path.is_file():
        return {}
    try:
        facts = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise ValueError(f"{path}: is no JSON ({error})") from error
    if not isinstance(facts, dict):
        raise ValueError(f"{path}: expected an object of {', '.join(_FACTS)}")
    if unknown := sorted(set(facts) - set(_FACTS)):
        raise ValueError(f"{path}: {unknown[0]!r} is none of its keys, {', '.join(_FACTS)}")
    return facts


def _read_classes(path: Path) -> list[str]:
    if not path.is_file():
        above = path.parent.parent
        way = "write the classes into it, one a line, in the order of their labels"
        if (above / path.name).is_file():
            way = f"there is one in {above}: name that folder"
        raise FileNotFoundError(f"{path}: no such file, and no names were given; {way}")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is not UTF-8 ({error}); save it as such") from error
    return [line.strip() for line in lines if line.strip()]
