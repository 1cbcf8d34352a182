"""What a run leaves behind: its configuration and its weights, in one folder."""

from pathlib import Path

from gluonvision import backend
from gluonvision.backend import parameters_file
from gluonvision.model_zoo import get_segmentation_model, load_weights
from gluonvision.segmentation.config import TrainConfig

_CONFIG, _WEIGHTS = "config.json", "checkpoint.params"


def save_config(config: TrainConfig):
    """Create the run's folder and write its configuration."""
    config.folder.mkdir(parents=True, exist_ok=True)
    (config.folder / _CONFIG).write_text(config.to_json())


def save_weights(config: TrainConfig, net) -> Path:
    """Write the weights, in one step that never leaves half a file."""
    path = config.folder / _WEIGHTS
    parameters_file.save(path, backend.get_parameters(net))
    return path


def load_run(weights: Path):
    """The model that a run trained, and the name of its data set, from its weights' file."""
    path = weights.with_name(_CONFIG)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file; weights of a run lie beside the configuration that it saved"
        )
    config = TrainConfig.from_json(path)
    net = get_segmentation_model(
        config.model, config.dataset, config.backbone, pretrained_base=False, aux=config.aux
    )
    load_weights(net, str(weights))
    return net, config.dataset
