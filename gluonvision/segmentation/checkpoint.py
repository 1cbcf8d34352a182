"""What a run leaves behind: its configuration and its weights, in one folder."""

from pathlib import Path

from gluonvision import backend
from gluonvision.backend import parameters_file
from gluonvision.data import dataset_meta
from gluonvision.model_zoo import get_segmentation_model, load_weights
from gluonvision.segmentation.config import TrainConfig
from gluonvision.utils import atomic

_CONFIG, _WEIGHTS = "config.json", "checkpoint.params"


def save_run(config: TrainConfig, net) -> Path:
    """Write the weights, and the configuration beside them; returns the weights' file.

    Each file appears whole or not at all.
    """
    config.folder.mkdir(parents=True, exist_ok=True)
    path = config.folder / _WEIGHTS
    parameters_file.save(path, backend.get_parameters(net))
    atomic.write_text(config.folder / _CONFIG, config.to_json())
    return path


def load_run(weights: Path):
    """The model that a run trained, and its data set, from its weights' file.

    The data set is a name, or, for a ``folder``, the facts that lie in it.
    """
    path = weights.with_name(_CONFIG)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file; weights of a run lie beside the configuration that it saved"
        )
    config = TrainConfig.from_json(path)
    facts = dataset_meta(config.dataset, config.data_folder)
    net = get_segmentation_model(
        config.model, facts, config.backbone, pretrained_base=False, aux=config.aux
    )
    load_weights(net, str(weights))
    return net, facts if config.dataset == "folder" else config.dataset
