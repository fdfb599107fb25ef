"""Raw recordings to the shards of a packed store, each read, prepared and packed in one go."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from native_prep.cpu.reader import Reader
from native_prep.datasets.catalog import get_dataset
from native_prep.datasets.recordings import Recording
from native_prep.pipeline.reading import read_recordings
from native_prep.pipeline.statistics import Statistics
from native_prep.pipeline.store_run import finish_shard
from native_prep.pipeline.threads import in_order, runs
from native_prep.store.format import StoreHead
from native_prep.store.shards import Shard, ShardWriter, begin_shard, bits_of

# Files a thread takes at a time.
_FILES_AT_ONCE = 32


@dataclass(frozen=True)
class PackJob:
    """How the shards of a data set are made.

    Attributes:
        head, final: of the store.
        max_frames: of a clip.
        skip: whether bad files are left out; a shard with bad files is not kept otherwise.
    """

    head: StoreHead
    final: Path
    max_frames: int
    skip: bool
    models: ClassVar[bool] = False

    def open(self) -> Callable[[Shard], dict[str, Any]]:
        """What makes one shard in one thread, and returns what `shard.json` says."""
        packer = Packer(self, 1)
        return lambda shard: packer.make([shard], lambda count: None)[0][1]

    def run_here(
        self, shards: Sequence[Shard], workers: int, update: Callable[[int], None]
    ) -> list[tuple[Shard, dict[str, Any]]]:
        """Makes shards in threads; `update` is told how many recordings were read."""
        return Packer(self, workers).make(shards, update)


@dataclass
class _Open:
    """A shard under way: chunks still to be written, and its counts so far."""

    writer: ShardWriter
    chunks: int
    longest: int = 0
    counts: Statistics = field(default_factory=Statistics)


class Packer:
    """Makes shards in threads, several at a time; see `PackJob`."""

    def __init__(self, job: PackJob, workers: int) -> None:
        dataset = get_dataset(job.head.dataset)
        self._job, self._workers = job, workers
        self._readers = [Reader(dataset, (), job.max_frames, _FILES_AT_ONCE, packs=True) for _ in range(workers + 2)]
        self._open: dict[str, _Open] = {}
        self._lock = threading.Lock()
        self._made: list[tuple[Shard, dict[str, Any]]] = []

    def make(self, shards: Sequence[Shard], update: Callable[[int], None]) -> list[tuple[Shard, dict[str, Any]]]:
        """Packs shards and keeps them; what each says of itself.

        Raises:
            OSError: the disk is full or cannot be written; finished shards stay.
        """

        def place(reader: Reader, task: tuple[Shard, Sequence[Recording]], reports: np.ndarray) -> Any:
            update(len(task[1]))
            return self._place(*task, reader, reports)

        self._made = []
        try:
            in_order(_chunks(shards), self._readers, self._workers, _read, place, self._write)
        finally:
            for one in self._open.values():
                one.writer.drop()
            self._open.clear()
        return self._made

    def _place(
        self, shard: Shard, chunk: Sequence[Recording], reader: Reader, reports: np.ndarray
    ) -> tuple[Shard, int, np.ndarray]:
        """Notes what was read; where its frames go."""
        if shard.name not in self._open:
            chunks = -(-len(shard.recordings) // _FILES_AT_ONCE)
            self._open[shard.name] = _Open(begin_shard(self._job.final, shard.name, self._job.head), chunks)
        one = self._open[shard.name]
        good = one.counts.note(chunk, reports)
        one.longest = max(one.longest, *(frames for _, _, frames in good), 0)
        rows = [row for row, _, _ in good]
        lengths = reader.lengths[rows]
        one.counts.empty += int((lengths.sum(axis=1) == 0).sum())
        clips = [(chunk[row].name, label, bits_of(chunk[row].parts), frames) for row, label, frames in good]
        return shard, one.writer.place(clips, lengths), _frames_of(reader, rows, len(chunk))

    def _write(self, reader: Reader, where: tuple[Shard, int, np.ndarray]) -> None:
        shard, place, frames = where
        one = self._open[shard.name]
        if self._job.skip or not one.counts.bad:
            one.writer.write(place, frames)
        with self._lock:
            one.chunks -= 1
            last = one.chunks == 0
        if last:
            job = self._job
            self._made.append((shard, finish_shard(one.writer, job.final, shard, job.skip, one.longest, one.counts)))
            del self._open[shard.name]


def _chunks(shards: Sequence[Shard]) -> Iterator[tuple[Shard, Sequence[Recording]]]:
    for shard in shards:
        for chunk in runs(shard.recordings, _FILES_AT_ONCE):
            yield shard, chunk


def _read(reader: Reader, task: tuple[Shard, Sequence[Recording]]) -> np.ndarray:
    return read_recordings(reader, task[1])


def _frames_of(reader: Reader, rows: list[int], files: int) -> np.ndarray:
    """The frames of the clips in `rows`; a reader also packs clips whose labels turn out to be wrong."""
    ends = np.cumsum(reader.lengths[:files].sum(axis=1))
    if len(rows) == files:
        return reader.packed[: ends[-1]]
    starts = ends - reader.lengths[:files].sum(axis=1)
    return np.concatenate([reader.packed[:0], *(reader.packed[starts[row] : ends[row]] for row in rows)])
