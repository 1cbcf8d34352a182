"""Where data sets lie on disk, and what is said when they do not."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """How a data set is found: in ``inner`` of its folder, which there holds ``proof``.

    ``title``: its name in messages; ``folder``: its folder among the data sets, GluonCV's names;
    ``script``: what ``prepare`` calls it.
    """

    title: str
    folder: str
    inner: tuple[str, ...]
    proof: str
    script: str


def default_folder(name: str) -> Path:
    """Where a data set is put: ``$GLUONVISION_DATA/name``, else ``~/.mxnet/datasets/name``."""
    base = os.environ.get("GLUONVISION_DATA")
    return (Path(base).expanduser() if base else Path.home() / ".mxnet" / "datasets") / name


def find(place: Place, root: str | os.PathLike | None = None) -> Path:
    """The data set's folder in or at ``root``.

    By default in ``$GLUONVISION_DATA`` or its folder of that name, else in ~/.mxnet/datasets.
    Raises FileNotFoundError that says where it looked and what to run.
    """
    roots = _default_roots(place.folder) if root is None else [Path(root).expanduser()]
    folders = [r / inner for r in roots for inner in place.inner]
    for folder in folders:
        if (folder / place.proof).exists():
            return folder
    raise FileNotFoundError(
        f"{place.title} not found; looked for {place.proof} in\n  "
        + "\n  ".join(str(folder) for folder in folders)
        + f"\nRun\n  python -m gluonvision prepare {place.script}\n"
        f"which puts it into {default_folder(place.folder)}, or pass root= (--data-folder), or set "
        "GLUONVISION_DATA, to the folder that holds it"
    )


def _default_roots(name: str) -> list[Path]:
    own = default_folder(name)
    return [own.parent, own] if os.environ.get("GLUONVISION_DATA") else [own]


def read_names(path: Path) -> list[str]:
    """The names in a list file, one a line.

    Raises FileNotFoundError, or ValueError for an empty list or one that is no text.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such list of images; choose another split, or unpack the archive again"
        )
    try:
        names = path.read_text(encoding="utf-8-sig").split()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is no text ({error}); unpack the archive again") from error
    if not names:
        raise ValueError(f"{path}: the list is empty; unpack the archive again")
    return names


def files(folder: Path, names: Sequence[str], suffix: str, may_miss: bool = False) -> list[Path]:
    """The file of each name; one listing, as asking for thousands of files one by one is slow.

    Raises FileNotFoundError, unless ``may_miss``, where one is not there.
    """
    present = set(os.listdir(folder)) if folder.is_dir() else set()
    missing = [name for name in names if name + suffix not in present]
    if missing and not may_miss:
        raise FileNotFoundError(
            f"{folder / (missing[0] + suffix)}: no such file ({len(missing)} of {len(names)} are "
            "missing there); the archive was unpacked in part: unpack it again, or leave them out "
            "with skip_broken=True (--skip-broken)"
        )
    return [folder / (name + suffix) for name in names]


def listed(folder: Path, suffix: str) -> list[str]:
    """The names, without ``suffix``, of a folder's files that end so, sorted.

    Raises FileNotFoundError where there are none, ValueError for an ending in other letters (.JPG),
    which would be left out without a word.
    """
    found = os.listdir(folder) if folder.is_dir() else []
    # What macOS leaves in a folder begins with a dot.
    found = [name for name in found if not name.startswith(".")]
    other = [n for n in found if n.lower().endswith(suffix.lower()) and not n.endswith(suffix)]
    if other:
        raise ValueError(
            f"{folder}: {min(other)} ends in other letters than {suffix} ({len(other)} such "
            "files); rename it, or unpack the archive again"
        )
    names = sorted(name.removesuffix(suffix) for name in found if name.endswith(suffix))
    if not names:
        raise FileNotFoundError(
            f"{folder}: holds no files *{suffix}; choose another split, or unpack the archive again"
        )
    return names


def check_split(split: str, splits: Sequence[str]) -> None:
    """Raise ValueError, listing the splits, for one that is not among them."""
    if split not in splits:
        raise ValueError(f"split {split!r}: expected one of {', '.join(splits)}")
