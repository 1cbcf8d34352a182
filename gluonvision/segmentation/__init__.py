"""Train, evaluate and predict: the names that most programs need, in one place."""

from typing import TYPE_CHECKING

from gluonvision.utils.lazy import lazy_names

if TYPE_CHECKING:
    from gluonvision.evaluation.whole_images import evaluate
    from gluonvision.prediction.inference import Inference, class_scores, predict
    from gluonvision.prediction.predictor import Prediction, Predictor
    from gluonvision.runs.config import TrainConfig
    from gluonvision.runs.factory import build_model
    from gluonvision.training.loop import train

__all__ = [
    "Inference",
    "Prediction",
    "Predictor",
    "TrainConfig",
    "build_model",
    "class_scores",
    "evaluate",
    "predict",
    "train",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Inference": "gluonvision.prediction.inference",
        "Prediction": "gluonvision.prediction.predictor",
        "Predictor": "gluonvision.prediction.predictor",
        "TrainConfig": "gluonvision.runs.config",
        "build_model": "gluonvision.runs.factory",
        "class_scores": "gluonvision.prediction.inference",
        "evaluate": "gluonvision.evaluation.whole_images",
        "predict": "gluonvision.prediction.inference",
        "train": "gluonvision.training.loop",
    },
)
