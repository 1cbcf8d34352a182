"""Where data sets are on disk, and the errors for those that are missing."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Location:
    """How to recognize a data set's folder.

    Attributes:
        title: name of the data set in messages.
        folder: name of its folder in the folder of all data sets, as in GluonCV.
        subfolders: paths below ``folder`` to search, in this order.
        marker: a file or folder that only the data set's own folder contains.
        prepare_name: name of the data set for ``gluonvision prepare``.
    """

    title: str
    folder: str
    subfolders: tuple[str, ...]
    marker: str
    prepare_name: str


def default_folder(name: str) -> Path:
    """Return ``$GLUONVISION_DATA/name``, or ``~/.mxnet/datasets/name`` if that is not set."""
    base = os.environ.get("GLUONVISION_DATA")
    return (Path(base).expanduser() if base else Path.home() / ".mxnet" / "datasets") / name


def find_folder(location: Location, root: str | os.PathLike | None = None) -> Path:
    """Find a data set's folder in or at ``root``.

    Args:
        location: the data set.
        root: folder to search; by default ``$GLUONVISION_DATA`` and the data set's folder in it, or
            the data set's folder in ``~/.mxnet/datasets``.

    Raises:
        FileNotFoundError: it is not there; the message lists the searched places and the command
            to run.
    """
    roots = _default_roots(location.folder) if root is None else [Path(root).expanduser()]
    folders = [r / subfolder for r in roots for subfolder in location.subfolders]
    for folder in folders:
        if (folder / location.marker).exists():
            return folder
    raise FileNotFoundError(
        f"{location.title} not found; looked for {location.marker} in\n  "
        + "\n  ".join(str(folder) for folder in folders)
        + f"\nRun\n  python -m gluonvision prepare {location.prepare_name}\n"
        f"to download it to {default_folder(location.folder)}, or point root= (--data-folder) or "
        "GLUONVISION_DATA to the folder that holds it"
    )


def _default_roots(name: str) -> list[Path]:
    folder = default_folder(name)
    return [folder.parent, folder] if os.environ.get("GLUONVISION_DATA") else [folder]


def read_names(path: Path) -> list[str]:
    """Read the image names in a split file, one per line.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is empty or is not text.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such split file; choose another split, or unpack the archive again"
        )
    try:
        names = path.read_text(encoding="utf-8-sig").split()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is not text ({error}); unpack the archive again") from error
    if not names:
        raise ValueError(f"{path}: the list is empty; unpack the archive again")
    return names


def find_files(
    folder: Path, names: Sequence[str], suffix: str, may_miss: bool = False
) -> list[Path]:
    """Return the path ``folder/name + suffix`` of each name, and check that the files exist.

    Lists the folder once, because thousands of single look-ups are slow.

    Raises:
        FileNotFoundError: a file is missing, unless ``may_miss``.
    """
    existing = set(os.listdir(folder)) if folder.is_dir() else set()
    missing = [name for name in names if name + suffix not in existing]
    if missing and not may_miss:
        raise FileNotFoundError(
            f"{folder / (missing[0] + suffix)}: no such file ({len(missing)} of {len(names)} are "
            "missing there); the archive was not unpacked completely: unpack it again, or skip "
            "these images with skip_broken=True (--skip-broken)"
        )
    return [folder / (name + suffix) for name in names]


def list_names(folder: Path, suffix: str) -> list[str]:
    """List the sorted names, without ``suffix``, of a folder's files that end with it.

    Raises:
        FileNotFoundError: no file ends with it.
        ValueError: a file's suffix differs in case (.JPG), so that it would be skipped silently.
    """
    entries = os.listdir(folder) if folder.is_dir() else []
    # macOS leaves files in folders whose names begin with a dot.
    entries = [name for name in entries if not name.startswith(".")]
    other = [n for n in entries if n.lower().endswith(suffix.lower()) and not n.endswith(suffix)]
    if other:
        raise ValueError(
            f"{folder}: the suffix of {min(other)} differs in case from {suffix} ({len(other)} "
            "such files); rename it, or unpack the archive again"
        )
    names = sorted(name.removesuffix(suffix) for name in entries if name.endswith(suffix))
    if not names:
        raise FileNotFoundError(
            f"{folder}: holds no files *{suffix}; choose another split, or unpack the archive again"
        )
    return names


def check_split(split: str, splits: Sequence[str]) -> None:
    """Raise ValueError, listing the splits, if ``split`` is not one of them."""
    if split not in splits:
        raise ValueError(f"split {split!r}: expected one of {', '.join(splits)}")
