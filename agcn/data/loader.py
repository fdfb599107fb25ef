"""Batches on the device: read ahead by a thread or gathered there, and changed there as the configuration asks."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from agcn.data.augment import augment, numbers_per_clip
from agcn.data.augment_rng import draw, middle
from agcn.data.clips import Clips, normalisation
from agcn.data.pyskl import ONE_VIEW, View
from agcn.data.resident import keep_resident
from agcn.model.absent_bodies import BodyRows, deduplicate_absent_bodies, present_bodies
from agcn.settings import FeederArgs
from native_prep.skeletons.layouts import Layout

# Batches read before they are asked for.
AHEAD = 2


class Batch(NamedTuple):
    """What the model sees at once: (B, C, T, V, M) float32 clips, (B,) int64 labels, and which bodies to compute."""

    clips: Tensor
    labels: Tensor
    rows: BodyRows | None


@dataclass(frozen=True)
class BatchIndices:
    """One batch to come: the clips' numbers, and the place of the first in the epoch (random numbers go by it)."""

    first: int
    index: np.ndarray


def training_batches(
    clips: int, batch_size: int, seed: int, epoch: int, rank: int = 0, processes: int = 1, repeat: int = 1
) -> list[BatchIndices]:
    """One epoch in random order, incomplete batches dropped; a process gets its share of every batch.

    With `repeat`, an epoch has every clip so many times, in one order of all.
    """
    total = clips * repeat
    order = np.random.default_rng([seed, epoch]).permutation(total) % clips
    share = batch_size // processes
    starts = range(rank * share, total - total % batch_size, batch_size)
    return [BatchIndices(start, order[start : start + share]) for start in starts]


def check_batch(clips: Clips, batch_size: int, processes: int, accumulate: int) -> None:
    """Raises ValueError where no epoch of whole batches can be made, or a batch does not divide into parts."""
    if not len(clips):
        raise ValueError(f"{clips.path}: has no clips: run prep on a folder with some of the training split")
    if batch_size > len(clips):
        raise ValueError(
            f"{clips.path}: has {len(clips)} clips, fewer than batch_size {batch_size}, and incomplete batches "
            f"are not trained on: set batch_size to {len(clips)} or less"
        )
    if batch_size % (processes * accumulate):
        raise ValueError(
            f"batch_size {batch_size} does not divide among {processes} processes and {accumulate} parts "
            f"(accumulate): set a multiple of {processes * accumulate}"
        )


def micro_batches(batches: Sequence[BatchIndices], parts: int) -> list[BatchIndices]:
    """Each batch as `parts` equal ones."""
    size = len(batches[0].index) // parts if batches else 0
    return [
        BatchIndices(batch.first + start, batch.index[start : start + size])
        for batch in batches
        for start in range(0, size * parts, size)
    ]


def batches_in_order(index: np.ndarray, batch_size: int, first: int = 0) -> list[BatchIndices]:
    """The clips of `index` in order; `first` is the place of the first of them among all that are shown."""
    return [
        BatchIndices(first + start, index[start : start + batch_size]) for start in range(0, len(index), batch_size)
    ]


class BatchLoader:
    """Yields batches of one data set.

    Args:
        clips: where they come from.
        args: what happens to them.
        layout: the skeleton of the clips.
        device: where they go.
        share_absent: tells the model which bodies are not there, where what happens to them leaves them zero.
        seed: random numbers are the same for the same seed, epoch and place in the epoch.
    """

    def __init__(
        self,
        clips: Clips,
        args: FeederArgs,
        layout: Layout,
        device: torch.device,
        seed: int = 0,
        share_absent: bool = False,
    ) -> None:
        self.clips, self.args, self.layout, self.device, self.seed = clips, args, layout, device, seed
        self._shares_absent = share_absent and args.keeps_absent and clips.shape[4] > 1
        self._labels = torch.from_numpy(clips.labels).to(device)
        self.resident = keep_resident(clips, args.resident, device)
        self._scale: tuple[Tensor, Tensor] | None = None
        if args.normalization:
            mean, deviation = normalisation(clips)
            self._scale = (torch.from_numpy(mean).to(device), torch.from_numpy(deviation).to(device))

    def batches(
        self, plan: Sequence[BatchIndices], epoch: int | None = None, view: View | None = None
    ) -> Iterator[Batch]:
        """One for each of the plan, in order; without an epoch nothing is random, see `augment_rng.middle`.

        A test says which view of its clips it is, see `augment.augment`.
        """
        with ThreadPoolExecutor(1, thread_name_prefix="loader") as reader:
            coming = iter(plan)
            waiting = deque(reader.submit(self._read, batch, epoch) for batch in islice(coming, AHEAD))
            while waiting:
                read = waiting.popleft().result()
                waiting.extend(reader.submit(self._read, batch, epoch) for batch in islice(coming, 1))
                index, uniform = self._move(read.clip_index), self._move(read.uniform)
                x = self._move(read.clips) if self.resident is None else self.resident.batch(index)
                rows = None if read.rows is None else read.rows.to(self.device)
                yield Batch(self._change(x, uniform, view), self._labels[index], rows)

    def test_batches(self, plan: Sequence[BatchIndices], view: View = ONE_VIEW) -> Iterator[Batch]:
        """Those of one view of a test's clips (test_windows); in the first, 0, nothing is random."""
        return self.batches(plan, view.number or None, view)

    def _read(self, batch: BatchIndices, epoch: int | None) -> "_Read":
        size = len(batch.index), numbers_per_clip(self.args)
        uniform = torch.from_numpy(middle(*size) if epoch is None else draw(self.seed, epoch, batch.first, *size))
        if self.resident is None:
            x = torch.from_numpy(self.clips.batch(batch.index))
            rows = self._rows(present_bodies(x).numpy()) if self._shares_absent else None
        else:
            x = torch.empty(0)
            rows = self._rows(self.resident.present[batch.index]) if self._shares_absent else None
        read = _Read(torch.from_numpy(np.ascontiguousarray(batch.index)), x, uniform, rows)
        return read.pin_memory() if self.device.type == "cuda" else read

    def _rows(self, present: np.ndarray) -> BodyRows:
        if self.args.convention and self.layout.coordinates == "world" and present.shape[1] == 2:
            present = -np.sort(-present.astype(int), axis=1) != 0  # who is alone comes first, see `pyskl.normalise`
        return deduplicate_absent_bodies(present)

    def _move(self, part: Tensor) -> Tensor:
        return part.to(self.device, non_blocking=True)

    def _change(self, x: Tensor, uniform: Tensor, view: View | None) -> Tensor:
        if self._scale is not None:
            x = (x - self._scale[0]) / self._scale[1]
        return augment(x, self.args, uniform, self.layout, view)


class _Read(NamedTuple):
    """What the host knows of a batch: clips' numbers (B,), the clips unless they are resident, numbers drawn, rows."""

    clip_index: Tensor
    clips: Tensor
    uniform: Tensor
    rows: BodyRows | None

    def pin_memory(self) -> "_Read":
        rows = self.rows and BodyRows(*(part.pin_memory() for part in self.rows))
        return _Read(self.clip_index.pin_memory(), self.clips.pin_memory(), self.uniform.pin_memory(), rows)
