"""What one does with a model: train, evaluate, predict."""

from gluonvision.segmentation.config import TrainConfig
from gluonvision.segmentation.evaluate import evaluate
from gluonvision.segmentation.predict import predict
from gluonvision.segmentation.train import build_model, train

__all__ = ["TrainConfig", "build_model", "evaluate", "predict", "train"]
