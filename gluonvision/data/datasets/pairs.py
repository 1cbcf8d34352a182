"""Pairs of an image and its mask, found by name in two folders or read from a split file."""

import os
import re
from pathlib import Path

IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
MASKS = (".png", ".bmp", ".tif", ".tiff", ".gif", ".mat")
_LOSSY = (".jpg", ".jpeg")

Pair = tuple[Path, Path]


def pairs_of_folders(images: Path, masks: Path, may_miss: bool = False) -> list[Pair]:
    """Pair each image of one folder with the mask of the same name in another, sorted by name.

    The names are compared without their suffixes.

    Raises:
        FileNotFoundError: there are no images, or, unless ``may_miss``, an image has no mask.
        ValueError: two files of a folder have the same name.
    """
    image_files = {image.stem: image for image in images_of(images)}
    mask_files, jpegs = files_by_name(masks, MASKS), files_by_name(masks, _LOSSY)
    missing = [name for name in image_files if name not in mask_files]
    if missing and not may_miss:
        raise FileNotFoundError(
            f"{masks}: no mask for {image_files[missing[0]].name} ({len(missing)} of "
            f"{len(image_files)} images have none); a mask has the name of its image, with .png: "
            "add the masks, remove the images, or skip them with skip_broken=True (--skip-broken)"
            + _jpeg_hint([jpegs[name] for name in missing if name in jpegs])
        )
    mask_files = {name: masks / f"{name}.png" for name in missing} | jpegs | mask_files
    return [(image, mask_files[name]) for name, image in image_files.items()]


def check_flat(folder: Path) -> None:
    """Raise ValueError if a subfolder holds images, because they would be skipped silently."""
    entries = [entry for entry in os.scandir(folder) if entry.is_dir()] if folder.is_dir() else []
    for entry in entries:
        count = 0 if entry.name.startswith(".") else len(files_by_name(Path(entry), IMAGES))
        if count:
            raise ValueError(
                f"{folder}: {count} images are in its subfolder {entry.name}, which is not "
                "searched; move them up, or write a split file, SPLIT.txt, with an image and its "
                "mask per line"
            )


def _jpeg_hint(files: list[Path]) -> str:
    if not files:
        return ""
    return (
        f"; {files[0]} cannot be a mask, because JPEG compression changes values along every edge; "
        "export the masks from their source as PNG"
    )


def images_of(folder: Path) -> list[Path]:
    """List the images of a folder, sorted; raise FileNotFoundError if there are none."""
    images = list(files_by_name(folder, IMAGES).values())
    if not images:
        raise FileNotFoundError(f"{folder}: no images there (of {', '.join(IMAGES)})")
    return images


def files_by_name(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """Map the name without suffix to the file, for files with these suffixes, sorted.

    Returns an empty dictionary if there is no such folder.

    Raises:
        ValueError: two files differ only in their suffix.
    """
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        # macOS leaves "._image.jpg" next to "image.jpg"; it is not an image.
        if path.suffix.lower() not in suffixes or path.name.startswith("._"):
            continue
        if path.stem in files:
            raise ValueError(
                f"{folder}: {files[path.stem].name} and {path.name} have the same name; remove one"
            )
        files[path.stem] = path
    return files


def pairs_of_list(path: Path, root: Path, may_miss: bool = False) -> list[Pair]:
    """Read the pairs in a split file: a line names an image and its mask, relative to ``root``.

    A tab or a comma separates them, or a space if the names contain none. Empty lines and lines
    that begin with # are comments.

    Raises:
        ValueError: a line is not a pair, the file is empty or is not text; the message names the
            line.
        FileNotFoundError: a file is missing, unless ``may_miss``.
    """
    pairs = []
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: is not text ({error}); a split file has an image and its mask per line"
        ) from error
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith("#"):
            pairs.append(_pair(line, root, f"{path}, line {number}"))
    if not pairs:
        raise ValueError(f"{path}: the list is empty; write an image and its mask per line")
    if not may_miss:
        _check_all_exist(path, [file for pair in pairs for file in pair])
    return pairs


def _check_all_exist(path: Path, files: list[Path]) -> None:
    # List each folder once, because thousands of single look-ups are slow.
    folders = {file.parent for file in files}
    existing = {f: set(os.listdir(f)) if f.is_dir() else set() for f in folders}
    missing = [file for file in files if file.name not in existing[file.parent]]
    if not missing:
        return
    fix = "names are relative to the folder of the split file: correct them"
    if "\\" in missing[0].name:
        fix = "separate folders with / instead of \\"
    raise FileNotFoundError(
        f"{path}: {missing[0]} does not exist ({len(missing)} of {len(files)} files are missing); "
        f"{fix}, add the files, or skip them with skip_broken=True (--skip-broken)"
    )


def _pair(line: str, root: Path, where: str) -> Pair:
    separator = next((s for s in ("\t", ",") if s in line), None)
    names = line.split(separator) if separator else re.split(" +", line.strip())
    if len(names) != 2:
        raise ValueError(
            f"{where}: {len(names)} names, expected an image and its mask, separated by a tab: "
            f"{line!r}"
        )
    return root / names[0].strip(), root / names[1].strip()
