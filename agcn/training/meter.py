"""Mean loss and accuracy of an epoch, summed on the device."""

import torch
from torch import Tensor

from agcn.training.distributed import DistributedContext


class Meter:
    """Sums losses and right answers; looking at them waits for the device, so it looks only every few steps.

    Attributes:
        loss, accuracy: means over the steps between the last two looks, of this process.
    """

    def __init__(self, context: DistributedContext, every: int) -> None:
        self.context, self.every = context, every
        self.loss, self.accuracy = float("nan"), 0.0
        # Loss, right answers, clips, steps.
        self._sums = torch.zeros(4, dtype=torch.float64, device=context.device)
        self._seen = self._sums.clone()
        self._steps = 0

    def add(self, loss: Tensor, right: Tensor, clips: int) -> bool:
        """One step's; True where `loss` and `accuracy` are new."""
        self._sums[0] += loss
        self._sums[1] += right
        self._sums[2] += clips
        self._sums[3] += 1
        self._steps += 1
        if self._steps % self.every:
            return False
        self.loss, self.accuracy = _means(self._sums - self._seen)
        self._seen = self._sums.clone()
        return True

    def sums(self) -> Tensor:
        """What `restore` takes to count further."""
        return self._sums.cpu()

    def restore(self, sums: Tensor) -> None:
        """Counts further from an earlier meter's sums."""
        self._sums += sums.to(self._sums.device)
        self._seen = self._sums.clone()

    def means(self) -> tuple[float, float]:
        """Mean loss and accuracy of all steps of all processes."""
        return _means(self.context.total(self._sums))


def _means(sums: Tensor) -> tuple[float, float]:
    loss, right, clips, steps = sums.tolist()
    return loss / steps, right / clips
