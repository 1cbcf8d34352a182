"""Write files atomically: a file appears complete or not at all."""

import contextlib
import os
import tempfile
import uuid
from collections.abc import Iterator
from io import BufferedWriter
from pathlib import Path

# Incomplete files that a killed process leaves; nothing reads them.
TEMPORARY = ".*.tmp"


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[BufferedWriter]:
    """Open a binary file that replaces ``path`` when the block ends without an error.

    Until then, and after an error, ``path`` is unchanged. The content is synced to disk before the
    file is renamed. If ``path`` is a link, its target is replaced.
    """
    target = Path(path).resolve()
    # Do not add to the target's name, which may have the maximum length already.
    temporary = target.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        if error.filename == str(temporary):
            error.filename = str(path)  # the name that the caller knows
        raise
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(target.parent)


@contextlib.contextmanager
def staged(folder: str | os.PathLike) -> Iterator[Path]:
    """Yield a new folder whose files move into ``folder`` when the block ends without an error.

    After an error they are deleted, and the files that they would have replaced are unchanged.
    """
    target = Path(folder).resolve()
    with tempfile.TemporaryDirectory(prefix=".", suffix=".tmp", dir=target) as name:
        yield Path(name)
        files = sorted(Path(name).iterdir())
        for file in files:
            with open(file, "rb+") as opened:
                os.fsync(opened.fileno())
        for file in files:
            os.replace(file, target / file.name)
    _sync_folder(target)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write UTF-8 text to a file atomically."""
    with replacing(path) as file:
        file.write(text.encode())


def _sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a power failure (Windows has no such call)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
