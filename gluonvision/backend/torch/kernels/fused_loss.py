"""The log-probability of each pixel's label from coarse logits, in little memory.

One operator resizes bilinearly, takes the log-softmax and picks the label. It works on bands of
rows on a CPU, and on cells on CUDA (``triton_kernels``). Neither pass holds the logits at the
labels' size, which take gigabytes for a batch with 150 classes. The backward pass recomputes them
from each pixel's softmax normalizer, which the forward pass saves; FlashAttention does the same
(Dao et al., arXiv:2205.14135).
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.nn import functional

from gluonvision.backend.torch.kernels.resizing import bands, sources

# Elements of a band per thread: the few passes over them then stay in a core's cache.
_BAND = 1 << 18


def fused_log_probability(
    logits: torch.Tensor, label: torch.Tensor, align_corners: bool
) -> torch.Tensor:
    """Return log softmax(resized logits) at each pixel's label; only ``logits`` get a gradient.

    Args:
        logits: (N, nclass, h, w) of any floating type.
        label: (N, H, W) integers below nclass, with H >= h and W >= w; negative if ignored.
        align_corners: how to resize.

    Returns:
        (N, H, W) in float32 or wider; the value for class 0 at ignored pixels.
    """
    return _fused(logits, label, align_corners)[0]


@torch.library.custom_op("gluonvision::label_log_probability", mutates_args=())
def _fused(
    logits: torch.Tensor, label: torch.Tensor, align_corners: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the log-probabilities, and the log-sum-exp that the backward pass needs."""
    work = _Work(logits, label.shape, align_corners)
    log_p, normalizer = (logits.new_empty(label.shape, dtype=work.dtype) for _ in range(2))
    for images, coarse in work.groups():
        index = label[images].clamp(min=0).long()
        for row, rows in work.bands():
            z = work.band(coarse, row, rows)  # (n, rows, nclass, W)
            largest = z.amax(2, keepdim=True)
            picked = z.gather(2, index[:, rows, None])
            log_sum = z.sub_(largest).exp_().sum(2, keepdim=True).log_().add_(largest)
            normalizer[images, rows] = log_sum[:, :, 0]
            log_p[images, rows] = (picked - log_sum)[:, :, 0]
    return log_p, normalizer


@torch.library.custom_op("gluonvision::label_log_probability_backward", mutates_args=())
def _fused_backward(
    logits: torch.Tensor,
    label: torch.Tensor,
    normalizer: torch.Tensor,
    gradient: torch.Tensor,
    align_corners: bool,
) -> torch.Tensor:
    """Return the gradient of the coarse logits; a pixel's full-size one is one-hot - softmax."""
    work = _Work(logits, label.shape, align_corners)
    result = torch.empty_like(logits, memory_format=torch.contiguous_format)
    weights = torch.stack((1 - work.weight, work.weight))
    for images, coarse in work.groups():
        index, coarse_gradient = label[images].clamp(min=0).long(), torch.zeros_like(coarse)
        for row, rows in work.bands():
            upstream = gradient[images, rows, None]
            z = work.band(coarse, row, rows)
            z.sub_(normalizer[images, rows, None]).exp_().mul_(-upstream)
            z.scatter_add_(2, index[:, rows, None], upstream)
            target = coarse_gradient[:, row : row + 2].flatten(2)
            target += weights[: target.shape[1], rows] @ z.flatten(2)
        result[images] = work.narrowed(coarse_gradient)
    return result


@_fused.register_kernel("cuda")
def _(logits: torch.Tensor, label: torch.Tensor, align_corners: bool) -> tuple:
    from gluonvision.backend.torch.kernels import triton_kernels

    return triton_kernels.log_probability(logits, label, align_corners)


@_fused_backward.register_kernel("cuda")
def _(
    logits: torch.Tensor,
    label: torch.Tensor,
    normalizer: torch.Tensor,
    gradient: torch.Tensor,
    align_corners: bool,
) -> torch.Tensor:
    from gluonvision.backend.torch.kernels import triton_kernels

    return triton_kernels.log_probability_gradient(
        logits, label, normalizer, gradient, align_corners
    )


@_fused.register_fake
def _(logits: torch.Tensor, label: torch.Tensor, align_corners: bool) -> tuple:
    dtype = torch.promote_types(logits.dtype, torch.float32)
    return tuple(logits.new_empty(label.shape, dtype=dtype) for _ in range(2))


@_fused_backward.register_fake
def _(
    logits: torch.Tensor,
    label: torch.Tensor,
    normalizer: torch.Tensor,
    gradient: torch.Tensor,
    align_corners: bool,
) -> torch.Tensor:
    return torch.empty_like(logits, memory_format=torch.contiguous_format)


def _save_for_backward(ctx: Any, inputs: tuple, output: tuple) -> None:
    logits, label, ctx.align_corners = inputs
    ctx.save_for_backward(logits, label, output[1])
    ctx.mark_non_differentiable(output[1])


def _backward(ctx: Any, gradient: torch.Tensor, _: None) -> tuple:
    return _fused_backward(*ctx.saved_tensors, gradient, ctx.align_corners), None, None


_fused.register_autograd(_backward, setup_context=_save_for_backward)


class _Work:
    """A resize split into groups of images, and each group into bands of rows."""

    def __init__(
        self, logits: torch.Tensor, label_shape: Sequence[int], align_corners: bool
    ) -> None:
        self.logits, self.align_corners = logits, align_corners
        self.dtype = torch.promote_types(logits.dtype, torch.float32)
        _, self.nclass, self.height, _ = logits.shape
        _, full_height, self.width = label_shape
        like = logits.new_empty((), dtype=self.dtype)
        self.lower, self.weight = sources(self.height, full_height, align_corners, like)
        budget, row = _BAND * torch.get_num_threads(), self.nclass * self.width
        self.max_rows = max(budget // row, 1)
        self.num_images = max(budget * self.height // (row * full_height), 1)

    def groups(self) -> Iterator[tuple[slice, torch.Tensor]]:
        """Yield the images that are processed together, and their logits at full width."""
        for start in range(0, len(self.logits), self.num_images):
            images = slice(start, start + self.num_images)
            coarse = self.logits[images].transpose(1, 2).to(self.dtype)  # (n, h, nclass, w)
            wide = functional.interpolate(
                coarse.flatten(0, 1), self.width, mode="linear", align_corners=self.align_corners
            )
            yield images, wide.unflatten(0, coarse.shape[:2])  # (n, h, nclass, W)

    def bands(self) -> Iterator[tuple[int, slice]]:
        """Yield the lower coarse row of each band, and the band's rows."""
        return bands(self.lower, self.max_rows)

    def band(self, coarse: torch.Tensor, row: int, rows: slice) -> torch.Tensor:
        """Return the full-size logits of a band, (n, rows, nclass, W)."""
        upper = min(row + 1, self.height - 1)
        weight = self.weight[rows, None, None]
        return torch.lerp(coarse[:, row, None], coarse[:, upper, None], weight)

    def narrowed(self, gradient: torch.Tensor) -> torch.Tensor:
        """Return the logits' gradient (n, nclass, h, w) from that of the logits at full width."""
        size = [len(gradient) * self.height, self.nclass, self.logits.shape[3]]
        flat = torch.ops.aten.upsample_linear1d_backward(
            gradient.flatten(0, 1), [self.width], size, self.align_corners
        )
        return flat.unflatten(0, (-1, self.height)).transpose(1, 2)
