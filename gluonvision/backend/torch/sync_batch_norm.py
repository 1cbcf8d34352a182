"""Batch normalization over several processes: one collective forward, one backward.

``torch.nn.SyncBatchNorm`` takes no CPU tensors. Mean and squared deviations are combined as in
Chan, Golub and LeVeque (1983), never as E[x^2] - E[x]^2, which cancels.
"""

import torch
import torch.distributed as dist
from torch.autograd.function import once_differentiable
from torch.nn import functional


def sync_batch_norm(x, weight, bias, eps):
    """Normalize (N, C, ...) by the statistics of all processes' batches.

    Returns the output and the mean and biased variance (C) of the joined batch. Batches of the
    processes may differ in size.
    """
    return _SyncBatchNorm.apply(x, weight, bias, eps)


def _joined_statistics(x):
    """Mean and biased variance (C) and number of values a channel, over all processes."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    variance, mean = torch.var_mean(wide, [0, *range(2, x.dim())], correction=0)
    count = variance.new_full((1,), x.numel() // x.shape[1])
    own = torch.cat([mean, variance, count])
    # A sum of buffers that are zero but for one row gathers them in one call of any backend.
    rows = own.new_zeros(dist.get_world_size(), own.numel())
    rows[dist.get_rank()] = own
    dist.all_reduce(rows)
    means, variances, counts = rows.split([mean.numel(), variance.numel(), 1], dim=1)
    total = counts.sum()
    shares = counts / total
    mean = (shares * means).sum(0)
    variance = (shares * (variances + (means - mean) ** 2)).sum(0)
    return mean, variance, total


class _SyncBatchNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        mean, variance, total = _joined_statistics(x)
        weight, bias = weight.to(mean.dtype), bias.to(mean.dtype)
        ctx.save_for_backward(x, weight, mean, variance, total)
        ctx.eps = eps
        ctx.mark_non_differentiable(mean, variance)
        out = functional.batch_norm(x, mean, variance, weight, bias, False, 0.0, eps)
        return out, mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx, grad, _mean, _variance):
        x, weight, mean, variance, total = ctx.saved_tensors
        # The gradients as if the statistics were constants, in torch's one pass over the data;
        # then the part that flows through the statistics: a multiple of x and a constant a channel.
        grad_x, grad_weight, grad_bias = torch.ops.aten.native_batch_norm_backward(
            grad, x, weight, mean, variance, None, None, False, ctx.eps, [True, True, True]
        )
        shares = torch.cat([grad_weight, grad_bias]) / total
        dist.all_reduce(shares)
        slope, constant = (shares.view(2, -1) * weight * torch.rsqrt(variance + ctx.eps)).unbind()
        grad_x -= functional.batch_norm(x, mean, variance, slope, constant, False, 0.0, ctx.eps)
        return grad_x, grad_weight, grad_bias, None
