"""Find published weights in a folder, or download them from the first mirror that has them."""

import difflib
import hashlib
import logging
import os
import shutil
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from gluonvision.model_zoo.weights.table import (
    ALIASES,
    BACKBONES,
    SEGMENTATION,
    UNPUBLISHED,
    Weights,
)
from gluonvision.utils.download import DownloadError, download, verify_checksum
from gluonvision.utils.locking import locked

logger = logging.getLogger(__name__)

# Weights that come with the package, each with a model card.
OWN_FILES = Path(__file__).parent / "files"
# In bytes; the largest published file, DeepLabV3 on ResNet152, is below 400 MB.
MAX_UNPACKED = 1 << 30
_OFFLINE_MODEL = (
    "Without a network, use --model deeplabv3plus_mobilenet_v2_camvid, for street scenes, which "
    "comes with the package.",
)


@dataclass(frozen=True)
class WeightsFile:
    """A weights file on this machine, and the naming scheme of its arrays.

    ``format`` is "gluonvision", "gluoncv", "mxnet-zoo" (all ``.params``), "torchvision" (``.pth``)
    or "timm" (``.safetensors`` or ``.pth``).
    """

    path: Path
    format: str


def list_weights() -> list[str]:
    """Return the sorted names of the models that have published weights."""
    return sorted({**BACKBONES, **SEGMENTATION})


def get_weights(name: str) -> tuple[Weights, ...]:
    """Return the published files of a model, best first; their formats may differ.

    Raises:
        ValueError: if the name is unknown or has no published weights; the message suggests
            similar names.
    """
    known = {**BACKBONES, **SEGMENTATION}
    name = ALIASES.get(name, name)
    if name in known:
        return known[name]
    problem = "no weights were published for" if name in UNPUBLISHED else "unknown name"
    close = difflib.get_close_matches(name, known, n=3)
    hint = f" Did you mean {' or '.join(close)}?" if close else ""
    raise ValueError(f"{problem} {name!r}.{hint} Weights exist for: {', '.join(list_weights())}")


def weights_folder(root: str | os.PathLike | None = None) -> Path:
    """Return the folder of weights.

    It is the first of these: ``root``, ``$GLUONVISION_HOME/models``, ``$MXNET_HOME/models`` and
    ``~/.mxnet/models``. The last two are MXNet's own, where GluonCV keeps its files.
    """
    if root is not None:
        return Path(root).expanduser()
    home = os.environ.get("GLUONVISION_HOME") or os.environ.get("MXNET_HOME") or "~/.mxnet"
    return Path(home).expanduser() / "models"


def file_on_disk(weights: Weights, root: str | os.PathLike | None = None) -> Path | None:
    """Return the path of a published file on this machine, without reading it, or None."""
    candidates = (OWN_FILES / weights.file, weights_folder(root) / weights.file)
    return next((path for path in candidates if path.is_file()), None)


def find_weights(
    name: str,
    root: str | os.PathLike | None = None,
    *,
    progress: bool = True,
    timeout: float = 20.0,
) -> WeightsFile:
    """Find the weights of a model in the folder of weights, or download them into it.

    Args:
        name: a model of ``list_weights()``, or an alias ("resnet50" is "dilated_resnet50").
        root: the folder; see ``weights_folder``.
        progress: show a progress bar.
        timeout: seconds without data after which the next mirror is tried.

    Raises:
        ValueError: if the name is unknown or has no published weights.
        DownloadError: if every mirror failed; the message says how to get the file by hand.
    """
    choices = get_weights(name)
    folder = weights_folder(root)
    for weights in choices:
        for parent in (OWN_FILES, folder):
            if _is_valid(parent / weights.file, weights):
                return WeightsFile(parent / weights.file, weights.format)
    get = partial(download, progress=progress, timeout=timeout)
    failures: list[tuple[str, str]] = []
    for weights in choices:
        try:
            path = _fetch(weights, folder, get)
        except DownloadError as error:
            failures.extend(error.failures)
            logger.warning("%s could not be downloaded", weights.file)
            continue
        return WeightsFile(path, weights.format)
    raise _no_weights(name, choices, folder, failures)


def _is_valid(path: Path, weights: Weights) -> bool:
    if not path.is_file():
        return False
    try:
        if weights.checksum is not None:
            verify_checksum(path, weights.checksum)
    except ValueError as error:
        logger.warning("skipping %s: %s", path, error)
        return False
    return True


def _fetch(weights: Weights, folder: Path, get: Callable[..., Path]) -> Path:
    path = folder / weights.file
    if weights.archive is None:
        return get(weights.urls(), path, checksum=weights.checksum)
    archive = folder / weights.archive
    with locked(path):
        if _is_valid(path, weights):
            return path
        was_there = archive.exists()  # the user's own file is kept
        get(weights.urls(), archive, check=partial(_check_archive, weights))
        _unpack(archive, path)
        if not was_there:
            archive.unlink()
    return path


def _check_archive(weights: Weights, archive: Path) -> None:
    """Raise ValueError unless the zip has the file, with a plausible size and the right SHA1."""
    digest = hashlib.sha1(usedforsecurity=False)
    try:
        with zipfile.ZipFile(archive) as opened:
            size = opened.getinfo(weights.file).file_size
            if size > MAX_UNPACKED:
                raise ValueError(
                    f"the file unpacks to {size} bytes, expected at most {MAX_UNPACKED}"
                )
            with opened.open(weights.file) as member:
                while chunk := member.read(1 << 20):
                    digest.update(chunk)
    except KeyError:
        raise ValueError(f"the file is a zip without {weights.file}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
        raise ValueError(f"the file is not a complete zip ({error})") from error
    if f"sha1:{digest.hexdigest()}" != weights.checksum:
        raise ValueError(
            f"the file has a {weights.file} with sha1:{digest.hexdigest()}, expected "
            f"{weights.checksum}"
        )


def _unpack(archive: Path, path: Path) -> None:
    """Write the member ``path.name`` to ``path``; the zip's own paths are never followed."""
    partial_file = path.with_name(path.name + ".part")
    with zipfile.ZipFile(archive) as opened, opened.open(path.name) as member:
        _write_synced(member, partial_file)
    os.replace(partial_file, path)


def _write_synced(source: IO[bytes], path: Path) -> None:
    with open(path, "wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
        file.flush()
        os.fsync(file.fileno())


def _no_weights(
    name: str,
    choices: Sequence[Weights],
    folder: Path,
    failures: Sequence[tuple[str, str]],
) -> DownloadError:
    files = [file for each in choices for file in (each.file, each.archive) if file]
    lines = [
        f"no weights of {name!r} could be downloaded; every mirror failed:",
        *(f"  {url}: {reason}" for url, reason in failures),
        f"Download one of {', '.join(files)} yourself and put it into {folder.absolute()} (or into "
        "the folder that GLUONVISION_HOME or root names), or set MXNET_GLUON_REPO to a host that "
        "has MXNet's files.",
        *(_OFFLINE_MODEL if name in SEGMENTATION else _other_backbones(name)),
    ]
    return DownloadError("\n".join(lines), failures)


def _other_backbones(name: str) -> tuple[str, str]:
    others = [other for other in live_backbones() if other != ALIASES.get(name, name)]
    return (
        f"Backbones with weights on hosts other than MXNet's: {', '.join(others)}",
        "To start without ImageNet weights, use pretrained_base=False or --no-pretrained-base.",
    )


def live_backbones() -> list[str]:
    """Return the sorted names of backbones with weights on other hosts than MXNet's bucket."""
    return sorted(
        name for name, files in BACKBONES.items() if any(each.archive is None for each in files)
    )
