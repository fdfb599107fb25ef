"""Raw recordings to the shards of a packed store, each read, prepared and packed by one thread."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from native_prep.cpu import reader as cpu
from native_prep.datasets.catalog import get_dataset
from native_prep.pipeline.reading import read_recordings
from native_prep.pipeline.statistics import Statistics
from native_prep.pipeline.store_run import Made, finish_shard
from native_prep.pipeline.threads import runs
from native_prep.store.format import StoreHead, frames_to_keep
from native_prep.store.shards import Shard, begin_shard, bits_of

# Files read at a time.
_FILES_AT_ONCE = 32


def _nothing(count: int) -> None:
    pass


@dataclass(frozen=True)
class PackJob:
    """How the shards of a data set are made.

    Attributes:
        head, final: of the store.
        max_frames: of a clip.
        skip: whether bad files are left out; a shard with bad files is not kept otherwise.
        device: what makes clips, cpu or cuda.
    """

    head: StoreHead
    final: Path
    max_frames: int
    skip: bool
    device: str = "cpu"

    @property
    def gpu(self) -> bool:
        """Whether it wants a GPU."""
        return self.device == "cuda"

    def open(self) -> Callable[[Shard], dict[str, Any]]:
        """What makes one shard, and returns what is said of it."""
        reader = self._reader()
        return lambda shard: self._make(reader, shard, _nothing)

    def run_here(self, shards: Sequence[Shard], workers: int, update: Callable[[int], None]) -> Iterator[Made]:
        """Makes shards in threads, or on this machine's GPU; `update` is told how many recordings were read."""
        workers = 1 if self.gpu else min(workers, len(shards))
        free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(workers):
            free.put(self._reader())
        lock, stops = threading.Lock(), threading.Event()

        def note(count: int) -> None:
            if stops.is_set():
                raise CancelledError
            with lock:
                update(count)

        def make(shard: Shard) -> Made:
            reader = free.get()
            try:
                return shard, self._make(reader, shard, note)
            finally:
                free.put(reader)

        with ThreadPoolExecutor(workers) as pool:
            try:
                yield from pool.map(make, shards)
            except BaseException:  # an interruption too: nobody works on
                stops.set()
                pool.shutdown(cancel_futures=True)
                raise

    def _reader(self) -> Any:
        dataset, frames = get_dataset(self.head.dataset), self.max_frames
        if self.device == "cpu":
            return cpu.Reader(dataset, (), frames, _FILES_AT_ONCE, packs=True)
        from native_prep.cuda.reader import Reader, files_at_once

        return Reader(
            dataset, ("joint",), frames, files_at_once(12 * frames * dataset.layout.num_joints * self.head.bodies)
        )

    def _make(self, reader: Any, shard: Shard, update: Callable[[int], None]) -> dict[str, Any]:
        counts, longest = Statistics(), 0
        writer = begin_shard(self.final, shard.name, self.head)
        try:
            for chunk in runs(shard.recordings, len(reader.rows)):
                good = counts.note(chunk, read_recordings(reader, chunk))
                rows = [row for row, _, _ in good]
                kept = self._kept_of_gpu if self.gpu else _kept
                lengths, frames = kept(reader, rows)
                clips = [(chunk[row].name, label, bits_of(chunk[row].parts), length) for row, label, length in good]
                counts.empty += int((lengths.sum(axis=1) == 0).sum())
                longest = max(longest, *(length for _, _, length in good), 0)
                if self.skip or not counts.bad:
                    writer.append(clips, lengths, frames)
                update(len(chunk))
        except BaseException:
            writer.drop()
            raise
        return finish_shard(writer, self.final, shard, self.skip, longest, counts)

    def _kept_of_gpu(self, reader: Any, rows: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """`_kept` of a reader that makes dense clips."""
        clips = [reader.rows[row, 0].transpose(3, 1, 2, 0) for row in rows]  # (M, T, V, 3)
        kept = [frames_to_keep(body, self.head.padding) for clip in clips for body in clip]
        lengths = np.array([len(body) for body in kept], np.int64).reshape(len(rows), self.head.bodies)
        return lengths, np.concatenate([np.empty((0, *reader.rows.shape[4:5], 3), np.float32), *kept])


def _kept(reader: cpu.Reader, rows: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """The frames of the clips in `rows` that a store has to hold: int64 (n, M), how many of whom, and (F, V, 3)."""
    ends = np.cumsum(reader.lengths.sum(axis=1))
    if rows and rows[-1] == len(rows) - 1:  # none is left out before the last
        return reader.lengths[rows], reader.packed[: ends[rows[-1]]]
    # A reader also packs clips whose labels turn out to be wrong.
    starts = ends - reader.lengths.sum(axis=1)
    parts = [reader.packed[starts[row] : ends[row]] for row in rows]
    return reader.lengths[rows], np.concatenate([reader.packed[:0], *parts])
