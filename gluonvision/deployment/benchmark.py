"""What a model costs: its size, its operations, and the time and memory of a forward pass.

Measured against torchvision's model of the same kind, in turn, where there is one.
"""

import dataclasses
import functools
from typing import Any

import numpy as np
from tqdm import trange

from gluonvision import backend
from gluonvision.backend import profiling
from gluonvision.model_zoo import get_model
from gluonvision.model_zoo.segmentation.families import FAMILIES, get_segmentation_model
from gluonvision.runs.environment import describe_environment

_WARM_UP = 3
_STATISTICS = ("running_mean", "running_var")


@dataclasses.dataclass(frozen=True)
class BenchmarkOptions:
    """What is measured, and how.

    ``model``: a family (fcn, pspnet, ...), with ``backbone`` and ``nclass``, or a published model's
    name, which has its own. ``size``: height and width of the images; ``batch``: how many at a
    time; ``precision``: fp32, bf16 or fp16 by autocast; ``compile``: torch.compile, or MXNet's
    hybridize; ``runs``: passes timed, after a warm-up; ``peer``: whether torchvision's model is
    measured beside. Raises ValueError for numbers below 1.
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

    def __post_init__(self):
        for name in ("nclass", "batch", "runs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: expected 1 or more")
        if min(self.size) < 1:
            raise ValueError(f"size={self.size}: expected a height and a width of 1 or more")


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one model costs.

    ``parameters``: numbers in its weights, without running statistics. ``multiply_adds``: of
    convolutions and matrix products in a forward pass of the batch, a multiplication with its
    addition counted as one. ``latency``: seconds of each timed pass; ``images_per_second`` over
    all of them. ``peak_memory``: the most bytes that a pass holds beside the weights, None where
    that is not told.
    """

    name: str
    parameters: int
    multiply_adds: int
    latency: tuple[float, ...]
    images_per_second: float
    peak_memory: int | None

    def percentile(self, share: float) -> float:
        """The seconds within which ``share`` percent of the passes ended."""
        return float(np.percentile(self.latency, share))


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """The costs of a model and, second, of its peer; the options they were measured under.

    ``note``: why there is no peer, where one was to be had. ``ratio``: our time as a part of the
    peer's, median and quartiles of the passes in turn; empty without a peer.
    """

    options: BenchmarkOptions
    device: str
    costs: tuple[Cost, ...]
    note: str = ""

    @property
    def ratio(self) -> tuple[float, ...]:
        if len(self.costs) < 2:
            return ()
        ours, other = (np.array(cost.latency) for cost in self.costs)
        middle, low, high = np.percentile(ours / other, (50, 25, 75))
        return float(middle), float(low), float(high)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON can hold it, with versions and machine; times in milliseconds."""
        return {
            "options": dataclasses.asdict(self.options),
            "device": self.device,
            "environment": describe_environment(),
            "models": [_as_dict(cost) for cost in self.costs],
            "time_as_part_of_peer": dict(zip(("median", "q1", "q3"), self.ratio)),
            "note": self.note,
        }

    def to_text(self) -> str:
        """A table for people."""
        options = self.options
        shape = f"{options.batch} x 3 x {options.size[0]} x {options.size[1]}"
        settings = [options.precision, *(["compiled"] if options.compile else [])]
        lines = [
            f"{shape} on {self.device}, {', '.join(settings)}; {options.runs} passes each, in turn",
            "",
            _ROW.format(*_COLUMNS),
            *(_ROW.format(*_cells(cost)) for cost in self.costs),
        ]
        if self.ratio:
            told = "{:.2f} (quartiles {:.2f} to {:.2f})".format(*self.ratio)
            lines += ["", f"time as a part of {self.costs[1].name}'s: {told}"]
        return "\n".join([*lines, *filter(None, [self.note])])


_COLUMNS = ("", "parameters", "multiply-adds", "p50", "p90", "p99", "images/s", "peak memory")
_ROW = "{:<32}{:>12}{:>15}{:>11}{:>11}{:>11}{:>10}{:>13}"


def benchmark(options: BenchmarkOptions) -> Benchmark:
    """Measure a model, drawn anew, and its peer.

    Raises ValueError for names and values that there are not.
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
    drawn = np.random.default_rng(0).normal(size=(options.batch, 3, *options.size))
    x = backend.array(drawn.astype("float32"), device)
    counts = [(count_parameters(net), profiling.count_multiply_adds(net, x)) for _, net in models]
    settings = (options.precision, options.compile, options.channels_last)
    passes = [profiling.build_inference(net, *settings) for _, net in models]
    works = [functools.partial(run, x) for run in passes]
    times = _times(works, device, options.runs)
    memory = [profiling.measure_peak_memory(work, device) for work in works]
    costs = [
        Cost(name, *count, tuple(seconds), options.batch * len(seconds) / sum(seconds), peak)
        for (name, _), count, seconds, peak in zip(models, counts, times, memory)
    ]
    return Benchmark(options, profiling.describe_device(device), tuple(costs), note)


def _model(options):
    if options.model in FAMILIES:
        net = get_segmentation_model(
            options.model,
            backbone=options.backbone,
            nclass=options.nclass,
            pretrained_base=False,
        )
        return f"{options.model} on {options.backbone}", net
    return options.model, get_model(options.model)


def _peer(options):
    """torchvision's model of the same kind, where there is one."""
    if not options.peer or options.model not in FAMILIES:
        return None
    family = FAMILIES[options.model].__name__.lower()
    return profiling.build_peer(family, options.backbone, options.nclass)


def _move(net, device):
    if hasattr(net, "collect_params"):
        net.collect_params().reset_ctx(device)
    else:
        net.to(device)  # a peer's


def count_parameters(net: Any) -> int:
    """The numbers in a net's weights, without running statistics."""
    shapes = backend.parameter_shapes(net).items()
    learned = [shape for name, shape in shapes if not name.endswith(_STATISTICS)]
    return sum(int(np.prod(shape)) for shape in learned)


def _times(works, device, runs) -> list[list[float]]:
    """Seconds of each pass; the models take turns at going first."""
    for work in works:
        for _ in range(_WARM_UP):
            profiling.measure_seconds(work, device)
    times: list[list[float]] = [[] for _ in works]
    for i in trange(runs, unit="run", desc="timing", leave=False):
        for j in range(len(works)):
            turn = (i + j) % len(works)
            times[turn].append(profiling.measure_seconds(works[turn], device))
    return times


def _as_dict(cost) -> dict[str, Any]:
    return {
        "name": cost.name,
        "parameters": cost.parameters,
        "multiply_adds": cost.multiply_adds,
        "latency_ms": {f"p{share}": 1e3 * cost.percentile(share) for share in (50, 90, 99)},
        "all_latencies_ms": [1e3 * seconds for seconds in cost.latency],
        "images_per_second": cost.images_per_second,
        "peak_memory_bytes": cost.peak_memory,
    }


def _cells(cost):
    peak = "-" if cost.peak_memory is None else f"{cost.peak_memory / 2**20:.0f} MiB"
    return (
        cost.name,
        f"{cost.parameters / 1e6:.2f} M",
        f"{cost.multiply_adds / 1e9:.2f} G",
        *(f"{1e3 * cost.percentile(share):.1f} ms" for share in (50, 90, 99)),
        f"{cost.images_per_second:.2f}",
        peak,
    )
