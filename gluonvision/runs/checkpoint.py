"""The states of a run: everything it needs to go on as if it had not been stopped.

A state is one safetensors file, named by its step and by the SHA-256 of its content, so that it
is whole, or is told by its name: ``states/00000120-9f86d081884c7d65.safetensors``.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from gluonvision.utils import atomic

_NAME = re.compile(r"(\d{8,})-([0-9a-f]{16})\.safetensors")
_HEADER = "gluonvision"
SUPERSEDED = ".superseded"


def save_checkpoint(
    folder: Path, step: int, arrays: Mapping[str, np.ndarray], header: dict
) -> Path:
    """Write the state after ``step`` steps, whole or not at all; returns its file.

    ``header`` is what JSON can hold. Raises OSError, naming the last state that stands, where the
    file cannot be written.
    """
    ordered = {name: np.ascontiguousarray(array) for name, array in sorted(arrays.items())}
    content = save(ordered, {_HEADER: json.dumps(header, sort_keys=True)})
    path = folder / f"{step:08d}-{_digest(content)}.safetensors"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with atomic.replacing(path) as file:
            file.write(content)
    except OSError as error:
        stands = list_checkpoints(folder)
        kept = f"{stands[-1]} stands" if stands else "no state was saved before"
        raise OSError(
            error.errno,
            f"the state of step {step} could not be written ({error.strerror}); {kept}. Mend "
            "that and go on with --resume auto",
            str(path),
        ) from error
    return path


def read_checkpoint(path: Path) -> tuple[dict[str, np.ndarray], dict]:
    """The arrays and the header of a state.

    Raises FileNotFoundError, naming those that are there, and ValueError for a file that is
    damaged, naming the one before it.
    """
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise ValueError(f"{path} is not named as a state of a run; they lie in its states/")
    if not path.is_file():
        there = ", ".join(other.name for other in list_checkpoints(path.parent)) or "none"
        raise FileNotFoundError(f"{path}: no such state; in its folder there are: {there}")
    content = path.read_bytes()
    if _digest(content) != match[2]:
        raise ValueError(f"{path} is damaged: it does not have the hash in its name; {_way(path)}")
    try:
        return load(content), _read_header(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise ValueError(f"{path} is not the state of a run: {error}") from error


def is_checkpoint(path: str | Path | None) -> bool:
    """Whether a path is named as a state of a run."""
    return path is not None and _NAME.fullmatch(Path(path).name) is not None


def list_checkpoints(folder: Path) -> list[Path]:
    """The states of a folder, earliest first."""
    found = [path for path in folder.glob("*.safetensors") if is_checkpoint(path)]
    return sorted(found, key=lambda path: (step_of(path), path.name))


def step_of(path: Path) -> int:
    """After how many steps a state was saved."""
    match = _NAME.fullmatch(path.name)
    assert match, path
    return int(match[1])


def remove_old(newest: Path, keep: int, best_step: int) -> None:
    """Remove all but the last ``keep`` states and that of ``best_step``; ``newest`` stays.

    Of a step that was saved twice, before its validation and after, the earlier one goes.
    """
    step = step_of(newest)
    earlier = [path for path in list_checkpoints(newest.parent) if path != newest]
    old = [path for path in earlier if step_of(path) < step]
    spared = old[max(len(old) - keep + 1, 0) :]
    for path in earlier:
        if (path not in spared and step_of(path) != best_step) or step_of(path) == step:
            path.unlink()


def set_aside_later(path: Path) -> None:
    """Rename the states after ``path``, from which a run goes on, to ``*.superseded``."""
    states = list_checkpoints(path.parent)
    for later in states[states.index(path) + 1 :]:
        later.rename(later.with_name(later.name + SUPERSEDED))


def _way(path: Path) -> str:
    earlier = [p for p in list_checkpoints(path.parent) if step_of(p) < step_of(path)]
    if not earlier:
        return "there is none before it: begin anew with --overwrite"
    return f"go on from the one before it: --resume {earlier[-1]}"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _read_header(content: bytes) -> dict:
    """The metadata, which the reader of arrays passes over: JSON after its length in 8 bytes."""
    length = int.from_bytes(content[:8], "little")
    return json.loads(json.loads(content[8 : 8 + length])["__metadata__"][_HEADER])
