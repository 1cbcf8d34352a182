"""Real photographs are learned by heart: whatever breaks training shows here."""

import cv2
import numpy as np
import pytest

from gluonvision import backend
from gluonvision.backend.trainer_options import TrainerOptions
from gluonvision.data import VOCSegmentationDataset
from gluonvision.loss import get_loss
from gluonvision.metrics import SegmentationMetric
from gluonvision.model_zoo import FCN
from gluonvision.segmentation import predict
from gluonvision.training.lr_schedule import poly

SIZE, STEPS = (224, 224), 60


def small(image, label):
    """A photograph and its labels at a size that a CPU learns in seconds."""
    shrunk = cv2.resize(image, SIZE, interpolation=cv2.INTER_AREA)
    labels = cv2.resize(label.astype(np.int16), SIZE, interpolation=cv2.INTER_NEAREST)
    return shrunk, labels.astype(np.int32)


@pytest.mark.slow
def test_three_photographs_of_voc_are_learned_to_a_mean_iou_above_09(shared_data):
    dataset = VOCSegmentationDataset(shared_data, "trainval", mode="val")
    pairs = [small(*dataset[i]) for i in range(3)]
    images, labels = map(np.stack, zip(*pairs))
    backend.seed(1)
    net = FCN(21, "mobilenet_v2", pretrained_base=False)
    options = TrainerOptions(optimizer="adamw", weight_decay=0)
    trainer = backend.Trainer(net, get_loss("ce"), options)
    x, label = backend.preprocess(images), backend.array(labels)
    for step in range(STEPS):
        trainer.step(x, label, poly(step, STEPS, 2e-3))
    metric = SegmentationMetric(21)
    for image, label in pairs:
        metric.update(predict(net, image), label)
    assert metric.compute().mean_iou > 0.9
