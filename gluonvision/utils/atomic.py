"""Files that appear whole or not at all."""

import contextlib
import os
import tempfile
import uuid
from collections.abc import Iterator
from io import BufferedWriter
from pathlib import Path

# What a killed process leaves: half a file, under a name that nothing reads.
TEMPORARY = ".*.tmp"


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[BufferedWriter]:
    """A file to write bytes to, which takes ``path``'s place when the block ends without an error.

    Until then, and after an error, what was at ``path`` stays as it was. The content is on the disk
    before the name is. A link keeps pointing where it does.
    """
    target = Path(path).resolve()
    # Without the target's name, which may be as long as names can be.
    temporary = target.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        if error.filename == str(temporary):
            error.filename = str(path)  # what the caller knows
        raise
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(target.parent)


@contextlib.contextmanager
def staged(folder: str | os.PathLike) -> Iterator[Path]:
    """A new folder to write files into, which move into ``folder`` when the block ends.

    After an error nothing of them is left, and what they would have replaced is as it was.
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
    """Write UTF-8 text, whole or not at all."""
    with replacing(path) as file:
        file.write(text.encode())


def _sync_folder(folder: Path) -> None:
    """Make a rename in the folder outlast a power cut (Windows has no such call)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
