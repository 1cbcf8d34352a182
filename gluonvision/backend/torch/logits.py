"""Losses and classes from a net's logits, which may be coarser than the images.

Where the kernels can, they compute the result without holding the logits at full size.
"""

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch

from gluonvision.backend.torch import functional, kernels
from gluonvision.backend.torch.arrays import as_numpy
from gluonvision.backend.torch.evaluation import evaluate
from gluonvision.backend.torch.parameters import unwrapped
from gluonvision.backend.types import Operators


def label_log_probability(
    F: Operators, logits: torch.Tensor, label: torch.Tensor, align_corners: bool
) -> torch.Tensor:
    """Return log softmax(logits) at each pixel's label.

    Args:
        F: the operators.
        logits: (N, nclass, h, w), float32 or wider; resized bilinearly if coarser than the label.
        label: (N, H, W) integers in [-1, nclass); -1 for ignored pixels.
        align_corners: how to resize.

    Returns:
        (N, H, W); the value for class 0 at ignored pixels.

    Raises:
        ValueError: if the label does not fit, or the logits are finer than it.
    """
    if _is_coarser(logits, label) and kernels.can_fuse(logits, label.shape[1:]):
        return kernels.fused_log_probability(logits, label, align_corners)
    logits = resize_to_label(F, logits, label, align_corners)
    return functional.pick(logits.log_softmax(1), label.relu(), 1)


def resize_to_label(
    F: Operators, logits: torch.Tensor, label: torch.Tensor, align_corners: bool
) -> torch.Tensor:
    """Resize logits (N, nclass, h, w) bilinearly to a label (N, H, W), if they are coarser.

    Raises:
        ValueError: if the label does not fit, or the logits are finer than it.
    """
    return (
        _resized(logits, label.shape[1:], align_corners) if _is_coarser(logits, label) else logits
    )


def predicted_classes(net: torch.nn.Module, x: torch.Tensor) -> np.ndarray:
    """Return the class of each pixel of an input: int32 (N, H, W), from the net's main head."""
    is_coarse = gives_coarse_logits(net)
    logits = evaluate(net, x, **({"coarse": True} if is_coarse else {}))
    if isinstance(logits, tuple):  # the auxiliary head's logits come second
        logits = logits[0]
    if is_coarse:
        align_corners = cast(bool, unwrapped(net).align_corners)
        return as_numpy(resized_argmax(logits, x.shape[2:], align_corners))
    return as_numpy(logits.argmax(1).int())


def gives_coarse_logits(net: torch.nn.Module) -> bool:
    """Return whether ``net(x, coarse=True)`` gives the logits before their resize to the image."""
    return getattr(unwrapped(net), "gives_coarse_logits", False)


def resized_argmax(logits: torch.Tensor, size: Sequence[int], align_corners: bool) -> torch.Tensor:
    """Return the first class with the largest bilinearly resized logit: int32 (N, H, W).

    Classes may differ where two logits are equal within rounding.

    Args:
        logits: (N, nclass, h, w).
        size: (H, W).
        align_corners: how to resize.
    """
    if kernels.can_fuse(logits, size):
        return kernels.resized_argmax(logits, size, align_corners)
    return _resized(logits, size, align_corners).argmax(1).int()


def _resized(logits: torch.Tensor, size: Sequence[int], align_corners: bool) -> torch.Tensor:
    height, width = size
    return functional.contrib.BilinearResize2D(
        logits, height=height, width=width, align_corners=align_corners
    )


def _is_coarser(logits: torch.Tensor, label: torch.Tensor) -> bool:
    _check_label(logits, label)
    coarse, full = logits.shape[2:], label.shape[1:]
    if any(side > limit for side, limit in zip(coarse, full)):
        raise ValueError(
            f"logits {tuple(logits.shape)} are finer than the label {tuple(label.shape)}: expected "
            "(N, nclass, h, w) and (N, H, W) with h <= H and w <= W; resize one of them"
        )
    return coarse != full


def _check_label(logits: torch.Tensor, label: torch.Tensor) -> None:
    if label.dim() != 3 or len(label) != len(logits):
        raise ValueError(
            f"label {tuple(label.shape)} for logits {tuple(logits.shape)}: expected (N, H, W) for "
            "(N, nclass, h, w)"
        )
    # Reading the values of a label on a GPU would stall it.
    if label.device.type != "cpu" or not label.numel() or torch.compiler.is_compiling():
        return
    low, high = (int(edge) for edge in torch.aminmax(label))
    if low < -1 or high >= logits.shape[1]:
        raise ValueError(
            f"label values {low} to {high}: expected 0 to {logits.shape[1] - 1}, and -1 for "
            "ignored pixels; map other values for these (255, -100) to -1"
        )
