"""Batch normalization over several processes: one collective call forward, one backward.

``torch.nn.SyncBatchNorm`` accepts no CPU tensors. Means and squared deviations are combined as in
Chan, Golub and LeVeque (1983), because E[x^2] - E[x]^2 suffers from cancellation.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch.autograd.function import once_differentiable
from torch.nn import functional


def sync_batch_norm(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Normalize (N, C, ...) by the statistics of all processes' batches.

    The batches of the processes may differ in size.

    Returns:
        The output, and the mean (C,) and biased variance (C,) over all batches.
    """
    return _SyncBatchNorm.apply(x, weight, bias, eps)


def _joined_statistics(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return mean (C,), biased variance (C,) and values per channel, over all processes."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    variance, mean = torch.var_mean(wide, [0, *range(2, x.dim())], correction=0)
    count = variance.new_full((1,), x.numel() // x.shape[1])
    local = torch.cat([mean, variance, count])
    # Each process fills its own row of a zero buffer, so that one sum gathers all rows. Every
    # backend of torch.distributed has a sum.
    rows = local.new_zeros(dist.get_world_size(), local.numel())
    rows[dist.get_rank()] = local
    dist.all_reduce(rows)
    means, variances, counts = rows.split([mean.numel(), variance.numel(), 1], dim=1)
    total = counts.sum()
    fractions = counts / total
    mean = (fractions * means).sum(0)
    variance = (fractions * (variances + (means - mean) ** 2)).sum(0)
    return mean, variance, total


class _SyncBatchNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        mean, variance, total = _joined_statistics(x)
        weight, bias = weight.to(mean.dtype), bias.to(mean.dtype)
        ctx.save_for_backward(x, weight, mean, variance, total)
        ctx.eps = eps
        ctx.mark_non_differentiable(mean, variance)
        out = functional.batch_norm(x, mean, variance, weight, bias, False, 0.0, eps)
        return out, mean, variance

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad: torch.Tensor, _mean: None, _variance: None
    ) -> tuple[torch.Tensor | None, ...]:
        x, weight, mean, variance, total = ctx.saved_tensors
        # First the gradients as if the statistics were constants, in torch's single pass over the
        # data. Then the part that flows through the statistics: a multiple of x plus a constant,
        # for each channel.
        grad_x, grad_weight, grad_bias = torch.ops.aten.native_batch_norm_backward(
            grad, x, weight, mean, variance, None, None, False, ctx.eps, [True, True, True]
        )
        means = torch.cat([grad_weight, grad_bias]) / total
        dist.all_reduce(means)
        slope, constant = (means.view(2, -1) * weight * torch.rsqrt(variance + ctx.eps)).unbind()
        grad_x -= functional.batch_norm(x, mean, variance, slope, constant, False, 0.0, ctx.eps)
        return grad_x, grad_weight, grad_bias, None
