"""What an evaluation leaves: scores, report, masks; gone on with, and refused where it must be."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from saved_runs import save_run

from gluonvision import backend
from gluonvision.__main__ import main
from gluonvision.data import VOCSegmentationDataset
from gluonvision.evaluation.job import (
    evaluate_config,
    evaluation_of_model,
    evaluation_of_run,
    write_masks,
)
from gluonvision.metrics import SegmentationMetric
from gluonvision.prediction.inference import Inference, predict
from gluonvision.runs.artifacts import load_run
from gluonvision.runs.factory import build_model
from gluonvision.segmentation import TrainConfig

OPTIONS = {
    "backbone": "mobilenet_v2",
    "pretrained_base": False,
    "output_stride": 32,
    "no_cuda": True,
    "workers": 0,
    "tensorboard": False,
}
FAST = {"no_cuda": True, "workers": 0, "split": "trainval"}
QUICK = ["--no-cuda", "--workers", "0", "--split", "val"]


@pytest.fixture
def config(voc_like, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return TrainConfig(**OPTIONS, data_folder=str(voc_like), val_split="trainval")


@pytest.fixture
def weights(config):
    """A run's, as they were drawn, but that background is likelier: some pixels are right."""
    backend.seed(3)
    net = build_model(config, backend.devices(1, no_cuda=True))
    name, bias = list(backend.get_parameters(net).items())[-1]
    backend.set_parameters(net, {name: bias + 3 * (np.arange(21) == 0)}, allow_missing=True)
    return save_run(config, net)


@pytest.fixture
def images(voc_like):
    return VOCSegmentationDataset(voc_like, "trainval", mode="val")


@pytest.fixture
def camvid(tmp_path):
    """A CamVid of one image."""
    for part in ("train", "val"):
        for kind, mode in (("images", "RGB"), ("masks", "L")):
            folder = tmp_path / "camvid" / kind / part
            folder.mkdir(parents=True)
            Image.new(mode, (8, 6)).save(folder / "1.png")
    return tmp_path / "camvid"


def scored(net, images, inference=None):
    metric = SegmentationMetric(21, boundary=True)
    for image, label in images:
        metric.update(predict(net, image, inference), label)
    return metric.compute()


def read_scores(folder):
    return json.loads((folder / "scores.json").read_text())


def test_the_report_says_what_a_plain_loop_finds(weights, images, capsys):
    inference = Inference(scales=(0.5, 1), flip=True)
    job = evaluation_of_run(
        str(weights), inference=inference, boundary=True, bootstrap=30, html=True, **FAST
    )
    scores = job.scores()
    folder = weights.parent / "eval" / "trainval"
    expected = scored(load_run(weights)[0], images, inference)
    np.testing.assert_array_equal(scores.confusion, expected.confusion)
    np.testing.assert_array_equal(scores.boundaries, expected.boundaries)
    np.testing.assert_array_equal(scores.images[:, 0].sum(0), scores.confusion.diagonal())
    found = read_scores(folder)
    assert found["mean_iou"] == expected.mean_iou and found["images"] == len(images)
    assert found["mean_boundary_iou"] == expected.mean_boundary_iou
    low, high = found["intervals"]["mean_iou"]
    assert low < high
    for i, entry in enumerate(found["classes"]):
        assert (entry["iou"] is None) == bool(np.isnan(expected.class_iou[i]))
        assert entry["labelled_pixels"] == expected.confusion[i].sum()
    with open(folder / "confusion.csv", newline="") as file:
        rows = list(csv.reader(file))
    np.testing.assert_array_equal(np.array(rows[1:])[:, 1:].astype(int), expected.confusion)
    with open(folder / "images.csv", newline="") as file:
        assert [row["image"] for row in csv.DictReader(file)] == list(map(str, images.images))
    assert Image.open(folder / "confusion.png").width > 300
    out = capsys.readouterr().out
    assert f"mIoU {expected.mean_iou:.4f}" in out and "absent" in out
    check_page((folder / "report.html").read_text())


def check_page(page):
    """It needs nothing else, and shows every image."""
    assert page.count("<section") == 6
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert sources and all(source.startswith("data:image/") for source in sources)
    assert "<script" not in page and "@import" not in page and "url(" not in page


def test_files_of_an_earlier_evaluation_do_not_stay(weights, tmp_path):
    folder = tmp_path / "out"
    short = FAST | {"split": "val"}
    evaluation_of_run(str(weights), html=True, output_folder=folder, **short).scores()
    (folder / "notes.txt").write_text("mine")
    evaluation_of_run(str(weights), output_folder=folder, **short).scores()
    left = {path.name for path in folder.iterdir()}
    assert left == {"scores.json", "confusion.csv", "confusion.png", "notes.txt"}


def test_training_options_take_the_best_weights_and_say_so(weights, config, capsys):
    weights.rename(weights.with_name("best.params"))
    weights.with_name("checkpoint.params.sha256").unlink()
    scores = evaluate_config(config)
    out = capsys.readouterr().out
    assert "best.params, the best of run 'default'" in out and "--resume" in out
    assert read_scores(weights.parent / "eval" / "trainval")["mean_iou"] == scores.mean_iou


