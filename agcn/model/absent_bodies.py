"""Bodies that are not there share one row of the network.

About four of five NTU clips have one body; the second one's place is zeros. All such bodies of a batch are the same
input, one for each body's place (the input's batch norm has channels of its own for each), so their activations are the
same in every layer: one row of them is computed and counts as often as it stands for, in the batch norms' statistics
and in the mean over bodies. Loss, gradients and running statistics are those of all rows computed one by one.

Letters: N clips, M bodies, R rows that are computed, C channels, T frames, V joints.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from agcn.model.sync_batch_norm import CpuSyncBatchNorm, all_reduce_sum, update_running_stats


class BodyRows(NamedTuple):
    """Which of a batch's N*M bodies are computed.

    Attributes:
        gather_index: int64 (R,), their numbers, counted clip by clip.
        multiplicity: float32 (R,), how many bodies each stands for.
        inverse_index: int64 (N*M,), for each body the row that stands for it.
    """

    gather_index: Tensor
    multiplicity: Tensor
    inverse_index: Tensor

    def to(self, device: torch.device) -> "BodyRows":
        """The same on `device`."""
        return BodyRows(*(part.to(device, non_blocking=True) for part in self))

    def mark(self) -> None:
        """Tells torch.compile that R changes from batch to batch, so that it compiles once for all."""
        for part in (self.gather_index, self.multiplicity):
            torch._dynamo.maybe_mark_dynamic(part, 0)


def present_bodies(x: Tensor) -> Tensor:
    """Which bodies of clips (N, C, T, V, M) are not all zero, bool (N, M)."""
    return (x != 0).flatten(1, 3).any(dim=1)


def deduplicate_absent_bodies(present: np.ndarray) -> BodyRows:
    """Every body that is there, and one for each place that is empty in some clip.

    Args:
        present: bool (N, M).
    """
    clips, places = present.shape
    bodies = np.arange(clips * places).reshape(clips, places)
    stand_in = bodies.copy()
    for place in range(places):
        absent = bodies[~present[:, place], place]
        stand_in[absent // places, place] = absent[:1]
    gather_index, inverse, count = np.unique(stand_in, return_inverse=True, return_counts=True)
    return BodyRows(
        torch.from_numpy(gather_index),
        torch.from_numpy(count.astype(np.float32)),
        torch.from_numpy(inverse.reshape(-1)),
    )


def norm_rows(bn: nn.Module, x: Tensor, count: Tensor | None) -> Tensor:
    """`bn` of x (R, C, T, V), whose rows stand for `count` bodies each; None means one each, or not training."""
    if count is None:
        return bn(x)
    assert isinstance(bn, nn.modules.batchnorm._BatchNorm)
    shared = dist.get_world_size() if isinstance(bn, CpuSyncBatchNorm | nn.SyncBatchNorm) else 1
    y, mean, variance = _CountedNorm.apply(x, bn.weight, bn.bias, count, bn.eps, shared)
    update_running_stats(bn, mean, variance, count.sum() * (x[0, 0].numel() * shared))
    return y


class _CountedNorm(torch.autograd.Function):
    """A batch norm over rows that count several times; statistics over all processes, each with as many bodies.

    With w, a row's share of all values (`each`), m and s, mean and standard deviation in which values count by w, and
    n = (x - m) / s, it is y = weight n + bias, and
    dx = weight / s (dy - w (sum(dy) + n sum(dy n))):
    PyTorch's own backward with fixed statistics gives the first term and both sums, the other terms are added.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, count: Tensor, eps: float, shared: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        dtype = torch.float32 if x.dtype in (torch.float16, torch.bfloat16) else x.dtype
        size = x.shape[2] * x.shape[3]
        share = count.to(dtype)[:, None] / (count.sum().to(dtype) * shared)  # (R, 1)
        # Written out as sums because autocast would round a matrix product.
        mean = _total((share * x.mean(dim=(2, 3), dtype=dtype)).sum(dim=0), shared)  # (C,)
        centred = x - mean[:, None, None]
        squares = torch.linalg.vector_norm(centred, dim=(2, 3)).square() / size  # (R, C)
        variance = _total((share * squares).sum(dim=0), shared)
        y = torch.nn.functional.batch_norm(x, mean, variance, weight, bias, False, 0.0, eps)
        ctx.save_for_backward(x, weight, mean, variance, share)
        ctx.eps, ctx.shared = eps, shared
        ctx.mark_non_differentiable(mean, variance)
        return y, mean, variance

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, variance, share = ctx.saved_tensors
        inverse = torch.rsqrt(variance + ctx.eps)  # (C,)
        dy = grads[0].contiguous(memory_format=_memory_format(x))
        dx, dweight, dbias = torch.ops.aten.native_batch_norm_backward(
            dy, x, weight, mean, variance, mean, inverse, False, ctx.eps, [True, True, True]
        )
        # Through the statistics: -w weight / s (dbias + n dweight), written as w (by_value x + by_one).
        both = _total(torch.stack([dweight, dbias]), ctx.shared)
        by_value = -weight * inverse.square() * both[0]  # (C,)
        by_one = -weight * inverse * both[1] - by_value * mean
        each = share / (x.shape[2] * x.shape[3])  # (R, 1)
        dx = dx.addcmul_(x, (each * by_value)[:, :, None, None].to(x.dtype))
        dx += (each * by_one)[:, :, None, None].to(x.dtype)
        return dx, dweight, dbias, None, None, None


def _memory_format(x: Tensor) -> torch.memory_format:
    """How (N, C, T, V) lies in memory."""
    return torch.channels_last if x.stride(1) == 1 else torch.contiguous_format


def _total(part: Tensor, shared: int) -> Tensor:
    return all_reduce_sum(part) if shared > 1 else part
