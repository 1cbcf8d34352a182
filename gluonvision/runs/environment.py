"""Describe the environment of a run, which repeating it needs besides its configuration."""

import datetime
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from gluonvision._version import __version__
from gluonvision.data.transforms import warp

# A wheel of OpenCV or MXNet has one of several names.
_PACKAGES = {
    "numpy": ("numpy",),
    "pillow": ("Pillow",),
    "opencv": (
        *("opencv-python-headless", "opencv-python"),
        *("opencv-contrib-python-headless", "opencv-contrib-python"),
    ),
    "torch": ("torch",),
    "mxnet": ("mxnet", "mxnet-cu112"),
}
_GIT_SECONDS = 5


def describe_environment() -> dict[str, Any]:
    """Describe versions, machine, commits, command line and the current time.

    Environment variables are left out because they may hold secrets. Missing information is None;
    no framework is imported.

    Returns:
        A dict that JSON can hold. ``packages``: versions. ``git``: for the source of
        ``gluonvision`` and for the ``working_folder``, the ``commit`` and whether tracked files
        differ from it (``dirty``). ``compiled_warp``: whether the compiled crop is used.
    """
    return {
        "packages": {"gluonvision": __version__, **_versions()},
        "compiled_warp": warp.is_compiled(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "git": {"gluonvision": _source_commit(), "working_folder": _commit(None)},
        "command_line": list(sys.orig_argv),
        "started": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
    }


def _versions() -> dict[str, str | None]:
    return {
        package: next(filter(None, map(_version, names)), None)
        for package, names in _PACKAGES.items()
    }


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _source_commit() -> dict[str, Any] | None:
    source = Path(__file__)
    # An installed copy may be in another project's checkout. That project's commit is not ours.
    if _git(source.parent, "ls-files", "--error-unmatch", source.name) is None:
        return None
    return _commit(source.parent)


def _commit(folder: Path | None) -> dict[str, Any] | None:
    """The checked-out commit of a folder, by default the working folder."""
    commit = _git(folder, "rev-parse", "--verify", "--quiet", "HEAD")
    if commit is None:
        return None
    # Ignore untracked files: the run's own results are among them.
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": None if changes is None else bool(changes)}


def _git(folder: Path | None, *arguments: str) -> str | None:
    """The output of git; None if it fails."""
    # Variables such as GIT_DIR, set by a hook, would point to another repository. Take no lock and
    # start no helper process: this only reads.
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-c", "core.fsmonitor=false", *arguments],
            cwd=folder,
            env=inherited,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_GIT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace").strip()
