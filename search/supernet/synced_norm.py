"""Batch norm over the batches of all processes: every process normalises by the statistics of the whole step.

A batch of one or two images a card would be too few for statistics of its own, and the result would depend on how a
batch is spread. Statistics are combined as (count, mean, squared deviations), which does not cancel as sums of squares
do (Chan et al., 1979).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mosegnet.modules import Conv


def synchronise(module: nn.Module) -> None:
    """Let every convolution of `module` normalise over all processes while it trains."""
    for conv in module.modules():
        if isinstance(conv, Conv):
            conv.normalise_batch = normalise_over_ranks


def normalise_over_ranks(x: Tensor, weight: Tensor, bias: Tensor, epsilon: float) -> Tensor:
    """(B, C, H, W) by the statistics of all processes' batches; a drop-in for `mosegnet.modules.normalise_batch`."""
    normalised: Tensor = _SyncedNorm.apply(x, weight, bias, epsilon)
    return normalised


class _SyncedNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, epsilon: float) -> Tensor:
        values = x.float()
        variance, mean = torch.var_mean(values, dim=(0, 2, 3), correction=0)  # (C,)
        count = mean.new_full((1,), x.numel() // x.shape[1])
        own = torch.cat([count, mean, variance * count])
        gathered = own.new_empty((dist.get_world_size(), len(own)))
        dist.all_gather(list(gathered.unbind()), own)
        counts, means, deviations = gathered.split([1, len(mean), len(mean)], dim=1)
        total = counts.sum()
        mean = (counts * means).sum(0) / total
        variance = (deviations + counts * (means - mean).square()).sum(0) / total
        inverse = torch.rsqrt(variance + epsilon)
        ctx.save_for_backward(x, weight, mean, inverse, total)
        scale = weight.float() * inverse
        y = torch.addcmul(_wide(bias.float() - mean * scale), values, _wide(scale))
        return y.to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        x, weight, mean, inverse, total = ctx.saved_tensors
        dy = gradients[0].float()
        normalised = (x.float() - _wide(mean)) * _wide(inverse)
        d_bias, d_weight = dy.sum((0, 2, 3)), (dy * normalised).sum((0, 2, 3))  # this process' part of each
        sums = torch.cat([d_bias, d_weight])
        dist.all_reduce(sums)
        mean_dy, mean_dy_normalised = (sums / total).chunk(2)
        dx = (dy - _wide(mean_dy) - normalised * _wide(mean_dy_normalised)) * _wide(weight.float() * inverse)
        return dx.to(x.dtype), d_weight.to(weight.dtype), d_bias.to(weight.dtype), None


def _wide(channels: Tensor) -> Tensor:
    return channels[:, None, None]
