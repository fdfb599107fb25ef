"""Random numbers for the changes to clips, by clip and epoch.

A batch is the same whatever the batch size, the number of processes or where a run was resumed.
"""

from functools import cache

import numpy as np
import torch
from torch import Tensor


@cache
def constant(values: tuple[float, ...], device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
    """`values` on the device; copied there once, as each copy waits for what a GPU is doing."""
    return torch.tensor(values, dtype=dtype, device=device)


def draw(seed: int, epoch: int, first: int, count: int, per_clip: int) -> np.ndarray:
    """Uniform numbers in [0, 1) for `count` clips from place `first` of an epoch: float32 (count, per_clip).

    Philox counts in blocks of four numbers, so any place can be jumped to: slices of an epoch fit together.
    """
    blocks = -(-per_clip // 4)
    key = np.random.SeedSequence([seed, epoch, 1]).generate_state(2, np.uint64)
    generator = np.random.Generator(np.random.Philox(key=key, counter=first * blocks))
    return generator.random((count, 4 * blocks))[:, :per_clip].astype(np.float32).clip(max=1.0 - 2.0**-24)


def middle(count: int, per_clip: int) -> np.ndarray:
    """The middle of every distribution in the place of the random numbers of `draw`.

    Clips are not turned, moved or warped then, parts are cut from their middle, frames are shifted to the middle,
    scales are halfway between their limits, and what is done to more than half of the clips is done.
    """
    return np.full((count, per_clip), 0.5, np.float32)


class AugmentRng:
    """Hands out columns of uniform numbers (B, K), each once."""

    def __init__(self, numbers: Tensor) -> None:
        self.numbers, self.used = numbers, 0

    def uniform(self, count: int) -> Tensor:
        """The next `count` columns, (B, count)."""
        self.used += count
        return self.numbers[:, self.used - count : self.used]

    def below(self, limit: Tensor) -> Tensor:
        """One whole number in 0 .. limit - 1 for each clip: (B,) -> (B,)."""
        return (self.uniform(1)[:, 0] * limit).long()

    def choose(self, values: tuple[float, ...], count: int) -> Tensor:
        """Some of `values`: (B, count)."""
        return constant(values, self.numbers.device)[(self.uniform(count) * len(values)).long()]
