"""What `bench` counts and how it reports, under both backends."""

import json

import numpy as np
import pytest

from gluonvision import backend
from gluonvision.__main__ import main
from gluonvision.backend import nn, profiling
from gluonvision.deployment.benchmark import Benchmark, BenchmarkOptions, Cost, benchmark


def test_multiply_adds_are_those_counted_by_hand():
    net = nn.HybridSequential()
    net.add(
        nn.Conv2D(8, 3, strides=2, padding=1, use_bias=False, in_channels=4),
        nn.Conv2D(8, 3, dilation=2, padding=2, groups=8, use_bias=False, in_channels=8),
        nn.Activation("relu"),
        nn.Dense(5, use_bias=False, in_units=8 * 6 * 5),
    )
    backend.initialize(net)
    x = backend.array(np.zeros((2, 4, 12, 10), "float32"))
    pixels = 2 * 6 * 5
    expected = pixels * 8 * 4 * 9 + pixels * 8 * 9 + 2 * 5 * (8 * 6 * 5)
    assert profiling.count_multiply_adds(net, x) == expected


def test_a_benchmark_has_the_models_cost(capsys):
    line = "bench --model fcn --backbone mobilenet_v2 --size 33 40 --batch 2 --nclass 5 --runs 4"
    assert main([*line.split(), "--no-cuda", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (cost,) = found["models"]
    # torchvision's MobileNetV2 without its last convolution and classifier, and the head.
    assert cost["parameters"] == 2_223_872 - (320 * 1280 + 2 * 1280) + (
        320 * 80 * 9 + 2 * 80 + 80 * 5 + 5
    )
    assert len(cost["all_latencies_ms"]) == 4
    assert cost["latency_ms"]["p50"] <= cost["latency_ms"]["p90"] <= cost["latency_ms"]["p99"]
    assert found["options"]["size"] == [33, 40]
    seconds = sum(cost["all_latencies_ms"]) / 1000
    assert cost["images_per_second"] == pytest.approx(4 * 2 / seconds)


def test_the_ratio_is_that_of_passes_in_turn():
    ours = Cost("ours", 1, 2, (1.0, 2.0, 3.0), 0.5, None)
    other = Cost("theirs", 1, 2, (2.0, 4.0, 2.0), 0.5, 1 << 20)
    found = Benchmark(BenchmarkOptions(), "CPU", (ours, other))
    assert found.ratio == (0.5, 0.5, 1.0)
    assert "0.50 (quartiles 0.50 to 1.00)" in found.to_text() and "1 MiB" in found.to_text()
    assert Benchmark(BenchmarkOptions(), "CPU", (ours,)).ratio is None


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("--size 1 2 3", "height and width"),
        ("--runs 0", "runs=0"),
        ("--precision fp8", "fp8"),
        ("--backbone resnet51", "resnet51"),
        ("--model nothing", "'nothing'"),
    ],
)
def test_wrong_options_are_errors_of_a_line(line, told, capsys):
    line = f"bench --backbone mobilenet_v2 --size 33 --no-cuda {line}"
    assert main(line.split()) == 1
    said = capsys.readouterr().err
    assert told in said and "Traceback" not in said


def test_a_net_is_counted_before_it_is_compiled():
    options = BenchmarkOptions("pspnet", "resnet18", 3, (33, 33), runs=1, no_cuda=True, peer=False)
    (cost,) = benchmark(options).costs
    assert cost.multiply_adds > 1e8
