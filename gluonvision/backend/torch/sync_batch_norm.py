"""Batch normalization over several processes: one collective forward, one backward.

``torch.nn.SyncBatchNorm`` takes no CPU tensors. Mean and squared deviations are combined as in
Chan, Golub and LeVeque (1983), never as E[x^2] - E[x]^2, which cancels.
"""

import torch
import torch.distributed as dist


def sync_batch_norm(x, weight, bias, eps):
    """Normalize (N, C, ...) by the statistics of all processes' batches.

    Returns the output and the mean and biased variance (C) of the joined batch. Batches of the
    processes may differ in size.
    """
    return _SyncBatchNorm.apply(x, weight, bias, eps)


def _channels(vector, x):
    return vector.view(1, -1, *[1] * (x.dim() - 2))


def _reduced_dims(x):
    return [0, *range(2, x.dim())]


def _accumulation_type(x):
    return torch.promote_types(x.dtype, torch.float32)


def _joined_statistics(x):
    """Mean and biased variance (C) and number of values a channel, over all processes."""
    wide = x.to(_accumulation_type(x))
    variance, mean = torch.var_mean(wide, _reduced_dims(x), correction=0)
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
        inverse = torch.rsqrt(variance + eps)
        ctx.save_for_backward(x, weight, mean, inverse, total)
        ctx.mark_non_differentiable(mean, variance)
        scale = inverse * weight
        out = x * _channels(scale, x) + _channels(bias - mean * scale, x)
        return out.to(x.dtype), mean, variance

    @staticmethod
    def backward(ctx, grad, _mean, _variance):
        x, weight, mean, inverse, total = ctx.saved_tensors
        grad = grad.to(mean.dtype)
        normalized = (x - _channels(mean, x)) * _channels(inverse, x)
        grad_bias = grad.sum(_reduced_dims(x))
        grad_weight = (grad * normalized).sum(_reduced_dims(x))
        sums = torch.cat([grad_bias, grad_weight])
        dist.all_reduce(sums)
        mean_grad, mean_grad_normalized = (sums / total).chunk(2)
        grad_x = _channels(inverse * weight, x) * (
            grad - _channels(mean_grad, x) - normalized * _channels(mean_grad_normalized, x)
        )
        return grad_x.to(x.dtype), grad_weight.to(weight.dtype), grad_bias.to(weight.dtype), None
