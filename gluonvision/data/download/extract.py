"""Unpack untrusted archives: nothing leaves the folder, and sizes are limited."""

import lzma
import os
import shutil
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from tqdm import tqdm

from gluonvision.utils.locking import locked

CHUNK = 1 << 20
MAX_FILES = 1_000_000
_MAX_PADDING = 1 << 26
# The last line: what the standard library raises for broken headers, unknown methods, passwords.
_BROKEN: tuple[type[Exception], ...] = (
    *(tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError),
    *(ValueError, OverflowError, NotImplementedError, RuntimeError, struct.error, OSError),
)


class ArchiveError(ValueError):
    """An archive is broken, malicious, or not the expected one."""


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
    """Unpack a folder of a zip or tar archive to ``target``, completely or not at all.

    It is unpacked next to ``target`` and then renamed. The remains of an interrupted run are
    deleted.

    Args:
        archive: file to unpack.
        source: folder in the archive; a first part of * matches any name.
        target: path of the unpacked folder.
        contents: paths that must be in the folder.
        limit: maximum size of all files together, in bytes.
        progress: show a progress bar, if standard error is a terminal.

    Returns:
        Whether the archive was unpacked; False if ``target`` exists already.

    Raises:
        ArchiveError: the archive is broken, lacks ``contents``, is larger than allowed, or has a
            link, a device, or a path that is absolute or contains '..'; nothing is left behind.
        FileNotFoundError: there is no such archive.
    """
    if target.exists():
        return False
    with locked(target):
        if target.exists():
            return False
        prefix = f".{target.name}.unpacking-"
        for remains in target.parent.glob(f"{prefix}*"):
            shutil.rmtree(remains)
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
    """Return whether a file is a zip or tar archive, by its content."""
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
            raise ArchiveError(f"{archive}: contains {error.filename} twice") from error
        except _BROKEN as error:
            # Decompressors raise OSError too, but only the system's have a number.
            if getattr(error, "errno", None) is not None:
                raise
            raise ArchiveError(
                f"{archive}: is broken ({error}); remove it and run this again"
            ) from error


def _open(archive: Path, stack: ExitStack) -> tuple[Iterator[_Member], Callable]:
    """Return the archive's members, and the function that opens one."""
    if zipfile.is_zipfile(archive):
        opened = stack.enter_context(zipfile.ZipFile(archive))
        return map(_zip_member, opened.infolist()), opened.open
    try:
        opened_tar = stack.enter_context(tarfile.open(archive, "r:*"))  # noqa: SIM115
    except (tarfile.TarError, OSError) as error:
        raise ArchiveError(f"neither zip nor tar ({error}); is it the right file?") from error
    return _tar_members(opened_tar), opened_tar.extractfile


def _tar_members(archive: tarfile.TarFile) -> Iterator[_Member]:
    yield from map(_tar_member, archive)
    # tarfile takes a broken or missing header for the end.
    stream: IO[bytes] = archive.fileobj  # type: ignore[assignment]  # None only when writing
    stream.seek(archive.offset)
    if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise ArchiveError("is broken or ends too early; remove it and run this again")
    # The checksum of compressed data is verified at its end, so read up to it.
    for _ in range(_MAX_PADDING // CHUNK):
        if not stream.read(CHUNK):
            return
    raise ArchiveError("has data after its end: it is not the expected archive")


def _zip_member(info: zipfile.ZipInfo) -> _Member:
    kind = stat.S_IFMT(info.external_attr >> 16)
    regular = kind in (0, stat.S_IFREG, stat.S_IFDIR)
    # The name as stored: ZipInfo.filename stops at a null byte and replaces separators.
    name = info.orig_filename
    return _Member(
        name, "folder" if info.is_dir() else "file" if regular else "other", info.file_size, info
    )


def _tar_member(info: tarfile.TarInfo) -> _Member:
    kind = "folder" if info.isdir() else "file" if info.isreg() else "other"
    return _Member(info.name, kind, info.size, info)


def _copy_all(
    members: Iterator[_Member], opener: Callable, source: str, folder: Path, limit: int, bar: tqdm
) -> None:
    bytes_left, num_files = limit, 0
    for member in members:
        path = _inside(_checked(member.name), source)
        if path is None:
            continue
        if member.kind == "other":
            raise ArchiveError(f"{member.name!r} is a link or a device, which data sets never need")
        num_files += 1
        if member.kind == "file":
            with opener(member.handle) as stream:
                bytes_left -= _copy(stream, folder / path, bytes_left, limit, bar)
        else:
            (folder / path).mkdir(parents=True, exist_ok=True)
        if num_files > MAX_FILES:
            raise ArchiveError(f"contains more than {MAX_FILES} files")


def _checked(name: str) -> PurePosixPath:
    """Return the member's path if it cannot lead out of a folder, on any operating system."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or any(c in name for c in "\\:\0"):
        raise ArchiveError(f"{name!r} would leave its folder: the archive is malicious, remove it")
    return path


def _inside(path: PurePosixPath, source: str) -> PurePosixPath | None:
    """Return the path relative to ``source``, or None if it is not in there."""
    prefix = PurePosixPath(source).parts
    head = path.parts[: len(prefix)]
    is_inside = len(head) == len(prefix) and all(p in ("*", h) for p, h in zip(prefix, head))
    return PurePosixPath(*path.parts[len(prefix) :]) if is_inside else None


def _copy(stream: IO[bytes], path: Path, bytes_left: int, limit: int, bar: tqdm) -> int:
    """Write one file and return its size; sizes in headers are not trusted."""
    path.parent.mkdir(parents=True, exist_ok=True)
    size = 0
    with open(path, "xb") as file:
        while chunk := stream.read(CHUNK):
            size += len(chunk)
            if size > bytes_left:
                raise ArchiveError(f"unpacks to more than {limit} bytes, its expected maximum")
            file.write(chunk)
            bar.update(len(chunk))
    return size


def _check_contents(archive: Path, source: str, folder: Path, contents: tuple[str, ...]) -> None:
    missing = [name for name in contents if not (folder / name).exists()]
    if missing or not folder.is_dir():
        absent = ", ".join(f"{source}/{name}" for name in missing) or f"a folder {source}"
        raise ArchiveError(f"{archive}: lacks {absent}: it is another archive, or an old version")


def _bar(archive: Path, progress: bool) -> tqdm:
    return tqdm(
        desc=f"unpacking {archive.name}",
        unit="B",
        unit_scale=True,
        disable=None if progress else True,
    )
