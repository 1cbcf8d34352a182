"""Tensors and devices under Gluon's names."""

import numpy as np
import torch

from gluonvision.backend import initializer
from gluonvision.backend.image_statistics import MEAN, STD


def cpu(device_id: int = 0) -> torch.device:
    """The CPU as a device; ``device_id`` is taken and ignored, as in MXNet."""
    return torch.device("cpu")


def gpu(device_id: int = 0) -> torch.device:
    """The CUDA device of that number."""
    return torch.device("cuda", device_id)


def num_gpus() -> int:
    """How many CUDA devices there are."""
    return torch.cuda.device_count()


def array(source, ctx=None, dtype=None) -> torch.Tensor:
    """A tensor that holds a copy of ``source`` (it never shares NumPy's memory).

    On a CUDA device the copy may still be under way on return; what is computed next waits for it.
    """
    tensor = _copied(_forward(source), ctx)
    return tensor if dtype is None else tensor.to(getattr(torch, dtype))


def _forward(source) -> np.ndarray:
    """torch takes no negative strides, which a mirrored or BGR-to-RGB picture has."""
    source = np.asarray(source)
    return source.copy() if any(stride < 0 for stride in source.strides) else source


def _copied(source: np.ndarray, ctx) -> torch.Tensor:
    if ctx is None or torch.device(ctx).type != "cuda":
        return torch.tensor(source, device=ctx)
    # Only from pinned memory does a copy run beside the host. torch gives this memory to nobody
    # else before the copy has ended, so neither it nor ``source`` need be kept.
    dtype = torch.from_numpy(np.empty(0, source.dtype)).dtype
    staging = torch.empty(source.shape, dtype=dtype, pin_memory=True)
    staging.numpy()[...] = source
    return staging.to(ctx, non_blocking=True)


def as_numpy(tensor: torch.Tensor) -> np.ndarray:
    """A NumPy copy of a tensor on any device."""
    tensor = tensor.detach()
    if tensor.dtype is torch.bfloat16:  # NumPy has no such type
        tensor = tensor.float()
    return tensor.cpu().numpy().copy()


def preprocess(images: np.ndarray, ctx=None, dtype: str = "float32") -> torch.Tensor:
    """uint8 images (N, H, W, C) as a normalized input (N, C, H, W), computed on the device.

    Three channels are normalized by ImageNet's statistics; another number is scaled to [-1, 1].
    """
    pixels = array(images, ctx).permute(0, 3, 1, 2).to(getattr(torch, dtype))
    if images.shape[3] != len(MEAN):
        return (pixels / 127.5 - 1).contiguous()
    # By ``array`` too: a plain torch.tensor on CUDA waits until the device is idle.
    mean = array(MEAN, ctx).to(pixels.dtype).view(1, -1, 1, 1)
    std = array(STD, ctx).to(pixels.dtype).view(1, -1, 1, 1)
    return ((pixels - mean) / std).contiguous()


def reseed(*numbers: int):
    """Let torch's generators begin anew from ``numbers``: what they draw depends on these alone."""
    torch.manual_seed(initializer.joined_seed(numbers))


def seed(value: int):
    """Seed the initial weights and torch's own generators."""
    initializer.seed(value)
    torch.manual_seed(value)
