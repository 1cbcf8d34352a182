"""Several processes share an evaluation: every image counts once, and all have the scores."""

import numpy as np
import pytest

from gluonvision import backend
from gluonvision.data import VOCSegmentationDataset
from gluonvision.model_zoo import FCN
from gluonvision.prediction.inference import Inference
from gluonvision.segmentation import evaluate


def work(root):
    """What this process has in the end."""
    backend.seed(3)
    net = FCN(21, "mobilenet_v2", pretrained_base=False, output_stride=32)
    # Batches of other sizes may be rounded otherwise: in float32 that could decide between two
    # classes whose scores are nearly equal.
    net.cast("float64")
    # Five images for two processes.
    images = VOCSegmentationDataset(root, "trainval", mode="val")
    images._keep(range(5))
    inference = Inference(flip=True)
    return evaluate(net, images, 2, inference=inference, boundary=True, per_image=True)


@pytest.fixture(scope="module")
def both(voc_like):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        return work(voc_like), backend.launch(work, voc_like, 2)


@pytest.mark.parametrize("part", ["confusion", "boundaries", "images"])
def test_two_processes_count_what_one_does(both, part):
    one, two = (getattr(scores, part) for scores in both)
    assert one.sum() > 0
    np.testing.assert_array_equal(one, two)
