"""A run's folder without its training."""

from gluonvision import backend
from gluonvision.runs.artifacts import WEIGHTS, save_classes, save_config, save_weights


def save_run(config, net):
    """Save a net as the run of ``config`` would; returns its weights' file."""
    save_config(config)
    save_classes(config)
    return save_weights(config.folder / WEIGHTS, backend.get_parameters(net))
