"""Choose the kernel for coarse logits: the CPU's, Triton's, or none."""

import functools
import importlib.util
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch

from gluonvision.backend.torch.kernels.fused_loss import fused_log_probability
from gluonvision.backend.torch.kernels.upsampled_argmax import upsampled_argmax

_HAS_TRITON = importlib.util.find_spec("triton") is not None
# A Triton program keeps the pixels between four coarse logits in registers: up to stride 16.
_LARGEST_CELL = 1024


def can_fuse(logits: torch.Tensor, size: Sequence[int]) -> bool:
    """Return whether a kernel exists for logits (N, nclass, h, w) resized to ``size`` (H, W)."""
    if logits.device.type == "cpu":
        return True
    sides = (full // max(coarse - 1, 1) + 2 for coarse, full in zip(logits.shape[2:], size))
    is_for_triton = logits.is_cuda and _HAS_TRITON and logits.dtype != torch.float64
    return is_for_triton and math.prod(sides) <= _LARGEST_CELL and triton_works(logits.device)


def resized_argmax(logits: torch.Tensor, size: Sequence[int], align_corners: bool) -> torch.Tensor:
    """Return the first class with the largest resized logit, int32 (N, H, W), on any device."""
    if logits.is_cuda:
        from gluonvision.backend.torch.kernels import triton_kernels

        return triton_kernels.upsampled_argmax(logits, size, align_corners)
    return upsampled_argmax(logits, size, align_corners)


@torch.compiler.assume_constant_result
def triton_works(device: torch.device) -> bool:
    """Return whether a small case gives the CPU's result on this device; warn once if not."""
    return _triton_works(device)


@functools.cache
def _triton_works(device: torch.device) -> bool:
    try:
        from gluonvision.backend.torch.kernels import triton_kernels

        actual = _small_case(device, triton_kernels.upsampled_argmax)
        expected = _small_case(torch.device("cpu"), upsampled_argmax)
        for own, other in zip(actual, expected, strict=True):
            torch.testing.assert_close(own.cpu(), other, rtol=0, atol=1e-4)
    # For example a missing C compiler, a GPU or driver unknown to Triton, or wrong numbers.
    except Exception as error:
        warnings.warn(
            f"Triton does not work on {device} ({type(error).__name__}: {error}). Losses and "
            "masks are computed from full-size logits instead, which takes more memory and time",
            RuntimeWarning,
            stacklevel=2,
        )
        return False
    return True


@torch.inference_mode(False)
@torch.enable_grad()
def _small_case(device: torch.device, argmax: Callable) -> list[Any]:
    """Return log-probabilities, a gradient and classes of random logits, equal on each device."""
    generator = torch.Generator().manual_seed(0)
    # Name the CPU, to which the generator belongs; the default device may be another one.
    logits = torch.randn((1, 5, 4, 6), generator=generator, device="cpu")
    logits = logits.to(device).requires_grad_()
    label = torch.randint(-1, 5, (1, 9, 13), generator=generator, device="cpu")
    label = label.to(device, torch.int32)
    log_p = fused_log_probability(logits, label, True)
    log_p.square().sum().backward()
    return [log_p.detach(), logits.grad, argmax(logits.detach(), label.shape[1:], True)]
