"""What a run leaves for others: its weights and its configuration, in one folder."""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from gluonvision import backend
from gluonvision.backend import parameters_file
from gluonvision.data import dataset_meta
from gluonvision.model_zoo import get_segmentation_model, load_weights
from gluonvision.segmentation.config import TrainConfig
from gluonvision.utils import atomic
from gluonvision.utils.hashing import file_digest

WEIGHTS, BEST = "checkpoint.params", "best.params"
CONFIG = "config.json"


def save_run(config: TrainConfig, net) -> Path:
    """Write the weights, and the configuration beside them; returns the weights' file.

    Each file appears whole or not at all.
    """
    save_config(config)
    return save_weights(config.folder / WEIGHTS, backend.get_parameters(net))


def save_config(config: TrainConfig) -> None:
    """Write the configuration into the run's folder, which is made."""
    config.folder.mkdir(parents=True, exist_ok=True)
    atomic.write_text(config.folder / CONFIG, config.to_json())


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


def load_run(weights: Path):
    """The model that a run trained, and its data set, from its weights' file.

    The data set is a name, or, for a ``folder``, the facts that lie in it.
    """
    path = weights.with_name(CONFIG)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file; weights of a run lie beside the configuration that it saved"
        )
    config = TrainConfig.from_json(path)
    facts = dataset_meta(config.dataset, config.data_folder)
    net = get_segmentation_model(
        config.model, facts, config.backbone, pretrained_base=False, **model_options(config)
    )
    check_weights(weights)
    load_weights(net, str(weights))
    return net, facts if config.dataset == "folder" else config.dataset


def model_options(config: TrainConfig) -> dict:
    """The arguments of a configuration's model that decide what its weights are."""
    stride = {} if config.output_stride is None else {"output_stride": config.output_stride}
    return {"aux": config.aux, **stride}


def _hash_file(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")
