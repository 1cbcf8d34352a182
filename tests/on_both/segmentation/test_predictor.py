"""Predictor under both backends: what it takes, what it gives, and which weights it finds."""

import json

import numpy as np
import pytest
from PIL import Image
from saved_runs import save_run

from gluonvision import backend, model_zoo
from gluonvision.data.meta import get_meta
from gluonvision.prediction.inference import class_scores
from gluonvision.prediction.predictor import device_named
from gluonvision.runs.artifacts import CLASSES, load_run
from gluonvision.segmentation import Inference, Predictor, TrainConfig, predict

EMBEDDED = "deeplabv3plus_mobilenet_v2_camvid"


@pytest.fixture(scope="module")
def net():
    backend.seed(2)
    return model_zoo.FCN(11, "mobilenet_v2", pretrained_base=False)


@pytest.fixture(scope="module")
def predictor(net):
    return Predictor(net, "camvid", precision="fp32", device=backend.cpu())


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)


def test_the_same_picture_in_every_form_gives_one_mask(net, predictor, image, tmp_path):
    Image.fromarray(image).save(tmp_path / "a.png")
    forms = [image, Image.fromarray(image), tmp_path / "a.png", str(tmp_path / "a.png")]
    expected = predict(net, image)
    for prediction in predictor(forms):
        np.testing.assert_array_equal(prediction.mask, expected)
        np.testing.assert_array_equal(prediction.image, image)


def test_grey_arrays_are_pictures_too(net, predictor, image):
    grey = image[..., 0]
    expected = predict(net, np.repeat(grey[..., None], 3, 2))
    for form in (grey, grey[..., None], Image.fromarray(grey)):
        np.testing.assert_array_equal(predictor(form).mask, expected)


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((4, 5, 3)), np.zeros((0, 3, 3), np.uint8), np.zeros((3, 8, 9), np.uint8)],
)
def test_what_is_no_picture_is_refused(predictor, wrong):
    with pytest.raises(ValueError, match=r"expected uint8 \(H, W, 3\)"):
        predictor(wrong)


def test_scores_come_when_asked_for(net, predictor, image):
    prediction = predictor(image, scores=True)
    np.testing.assert_allclose(prediction.scores, class_scores(net, image), atol=1e-5)
    np.testing.assert_array_equal(prediction.mask, prediction.scores.argmax(0))
    assert predictor(image).scores is None


def test_a_prediction_draws_itself(predictor, image):
    prediction = predictor(image)
    assert prediction.mask_image().mode == "P"
    np.testing.assert_array_equal(np.asarray(prediction.mask_image()), prediction.mask)
    assert prediction.overlay().height > prediction.overlay(legend=False).height == 40
    names, shares = zip(*prediction.shares())
    assert repr(prediction).startswith(f"<Prediction, 56x40: {names[0]} {100 * shares[0]:.1f} %")
    assert sum(shares) == pytest.approx(1) and set(names) <= set(get_meta("camvid").classes)


def test_scales_are_those_of_inference(net, image):
    inference = Inference(scales=(0.75, 1.25), flip=True)
    ours = Predictor(net, "camvid", inference, backend.cpu(), "fp32")(image).mask
    np.testing.assert_array_equal(ours, class_scores(net, image, inference).argmax(0))


def test_a_published_model_knows_its_classes():
    assert Predictor.load(EMBEDDED, device=backend.cpu()).meta == get_meta("camvid")
    assert model_zoo.dataset_of("fcn_resnet101_voc") == "pascal_voc"
    with pytest.raises(ValueError, match="no model is named 'fcn_resnet11_voc'"):
        Predictor.load("fcn_resnet11_voc")
    with pytest.raises(ValueError, match="not a segmentation model published"):
        model_zoo.dataset_of("resnet18_v1b")


@pytest.fixture
def folder_run(tmp_path, monkeypatch):
    """A run on a data set of one's own, whose data are then taken away."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "classes.txt").write_text("soil\nplant\nweed\n")
    net = model_zoo.FCN(3, "mobilenet_v2", pretrained_base=False)
    config = TrainConfig(
        dataset="folder", data_folder="data", model="fcn", backbone="mobilenet_v2", no_cuda=True
    )
    weights = save_run(config, net)
    (tmp_path / "data" / "classes.txt").unlink()
    return weights


def test_a_run_is_enough_without_its_data(folder_run, image):
    for named in (folder_run, folder_run.parent):
        predictor = Predictor.load(named, device=backend.cpu())
        assert predictor.meta.classes == ("soil", "plant", "weed")
        assert set(np.unique(predictor(image).mask)) <= {0, 1, 2}


def test_what_is_no_run_is_named(folder_run):
    absent = folder_run.parent / "absent"
    for named in (absent, absent / "best.params"):
        with pytest.raises(FileNotFoundError, match=rf"{named}: no such file"):
            Predictor.load(named)
    absent.mkdir()
    with pytest.raises(FileNotFoundError, match=r"absent/checkpoint\.params: no such file"):
        Predictor.load(absent)
    (absent / "other.params").touch()
    with pytest.raises(FileNotFoundError, match=r"config\.json.*get_model"):
        Predictor.load(absent / "other.params")


def test_a_run_from_before_such_files_asks_its_data(folder_run):
    (folder_run.parent / CLASSES).unlink()
    with pytest.raises(FileNotFoundError, match=r"classes\.txt"):
        load_run(folder_run)
    (folder_run.parents[4] / "data" / "classes.txt").write_text("a\nb\nc\n")
    assert load_run(folder_run)[1].classes == ("a", "b", "c")


@pytest.mark.parametrize("content", ["", "[]", '{"classes": ["a"]}', '{"name": "folder"}'])
def test_damaged_classes_name_their_file(folder_run, content):
    (folder_run.parent / CLASSES).write_text(content)
    with pytest.raises(ValueError, match=r"classes\.json"):
        load_run(folder_run)


def test_colours_must_fit_classes(folder_run):
    facts = json.loads((folder_run.parent / CLASSES).read_text())
    (folder_run.parent / CLASSES).write_text(json.dumps(facts | {"palette": [[1, 2, 3]]}))
    with pytest.raises(ValueError, match="a colour"):
        load_run(folder_run)


def test_a_state_points_to_the_weights(folder_run):
    state = folder_run.parent / "states" / "00000120-9f86d081884c7d65.safetensors"
    with pytest.raises(ValueError, match=r"is a state.*checkpoint\.params"):
        Predictor.load(state)


def test_devices_by_name():
    assert device_named(None) is None and device_named("cpu") == backend.cpu()
    with pytest.raises(ValueError, match="expected cpu, gpu or gpu:N"):
        device_named("tpu")
    with pytest.raises(ValueError, match="GPUs that"):
        device_named(f"gpu:{backend.num_gpus()}")


def test_unknown_precisions_are_refused(net):
    with pytest.raises(ValueError, match=r"precision='fp8': expected one of auto, fp32"):
        Predictor(net, "camvid", precision="fp8")
