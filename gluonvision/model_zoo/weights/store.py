"""Get the published weights of a model: from a folder, else from the first mirror that has them."""

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

# Weights that come with the package, each with a card.
OWN_FILES = Path(__file__).parent / "files"
# The largest published file, DeepLabV3 with ResNet152, is below 400 MB.
MAX_UNPACKED = 1 << 30
_INSTEAD = (
    "Without a network: --model deeplabv3plus_mobilenet_v2_camvid, for streets, comes with the "
    "package.",
)


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights on this machine, and the naming scheme of what is in it.

    `format` is "gluonvision", "gluoncv", "mxnet-zoo" (all `.params`), "torchvision" (`.pth`) or
    "timm" (`.safetensors` or `.pth`).
    """

    path: Path
    format: str


def list_weights() -> list[str]:
    """Return the names of the models that have published weights, sorted."""
    return sorted({**BACKBONES, **SEGMENTATION})


def get_weights(name: str) -> tuple[Weights, ...]:
    """Return what is published for a model, best first; the files may differ in format.

    Raises:
        ValueError: nothing is known of the name; the message lists close ones.
    """
    known = {**BACKBONES, **SEGMENTATION}
    name = ALIASES.get(name, name)
    if name in known:
        return known[name]
    what = "no weights were published for" if name in UNPUBLISHED else "got the unknown name"
    close = difflib.get_close_matches(name, known, n=3)
    hint = f" Did you mean {' or '.join(close)}?" if close else ""
    raise ValueError(f"{what} {name!r}.{hint} Weights exist for: {', '.join(list_weights())}")


def weights_folder(root: str | os.PathLike | None = None) -> Path:
    """Return the folder of weights: `root`, else `$GLUONVISION_HOME/models`, else MXNet's own.

    MXNet's is `$MXNET_HOME/models`, else `~/.mxnet/models`: GluonCV's files there are found.
    """
    if root is not None:
        return Path(root).expanduser()
    home = os.environ.get("GLUONVISION_HOME") or os.environ.get("MXNET_HOME") or "~/.mxnet"
    return Path(home).expanduser() / "models"


def file_on_disk(weights: Weights, root: str | os.PathLike | None = None) -> Path | None:
    """Return where a published file lies on this machine, unread, or None."""
    places = (OWN_FILES / weights.file, weights_folder(root) / weights.file)
    return next((path for path in places if path.is_file()), None)


def find_weights(
    name: str,
    root: str | os.PathLike | None = None,
    *,
    progress: bool = True,
    timeout: float = 20.0,
) -> WeightsFile:
    """Return the weights of a model, from the folder of weights, else downloaded into it.

    Args:
        name: a model of `list_weights()`, or an alias ("resnet50" is "dilated_resnet50").
        root: the folder; see `weights_folder`.
        progress: show a bar.
        timeout: seconds without a byte after which a mirror is given up.

    Raises:
        ValueError: the name is unknown or has no published weights.
        DownloadError: no mirror of any file answered; the message says what to do by hand.
    """
    choices = get_weights(name)
    folder = weights_folder(root)
    for weights in choices:
        for place in (OWN_FILES, folder):
            if _is_right(place / weights.file, weights):
                return WeightsFile(place / weights.file, weights.format)
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


def _is_right(path: Path, weights: Weights) -> bool:
    if not path.is_file():
        return False
    try:
        if weights.checksum is not None:
            verify_checksum(path, weights.checksum)
    except ValueError as error:
        logger.warning("%s is passed over: it %s", path, error)
        return False
    return True


def _fetch(weights: Weights, folder: Path, get: Callable[..., Path]) -> Path:
    path = folder / weights.file
    if weights.archive is None:
        return get(weights.urls(), path, checksum=weights.checksum)
    archive = folder / weights.archive
    with locked(path):
        if _is_right(path, weights):
            return path
        put_by_hand = archive.exists()
        get(weights.urls(), archive, check=partial(_check_archive, weights))
        _unpack(archive, path)
        if not put_by_hand:
            archive.unlink()
    return path


def _check_archive(weights: Weights, archive: Path) -> None:
    """Raise ValueError unless the zip has the file, of a possible size and with its SHA1."""
    digest = hashlib.sha1(usedforsecurity=False)
    try:
        with zipfile.ZipFile(archive) as opened:
            size = opened.getinfo(weights.file).file_size
            if size > MAX_UNPACKED:
                raise ValueError(f"unpacks to {size} bytes, expected {MAX_UNPACKED} at most")
            with opened.open(weights.file) as member:
                while chunk := member.read(1 << 20):
                    digest.update(chunk)
    except KeyError:
        raise ValueError(f"is a zip without {weights.file}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
        raise ValueError(f"is no whole zip ({error})") from error
    if f"sha1:{digest.hexdigest()}" != weights.checksum:
        raise ValueError(f"has a {weights.file} with sha1:{digest.hexdigest()}, not its own")


def _unpack(archive: Path, path: Path) -> None:
    """Write the member `path.name` to `path`; the zip's own paths are never followed."""
    part = path.with_name(path.name + ".part")
    with zipfile.ZipFile(archive) as opened, opened.open(path.name) as member:
        _write_synced(member, part)
    os.replace(part, path)


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
        f"no weights of {name!r} could be downloaded, every mirror failed:",
        *(f"  {url}: {reason}" for url, reason in failures),
        f"Put one of {', '.join(files)} by hand into {folder.absolute()} (GLUONVISION_HOME or root "
        "names another folder), or name a host that has MXNet's files in MXNET_GLUON_REPO.",
        *(_INSTEAD if name in SEGMENTATION else _other_backbones(name)),
    ]
    error = DownloadError("\n".join(lines))
    error.failures = tuple(failures)
    return error


def _other_backbones(name: str) -> tuple[str, str]:
    alive = [other for other in live_backbones() if other != ALIASES.get(name, name)]
    return (
        f"Backbones with weights on other hosts than MXNet's: {', '.join(alive)}",
        "To start without ImageNet weights: pretrained_base=False, or --no-pretrained-base.",
    )


def live_backbones() -> list[str]:
    """Return the backbones whose weights do not hang on MXNet's bucket alone, sorted."""
    return sorted(
        name for name, files in BACKBONES.items() if any(each.archive is None for each in files)
    )
