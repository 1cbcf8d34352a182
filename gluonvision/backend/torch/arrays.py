"""Tensors and devices under Gluon's names."""

import numpy as np
import torch

from gluonvision.backend import initializer
from gluonvision.backend.image_statistics import MEAN, STD
from gluonvision.backend.types import ArrayLike

# The types of autocast by the name of the precision; 'fp32' uses none.
HALF_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def cpu(device_id: int = 0) -> torch.device:
    """Return the CPU as a device; ``device_id`` is accepted and ignored, as in MXNet."""
    return torch.device("cpu")


def gpu(device_id: int = 0) -> torch.device:
    """Return the CUDA device with this number."""
    return torch.device("cuda", device_id)


def num_gpus() -> int:
    """Return the number of CUDA devices."""
    return torch.cuda.device_count()


def array(
    source: ArrayLike, ctx: torch.device | str | None = None, dtype: str | None = None
) -> torch.Tensor:
    """Copy ``source`` into a tensor, which never shares NumPy's memory.

    On a CUDA device the copy may still be in progress on return; later work on the device waits
    for it.

    Args:
        source: a NumPy array, nested lists of numbers, or a tensor on the CPU.
        ctx: the device; the CPU if None.
        dtype: name of the type, such as 'float32'; that of ``source`` if None.
    """
    tensor = _copied(_without_negative_strides(source), ctx)
    return tensor if dtype is None else tensor.to(getattr(torch, dtype))


def _without_negative_strides(source: ArrayLike) -> np.ndarray:
    """Copy mirrored or BGR-to-RGB images: torch accepts no negative strides."""
    source = np.asarray(source)
    return source.copy() if any(stride < 0 for stride in source.strides) else source


def _copied(source: np.ndarray, ctx: torch.device | str | None) -> torch.Tensor:
    if ctx is None or torch.device(ctx).type != "cuda":
        return torch.tensor(source, device=ctx)
    # A copy runs in parallel with the host only from pinned memory. torch does not reuse that
    # memory before the copy has ended, so nothing needs to keep it or ``source`` alive.
    dtype = torch.from_numpy(np.empty(0, source.dtype)).dtype
    staging = torch.empty(source.shape, dtype=dtype, pin_memory=True)
    staging.numpy()[...] = source
    return staging.to(ctx, non_blocking=True)


def as_numpy(tensor: torch.Tensor) -> np.ndarray:
    """Copy a tensor from any device into a NumPy array; bfloat16 becomes float32."""
    tensor = tensor.detach()
    if tensor.dtype is torch.bfloat16:  # NumPy has no such type
        tensor = tensor.float()
    return tensor.cpu().numpy().copy()


def preprocess(
    images: np.ndarray, ctx: torch.device | str | None = None, dtype: str = "float32"
) -> torch.Tensor:
    """Turn images into a normalized input, computed on the device.

    Args:
        images: uint8 (N, H, W, C). Three channels (RGB) are normalized by ImageNet's statistics;
            another number of channels is scaled to [-1, 1].
        ctx: the device; the CPU if None.
        dtype: name of the input's type.

    Returns:
        The input (N, C, H, W).
    """
    pixels = array(images, ctx).permute(0, 3, 1, 2).to(getattr(torch, dtype))
    if images.shape[3] != len(MEAN):
        return (pixels / 127.5 - 1).contiguous()
    # ``array`` copies these asynchronously; torch.tensor would wait until the device is idle.
    mean = array(MEAN, ctx).to(pixels.dtype).view(1, -1, 1, 1)
    std = array(STD, ctx).to(pixels.dtype).view(1, -1, 1, 1)
    return ((pixels - mean) / std).contiguous()


def reseed(*numbers: int) -> None:
    """Restart torch's generators from ``numbers``: later draws depend only on these."""
    torch.manual_seed(initializer.joined_seed(numbers))


def seed(value: int) -> None:
    """Seed the initial weights and torch's generators."""
    initializer.seed(value)
    torch.manual_seed(value)
