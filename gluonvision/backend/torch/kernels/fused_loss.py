"""The probability of each pixel's label from logits coarser than the labels, in little memory.

Bilinear resize, log-softmax and pick in one operator, on a CPU band by band of rows, on CUDA cell
by cell (``triton_kernels``): the logits at the labels' size, gigabytes for a batch of 150 classes,
are never held, forward or backward. The backward pass computes them again, as FlashAttention does
(Dao et al., arXiv:2205.14135), from the normalizer that the forward pass kept of each pixel.
"""

import torch
from torch.nn import functional

from gluonvision.backend.torch.kernels.resizing import bands, sources

# Elements of a band, a thread: its few passes then stay in a core's cache.
_BAND = 1 << 18


def fused_log_probability(logits, label, align_corners):
    """log softmax(logits resized) at each pixel's label, (N, H, W); ignored: of class 0.

    ``logits`` (N, nclass, h, w) of any floating type; the result is in float32 at least. ``label``
    (N, H, W) integers below nclass, H >= h, W >= w. Gradients flow to ``logits`` alone.
    """
    return _fused(logits, label, align_corners)[0]


@torch.library.custom_op("gluonvision::label_log_probability", mutates_args=())
def _fused(
    logits: torch.Tensor, label: torch.Tensor, align_corners: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """The logarithms, and those of the softmax's denominators, which the backward pass needs."""
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
    """The gradient of the coarse logits: that of a pixel's is (one at its label) - softmax."""
    work = _Work(logits, label.shape, align_corners)
    result = torch.empty_like(logits, memory_format=torch.contiguous_format)
    weights = torch.stack((1 - work.weight, work.weight))
    for images, coarse in work.groups():
        index, coarse_gradient = label[images].clamp(min=0).long(), torch.zeros_like(coarse)
        for row, rows in work.bands():
            own = gradient[images, rows, None]
            z = work.band(coarse, row, rows)
            z.sub_(normalizer[images, rows, None]).exp_().mul_(-own)
            z.scatter_add_(2, index[:, rows, None], own)
            target = coarse_gradient[:, row : row + 2].flatten(2)
            target += weights[: target.shape[1], rows] @ z.flatten(2)
        result[images] = work.narrowed(coarse_gradient)
    return result


@_fused.register_kernel("cuda")
def _(logits, label, align_corners):
    from gluonvision.backend.torch.kernels import triton_kernels

    return triton_kernels.log_probability(logits, label, align_corners)


@_fused_backward.register_kernel("cuda")
def _(logits, label, normalizer, gradient, align_corners):
    from gluonvision.backend.torch.kernels import triton_kernels

    return triton_kernels.log_probability_gradient(
        logits, label, normalizer, gradient, align_corners
    )


@_fused.register_fake
def _(logits, label, align_corners):
    dtype = torch.promote_types(logits.dtype, torch.float32)
    return tuple(logits.new_empty(label.shape, dtype=dtype) for _ in range(2))


@_fused_backward.register_fake
def _(logits, label, normalizer, gradient, align_corners):
    return torch.empty_like(logits, memory_format=torch.contiguous_format)


def _keep(ctx, inputs, output):
    logits, label, ctx.align_corners = inputs
    ctx.save_for_backward(logits, label, output[1])
    ctx.mark_non_differentiable(output[1])


def _backward(ctx, gradient, _):
    return _fused_backward(*ctx.saved_tensors, gradient, ctx.align_corners), None, None


_fused.register_autograd(_backward, setup_context=_keep)


class _Work:
    """A resize cut into groups of images, and these into bands of rows."""

    def __init__(self, logits, label_shape, align_corners):
        self.logits, self.align_corners = logits, align_corners
        self.dtype = torch.promote_types(logits.dtype, torch.float32)
        _, self.nclass, self.height, _ = logits.shape
        _, full_height, self.width = label_shape
        like = logits.new_empty((), dtype=self.dtype)
        self.lower, self.weight = sources(self.height, full_height, align_corners, like)
        budget, row = _BAND * torch.get_num_threads(), self.nclass * self.width
        self.longest = max(budget // row, 1)
        self.num_images = max(budget * self.height // (row * full_height), 1)

    def groups(self):
        """The images that bands are made of together, and their logits at full width."""
        for start in range(0, len(self.logits), self.num_images):
            images = slice(start, start + self.num_images)
            coarse = self.logits[images].transpose(1, 2).to(self.dtype)  # (n, h, nclass, w)
            wide = functional.interpolate(
                coarse.flatten(0, 1), self.width, mode="linear", align_corners=self.align_corners
            )
            yield images, wide.unflatten(0, coarse.shape[:2])  # (n, h, nclass, W)

    def bands(self):
        """The lower coarse row of each band, and the band's rows."""
        return bands(self.lower, self.longest)

    def band(self, coarse, row, rows):
        """The logits of some rows of full size, (n, rows, nclass, W)."""
        upper = min(row + 1, self.height - 1)
        weight = self.weight[rows, None, None]
        return torch.lerp(coarse[:, row, None], coarse[:, upper, None], weight)

    def narrowed(self, gradient):
        """The gradient (n, nclass, h, w) of the logits from that of ``groups``' wide ones."""
        size = [len(gradient) * self.height, self.nclass, self.logits.shape[3]]
        flat = torch.ops.aten.upsample_linear1d_backward(
            gradient.flatten(0, 1), [self.width], size, self.align_corners
        )
        return flat.unflatten(0, (-1, self.height)).transpose(1, 2)
