"""Batch norms whose statistics are those of the batches of all processes together."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


def convert_sync_batch_norm(model: nn.Module, device: torch.device) -> nn.Module:
    """`model` with every batch norm shared; names, parameters and running statistics stay.

    On a GPU this is PyTorch's SyncBatchNorm, which does not run on a CPU; there it is `CpuSyncBatchNorm`.
    """
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.modules.batchnorm._BatchNorm):
                setattr(parent, name, CpuSyncBatchNorm(child))
    return model


class CpuSyncBatchNorm(nn.modules.batchnorm._BatchNorm):
    """A batch norm over all processes; each has to bring as many values as the others."""

    def __init__(self, own: nn.modules.batchnorm._BatchNorm) -> None:
        super().__init__(own.num_features, own.eps, own.momentum, device=own.weight.device, dtype=own.weight.dtype)
        self.weight, self.bias = own.weight, own.bias
        self.running_mean, self.running_var = own.running_mean, own.running_var
        self.num_batches_tracked = own.num_batches_tracked

    def _check_input_dim(self, input: Tensor) -> None:
        """Takes any number of dimensions; the base class asks."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, ...) -> the same shape; in training with the statistics of all processes."""
        if not self.training:
            return super().forward(input)
        axes = [axis for axis in range(input.ndim) if axis != 1]
        shape = [1, -1] + [1] * (input.ndim - 2)
        x = input.float() if input.dtype in (torch.bfloat16, torch.float16) else input
        mean = _mean_of_all(x.mean(axes))  # (C,)
        centred = x - mean.view(shape)
        variance = _mean_of_all((centred * centred).mean(axes))
        update_running_stats(self, mean, variance, input.numel() // input.shape[1] * dist.get_world_size())
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centred * scale.view(shape) + self.bias.view(shape)).to(input.dtype)


@torch.no_grad()
def update_running_stats(
    norm: nn.modules.batchnorm._BatchNorm, mean: Tensor, variance: Tensor, values: Tensor | int
) -> None:
    """Moves the running statistics towards those of a batch with so many values a channel, as PyTorch does."""
    assert norm.running_mean is not None and norm.running_var is not None
    assert norm.num_batches_tracked is not None and norm.momentum is not None
    norm.num_batches_tracked.add_(1)
    norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), norm.momentum)
    values = torch.as_tensor(values, dtype=variance.dtype, device=variance.device)
    unbiased = variance * (values / (values - 1).clamp(min=1))
    norm.running_var.lerp_(unbiased.to(norm.running_var.dtype), norm.momentum)


def all_reduce_sum(part: Tensor) -> Tensor:
    """The sum over processes."""
    total = part.clone()
    dist.all_reduce(total)
    return total


def _mean_of_all(part: Tensor) -> Tensor:
    return _Sum.apply(part) / dist.get_world_size()


class _Sum(torch.autograd.Function):
    """The sum over processes; so is its gradient."""

    @staticmethod
    def forward(ctx: Any, part: Tensor) -> Tensor:
        return all_reduce_sum(part)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return all_reduce_sum(grads[0])
