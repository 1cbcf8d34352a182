"""Training, evaluation and prediction, from the command line to the files that a run leaves."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_lines import parse_arguments
from PIL import Image
from saved_runs import save_run

from gluonvision import backend, model_zoo
from gluonvision.data import VOCSegmentationDataset, read_image
from gluonvision.runs.artifacts import load_run
from gluonvision.runs.factory import build_model
from gluonvision.segmentation import TrainConfig, evaluate, predict, train
from gluonvision.training.lr_schedule import poly

SCRIPTS = Path(__file__).parents[3] / "scripts" / "segmentation"
SMALL = {
    "model": "fcn",
    "backbone": "mobilenet_v2",
    "pretrained_base": False,
    "base_size": 64,
    "crop_size": 48,
    "batch_size": 3,
    "workers": 0,
    "no_cuda": True,
    "head_lr_mult": 1.0,
    "tensorboard": False,
}


@pytest.fixture
def in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def config(voc_like, in_folder):
    return TrainConfig(
        **SMALL, data_folder=str(voc_like), epochs=2, lr=0.05, train_split="trainval"
    )


def test_heads_learn_faster_and_norms_and_biases_need_not_decay(config):
    config = dataclasses.replace(config, head_lr_mult=7.0, no_wd=True, aux=True)
    net = build_model(config, backend.devices(1, no_cuda=True))
    heads = [p for head in (net.head, net.auxlayer) for p in head.collect_params().values()]
    parameters = net.collect_params()
    factors = [parameter.lr_mult for parameter in parameters.values()]
    assert {parameter.lr_mult for parameter in heads} == {7.0}
    assert factors.count(7.0) == len(heads) and factors.count(1.0) == len(factors) - len(heads)
    learned = {n: p for n, p in parameters.items() if p.grad_req != "null"}
    assert all(p.wd_mult == n.endswith("weight") for n, p in learned.items())


@pytest.mark.slow
def test_who_reads_the_data_changes_no_weight(config):
    weights = [
        train(dataclasses.replace(config, workers=workers, checkname=str(workers))).read_bytes()
        for workers in (0, 2)
    ]
    assert weights[0] == weights[1]


def test_training_learns_and_leaves_a_run_that_loads(config, voc_like, capsys):
    checkpoint = train(config)
    assert checkpoint == Path("runs/pascal_voc/fcn/default/checkpoint.params")
    net, dataset = load_run(checkpoint)
    fresh = model_zoo.get_segmentation_model(
        "fcn", "pascal_voc", "mobilenet_v2", pretrained_base=False
    )
    backend.set_parameters(fresh, backend.parameters_file.load(checkpoint))
    image = VOCSegmentationDataset(voc_like, "val")[0][0]
    np.testing.assert_array_equal(predict(net, image), predict(fresh, image))
    assert dataset == "pascal_voc"
    assert "mIoU" in capsys.readouterr().out


def test_the_same_configuration_trains_the_same_weights(config):
    again = dataclasses.replace(config, checkname="again")
    first, second = (backend.parameters_file.load(train(c)) for c in (config, again))
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=name)


@pytest.mark.slow
def test_resuming_starts_from_the_weights_of_another_run(config):
    checkpoint = train(config)
    start = backend.parameters_file.load(checkpoint)
    resumed = dataclasses.replace(config, resume=str(checkpoint), lr=1e-9, checkname="tuned")
    tuned = backend.parameters_file.load(train(resumed))
    weights = [n for n in start if n.endswith("weight")]
    assert all(np.abs(tuned[n] - start[n]).max() < 1e-6 for n in weights)


@pytest.mark.slow
def test_a_model_fits_five_images_that_it_sees_often(voc_like, in_folder):
    config = TrainConfig(
        **SMALL | {"batch_size": 6, "base_size": 120, "crop_size": 96},
        data_folder=str(voc_like),
        train_split="trainval",
        epochs=40,
        optimizer="adamw",
        lr=0.003,
        val_every=40,
    )
    net, _ = load_run(train(config))
    scores = evaluate(net, VOCSegmentationDataset(voc_like, "trainval", mode="val"))
    assert scores.pixel_accuracy > 0.8


def test_prediction_is_the_class_of_the_highest_score_at_any_size():
    backend.seed(2)
    net = model_zoo.FCN(5, "mobilenet_v2", pretrained_base=False, aux=True)
    image = np.random.default_rng(0).integers(0, 256, (51, 70, 3), dtype=np.uint8)
    mask = predict(net, image)
    scores = backend.as_numpy(backend.evaluate(net, backend.preprocess(image[None]))[0])
    assert mask.dtype == np.int32 and mask.shape == (51, 70)
    # The highest, or one that rounding cannot tell from it.
    chosen = np.take_along_axis(scores[0], mask[None], 0)[0]
    np.testing.assert_allclose(chosen, scores[0].max(0), rtol=0, atol=1e-5)


def test_the_input_is_normalized_by_imagenets_statistics():
    image = np.random.default_rng(0).integers(0, 256, (1, 4, 5, 3), dtype=np.uint8)
    expected = (image / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    ours = backend.as_numpy(backend.preprocess(image))
    np.testing.assert_allclose(ours, expected.transpose(0, 3, 1, 2), atol=1e-5)
    grey = backend.as_numpy(backend.preprocess(image[..., :1]))
    np.testing.assert_allclose(grey[0, 0], image[0, ..., 0] / 127.5 - 1, atol=1e-6)


@pytest.mark.parametrize(
    "image", [np.zeros((4, 5, 3)), np.zeros((4, 5), np.uint8)], ids=["float", "no channels"]
)
def test_prediction_refuses_what_is_no_image(image):
    with pytest.raises(ValueError, match=r"expected one image as uint8 \(H, W, 3\)"):
        predict(None, image)


def test_main_and_demo_from_the_command_line(config, voc_like, in_folder):
    image = min((voc_like / "VOCdevkit" / "VOC2012" / "JPEGImages").glob("*.jpg"))
    options = ["--data-folder", voc_like, "--model", "pspnet", "--backbone", "mobilenet_v2"]
    options += ["--no-pretrained-base", "--epochs", 1, "--batch-size", 2, "--base-size", 64]
    options += ["--crop-size", 48, "--no-cuda", "--syncbn", "--aux"]
    assert run("main.py", *options).returncode == 0
    checkpoint = "runs/pascal_voc/pspnet/default/checkpoint.params"
    done = run("demo.py", image, "--resume", checkpoint, "--output-folder", "out", "--no-cuda")
    assert done.returncode == 0 and "%" in done.stdout
    mask = Image.open(f"out/{image.stem}_mask.png")
    assert mask.mode == "P" and mask.size == Image.open(image).size
    assert read_image(f"out/{image.stem}_overlay.png").shape[1] >= mask.size[0]


@pytest.mark.parametrize(
    ("script", "arguments", "message"),
    [
        ("main.py", ["--data-folder", "nowhere"], "Pascal VOC 2012 not found"),
        pytest.param("main.py", ["--crop-size", "0"], "crop_size=0", marks=pytest.mark.slow),
        pytest.param("main.py", ["--seed", "-1"], "seed=-1", marks=pytest.mark.slow),
        pytest.param("main.py", ["--no-such-option"], "--no-such-option", marks=pytest.mark.slow),
        ("demo.py", ["nothing.jpg", "--resume", "none.params"], "nothing.jpg: no such file"),
    ],
)
def test_a_users_mistake_is_a_message_and_not_a_traceback(script, arguments, message, in_folder):
    done = run(script, *arguments)
    assert done.returncode != 0
    assert message in done.stderr and "Traceback" not in done.stderr


def test_a_bad_mask_is_a_message_and_not_a_traceback(voc_like, in_folder):
    shutil.copytree(voc_like, in_folder / "data")
    mask = min((in_folder / "data" / "VOCdevkit" / "VOC2012" / "SegmentationClass").glob("*.png"))
    wrong = Image.open(mask)
    wrong.putdata([77] * (wrong.width * wrong.height))
    wrong.save(mask)
    done = run("main.py", "--data-folder", "data", "--backbone", "resnet18", *FAST)
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert mask.name in done.stderr and "label 77" in done.stderr


FAST = ("--no-pretrained-base", "--crop-size", 48, "--batch-size", 2, "--epochs", 1, "--no-cuda")


def run(script, *arguments):
    command = [sys.executable, "-W", "ignore", SCRIPTS / script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ, timeout=300)


def test_every_option_comes_from_the_configuration():
    config = parse_arguments(["--lr", "0.5", "--no-pretrained-base", "--aux", "--no-cuda"])
    assert config == TrainConfig(lr=0.5, pretrained_base=False, aux=True, no_cuda=True)


def test_a_configuration_is_read_back_as_it_was_saved(in_folder):
    config = TrainConfig(model="pspnet", checkname="one", aux=True)
    (in_folder / "config.json").write_text(config.to_json())
    assert TrainConfig.from_json(in_folder / "config.json") == config


@pytest.mark.parametrize(
    "content", ["", "[]", '{"modell": "fcn"}', '{"lr": 0}', '{"lr": "fast"}', '{"aux": "no"}']
)
def test_a_damaged_configuration_is_an_error_that_names_the_file(content, in_folder):
    (in_folder / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"config\.json"):
        TrainConfig.from_json(in_folder / "config.json")


def test_weights_without_their_configuration_are_refused(config):
    net = model_zoo.get_segmentation_model(
        "fcn", "pascal_voc", "mobilenet_v2", pretrained_base=False
    )
    path = save_run(config, net)
    assert json.loads((config.folder / "config.json").read_text())["backbone"] == "mobilenet_v2"
    (config.folder / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        load_run(path)


def test_the_poly_schedule():
    rates = [poly(step, 10, 0.1) for step in range(10)]
    np.testing.assert_allclose(rates, 0.1 * (1 - np.arange(10) / 10) ** 0.9)
    warm = [poly(step, 10, 0.1, warmup=4) for step in range(10)]
    np.testing.assert_allclose(warm[:4], np.array(rates[:4]) * [0.25, 0.5, 0.75, 1])
    assert warm[4:] == rates[4:]
    with pytest.raises(ValueError, match="step=10: expected 0 to 9"):
        poly(10, 10, 0.1)


def test_prediction_follows_the_type_of_the_net_and_takes_a_mirrored_image():
    backend.seed(2)
    net = model_zoo.FCN(5, "mobilenet_v2", pretrained_base=False)
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    mirrored = np.ascontiguousarray(image[:, ::-1, ::-1])
    expected = predict(net, mirrored)
    np.testing.assert_array_equal(predict(net, image[:, ::-1, ::-1]), expected)
    net.cast("float64")
    assert (predict(net, mirrored) == expected).mean() > 0.999
