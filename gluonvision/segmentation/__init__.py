"""What one does with a model: train, evaluate, predict."""

from gluonvision.segmentation.build import build_model
from gluonvision.segmentation.config import TrainConfig
from gluonvision.segmentation.evaluate import evaluate
from gluonvision.segmentation.inference import Inference, class_scores
from gluonvision.segmentation.predict import predict
from gluonvision.segmentation.predictor import Prediction, Predictor
from gluonvision.segmentation.train import train

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
