"""One process or several (torchrun): who they are, and what they tell each other."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from agcn.device import pick_device
from agcn.model.sync_batch_norm import convert_sync_batch_norm


@dataclass(frozen=True)
class DistributedContext:
    """This process's place: `rank` of `world_size`, on `device`. Rank 0 alone writes files."""

    device: torch.device
    rank: int = 0
    world_size: int = 1

    @property
    def is_main_process(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def total(self, numbers: Tensor) -> Tensor:
        """The sum of `numbers` over all processes."""
        if self.world_size > 1:
            numbers = numbers.clone()
            dist.all_reduce(numbers)
        return numbers

    def concatenate(self, part: np.ndarray) -> np.ndarray:
        """The parts of all processes, one after the other."""
        return np.concatenate(self.gather(part)) if self.world_size > 1 else part

    def gather(self, value: Any) -> list[Any]:
        """What every process gives, by rank."""
        values = [value] * self.world_size
        if self.world_size > 1:
            dist.all_gather_object(values, value)
        return values

    def wrap(self, model: nn.Module) -> nn.Module:
        """`model` with gradients averaged over processes, and batch statistics shared."""
        if self.world_size == 1:
            return model
        model = convert_sync_batch_norm(model, self.device)
        index = [self.device.index] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(model, device_ids=index)

    def no_sync(self, network: Any) -> AbstractContextManager[object]:
        """The block in which what `wrap` gave (compiled or not) adds gradients up for this process alone."""
        wrapped = getattr(network, "_orig_mod", network)
        return wrapped.no_sync() if isinstance(wrapped, nn.parallel.DistributedDataParallel) else nullcontext()


@contextmanager
def distributed_context(device: str = "auto", index: int = 0) -> Iterator[DistributedContext]:
    """Joins the processes that torchrun started, if it did and they are not joined yet; leaves them at the end.

    Args:
        device: as `pick_device`; under torchrun each process takes the GPU of its local rank.
        index: which GPU a single process takes.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield DistributedContext(pick_device(device, index))
        return
    chosen = pick_device(device, int(os.environ.get("LOCAL_RANK", "0")))
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    joined = dist.is_initialized()
    if not joined:
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield DistributedContext(chosen, dist.get_rank(), size)
    finally:
        if not joined:
            dist.destroy_process_group()
