"""Exported files, run by what they are for, against the net; and what is refused."""

import json
import sys

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

import onnx
import onnxruntime
import torch
from PIL import Image
from safetensors import safe_open

from gluonvision import backend
from gluonvision.__main__ import main
from gluonvision.backend import parameters_file
from gluonvision.data.meta import get_meta
from gluonvision.deployment import export as exporting
from gluonvision.deployment.export import ExportError, difference, export
from gluonvision.model_zoo import FCN, DeepLabV3Plus, PSPNet, load_weights
from gluonvision.segmentation import predict

CAMVID = get_meta("camvid")
SIZES = [(1, 97, 130), (2, 64, 40), (3, 55, 81)]


def build(model, backbone="resnet18_v1b", **options):
    """A net whose weights and statistics are drawn, so that every layer matters."""
    backend.seed(0)
    net = model(CAMVID.num_class, backbone, pretrained_base=False, **options)
    generator = torch.Generator().manual_seed(0)
    for name, value in net.named_buffers():
        drawn = torch.rand(value.shape, generator=generator)
        value.copy_(drawn + 0.5 if name.endswith("var") else drawn - 0.5)
    return net


@pytest.fixture(scope="module")
def psp_onnx(tmp_path_factory):
    """PSPNet with an auxiliary head as ONNX that gives scores, and the net."""
    net, path = build(PSPNet, aux=True), tmp_path_factory.mktemp("psp") / "psp.onnx"
    export(net, path, "onnx", CAMVID, "psp")
    return net, path


@pytest.fixture(scope="module")
def fcn_onnx(tmp_path_factory):
    """FCN as ONNX that takes photographs and gives classes, and the net."""
    net, path = build(FCN), tmp_path_factory.mktemp("fcn") / "fcn.onnx"
    export(net, path, "onnx", CAMVID, "fcn", normalization=True, classes=True)
    return net, path


def session(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("size", SIZES)
def test_pyramid_pooling_in_onnx_gives_the_nets_scores_at_any_size(psp_onnx, size):
    net, path = psp_onnx
    images = np.random.default_rng(0).normal(size=(size[0], 3, *size[1:])).astype("float32")
    with torch.no_grad():
        expected = net.eval()(torch.tensor(images))[0].numpy()
    (scores,) = session(path).run(None, {"image": images})
    assert scores.shape == expected.shape
    assert np.abs(scores - expected).max() < 1e-3 * np.abs(expected).max()
    assert (scores.argmax(1) == expected.argmax(1)).mean() > 0.999


@pytest.mark.slow
def test_uneven_padding_in_onnx_gives_the_nets_scores_at_any_size(tmp_path):
    net, path = build(DeepLabV3Plus, "efficientnet_lite0", head_channels=16), tmp_path / "net.onnx"
    export(net, path, "onnx", CAMVID, "deeplabv3plus")
    for batch, height, width in SIZES:
        images = np.random.default_rng(0).normal(size=(batch, 3, height, width)).astype("float32")
        expected = backend.evaluate(net, torch.tensor(images)).numpy()
        (scores,) = session(path).run(None, {"image": images})
        assert np.abs(scores - expected).max() < 1e-3 * np.abs(expected).max()


@pytest.mark.parametrize("size", SIZES)
def test_photographs_go_in_and_classes_come_out(fcn_onnx, size):
    net, path = fcn_onnx
    images = np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8)
    (masks,) = session(path).run(None, {"image": images})
    assert masks.dtype == np.uint8
    expected = np.stack([predict(net, image) for image in images])
    assert (masks == expected).mean() > 0.999
    assert len(np.unique(masks)) > 1


def test_onnx_says_what_it_takes_and_gives(psp_onnx, fcn_onnx):
    facts = session(psp_onnx[1]).get_modelmeta().custom_metadata_map
    assert json.loads(facts["classes"]) == list(CAMVID.classes)
    assert json.loads(facts["palette"]) == [list(colour) for colour in CAMVID.palette]
    taken = json.loads(facts["input"])
    assert taken["layout"] == "NCHW" and taken["mean"] == list(backend.image_statistics.MEAN)
    model = session(psp_onnx[1])
    assert model.get_inputs()[0].shape == ["batch", 3, "height", "width"]
    assert model.get_outputs()[0].shape == ["batch", 11, "height", "width"]
    assert session(fcn_onnx[1]).get_inputs()[0].shape == ["batch", "height", "width", 3]


def test_onnx_holds_neither_the_auxiliary_head_nor_paths_of_this_machine(psp_onnx):
    content = psp_onnx[1].read_bytes()
    assert b".py" not in content and b"stack_trace" not in content
    names = [tensor.name for tensor in onnx.load(psp_onnx[1]).graph.initializer]
    assert names and not any("auxlayer" in name for name in names)


def test_export_leaves_the_net_in_training_mode(fcn_onnx):
    assert all(module.training for module in fcn_onnx[0].modules())


def test_weights_round_trip_with_the_same_bits(tmp_path):
    net, other = build(FCN), FCN(11, "resnet18_v1b", pretrained_base=False)
    arrays = backend.get_parameters(net)
    export(net, tmp_path / "a.params", "params", CAMVID)
    other.load_parameters(str(tmp_path / "a.params"))
    assert all(np.array_equal(a, arrays[n]) for n, a in backend.get_parameters(other).items())
    export(net, tmp_path / "a.safetensors", "safetensors", CAMVID, "fcn")
    with safe_open(tmp_path / "a.safetensors", "np") as file:
        assert json.loads(file.metadata()["classes"])[0] == "sky"
        assert set(file.keys()) == set(arrays)
        assert all(np.array_equal(file.get_tensor(name), arrays[name]) for name in arrays)


