"""Measure what a model costs: parameters, multiply-adds, and time and memory of a forward pass.

If torchvision has the same model, both are measured in turn.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from tqdm import trange

from gluonvision import backend
from gluonvision.backend import profiling
from gluonvision.model_zoo import get_model
from gluonvision.model_zoo.segmentation.families import FAMILIES, get_segmentation_model
from gluonvision.runs.environment import describe_environment

_NUM_WARM_UP = 3
_STATISTICS = ("running_mean", "running_var")
_COLUMNS = ("", "parameters", "multiply-adds", "p50", "p90", "p99", "images/s", "peak memory")
_ROW = "{:<32}{:>12}{:>15}{:>11}{:>11}{:>11}{:>10}{:>13}"


@dataclasses.dataclass(frozen=True)
class BenchmarkOptions:
    """The model to measure, and the settings of the measurement.

    Args:
        model: a family of models ("fcn", "pspnet", ...), or the name of a published model.
        backbone: backbone, for a family.
        nclass: number of classes, for a family.
        size: (height, width) of the images, in pixels.
        batch: number of images per forward pass.
        precision: "fp32", or "bf16" or "fp16" by autocast.
        compile: compile with torch.compile, or MXNet's hybridize.
        channels_last: store images and weights channels last (NHWC) in memory.
        runs: number of timed passes, after a warm-up.
        no_cuda: use the CPU even if there is a GPU.
        peer: also measure torchvision's model.

    Raises:
        ValueError: if a number is below 1.
    """

    model: str = "fcn"
    backbone: str = "resnet50"
    nclass: int = 21
    size: tuple[int, int] = (480, 480)
    batch: int = 1
    precision: str = "fp32"
    compile: bool = False
    channels_last: bool = False
    runs: int = 30
    no_cuda: bool = False
    peer: bool = True

    def __post_init__(self) -> None:
        for name in ("nclass", "batch", "runs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: expected 1 or more")
        if min(self.size) < 1:
            raise ValueError(f"size={self.size}: expected a height and a width of 1 or more")


@dataclasses.dataclass(frozen=True)
class Cost:
    """The cost of one model.

    Args:
        name: the model.
        parameters: number of trained parameters, without running statistics.
        multiply_adds: multiply-adds of convolutions and matrix products in a forward pass of the
            batch; a multiplication and its addition count as one.
        latency: time of each pass, in seconds.
        images_per_second: throughput over all passes.
        peak_memory: peak memory of a pass without the weights, in bytes; None if unknown.
    """

    name: str
    parameters: int
    multiply_adds: int
    latency: tuple[float, ...]
    images_per_second: float
    peak_memory: int | None

    def percentile(self, percent: float) -> float:
        """Compute a percentile of the pass times, in seconds."""
        return float(np.percentile(self.latency, percent))


class Ratio(NamedTuple):
    """Median and quartiles of the ratio of two times."""

    median: float
    q1: float
    q3: float


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """The measured costs of a model and its peer.

    Args:
        options: the settings of the measurement.
        device: description of the device.
        costs: the cost of the model and, if it has a peer, the cost of the peer.
        note: the reason why the peer could not be measured, if any.
    """

    options: BenchmarkOptions
    device: str
    costs: tuple[Cost, ...]
    note: str = ""

    @property
    def ratio(self) -> Ratio | None:
        """The model's time divided by the peer's; None without a peer."""
        if len(self.costs) < 2:
            return None
        ours, peer = (np.array(cost.latency) for cost in self.costs)
        return Ratio(*np.percentile(ours / peer, (50, 25, 75)).tolist())

    def to_dict(self) -> dict[str, Any]:
        """Convert to JSON types, with versions and machine; times are in milliseconds."""
        return {
            "options": dataclasses.asdict(self.options),
            "device": self.device,
            "environment": describe_environment(),
            "models": [_as_dict(cost) for cost in self.costs],
            "time_as_part_of_peer": self.ratio._asdict() if self.ratio else {},
            "note": self.note,
        }

    def to_text(self) -> str:
        """Format as a table."""
        options = self.options
        shape = f"{options.batch} x 3 x {options.size[0]} x {options.size[1]}"
        settings = [options.precision, *(["compiled"] if options.compile else [])]
        lines = [
            f"{shape} on {self.device}, {', '.join(settings)}; {options.runs} timed passes each",
            "",
            _ROW.format(*_COLUMNS),
            *(_ROW.format(*_cells(cost)) for cost in self.costs),
        ]
        if self.ratio:
            ratio = "{:.2f} (quartiles {:.2f} to {:.2f})".format(*self.ratio)
            lines += ["", f"time relative to {self.costs[1].name}: {ratio}"]
        return "\n".join([*lines, *filter(None, [self.note])])


def benchmark(options: BenchmarkOptions) -> Benchmark:
    """Measure a model with random weights, and its peer.

    Raises:
        ValueError: if the model, the backbone or a setting is unknown.
    """
    device = backend.cpu() if options.no_cuda or not backend.num_gpus() else backend.gpu()
    models, note = [_model(options)], ""
    try:
        peer = _peer(options)
        models += [peer] if peer else []
    except ImportError as error:
        note = f"without a peer: {error}"
    for _, net in models:
        _move(net, device)
    images = np.random.default_rng(0).normal(size=(options.batch, 3, *options.size))
    x = backend.array(images.astype("float32"), device)
    counts = [(count_parameters(net), profiling.count_multiply_adds(net, x)) for _, net in models]
    settings = (options.precision, options.compile, options.channels_last)
    passes = [functools.partial(profiling.build_inference(net, *settings), x) for _, net in models]
    times = _times(passes, device, options.runs)
    memory = [profiling.measure_peak_memory(each, device) for each in passes]
    costs = [
        Cost(name, *count, tuple(seconds), options.batch * len(seconds) / sum(seconds), peak)
        for (name, _), count, seconds, peak in zip(models, counts, times, memory)
    ]
    return Benchmark(options, profiling.describe_device(device), tuple(costs), note)


def _model(options: BenchmarkOptions) -> tuple[str, Any]:
    if options.model in FAMILIES:
        net = get_segmentation_model(
            options.model,
            backbone=options.backbone,
            nclass=options.nclass,
            pretrained_base=False,
        )
        return f"{options.model} on {options.backbone}", net
    return options.model, get_model(options.model)


def _peer(options: BenchmarkOptions) -> tuple[str, Any] | None:
    """torchvision's version of the model, if it has one."""
    if not options.peer or options.model not in FAMILIES:
        return None
    family = FAMILIES[options.model].__name__.lower()
    return profiling.build_peer(family, options.backbone, options.nclass)


