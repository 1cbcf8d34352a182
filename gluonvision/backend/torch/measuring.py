"""What a forward pass costs under torch: operations, time and memory; and whom to compare with."""

import contextlib
import os
import re
import sys
import time
from collections.abc import Callable

import torch

from gluonvision.backend.torch.training import evaluate
from gluonvision.backend.trainer_options import PRECISIONS

_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


def inference(
    net: torch.nn.Module, precision: str = "fp32", compiled: bool = False, channels_last=False
) -> Callable[[torch.Tensor], object]:
    """The net's forward pass in evaluation mode, without gradients; the net is changed for it.

    ``precision``: fp32, or bf16 or fp16 by autocast. Raises ValueError for another.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision={precision!r}: expected one of {', '.join(PRECISIONS)}")
    layout = torch.channels_last if channels_last else torch.contiguous_format
    net.eval().to(memory_format=layout)  # type: ignore[call-overload]
    device, half = next(net.parameters()).device, _HALF.get(precision)
    forward = torch.compile(net) if compiled else net

    def run(x):
        with torch.inference_mode(), torch.autocast(device.type, half, enabled=half is not None):
            return forward(x.contiguous(memory_format=layout))

    return run


def count_multiply_adds(net: torch.nn.Module, x: torch.Tensor) -> int:
    """Multiply-adds of convolutions and matrix products in a forward pass, each counted once."""
    # Imported here, as it takes a good part of a second.
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        evaluate(net, x)
    return counter.get_total_flops() // 2


def timed(work: Callable[[], object], device: torch.device) -> float:
    """Seconds that ``work`` takes on a device, its end waited for."""
    if device.type != "cuda":
        begun = time.perf_counter()
        work()
        return time.perf_counter() - begun
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    stream = torch.cuda.current_stream(device)
    begin.record(stream)
    work()
    end.record(stream)
    end.synchronize()
    return begin.elapsed_time(end) / 1000


def peak_memory(work: Callable[[], object], device: torch.device) -> int | None:
    """The most bytes that ``work`` holds at a time in tensors that it makes."""
    if device.type != "cuda":
        return _peak_on_cpu(work)
    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    work()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def _peak_on_cpu(work):
    from torch.profiler import ProfilerActivity, profile

    profiler = profile(activities=[ProfilerActivity.CPU], profile_memory=True)
    with _without_stderr(), profiler:
        work()
    held = peak = 0
    events = profiler.profiler.kineto_results.events()
    for event in sorted((e for e in events if e.name() == "[memory]"), key=lambda e: e.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


@contextlib.contextmanager
def _without_stderr():
    """Kineto, torch's profiler, notes there that it starts and stops, past Python."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def describe_device(device: torch.device) -> str:
    """A device by its name, and with how many threads a CPU is used."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads"


def peer(model: str, backbone: str, nclass: int) -> tuple[str, torch.nn.Module] | None:
    """torchvision's model of the same kind, with its name, drawn anew; None where it has none.

    Its backbone is ResNet V1b at output stride 8. Raises ImportError where torchvision is missing
    or made for another torch.
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