@pytest.mark.parametrize("format", ["params", "safetensors"])
def test_weights_of_convolutions_in_two_bytes(tmp_path, format):
    net, other = build(FCN), FCN(11, "resnet18_v1b", pretrained_base=False)
    path = tmp_path / f"a.{format}"
    export(net, path, format, CAMVID, float16=True)
    load_weights(other, str(path))
    arrays, stored = backend.get_parameters(net), exporting.weights_file.read(path)
    for name, array in backend.get_parameters(other).items():
        kept = np.float16 if arrays[name].ndim == 4 else np.float32
        assert array.dtype == np.float32 and stored[name].dtype == kept
        np.testing.assert_array_equal(array, arrays[name].astype(kept))


def test_a_weight_that_two_bytes_cannot_hold_is_refused(tmp_path):
    net = torch.nn.Sequential(backend.nn.Conv2D(11, 1, in_channels=3))
    arrays = backend.get_parameters(net)
    arrays["0.weight"][0, 0] = 1e5
    backend.set_parameters(net, arrays)
    with pytest.raises(ValueError, match=r"0\.weight has values up to 100000.*more than 65504"):
        export(net, tmp_path / "a.params", "params", CAMVID, float16=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("format", ["torch-export", "safetensors"])
def test_a_file_that_fails_its_check_is_not_kept_and_what_was_there_is(
    tmp_path, format, monkeypatch
):
    path = tmp_path / f"net{exporting.export_formats()[format]}"
    path.write_bytes(b"before")
    net = torch.nn.Sequential(backend.nn.Conv2D(11, 1, in_channels=3))
    read_graph, read = backend.read_graph, exporting.weights_file.read
    monkeypatch.setattr(backend, "read_graph", lambda *a: lambda x: read_graph(*a)(x) + x.mean())
    monkeypatch.setattr(
        exporting.weights_file, "read", lambda p: {n: -a for n, a in read(p).items()}
    )
    with pytest.raises(ExportError):
        export(net, path, format, CAMVID)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def scores_of(*pixels):
    return np.array(pixels, "float32").T[None, :, None]  # (1, class, 1, pixels)


def test_difference_takes_ties_for_equal_and_nothing_else():
    net = scores_of([1, 5, 5], [9, 0, 2])
    assert difference(net, net) == 0
    assert difference(net, net + np.float32(1e-3)) == pytest.approx(1e-3 / 9, rel=0.01)
    difference(net, np.array([[[2, 0]]]), classes=True)
    for result, classes in (
        (net + 0.1, False),
        (net * np.nan, False),
        (net[:, :2], False),
        (np.array([[[0, 0]]]), True),
    ):
        with pytest.raises(ExportError):
            difference(net, result, classes)


@pytest.mark.parametrize(
    ("path", "format", "options", "told"),
    [
        ("a.onnx", "mxnet", {}, "GLUONVISION_BACKEND=mxnet"),
        ("a.onnx", "tflite", {}, "expected one of onnx, torch-export, params, safetensors"),
        ("a.pth", "onnx", {}, r"ends in \.onnx"),
        ("a.params", "params", {"classes": True}, "holds only weights"),
        ("a.onnx", "onnx", {"float16": True}, "params and safetensors"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path, path, format, options, told):
    with pytest.raises(ValueError, match=told):
        export(torch.nn.Conv2d(3, 11, 1), tmp_path / path, format, CAMVID, **options)
    assert not list(tmp_path.iterdir())


def test_a_net_in_half_precision_is_refused(tmp_path):
    net = FCN(11, "resnet18_v1b", pretrained_base=False)
    net.cast("float16")
    with pytest.raises(ValueError, match="expected cpu and float32"):
        export(net, tmp_path / "a.params", "params", CAMVID)


def test_without_onnx_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ValueError, match=r"gluonvision\[export\]"):
        export(torch.nn.Conv2d(3, 11, 1), tmp_path / "a.onnx", "onnx", CAMVID)


def test_the_command_converts_weights_and_never_writes_over_them(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    name = "deeplabv3plus_mobilenet_v2_camvid"
    assert main(["export", "--model", name, "--to", "params"]) == 0
    assert "read back: the weights are identical" in capsys.readouterr().out
    own = exporting.weights_file.read(f"{name}.params")
    assert own["head.aspp.project.0.weight"].dtype == np.float32
    line = ["export", "--model", name, "--weights", f"{name}.params", "--to", "params"]
    assert main(line) == 1
    assert "--output" in capsys.readouterr().err
    assert parameters_file.load(f"{name}.params").keys() == own.keys()


def test_a_palette_mask_is_made_of_the_file_alone(fcn_onnx, tmp_path):
    """What docs/deploy.md shows: onnxruntime, NumPy and Pillow."""
    model = session(fcn_onnx[1])
    facts = model.get_modelmeta().custom_metadata_map
    image = np.random.default_rng(2).integers(0, 256, (60, 80, 3), np.uint8)
    mask = Image.fromarray(model.run(None, {"image": image[None]})[0][0])
    mask.putpalette(np.array(json.loads(facts["palette"]), np.uint8).tobytes())
    mask.save(tmp_path / "mask.png")
    assert np.array_equal(np.array(Image.open(tmp_path / "mask.png")), predict(fcn_onnx[0], image))