def test_results_for_weights_that_lie_elsewhere_go_to_the_runs_folder(weights, config, tmp_path):
    moved = tmp_path / "elsewhere" / "net.params"
    moved.parent.mkdir()
    weights.rename(moved)
    options = {f: getattr(config, f) for f in OPTIONS} | {"data_folder": config.data_folder}
    evaluate_config(TrainConfig(**options, val_split="val", resume=str(moved), checkname="other"))
    assert list(moved.parent.iterdir()) == [moved]
    assert (tmp_path / "runs/pascal_voc/fcn/other/eval/val/scores.json").is_file()


def test_masks_are_the_predictions_and_a_stopped_run_goes_on(weights, images, capsys):
    job = evaluation_of_run(str(weights), **FAST)
    folder = job.masks()
    assert folder == weights.parent / "masks" / "trainval"
    net, _ = load_run(weights)
    files = [folder / f"{image.stem}.png" for image in images.images]
    for file, (image, _) in zip(files, images, strict=True):
        np.testing.assert_array_equal(np.array(Image.open(file)), predict(net, image))
    before = [file.stat().st_mtime_ns for file in files]
    files[2].unlink()
    job.masks()
    after = [file.stat().st_mtime_ns for file in files]
    assert [a != b for a, b in zip(before, after)] == [i == 2 for i in range(len(files))]
    assert "5 masks already exist in" in capsys.readouterr().out


def test_masks_of_other_options_are_not_mixed(weights, config):
    evaluation_of_run(str(weights), **FAST).masks()
    with pytest.raises(ValueError, match="other weights or options"):
        evaluation_of_run(str(weights), inference=Inference(flip=True), **FAST).masks()
    # Not how many at a time: that changes nothing.
    evaluation_of_run(str(weights), inference=Inference(batch_size=2), **FAST).masks()
    assert write_masks(config_with(config, str(weights))) == weights.parent / "masks" / "trainval"


def config_with(config, resume):
    options = {f: getattr(config, f) for f in OPTIONS} | {"data_folder": config.data_folder}
    return TrainConfig(**options, val_split="trainval", resume=resume)


def test_a_mask_that_a_server_would_refuse_is_told(weights, images):
    job = evaluation_of_run(str(weights), **FAST)
    broken = job.masks() / f"{images.images[0].stem}.png"
    Image.new("L", (120, 90)).save(broken)
    with pytest.raises(ValueError, match=f"{broken.name}.*mode L.*expected P"):
        job.masks()


def test_mistakes_are_told(weights, camvid, tmp_path):
    (tmp_path / "net.params").touch()
    with pytest.raises(FileNotFoundError, match=r"config\.json.*gluonvision train --eval"):
        evaluation_of_run(str(tmp_path / "net.params"))
    assert evaluation_of_run(str(weights.parent)).weights == weights.with_name("checkpoint.params")
    with pytest.raises(FileNotFoundError, match="other.params: no such file"):
        evaluation_of_run(str(weights.with_name("other.params")))
    assert evaluation_of_run(str(weights)).data_folder is not None
    assert evaluation_of_run(str(weights), dataset="camvid").data_folder is None
    with pytest.raises(ValueError, match="resnet50_v1b is not a segmentation model"):
        evaluation_of_model("resnet50_v1b", dataset="camvid")
    with pytest.raises(ValueError, match="unknown name 'fcn_resnet101_vok'. Did you mean"):
        evaluation_of_model("fcn_resnet101_vok")
    with pytest.raises(ValueError, match="workers=-1"):
        evaluation_of_run(str(weights), workers=-1)
    with pytest.raises(ValueError, match="the model has 21 classes and camvid has 11"):
        evaluation_of_run(str(weights), dataset="camvid", data_folder=str(camvid), **FAST).scores()
    with pytest.raises(FileNotFoundError, match="Pascal VOC 2012 not found"):
        evaluation_of_run(str(weights), data_folder="nowhere", no_cuda=True).scores()


def test_the_command_scores_and_writes_masks(weights, capsys):
    line = ["eval", "--resume", str(weights), *QUICK, "--scales", "0.5", "1", "--flip"]
    assert main([*line, "--bootstrap", "10"]) == 0
    found = read_scores(weights.parent / "eval" / "val")
    assert found["options"]["scales"] == [0.5, 1.0] and found["options"]["flip"]
    assert found["intervals"]["resamples"] == 10
    assert main([*line, "--test", "--output-folder", "masks"]) == 0
    assert len(list(Path("masks").glob("*.png"))) == found["images"] == 2
    capsys.readouterr()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--scales", "0"], "positive numbers"),
        (["--gluoncv"], "window=480"),
        (["--split", "nowhere"], "nowhere"),
        (["--bootstrap", "-1"], "bootstrap=-1"),
    ],
    ids=str,
)
def test_a_wrong_option_is_told(weights, words, message, capsys):
    assert main(["eval", "--resume", str(weights), *QUICK, *words]) == 1
    told = capsys.readouterr().err
    assert message in told and "Traceback" not in told
