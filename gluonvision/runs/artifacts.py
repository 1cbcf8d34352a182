"""The results of a run: weights, configuration and classes, in one folder."""

import contextlib
import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gluonvision.backend import parameters_file
from gluonvision.data import dataset_meta
from gluonvision.data.meta import Meta
from gluonvision.model_zoo import get_segmentation_model, list_models, load_weights
from gluonvision.runs.checkpoint import is_checkpoint
from gluonvision.runs.config import TrainConfig
from gluonvision.utils import atomic
from gluonvision.utils.hashing import file_digest

WEIGHTS, BEST = "checkpoint.params", "best.params"
CONFIG, CLASSES = "config.json", "classes.json"


def save_config(config: TrainConfig) -> None:
    """Write the configuration to the run's folder, creating the folder."""
    config.folder.mkdir(parents=True, exist_ok=True)
    atomic.write_text(config.folder / CONFIG, config.to_json())


def save_classes(config: TrainConfig) -> None:
    """Write class names and colours to the run's folder, for use where the data set is missing."""
    meta = dataclasses.asdict(dataset_meta(config.dataset, config.data_folder))
    atomic.write_text(config.folder / CLASSES, json.dumps(meta, indent=2) + "\n")


def save_weights(path: Path, arrays: Mapping[str, np.ndarray]) -> Path:
    """Write weights, and next to them their SHA-256 in the format of ``sha256sum``.

    While both files are being replaced, the hash file lists the old and the new weights. So a run
    that is killed at that moment leaves weights that pass the check.
    """
    new = path.with_name(f".{path.name}.new.tmp")
    try:
        parameters_file.save(new, arrays)
        line = f"{file_digest(new)}  {path.name}\n"
        hash_file = _hash_file(path)
        old = hash_file.read_text(encoding="utf-8") if hash_file.is_file() else ""
        atomic.write_text(hash_file, line + old)
        os.replace(new, path)
    finally:
        new.unlink(missing_ok=True)
    atomic.write_text(_hash_file(path), line)
    return path


def check_weights(path: Path) -> None:
    """Compare weights with the hash file next to them; weights without one pass.

    Raises:
        ValueError: the hash differs.
    """
    with contextlib.suppress(FileNotFoundError):
        listed = _hash_file(path).read_text(encoding="utf-8").split()
        if path.is_file() and file_digest(path) not in listed:
            raise ValueError(
                f"{path} is damaged: its hash differs from {_hash_file(path).name}; use the run's "
                f"other weights ({WEIGHTS} or {BEST}), or continue the run with --resume auto to "
                "write them again"
            )


def run_weights(file_or_folder: str | os.PathLike) -> Path:
    """Find a run's weights, given their file or the run's folder (its last weights).

    Raises:
        ValueError: the path is a checkpoint.
        FileNotFoundError: the weights, or the configuration next to them, are missing.
    """
    path = Path(file_or_folder)
    weights = path / WEIGHTS if path.is_dir() else path
    if is_checkpoint(weights):
        raise ValueError(
            f"{weights} is a checkpoint to continue training from; pass the run's weights instead: "
            f"{weights.parent.parent / WEIGHTS}"
        )
    if not weights.is_file():
        raise FileNotFoundError(
            f"{weights}: no such file; pass the folder of a run (runs/DATASET/MODEL/CHECKNAME), or "
            f"the weights in it ({WEIGHTS} or {BEST})"
        )
    if not weights.with_name(CONFIG).is_file():
        raise FileNotFoundError(
            f"{weights.with_name(CONFIG)}: no such file; a run saves its configuration next to its "
            "weights. Load weights from elsewhere with get_model(NAME, pretrained=FILE), or "
            "evaluate them with gluonvision train --eval --resume FILE"
        )
    return weights


def load_run(weights: str | os.PathLike) -> tuple[Any, str | Meta]:
    """Load the model that a run trained, and the data set whose classes it has.

    Args:
        weights: the run's weights or folder, as for ``run_weights``.

    Returns:
        The model, and the data set: its name, or, for a ``folder``, its class names and colours.
        They come from the run, or from the data folder if the run is too old to have saved them.
    """
    weights = run_weights(weights)
    config = TrainConfig.from_json(weights.with_name(CONFIG))
    meta = saved_classes(weights) or dataset_meta(config.dataset, config.data_folder)
    net = get_segmentation_model(
        config.model, meta, config.backbone, pretrained_base=False, **model_options(config)
    )
    check_weights(weights)
    load_weights(net, str(weights))
    return net, meta if config.dataset == "folder" else config.dataset


def weights_of(name_or_file: str | os.PathLike) -> Path | None:
    """Find the weights meant by a file or a run's folder; None for the name of a model."""
    path = Path(name_or_file)
    if path.is_dir() and (path / WEIGHTS).is_file():
        return path / WEIGHTS
    is_name = path.name == str(name_or_file) and not path.suffix and not path.is_file()
    return None if is_name or str(name_or_file) in list_models() else path


def saved_classes(weights: Path) -> Meta | None:
    """Read the classes that a run saved next to its weights; None if it saved none.

    Raises:
        ValueError: the file has other content.
    """
    path = weights.with_name(CLASSES)
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        meta = Meta(**{name: _as_tuple(value) for name, value in content.items()})
        is_valid = len(meta.classes) == len(meta.palette) and all(len(c) == 3 for c in meta.palette)
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{path} does not hold the classes of a run: {error}") from error
    if not is_valid:
        raise ValueError(f"{path}: expected one colour (R, G, B) for each class")
    return meta


def model_options(config: TrainConfig) -> dict[str, Any]:
    """The model arguments that decide which weights fit."""
    options = {
        "aux": config.aux,
        "align_corners": config.align_corners,
        "output_stride": config.output_stride,
        "head_channels": config.head_channels,
    }
    return {name: value for name, value in options.items() if value is not None}


def _as_tuple(value: Any) -> Any:
    return tuple(map(_as_tuple, value)) if isinstance(value, list) else value


def _hash_file(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")
