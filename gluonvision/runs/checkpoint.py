"""The checkpoints of a run: everything it needs to continue as if it had never stopped.

A checkpoint is one safetensors file. Its name holds the step and the start of the SHA-256 of its
content, so that a damaged file is detected: ``states/00000120-9f86d081884c7d65.safetensors``.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from gluonvision.utils import atomic

# The folder of checkpoints in the folder of a run.
CHECKPOINTS = "states"
SUPERSEDED = ".superseded"
_NAME = re.compile(r"(\d{8,})-([0-9a-f]{16})\.safetensors")
_HEADER = "gluonvision"


def save_checkpoint(
    folder: Path, step: int, arrays: Mapping[str, np.ndarray], header: Mapping[str, Any]
) -> Path:
    """Write the checkpoint after ``step`` steps atomically, and return its path.

    Args:
        folder: the folder of checkpoints, created if missing.
        step: number of completed steps.
        arrays: weights and trainer state, by name.
        header: everything else, as JSON can hold it.

    Raises:
        OSError: the file cannot be written; the message names the newest existing checkpoint.
    """
    ordered = {name: np.ascontiguousarray(array) for name, array in sorted(arrays.items())}
    content = save(ordered, {_HEADER: json.dumps(header, sort_keys=True)})
    path = folder / f"{step:08d}-{_digest(content)}.safetensors"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with atomic.replacing(path) as file:
            file.write(content)
    except OSError as error:
        raise OSError(
            error.errno,
            f"the checkpoint of step {step} could not be written ({error.strerror}); "
            f"{describe_newest(folder)}. Fix the cause and run the same command with --resume auto",
            str(path),
        ) from error
    return path


def read_checkpoint(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read the arrays and the header of a checkpoint.

    Raises:
        FileNotFoundError: the file is missing; the message lists the folder's checkpoints.
        ValueError: the file is damaged; the message names the checkpoint before it.
    """
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise ValueError(
            f"{path}: expected the name of a checkpoint, STEP-HASH.safetensors, as in the "
            f"{CHECKPOINTS}/ folder of a run"
        )
    if not path.is_file():
        existing = ", ".join(other.name for other in list_checkpoints(path.parent)) or "none"
        raise FileNotFoundError(f"{path}: no such checkpoint; its folder holds: {existing}")
    content = path.read_bytes()
    if _digest(content) != match[2]:
        raise ValueError(
            f"{path} is damaged: its content does not match the hash in its name; "
            f"{_alternative(path)}"
        )
    try:
        return load(content), _read_header(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise ValueError(f"{path} is not the checkpoint of a run: {error}") from error


def is_checkpoint(path: str | Path | None) -> bool:
    """Whether a path is named like a checkpoint."""
    return path is not None and _NAME.fullmatch(Path(path).name) is not None


def list_checkpoints(folder: Path) -> list[Path]:
    """List the checkpoints in a folder, earliest first."""
    found = [path for path in folder.glob("*.safetensors") if is_checkpoint(path)]
    return sorted(found, key=lambda path: (step_of(path), path.name))


def describe_newest(folder: Path) -> str:
    """Describe which checkpoint a run can continue from, for the end of a sentence."""
    saved = list_checkpoints(folder)
    return f"the newest checkpoint is {saved[-1]}" if saved else "no checkpoint was saved before"


def step_of(path: Path) -> int:
    """The number of steps completed before a checkpoint was saved."""
    match = _NAME.fullmatch(path.name)
    assert match, path
    return int(match[1])


def remove_old(newest: Path, keep: int, best_step: int) -> None:
    """Remove all checkpoints except the last ``keep`` and the one of ``best_step``.

    ``newest`` always stays. Of a step that was saved twice, before and after its validation, only
    the second stays.
    """
    step = step_of(newest)
    others = [path for path in list_checkpoints(newest.parent) if path != newest]
    earlier = [path for path in others if step_of(path) < step]
    recent = earlier[max(len(earlier) - keep + 1, 0) :]
    for path in others:
        if (path not in recent and step_of(path) != best_step) or step_of(path) == step:
            path.unlink()


def set_aside_later(path: Path) -> None:
    """Rename the checkpoints after ``path`` to ``*.superseded``."""
    saved = list_checkpoints(path.parent)
    for later in saved[saved.index(path) + 1 :]:
        later.rename(later.with_name(later.name + SUPERSEDED))


def _alternative(path: Path) -> str:
    earlier = [p for p in list_checkpoints(path.parent) if step_of(p) < step_of(path)]
    if not earlier:
        return "no earlier checkpoint exists: restart the run with --overwrite"
    return f"continue from the checkpoint before it: --resume {earlier[-1]}"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _read_header(content: bytes) -> dict[str, Any]:
    """Read the metadata, which safetensors' loader drops: JSON after its length in 8 bytes."""
    length = int.from_bytes(content[:8], "little")
    return json.loads(json.loads(content[8 : 8 + length])["__metadata__"][_HEADER])
