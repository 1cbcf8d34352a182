"""Images and their masks, found by name in two folders or read from a list file."""

import os
import re
from pathlib import Path

IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
MASKS = (".png", ".bmp", ".tif", ".tiff", ".gif", ".mat")
_LOSSY = (".jpg", ".jpeg")

Pair = tuple[Path, Path]


def pairs_of_folders(images: Path, masks: Path, may_miss: bool = False) -> list[Pair]:
    """Each image of a folder with the mask of its name (less the ending) in another, sorted.

    Raises FileNotFoundError where there are no images, or, unless ``may_miss``, no mask for one;
    ValueError for two files of one name.
    """
    found = {image.stem: image for image in images_of(images)}
    known, lossy = by_name(masks, MASKS), by_name(masks, _LOSSY)
    missing = [name for name in found if name not in known]
    if missing and not may_miss:
        raise FileNotFoundError(
            f"{masks}: no mask for {found[missing[0]].name} ({len(missing)} of {len(found)} images "
            "have none); masks are called as their images, with .png: add them, take the images "
            "away, or leave them out with skip_broken=True (--skip-broken)"
            + _of_jpegs([lossy[name] for name in missing if name in lossy])
        )
    known = {name: masks / f"{name}.png" for name in missing} | lossy | known
    return [(image, known[name]) for name, image in found.items()]


def check_flat(folder: Path) -> None:
    """Raise ValueError where images lie deeper, as nobody would see that they are not read."""
    inner = [entry for entry in os.scandir(folder) if entry.is_dir()] if folder.is_dir() else []
    for entry in inner:
        count = 0 if entry.name.startswith(".") else len(by_name(Path(entry), IMAGES))
        if count:
            raise ValueError(
                f"{folder}: {count} images lie in its sub-folder {entry.name}, which is not looked "
                "into; move them up, or write a list, SPLIT.txt, a line for an image and its mask"
            )


def _of_jpegs(files: list[Path]) -> str:
    if not files:
        return ""
    return (
        f"; {files[0]} is no mask: JPEG invents values along every edge; export the masks from "
        "their source as PNG"
    )


def images_of(folder: Path) -> list[Path]:
    """The images of a folder, sorted. Raises FileNotFoundError for none."""
    found = list(by_name(folder, IMAGES).values())
    if not found:
        raise FileNotFoundError(f"{folder}: no images there (of {', '.join(IMAGES)})")
    return found


def by_name(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """A folder's files with these endings by their name without it, sorted; {} for no folder.

    Raises ValueError for two files that differ in their ending alone.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        # What macOS leaves beside a file is no picture.
        if path.suffix.lower() not in suffixes or path.name.startswith("._"):
            continue
        if path.stem in found:
            raise ValueError(
                f"{folder}: {found[path.stem].name} and {path.name} have one name; take one away"
            )
        found[path.stem] = path
    return found


def pairs_of_list(path: Path, root: Path, may_miss: bool = False) -> list[Pair]:
    """The pairs in a list file: a line names an image and its mask, relative to ``root``.

    They stand apart by a tab or a comma, or, in names without spaces, by a space. Empty lines and
    those that begin with # do not count. Raises ValueError, naming the line, for any other;
    FileNotFoundError, unless ``may_miss``, for files that are not there.
    """
    pairs = []
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: is no text ({error}); a list has an image and a mask a line"
        ) from error
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith("#"):
            pairs.append(_pair(line, root, f"{path}, line {number}"))
    if not pairs:
        raise ValueError(f"{path}: the list is empty; a line names an image and its mask")
    if not may_miss:
        _check_all_there(path, [file for pair in pairs for file in pair])
    return pairs


def _check_all_there(path: Path, files: list[Path]) -> None:
    """One listing a folder, as asking for thousands of files one by one is slow."""
    folders = {file.parent for file in files}
    present = {f: set(os.listdir(f)) if f.is_dir() else set() for f in folders}
    missing = [file for file in files if file.name not in present[file.parent]]
    if not missing:
        return
    way = "names are relative to the list's folder: mend them"
    if "\\" in missing[0].name:
        way = "folders stand apart by / and not by \\: mend that"
    raise FileNotFoundError(
        f"{path}: {missing[0]} is not there ({len(missing)} of {len(files)} files are missing); "
        f"{way}, add the files, or leave them out with skip_broken=True (--skip-broken)"
    )


def _pair(line: str, root: Path, where: str) -> Pair:
    separator = next((s for s in ("\t", ",") if s in line), None)
    parts = line.split(separator) if separator else re.split(" +", line.strip())
    if len(parts) != 2:
        raise ValueError(
            f"{where}: {len(parts)} names, expected an image and its mask, apart by a tab: {line!r}"
        )
    return root / parts[0].strip(), root / parts[1].strip()
