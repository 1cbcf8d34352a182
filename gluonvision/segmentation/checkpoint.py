"""What a run leaves for others: weights, configuration and classes, in one folder."""

import contextlib
import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from gluonvision import backend
from gluonvision.backend import parameters_file
from gluonvision.data import dataset_meta
from gluonvision.data.meta import Meta
from gluonvision.model_zoo import get_segmentation_model, list_models, load_weights
from gluonvision.segmentation.config import TrainConfig
from gluonvision.segmentation.states import is_state
from gluonvision.utils import atomic
from gluonvision.utils.hashing import file_digest

WEIGHTS, BEST = "checkpoint.params", "best.params"
CONFIG, CLASSES = "config.json", "classes.json"


def save_run(config: TrainConfig, net) -> Path:
    """Write the weights, and configuration and classes beside them; returns the weights' file.

    Each file appears whole or not at all.
    """
    save_config(config)
    save_classes(config)
    return save_weights(config.folder / WEIGHTS, backend.get_parameters(net))


def save_config(config: TrainConfig) -> None:
    """Write the configuration into the run's folder, which is made."""
    config.folder.mkdir(parents=True, exist_ok=True)
    atomic.write_text(config.folder / CONFIG, config.to_json())


def save_classes(config: TrainConfig) -> None:
    """Write the data set's facts into the run's folder: it can be used where the data is not."""
    facts = dataclasses.asdict(dataset_meta(config.dataset, config.data_folder))
    atomic.write_text(config.folder / CLASSES, json.dumps(facts, indent=2) + "\n")


def save_weights(path: Path, arrays: Mapping[str, np.ndarray]) -> Path:
    """Write weights and, beside them, their SHA-256, as ``sha256sum`` writes and checks it.

    In the moment between both files' replacements the hash file lists the old weights and the
    new, so that a run killed there leaves weights that pass.
    """
    new = path.with_name(f".{path.name}.new.tmp")
    try:
        parameters_file.save(new, arrays)
        line = f"{file_digest(new)}  {path.name}\n"
        old = _hash_file(path).read_text() if _hash_file(path).is_file() else ""
        atomic.write_text(_hash_file(path), line + old)
        os.replace(new, path)
    finally:
        new.unlink(missing_ok=True)
    atomic.write_text(_hash_file(path), line)
    return path


def check_weights(path: Path) -> None:
    """Raise ValueError where a file of weights is not the one whose hash lies beside it."""
    with contextlib.suppress(FileNotFoundError):  # weights from elsewhere have none
        listed = _hash_file(path).read_text().split()
        if path.is_file() and file_digest(path) not in listed:
            raise ValueError(
                f"{path} is damaged: its hash is not that of {_hash_file(path).name}; use another "
                f"of the run's weights ({WEIGHTS}, {BEST}), or write them anew with --resume auto"
            )


def run_weights(file_or_folder: str | os.PathLike) -> Path:
    """A run's weights, named by their file or by the run's folder, which means the last.

    Raises ValueError for a state, FileNotFoundError where no weights, or no configuration beside
    them, are there.
    """
    named = Path(file_or_folder)
    weights = named / WEIGHTS if named.is_dir() else named
    if is_state(weights):
        raise ValueError(
            f"{weights} is a state, to go on training from; name the weights of its run: "
            f"{weights.parent.parent / WEIGHTS}"
        )
    if not weights.is_file():
        raise FileNotFoundError(
            f"{weights}: no such file; name the folder of a run (runs/DATASET/MODEL/CHECKNAME), or "
            f"the weights in it ({WEIGHTS}, {BEST})"
        )
    if not weights.with_name(CONFIG).is_file():
        raise FileNotFoundError(
            f"{weights.with_name(CONFIG)}: no such file; weights of a run lie beside the "
            "configuration that it saved; others are loaded by get_model(NAME, pretrained=FILE), "
            "and scored by main.py --eval --resume FILE"
        )
    return weights


def load_run(weights: str | os.PathLike):
    """The model that a run trained, and its data set; ``weights`` as for ``run_weights``.

    The data set is a name, or, for a ``folder``, its facts: those that the run saved, or, where it
    is older than such files, those that lie in the data's folder.
    """
    weights = run_weights(weights)
    config = TrainConfig.from_json(weights.with_name(CONFIG))
    facts = saved_facts(weights) or dataset_meta(config.dataset, config.data_folder)
    net = get_segmentation_model(
        config.model, facts, config.backbone, pretrained_base=False, **model_options(config)
    )
    check_weights(weights)
    load_weights(net, str(weights))
    return net, facts if config.dataset == "folder" else config.dataset


def weights_of(name_or_file: str | os.PathLike) -> Path | None:
    """The weights' file that is meant: a run's folder means its last; None for a model's name."""
    path = Path(name_or_file)
    if path.is_dir() and (path / WEIGHTS).is_file():
        return path / WEIGHTS
    is_name = path.name == str(name_or_file) and not path.suffix and not path.is_file()
    return None if is_name or str(name_or_file) in list_models() else path


def saved_facts(weights: Path) -> Meta | None:
    """The data set's facts that a run saved beside its weights, None where it is older than such.

    Raises ValueError for a file that does not hold them.
    """
    path = weights.with_name(CLASSES)
    if not path.is_file():
        return None
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        meta = Meta(**{name: _as_tuple(value) for name, value in facts.items()})
        fits = len(meta.classes) == len(meta.palette) and all(len(c) == 3 for c in meta.palette)
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{path} does not hold the classes of a run: {error}") from error
    if not fits:
        raise ValueError(f"{path}: expected a colour (R, G, B) for each of its classes")
    return meta


def _as_tuple(value):
    return tuple(map(_as_tuple, value)) if isinstance(value, list) else value


def model_options(config: TrainConfig) -> dict:
    """The arguments of a configuration's model that decide what its weights are."""
    own = {"output_stride": config.output_stride, "head_channels": config.head_channels}
    own = {name: value for name, value in own.items() if value is not None}
    return {"aux": config.aux, "align_corners": config.align_corners, **own}


def _hash_file(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")
