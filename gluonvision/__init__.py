"""Semantic segmentation in Gluon's vocabulary, on PyTorch and on Apache MXNet.

``import gluonvision`` loads no framework: names are imported when they are first used, and
``gluonvision.backend`` chooses the framework (``GLUONVISION_BACKEND=torch|mxnet``).
"""

from typing import TYPE_CHECKING

from gluonvision._version import __version__
from gluonvision.utils.lazy import lazy_names

if TYPE_CHECKING:
    from gluonvision import backend, data, loss, metrics, model_zoo, nn, segmentation, utils
    from gluonvision.data.files.reading import read_image
    from gluonvision.deployment.export import export
    from gluonvision.evaluation.whole_images import evaluate
    from gluonvision.model_zoo import get_model, list_models, load_weights
    from gluonvision.prediction.predictor import Prediction, Predictor
    from gluonvision.runs.artifacts import load_run
    from gluonvision.runs.config import TrainConfig
    from gluonvision.training.loop import train

__all__ = [
    "Prediction",
    "Predictor",
    "TrainConfig",
    "__version__",
    "backend",
    "data",
    "evaluate",
    "export",
    "get_model",
    "list_models",
    "load_run",
    "load_weights",
    "loss",
    "metrics",
    "model_zoo",
    "nn",
    "read_image",
    "segmentation",
    "train",
    "utils",
]

_SUBPACKAGES = ("backend", "data", "loss", "metrics", "model_zoo", "nn", "segmentation", "utils")

__getattr__, __dir__ = lazy_names(
    __name__,
    {name: f"gluonvision.{name}" for name in _SUBPACKAGES}
    | {
        "Prediction": "gluonvision.prediction.predictor",
        "Predictor": "gluonvision.prediction.predictor",
        "TrainConfig": "gluonvision.runs.config",
        "evaluate": "gluonvision.evaluation.whole_images",
        "export": "gluonvision.deployment.export",
        "get_model": "gluonvision.model_zoo",
        "list_models": "gluonvision.model_zoo",
        "load_run": "gluonvision.runs.artifacts",
        "load_weights": "gluonvision.model_zoo",
        "read_image": "gluonvision.data.files.reading",
        "train": "gluonvision.training.loop",
    },
)
