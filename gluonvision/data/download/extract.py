"""Unpacking archives from strangers: nothing leaves the folder, nothing grows without bound."""

import lzma
import os
import shutil
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from tqdm import tqdm

from gluonvision.utils.locking import locked

CHUNK = 1 << 20
MAX_FILES = 1_000_000
_MAX_PADDING = 1 << 26
# The last row: what the standard library raises for broken headers, unknown methods, passwords.
_BROKEN: tuple[type[Exception], ...] = (
    *(tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError),
    *(ValueError, OverflowError, NotImplementedError, RuntimeError, struct.error, OSError),
)


class ArchiveError(ValueError):
    """An archive that is broken, hostile, or not the one that was expected."""


@dataclass(frozen=True)
class _Member:
    name: str
    kind: str  # file, folder, or other (links, devices)
    size: int
    handle: object


def extract(
    archive: Path,
    source: str,
    target: Path,
    contents: tuple[str, ...] = (),
    limit: int = 64 << 30,
    progress: bool = True,
) -> bool:
    """Put the folder ``source`` of a zip or tar archive at ``target``, whole or not at all.

    It is unpacked beside ``target`` and then renamed; what an interrupted run left is cleared away.
    Returns False, at once, where ``target`` is there already. ``source``: a path in the archive;
    a first part * stands for any. ``contents``: paths that must be in it. ``limit``: bytes that the
    files may have together.

    Raises ArchiveError, leaving nothing behind, for a member whose path is absolute or has '..',
    for links and devices, more bytes or files than allowed, a broken archive, or other contents;
    FileNotFoundError for no archive.
    """
    if target.exists():
        return False
    with locked(target):
        if target.exists():
            return False
        prefix = f".{target.name}.unpacking-"
        for left in target.parent.glob(f"{prefix}*"):
            shutil.rmtree(left)
        temporary = Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent))
        try:
            unpacked = temporary / "unpacked"
            _unpack(archive, source, unpacked, limit, progress)
            _check_contents(archive, source, unpacked, contents)
            os.rename(unpacked, target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return True


def is_archive(path: Path) -> bool:
    """Whether a file is a zip or a tar archive, by its first or last bytes."""
    return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)


def _unpack(archive: Path, source: str, folder: Path, limit: int, progress: bool) -> None:
    if not archive.is_file():
        raise FileNotFoundError(f"{archive}: no such file")
    with ExitStack() as stack:
        try:
            members, opener = _open(archive, stack)
            bar = stack.enter_context(_bar(archive, progress))
            _copy_all(members, opener, source, folder, limit, bar)
        except ArchiveError as error:
            raise ArchiveError(f"{archive}: {error}") from None
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise ArchiveError(f"{archive}: {error.filename} is in it twice") from error
        except _BROKEN as error:
            # Decompressors say OSError too, but for the system's have a number.
            if getattr(error, "errno", None) is not None:
                raise
            raise ArchiveError(
                f"{archive}: is broken ({error}); remove it and run this again"
            ) from error


def _open(archive: Path, stack: ExitStack):
    """The archive's members, and what opens one of them."""
    if zipfile.is_zipfile(archive):
        opened = stack.enter_context(zipfile.ZipFile(archive))
        return map(_zip_member, opened.infolist()), opened.open
    try:
        packed = stack.enter_context(tarfile.open(archive, "r:*"))  # noqa: SIM115
    except (tarfile.TarError, OSError) as error:
        raise ArchiveError(f"neither zip nor tar ({error}); is it the right file?") from error
    return _tar_members(packed), packed.extractfile


def _tar_members(packed: tarfile.TarFile) -> Iterator[_Member]:
    yield from map(_tar_member, packed)
    # Where a header is broken or missing, tarfile takes that for the end.
    stream: IO[bytes] = packed.fileobj  # type: ignore[assignment]
    stream.seek(packed.offset)
    if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise ArchiveError("is broken or ends too early; remove it and run this again")
    # Compressed data is verified where it ends.
    for _ in range(_MAX_PADDING // CHUNK):
        if not stream.read(CHUNK):
            return
    raise ArchiveError("goes on behind its end: it is not what it should be")


def _zip_member(info: zipfile.ZipInfo) -> _Member:
    kind = stat.S_IFMT(info.external_attr >> 16)
    regular = kind in (0, stat.S_IFREG, stat.S_IFDIR)
    # The name as it is in the file: ZipInfo.filename stops at a zero and turns separators.
    name = info.orig_filename
    return _Member(
        name, "folder" if info.is_dir() else "file" if regular else "other", info.file_size, info
    )


def _tar_member(info: tarfile.TarInfo) -> _Member:
    kind = "folder" if info.isdir() else "file" if info.isreg() else "other"
    return _Member(info.name, kind, info.size, info)


def _copy_all(
    members: Iterator[_Member], opener, source: str, folder: Path, limit: int, bar: tqdm
) -> None:
    left, files = limit, 0
    for member in members:
        path = _inside(_checked(member.name), source)
        if path is None:
            continue
        if member.kind == "other":
            raise ArchiveError(f"{member.name!r} is a link or a device, which data never needs")
        files += 1
        if member.kind == "file":
            with opener(member.handle) as stream:
                left -= _copy(stream, folder / path, left, limit, bar)
        else:
            (folder / path).mkdir(parents=True, exist_ok=True)
        if files > MAX_FILES:
            raise ArchiveError(f"holds more than {MAX_FILES} files")


def _checked(name: str) -> PurePosixPath:
    """The member's path, which cannot lead out of a folder on any system."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or any(c in name for c in "\\:\0"):
        raise ArchiveError(f"{name!r} would leave its folder: the archive is hostile, remove it")
    return path


def _inside(path: PurePosixPath, source: str) -> PurePosixPath | None:
    """The path below ``source``, or None for one that is not in it."""
    wanted = PurePosixPath(source).parts
    head = path.parts[: len(wanted)]
    same = len(head) == len(wanted) and all(w in ("*", h) for w, h in zip(wanted, head))
    return PurePosixPath(*path.parts[len(wanted) :]) if same else None


def _copy(stream: IO[bytes], path: Path, left: int, limit: int, bar: tqdm) -> int:
    """Write one file; returns its size. What headers say of sizes is not believed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    size = 0
    with open(path, "xb") as file:
        while chunk := stream.read(CHUNK):
            size += len(chunk)
            if size > left:
                raise ArchiveError(f"unpacks to more than {limit} bytes: not what it should be")
            file.write(chunk)
            bar.update(len(chunk))
    return size


def _check_contents(archive: Path, source: str, folder: Path, contents: tuple[str, ...]) -> None:
    missing = [name for name in contents if not (folder / name).exists()]
    if missing or not folder.is_dir():
        lacks = ", ".join(f"{source}/{name}" for name in missing) or f"a folder {source}"
        raise ArchiveError(f"{archive}: lacks {lacks}: it is another archive, or an old one")


def _bar(archive: Path, progress: bool) -> tqdm:
    return tqdm(
        desc=f"unpacking {archive.name}",
        unit="B",
        unit_scale=True,
        disable=None if progress else True,
    )
