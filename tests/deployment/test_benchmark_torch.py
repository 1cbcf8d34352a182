"""`bench` beside torchvision: the same model has the same size and the same operations."""

import sys

import peers
import pytest
import torch

from gluonvision.backend import profiling
from gluonvision.deployment.benchmark import BenchmarkOptions, benchmark


@pytest.mark.skipif(not peers.installed("torchvision"), reason="torchvision is not installed")
def test_torchvisions_model_is_measured_in_turn_and_costs_the_same():
    peers.import_torchvision()
    options = BenchmarkOptions("deeplab", "resnet50_v1b", 7, (40, 33), runs=2, no_cuda=True)
    found = benchmark(options)
    ours, other = found.costs
    assert other.name == "torchvision deeplabv3_resnet50"
    assert ours.parameters == other.parameters
    assert ours.multiply_adds == other.multiply_adds
    assert len(ours.latency) == len(other.latency) == 2
    assert found.ratio and not found.note


def test_models_that_torchvision_lacks_are_measured_alone():
    assert profiling.build_peer("fcn", "mobilenet_v2", 21) is None
    assert profiling.build_peer("pspnet", "resnet50", 21) is None


def test_a_torchvision_that_cannot_be_imported_is_left_out_with_a_note(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision.models", None)
    found = benchmark(BenchmarkOptions("fcn", "resnet50", 2, (33, 33), runs=1, no_cuda=True))
    assert len(found.costs) == 1 and not found.ratio
    assert "without a peer: torchvision" in found.to_text()


def test_peak_memory_is_what_is_held_at_a_time():
    def work():
        for _ in range(3):
            kept = torch.zeros(1 << 20)
            del kept

    cpu = torch.device("cpu")
    assert 4 << 20 <= profiling.measure_peak_memory(work, cpu) < 5 << 20
    assert 8 << 20 <= profiling.measure_peak_memory(lambda: torch.zeros(1 << 20) + 1, cpu) < 9 << 20


def test_precisions_are_those_of_autocast():
    net = torch.nn.Conv2d(3, 4, 3)
    x = torch.zeros(1, 3, 8, 8)
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        assert profiling.build_inference(net, precision)(x).dtype is dtype
