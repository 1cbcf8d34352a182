"""Nets in other precisions beside the net itself, under torch."""

import os
import platform
import subprocess
import sys

import integer_checks
import numpy as np
import pytest
import torch

from gluonvision import backend, model_zoo
from gluonvision.backend import prepare_inference
from gluonvision.backend.torch.kernels import prepared_inference
from gluonvision.prediction.inference import predict
from gluonvision.segmentation import Predictor

EMBEDDED = "deeplabv3plus_mobilenet_v2_camvid"
needs_int8 = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="int8 convolutions are oneDNN's"
)
is_x86 = platform.machine() in ("x86_64", "AMD64")


def trained_like(net):
    """Norms that do something, as after training."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in net.state_dict().items():
        if name.endswith(("running_mean", "bias")):
            tensor.normal_(0, 0.3, generator=generator)
        elif name.endswith("running_var") or tensor.dim() == 1:
            tensor.uniform_(0.5, 2, generator=generator)
    return net.eval()


@pytest.mark.parametrize(
    ("model", "backbone", "folded"),
    [("FCN", "resnet18_v1b", 21), ("FCN", "resnet18", 10), ("DeepLabV3Plus", "mobilenet_v2", 65)],
)
def test_folded_norms_change_nothing(model, backbone, folded):
    backend.seed(0)
    net = trained_like(getattr(model_zoo, model)(5, backbone, pretrained_base=False))
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with torch.no_grad():
        prepared = prepared_inference._with_norms_folded(net)
        x = torch.randn(2, 3, 50, 71)
        expected = net(x)
        assert (prepared(x) - expected).abs().max() < 1e-5 * expected.abs().max()
    left = [sum(isinstance(m, backend.nn.BatchNorm) for m in n.modules()) for n in (net, prepared)]
    assert left[0] - left[1] == folded
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[name])


class Shared(backend.HybridBlock):
    """A convolution whose output a norm is not alone in taking."""

    def __init__(self):
        super().__init__()
        self.conv = backend.nn.Conv2D(4, 3, padding=1, in_channels=3)
        self.norm = backend.nn.BatchNorm(in_channels=4)

    def hybrid_forward(self, F, x):
        y = self.conv(x)
        return self.norm(y) + 2 * y


def test_a_norm_that_is_not_alone_is_left():
    net = trained_like(Shared())
    with torch.no_grad():
        prepared = prepared_inference._with_norms_folded(net)
        x = torch.randn(1, 3, 9, 9)
        assert torch.equal(prepared(x), net(x))
    assert isinstance(prepared.norm, backend.nn.BatchNorm)


@needs_int8
@pytest.mark.parametrize("shift", integer_checks.SHIFTS.values(), ids=integer_checks.SHIFTS)
@pytest.mark.parametrize("geometry", integer_checks.GEOMETRIES, ids=str)
def test_an_integer_convolution_is_within_its_steps(geometry, shift):
    integer_checks.check_accuracy(geometry, shift)


@needs_int8
@pytest.mark.parametrize("channels", integer_checks.CHANNELS)
@pytest.mark.parametrize("size", [1, 3])
def test_an_integer_convolution_clips_no_sum(size, channels):
    integer_checks.check_sums(size, channels)


@needs_int8
@pytest.mark.skipif(not is_x86, reason="only oneDNN's x86 code can leave instructions out")
@pytest.mark.parametrize("instructions", ["AVX2", "AVX512_CORE"])
def test_an_integer_convolution_is_right_without_vnni(instructions):
    limits = {"ONEDNN_MAX_CPU_ISA": instructions, "ATEN_CPU_CAPABILITY": "avx2"}
    command = [sys.executable, integer_checks.__file__, "clips"]
    subprocess.run(command, env=os.environ | limits, check=True, timeout=300)


@needs_int8
def test_weights_have_all_8_bits_where_no_sum_is_clipped():
    weight = torch.nn.Conv2d(32, 48, 3).weight.detach()
    largest = weight.abs().amax((1, 2, 3))
    fine = prepared_inference._weight_steps(weight, clips_sums=False)
    coarse = prepared_inference._weight_steps(weight, clips_sums=True)
    torch.testing.assert_close(fine * 127, largest)
    assert (coarse >= fine).all() and (coarse * 127 <= 2 * largest * (1 + 1e-6)).all()


@needs_int8
def test_constant_and_empty_activations_are_no_division_by_zero():
    layer = torch.nn.Conv2d(32, 32, 3, padding=1)
    for value in (0.0, 5.0, -5.0):
        x = torch.full((1, 32, 8, 8), value)
        with torch.no_grad():
            ours, exact = prepared_inference._Int8Convolution.of(layer)(x), layer(x)
            # Half a step of each weight; the activations are whole steps.
            steps = prepared_inference._weight_steps(layer.weight, prepared_inference._clips_sums())
            bound = abs(value) * layer.weight[0].numel() * steps / 2 + 1e-5
        assert ((ours - exact).abs() <= bound.view(1, -1, 1, 1)).all()


@needs_int8
def test_integers_agree_with_floats_on_real_streets(shared_data):
    files = sorted((shared_data / "camvid" / "images" / "val").glob("*.jpg"))[::34]
    exact = Predictor.load(EMBEDDED, precision="fp32", device=backend.cpu())
    ours = Predictor.load(EMBEDDED, precision="int8", device=backend.cpu())
    agreement = [(exact(file).mask == ours(file).mask).mean() for file in files]
    assert np.mean(agreement) >= 0.995


def test_half_precision_keeps_the_weights_and_gives_nearly_the_same():
    backend.seed(2)
    net = model_zoo.FCN(5, "mobilenet_v2", pretrained_base=False)
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    half = prepare_inference(net, "bf16")
    assert next(half.parameters()) is next(net.parameters())
    assert (predict(half, image) == predict(net, image)).mean() > 0.9
    assert prepare_inference(net, "fp32") is net


@needs_int8
def test_integers_are_for_float_nets():
    net = model_zoo.FCN(5, "mobilenet_v2", pretrained_base=False)
    net.cast("float64")
    with pytest.raises(ValueError, match="float32 nets on a CPU"):
        prepare_inference(net, "int8")
    assert prepare_inference(net, "auto") is net


@needs_int8
def test_a_prediction_does_not_depend_on_those_before():
    ours = Predictor.load(EMBEDDED, precision="int8", device=backend.cpu())
    rng = np.random.default_rng(0)
    first, second = (rng.integers(0, 256 // k, (48, 64, 3), dtype=np.uint8) for k in (1, 4))
    alone = ours(first).mask
    ours(second)
    np.testing.assert_array_equal(ours(first).mask, alone)


@needs_int8
def test_a_prediction_does_not_depend_on_those_beside_it():
    net = prepare_inference(model_zoo.FCN(5, "resnet18", pretrained_base=False), "int8")
    x = torch.randn(2, 3, 64, 48) * torch.tensor([1.0, 20.0]).view(2, 1, 1, 1)
    both = backend.evaluate(net, x)
    for image, scores in zip(x.split(1), both.split(1)):
        torch.testing.assert_close(backend.evaluate(net, image), scores, rtol=0, atol=1e-6)


@needs_int8
@pytest.mark.parametrize(("backbone", "is_int8"), [("resnet18", True), ("mobilenet_v2", False)])
def test_integers_are_the_default_where_they_are_much_faster(backbone, is_int8, monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(prepared_inference, "_clips_sums", lambda: False)
    net = model_zoo.FCN(5, backbone, pretrained_base=False)
    assert (prepare_inference(net, "auto") is net) != is_int8


@pytest.mark.parametrize(("machine", "clips_sums"), [("x86_64", True), ("aarch64", False)])
def test_integers_are_not_the_default_on_other_cpus(machine, clips_sums, monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(prepared_inference, "_clips_sums", lambda: clips_sums)
    net = model_zoo.FCN(5, "resnet18", pretrained_base=False)
    assert prepare_inference(net, "auto") is net


def test_integers_without_onednn_are_refused(monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    net = model_zoo.FCN(5, "resnet18", pretrained_base=False)
    with pytest.raises(ValueError, match="torch with oneDNN"):
        prepare_inference(net, "int8")
    assert prepare_inference(net, "auto") is net
