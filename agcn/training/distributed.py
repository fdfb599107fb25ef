"""One process or several (torchrun): who they are, and what they tell each other."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any, TypeVar, cast

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from agcn.device import pick_device
from agcn.model.sync_batch_norm import convert_sync_batch_norm

T = TypeVar("T")
# A process that is silent for so long is given up. Rank 0 alone may work that long: it reads the test clips once.
_TIMEOUT = timedelta(minutes=10)
# Every joining has keys of its own in the store.
_joinings = count()


@dataclass(frozen=True)
class DistributedContext:
    """This process's place: `rank` of `world_size`, on `device`. Rank 0 alone writes files, and reads what it wrote.

    `launcher` is the process that torchrun runs as; 0 where nothing depends on it.
    """

    device: torch.device
    rank: int = 0
    world_size: int = 1
    launcher: int = 0

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

    def together(self, work: Callable[[], T]) -> T:
        """Does a piece of work, which tells the other processes nothing, in each; where one fails, all end.

        Raises:
            ValueError: what went wrong in another process; process 0 alone says it.
        """
        if self.world_size == 1:
            return work()
        result, error = None, None
        try:
            result = work()
        except Exception as caught:
            error = caught
        errors = self.gather(error and (str(error) or type(error).__name__))
        failed = [(rank, text) for rank, text in enumerate(errors) if text is not None]
        if error is not None and (self.is_main_process or not isinstance(error, ValueError | OSError | MemoryError)):
            raise error
        if failed and self.is_main_process:
            raise ValueError(f"process {failed[0][0]} of {self.world_size}: {failed[0][1]}")
        if failed:
            raise SystemExit(2)  # process 0 has said it
        return cast(T, result)

    def from_main(self, work: Callable[[], T]) -> T:
        """What a piece of work gives process 0, which alone does it; the others need not see its files."""
        result = self.together(lambda: work() if self.is_main_process else None)
        if self.world_size > 1:
            values = [result]
            dist.broadcast_object_list(values)
            result = values[0]
        return cast(T, result)

    def check_launcher(self) -> None:
        """Raises ValueError where torchrun has been killed, which leaves this process without anyone to end it."""
        if self.launcher and os.getppid() != self.launcher:
            raise ValueError(
                f"process {self.rank} of {self.world_size}: the torchrun that started it has ended: train again with "
                "--resume"
            )

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

    Raises:
        ValueError: a process has not the device, or another kind than the others; another process has ended.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        chosen = pick_device(device, index)
        if chosen.type == "cuda":  # Triton's kernels start on the current device, whatever their tensors are on
            torch.cuda.set_device(chosen)
        yield DistributedContext(chosen)
        return
    rank, joined = int(os.environ["RANK"]), dist.is_initialized()
    try:
        chosen = _local_device(device) if joined else _join(device)
        try:
            yield DistributedContext(chosen, rank, size, os.getppid() if dist.is_torchelastic_launched() else 0)
        finally:
            if not joined:
                dist.destroy_process_group()
    except RuntimeError as error:
        # Gloo's errors have no class of their own, but name its source file.
        if not isinstance(error, dist.DistError) and not re.search(r"\bgloo[/\\]", str(error)):
            raise
        raise ValueError(
            f"process {rank} of {size}: another process has ended, or its machine cannot be reached: look for what it "
            "said, then start all again (train goes on with --resume)"
        ) from error


def _local_device(device: str) -> torch.device:
    """The device of this process; those of one machine share it by their local ranks."""
    local = int(os.environ.get("LOCAL_RANK", "0"))
    chosen = pick_device(device, local)
    if chosen.type == "cuda" and dist.is_torchelastic_launched() and local >= torch.cuda.device_count():
        raise ValueError(
            f"--nproc-per-node: more processes than GPUs ({torch.cuda.device_count()}) on this machine: start one for "
            "each GPU"
        )
    return chosen


def _join(device: str) -> torch.device:
    """Makes the processes known to each other, once all have told that they have the same kind of device; this one's.

    Raises:
        ValueError: they have not.
    """
    store, rank, size = next(dist.rendezvous("env://", timeout=_TIMEOUT))
    store.set_timeout(_TIMEOUT)
    try:
        chosen, wrong = _local_device(device), ""
    except ValueError as error:
        chosen, wrong = torch.device("cpu"), str(error)
    key = f"device/{next(_joinings)}/{{}}"
    store.set(key.format(rank), wrong or chosen.type)
    found = [store.get(key.format(other)).decode() for other in range(size)]
    if wrong:
        raise ValueError(wrong)
    for other, kind in enumerate(found):
        if kind not in ("cpu", "cuda"):
            raise ValueError(f"process {other} of {size}: {kind}")
        if kind != found[0]:
            raise ValueError(
                f"process {other} of {size}: computes on {kind}, process 0 on {found[0]}: start all with --device cpu, "
                "or give each machine a GPU"
            )
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    dist.init_process_group(
        "nccl" if chosen.type == "cuda" else "gloo", store=store, rank=rank, world_size=size, timeout=_TIMEOUT
    )
    return chosen
