"""The models by name, and the store of published weights behind them."""

import dataclasses
import hashlib

import numpy as np
import pytest
from foreign_cases import GLUONCV_SEGMENTATION
from safetensors.numpy import save_file

from gluonvision.backend import (
    array,
    as_numpy,
    evaluate,
    get_parameters,
    parameters_file,
)
from gluonvision.data import get_segmentation_dataset
from gluonvision.metrics import SegmentationMetric
from gluonvision.model_zoo import DeepLabV3, get_model, list_models
from gluonvision.model_zoo.weights import store as weights_store
from gluonvision.model_zoo.weights.table import BACKBONES
from gluonvision.segmentation import predict

UNPUBLISHED = {"fcn_resnet50_voc", "resnet18_v1s", "resnet34_v1s"}


class Asked(Exception):
    """The store was asked for weights that it knows."""


@pytest.fixture
def store(monkeypatch):
    """A store that knows its table, and has the name it is asked for as its answer."""

    def ask(name, root=None):
        assert weights_store.get_weights(name)
        raise Asked(name)

    monkeypatch.setattr(weights_store, "find_weights", ask)


def test_every_model_of_gluoncv_is_there():
    assert len(GLUONCV_SEGMENTATION) == 18
    assert set(GLUONCV_SEGMENTATION) <= set(list_models())


def test_every_published_file_has_its_model():
    assert set(weights_store.list_weights()) <= set(list_models())


@pytest.mark.parametrize("name", list_models())
def test_every_model_asks_for_weights_by_its_own_name_or_has_none(store, name):
    if name in UNPUBLISHED:
        with pytest.raises(ValueError, match=f"no weights were published for '{name}'"):
            get_model(name, pretrained=True)
    else:
        with pytest.raises(Asked, match=f"^{name}$"):
            get_model(name, pretrained=True)


@pytest.mark.parametrize(
    ("name", "backbone"),
    [
        ("fcn_resnet50_voc", "resnet50_v1s"),
        ("deeplab_resnet101_v1b_coco", "resnet101_v1b"),
    ],
)
def test_a_segmentation_model_asks_for_the_weights_of_its_backbone(store, name, backbone):
    with pytest.raises(Asked, match=f"^{backbone}$"):
        get_model(name, pretrained_base=True)


@pytest.mark.parametrize("backbone", ["resnet50", "resnet50_v1b", "mobilenet_v2"])
def test_a_segmentation_model_has_a_pretrained_backbone_unless_told(store, backbone):
    with pytest.raises(Asked):
        DeepLabV3(21, backbone)


def torch_names(arrays):
    kinds = {"gamma": "weight", "beta": "bias"}
    split = {name: name.rpartition(".") for name in arrays}
    return {f"{p}.{kinds.get(kind, kind)}": arrays[name] for name, (p, _, kind) in split.items()}


def save_torch(arrays, path):
    torch = pytest.importorskip("torch", reason="torch writes the .pth files")
    torch.save({name: torch.tensor(a) for name, a in torch_names(arrays).items()}, path)


def save_safetensors(arrays, path):
    save_file(torch_names(arrays), path)


WRITERS = {
    ".params": lambda arrays, path: parameters_file.save(path, arrays),
    ".pth": save_torch,
    ".safetensors": save_safetensors,
}


@pytest.fixture(scope="module")
def arrays():
    return get_parameters(get_model("resnet18_v1b"))


@pytest.mark.parametrize("row", BACKBONES["resnet18_v1b"], ids=lambda row: row.file)
def test_a_file_in_the_folder_of_weights_is_loaded_whoever_published_it(
    arrays, tmp_path, monkeypatch, row
):
    (tmp_path / "models").mkdir()
    path = tmp_path / "models" / row.file
    WRITERS[path.suffix](arrays, path)
    checksum = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    rows = tuple(dataclasses.replace(each, checksum=checksum) for each in BACKBONES["resnet18_v1b"])
    monkeypatch.setitem(BACKBONES, "resnet18_v1b", rows)
    monkeypatch.setenv("GLUONVISION_HOME", str(tmp_path))
    monkeypatch.setattr(weights_store, "download", None)  # calling it would be an error
    loaded = get_parameters(get_model("resnet18_v1b", pretrained=True))
    assert loaded.keys() == arrays.keys()
    for name, value in loaded.items():
        np.testing.assert_array_equal(value, arrays[name])


def test_an_unknown_name_is_answered_with_close_ones():
    with pytest.raises(ValueError, match=r"'fcn_resnet5_voc'\. Did you mean .*fcn_resnet50_voc"):
        get_model("fcn_resnet5_voc")


@pytest.mark.parametrize(("output_stride", "rates"), [(8, (12, 24, 36)), (16, (6, 12, 18))])
def test_deeplabs_rates_follow_the_output_stride(output_stride, rates):
    net = DeepLabV3(2, "resnet18_v1b", pretrained_base=False, output_stride=output_stride)
    for i, rate in enumerate(rates):
        seen = [d for d in range(1, 40) if _sees(net.head.aspp.branches[i + 1], d)]
        assert seen == [rate]


def _sees(branch, distance):
    """Whether a pixel's result depends on the pixel that far to its right."""
    x = np.zeros((1, 512, 1, 41), np.float32)
    x[..., distance] = 1
    return bool(np.any(as_numpy(evaluate(branch, array(x)))[..., 0]))


def test_the_model_that_comes_with_the_package_segments_a_street(shared_data):
    data = get_segmentation_dataset("camvid", shared_data / "camvid", "val", mode="val")
    net = get_model("deeplabv3plus_mobilenet_v2_camvid", pretrained=True)
    metric = SegmentationMetric(data.num_class)
    for i in (0, 50, 100):
        image, label = data[i]
        metric.update(predict(net, image), label)
    assert metric.compute().pixel_accuracy > 0.85
