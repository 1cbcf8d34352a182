"""What one does with a model: train, evaluate, predict."""

from gluonvision.runs.factory import build_model
from gluonvision.runs.config import TrainConfig
from gluonvision.evaluation.whole_images import evaluate
from gluonvision.prediction.inference import Inference, class_scores
from gluonvision.segmentation.predict import predict
from gluonvision.prediction.predictor import Prediction, Predictor
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