def _move(net: Any, device: Any) -> None:
    if hasattr(net, "collect_params"):
        net.collect_params().reset_ctx(device)
    else:
        net.to(device)  # a plain torch module, the peer


def count_parameters(net: Any) -> int:
    """Count a net's trained parameters, without running statistics."""
    shapes = backend.parameter_shapes(net).items()
    trained = [shape for name, shape in shapes if not name.endswith(_STATISTICS)]
    return sum(int(np.prod(shape)) for shape in trained)


def _times(passes: Sequence[Callable], device: Any, runs: int) -> list[list[float]]:
    """Time each model's passes, in seconds; the models take turns to go first."""
    for each in passes:
        for _ in range(_NUM_WARM_UP):
            profiling.measure_seconds(each, device)
    times: list[list[float]] = [[] for _ in passes]
    for i in trange(runs, unit="run", desc="timing", leave=False):
        for j in range(len(passes)):
            turn = (i + j) % len(passes)
            times[turn].append(profiling.measure_seconds(passes[turn], device))
    return times


def _as_dict(cost: Cost) -> dict[str, Any]:
    return {
        "name": cost.name,
        "parameters": cost.parameters,
        "multiply_adds": cost.multiply_adds,
        "latency_ms": {f"p{p}": 1e3 * cost.percentile(p) for p in (50, 90, 99)},
        "all_latencies_ms": [1e3 * seconds for seconds in cost.latency],
        "images_per_second": cost.images_per_second,
        "peak_memory_bytes": cost.peak_memory,
    }


def _cells(cost: Cost) -> tuple[str, ...]:
    peak = "-" if cost.peak_memory is None else f"{cost.peak_memory / 2**20:.0f} MiB"
    return (
        cost.name,
        f"{cost.parameters / 1e6:.2f} M",
        f"{cost.multiply_adds / 1e9:.2f} G",
        *(f"{1e3 * cost.percentile(p):.1f} ms" for p in (50, 90, 99)),
        f"{cost.images_per_second:.2f}",
        peak,
    )
