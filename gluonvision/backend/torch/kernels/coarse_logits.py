"""What is done with logits coarser than the images, as a model's heads give them."""

import functools
import importlib.util
import math
import warnings

import torch

from gluonvision.backend.torch import functional
from gluonvision.backend.torch.kernels.fused_loss import fused_log_probability
from gluonvision.backend.torch.kernels.upsampled_argmax import upsampled_argmax

_HAS_TRITON = importlib.util.find_spec("triton") is not None
# Pixels between four coarse logits, which one program has in registers: up to a stride of 16.
_LARGEST_CELL = 1024


def label_log_probability(F, logits, label, align_corners):
    """log softmax(logits) at each pixel's label, (N, H, W); of class 0 where that is ignored.

    ``logits`` (N, nclass, h, w), in float32 or wider; ``label`` (N, H, W). Coarser logits are
    resized bilinearly; on a CPU, and on CUDA with Triton, without holding the result.
    """
    if _is_coarser(logits, label) and _can_fuse(logits, label.shape[1:]):
        return fused_log_probability(logits, label, align_corners)
    logits = at_label_size(F, logits, label, align_corners)
    return functional.pick(logits.log_softmax(1), label.relu(), 1)


def at_label_size(F, logits, label, align_corners):
    """The logits (N, nclass, h, w), bilinearly resized to the label's (N, H, W) if coarser.

    ValueError for logits finer than the labels.
    """
    if not _is_coarser(logits, label):
        return logits
    height, width = label.shape[1:]
    return F.contrib.BilinearResize2D(
        logits, height=height, width=width, align_corners=align_corners
    )


def classes_at(logits, size, align_corners):
    """The first class with the largest resized logit, int32 (N, H, W), but for rounding."""
    if not _can_fuse(logits, size):
        height, width = size
        full = functional.contrib.BilinearResize2D(
            logits, height=height, width=width, align_corners=align_corners
        )
        return full.argmax(1).int()
    if logits.is_cuda:
        from gluonvision.backend.torch.kernels import triton_kernels

        return triton_kernels.upsampled_argmax(logits, size, align_corners)
    return upsampled_argmax(logits, size, align_corners)


def _is_coarser(logits, label):
    _check_label(logits, label)
    coarse, full = logits.shape[2:], label.shape[1:]
    if any(own > size for own, size in zip(coarse, full)):
        raise ValueError(
            f"logits {tuple(logits.shape)} are finer than the label {tuple(label.shape)}: expected "
            "(N, nclass, h, w) and (N, H, W), h to H and w to W at most; resize one of them"
        )
    return coarse != full


def _check_label(logits, label):
    if label.dim() != 3 or len(label) != len(logits):
        raise ValueError(
            f"label {tuple(label.shape)} for logits {tuple(logits.shape)}: expected (N, H, W) for "
            "(N, nclass, h, w)"
        )
    # On a GPU it would have to be waited for.
    if label.device.type != "cpu" or not label.numel() or torch.compiler.is_compiling():
        return
    low, high = (int(edge) for edge in torch.aminmax(label))
    if low < -1 or high >= logits.shape[1]:
        raise ValueError(
            f"label values {low} to {high}: expected 0 to {logits.shape[1] - 1}, and -1 for pixels "
            "that do not count; map other values for these (255, -100) to -1"
        )


def _can_fuse(logits, size):
    if logits.device.type == "cpu":
        return True
    sides = (full // max(coarse - 1, 1) + 2 for coarse, full in zip(logits.shape[2:], size))
    is_for_triton = logits.is_cuda and _HAS_TRITON and logits.dtype != torch.float64
    return is_for_triton and math.prod(sides) <= _LARGEST_CELL and triton_works(logits.device)


@torch.compiler.assume_constant_result
def triton_works(device: torch.device) -> bool:
    """Whether a small case on this device comes out as on the CPU; if not, why is told once."""
    return _triton_works(device)


@functools.cache
def _triton_works(device):
    try:
        from gluonvision.backend.torch.kernels import triton_kernels

        ours = _small_case(device, triton_kernels.upsampled_argmax)
        expected = _small_case(torch.device("cpu"), upsampled_argmax)
        for own, other in zip(ours, expected, strict=True):
            torch.testing.assert_close(own.cpu(), other, rtol=0, atol=1e-4)
    # No compiler for C, a card or a driver that Triton does not know, wrong numbers ...
    except Exception as error:
        warnings.warn(
            f"Triton does not work on {device} ({type(error).__name__}: {error}); losses and "
            "masks are taken from full-size logits, in more memory and time",
            RuntimeWarning,
            stacklevel=2,
        )
        return False
    return True


@torch.inference_mode(False)
@torch.enable_grad()
def _small_case(device, argmax):
    """Probabilities, a gradient and classes, all from one generator's logits."""
    generator = torch.Generator().manual_seed(0)
    same = {"generator": generator, "device": "cpu"}  # whatever the default device is
    logits = torch.randn((1, 5, 4, 6), **same).to(device).requires_grad_()
    label = torch.randint(-1, 5, (1, 9, 13), dtype=torch.int32, **same).to(device)
    log_p = fused_log_probability(logits, label, True)
    log_p.square().sum().backward()
    return log_p.detach(), logits.grad, argmax(logits.detach(), label.shape[1:], True)
