"""The cost of a forward pass under torch: operations, time and memory."""

import contextlib
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

from gluonvision.backend.precisions import TRAINING_PRECISIONS
from gluonvision.backend.torch.arrays import HALF_TYPES
from gluonvision.backend.torch.evaluation import evaluate


def build_inference(
    net: torch.nn.Module,
    precision: str = "fp32",
    compiled: bool = False,
    channels_last: bool = False,
) -> Callable[[torch.Tensor], object]:
    """Return a function that runs ``net`` in evaluation mode, without gradients.

    The net itself changes its mode and memory layout.

    Args:
        net: the net.
        precision: 'fp32', or 'bf16' or 'fp16' by autocast.
        compiled: run it through ``torch.compile``.
        channels_last: keep activations as (N, H, W, C) in memory.

    Raises:
        ValueError: for another precision.
    """
    if precision not in TRAINING_PRECISIONS:
        raise ValueError(
            f"precision={precision!r}: expected one of {', '.join(TRAINING_PRECISIONS)}"
        )
    layout = torch.channels_last if channels_last else torch.contiguous_format
    net.eval().to(memory_format=layout)  # type: ignore[call-overload]  # missing in torch's stubs
    device, half = next(net.parameters()).device, HALF_TYPES.get(precision)
    forward = torch.compile(net) if compiled else net

    def run(x: torch.Tensor) -> object:
        with torch.inference_mode(), torch.autocast(device.type, half, enabled=half is not None):
            return forward(x.contiguous(memory_format=layout))

    return run


def count_multiply_adds(net: torch.nn.Module, x: torch.Tensor) -> int:
    """Count the multiply-adds of convolutions and matrix products in a forward pass of ``x``.

    A multiplication and its addition count as one.
    """
    # Imported here because the import takes a good part of a second.
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        evaluate(net, x)
    return counter.get_total_flops() // 2


def measure_seconds(work: Callable[[], object], device: torch.device) -> float:
    """Return the seconds that ``work`` takes on a device, until its last operation has ended."""
    if device.type != "cuda":
        start = time.perf_counter()
        work()
        return time.perf_counter() - start
    start_event, end_event = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    stream = torch.cuda.current_stream(device)
    start_event.record(stream)
    work()
    end_event.record(stream)
    end_event.synchronize()
    return start_event.elapsed_time(end_event) / 1000


def measure_peak_memory(work: Callable[[], object], device: torch.device) -> int | None:
    """Return the peak number of bytes in the tensors that ``work`` allocates."""
    if device.type != "cuda":
        return _measure_peak_on_cpu(work)
    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    work()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def _measure_peak_on_cpu(work: Callable[[], object]) -> int:
    from torch.profiler import ProfilerActivity, profile

    profiler: Any = profile(activities=[ProfilerActivity.CPU], profile_memory=True)
    with _without_stderr(), profiler:
        work()
    allocated = peak = 0
    events = profiler.profiler.kineto_results.events()
    for event in sorted((e for e in events if e.name() == "[memory]"), key=lambda e: e.start_ns()):
        allocated += event.nbytes()
        peak = max(peak, allocated)
    return peak


@contextlib.contextmanager
def _without_stderr() -> Iterator[None]:
    """Silence stderr below Python: Kineto, torch's profiler, prints its start and stop there."""
    sys.stderr.flush()
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)


def describe_device(device: torch.device) -> str:
    """Return the name of a GPU, or the number of threads used on the CPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads"


def build_peer(model: str, backbone: str, nclass: int) -> tuple[str, torch.nn.Module] | None:
    """Build torchvision's model of the same kind with random weights, to compare with.

    Its backbone is ResNet V1b at output stride 8.

    Returns:
        The peer's name and the net, or None if torchvision has no such model.

    Raises:
        ImportError: if torchvision is missing, or built for another torch.
    """
    depth = re.match(r"resnet(50|101)(_v1b)?$", backbone)
    if depth is None or model not in ("fcn", "deeplabv3"):
        return None
    try:
        from torchvision.models import segmentation
    except (ImportError, RuntimeError) as error:
        raise ImportError(f"torchvision cannot be imported: {error}") from error
    name = f"{model}_resnet{depth[1]}"
    net = getattr(segmentation, name)(weights=None, weights_backbone=None, num_classes=nclass)
    return f"torchvision {name}", net
