"""Download and unpack a data set."""

import os
from collections.abc import Sequence
from pathlib import Path

from gluonvision.data.datasets.locations import default_folder
from gluonvision.data.download.archives import SOURCES, Archive, Source
from gluonvision.data.download.extract import extract, is_archive
from gluonvision.utils.download import download, verify_checksum


def prepare(
    dataset: str,
    root: str | os.PathLike | None = None,
    archives: Sequence[str | os.PathLike] = (),
    mirror: str | None = None,
    verify: bool = True,
) -> Path:
    """Download, verify and unpack a data set's archives.

    Existing folders are skipped, and an interrupted download is resumed, so it is safe to run this
    twice. Downloaded archives are kept in ``root/downloads``.

    Args:
        dataset: pascal_voc, pascal_aug, mscoco, ade20k, cityscapes or camvid.
        root: folder to unpack to; by default ``$GLUONVISION_DATA/NAME`` or
            ``~/.mxnet/datasets/NAME``.
        archives: local archives to use, with their original names (any name if the data set has
            only one archive).
        mirror: address of a folder to try before the known ones.
        verify: verify the checksums of local archives; those of downloads are always verified.

    Returns:
        The folder of the data set.

    Raises:
        ValueError: an argument is wrong, or an archive is broken, malicious or not the expected
            one; the message says what to do.
        OSError: an archive could not be downloaded; the message says what to do.
    """
    source = _source(dataset)
    folder = Path(root).expanduser() if root else default_folder(source.folder)
    local = _assign([Path(path).expanduser() for path in archives], source.archives)
    missing = [archive for archive in source.archives if not (folder / archive.target).exists()]
    _check_login(dataset, source, [a for a in missing if a.name not in local and not mirror])
    for archive in missing:
        path = local.get(archive.name)
        if path is None:
            path = _fetch(archive, folder / "downloads", mirror)
        elif verify and archive.checksum:
            _verify(path, archive.checksum)
        target = folder / archive.target
        target.parent.mkdir(parents=True, exist_ok=True)
        extract(path, archive.source, target, archive.contents, archive.max_bytes)
        print(f"{archive.name}: unpacked to {target}")
    return folder


def _source(dataset: str) -> Source:
    if dataset not in SOURCES:
        raise ValueError(
            f"no data set {dataset!r} to prepare; expected one of {', '.join(sorted(SOURCES))}"
        )
    return SOURCES[dataset]


def _assign(files: Sequence[Path], archives: Sequence[Archive]) -> dict[str, Path]:
    """Map the name of an archive to its local file."""
    names = [archive.name for archive in archives]
    local = {}
    for path in files:
        name = path.name if len(names) > 1 else names[0]
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file")
        if name not in names:
            raise ValueError(f"{path}: expected a file named {' or '.join(names)}")
        local[name] = path
    return local


def _check_login(dataset: str, source: Source, missing: Sequence[Archive]) -> None:
    if source.login and missing:
        options = " ".join(f"--archive {archive.name}" for archive in missing)
        raise ValueError(
            f"{dataset} cannot be downloaded without a login; register at {source.login}, download "
            f"{' and '.join(archive.name for archive in missing)}, and run this again with "
            f"{options}"
        )


def _fetch(archive: Archive, folder: Path, mirror: str | None) -> Path:
    bases = [mirror.rstrip("/")] if mirror else []
    urls = [f"{base}/{archive.name}" for base in (*bases, *archive.mirrors)]
    return download(
        urls, folder / archive.name, checksum=archive.checksum, check=_refuse_other_files
    )


def _refuse_other_files(path: Path) -> None:
    if not is_archive(path):
        raise ValueError("the file is not a zip or tar archive")


def _verify(path: Path, checksum: str) -> None:
    try:
        verify_checksum(path, checksum)
    except ValueError as error:
        raise ValueError(
            f"{path}: {error}; download it again, or pass --no-verify if you packed it yourself"
        ) from None
