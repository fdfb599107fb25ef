"""Raw recordings to a packed store, shard by shard, so that what a killed run finished is not done again."""

import hashlib
import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from native_prep.cpu.reader import Reader
from native_prep.datasets.catalog import Dataset
from native_prep.datasets.recordings import BadFile, Recording
from native_prep.io.folders import stamps
from native_prep.io.progress import Progress
from native_prep.kernels import jit
from native_prep.pipeline.reading import read_recordings
from native_prep.pipeline.statistics import Statistics
from native_prep.pipeline.threads import in_order, runs
from native_prep.store.format import VERSION, StoreHead, describe
from native_prep.store.shards import SHARD_CLIPS, ShardDirectory, ShardWriter

# Files a thread takes at a time.
_FILES_AT_ONCE = 32


@dataclass(frozen=True)
class Shard:
    """A run of recordings, and the name of the folder that they are packed into: number and fingerprint."""

    number: int
    name: str
    recordings: Sequence[Recording]


def parse_share(text: str | None) -> tuple[int, int] | None:
    """(i, n) of "i/n": every n-th shard from the i-th on, counted from 1; None for None.

    Raises:
        ValueError: it is no such share.
    """
    if text is None:
        return None
    first, slash, count = text.partition("/")
    if slash and first.isdecimal() and count.isdecimal() and 1 <= int(first) <= int(count):
        return int(first), int(count)
    raise ValueError(f"--shard {text}: not a share: give 1/4 for the first of four, 4/4 for the last")


def plan_shards(head: StoreHead, recordings: Sequence[Recording]) -> list[Shard]:
    """The shards of a data set; a name changes with any of its files, the settings, the kernels and the format."""
    shared = hashlib.sha256(json.dumps([VERSION, jit.digest(), describe(head)]).encode())
    shards = []
    for number, chunk in enumerate(runs(recordings, SHARD_CLIPS)):
        digest = shared.copy()
        for one, stamp in zip(chunk, stamps([(one.path, one.member) for one in chunk]), strict=True):
            digest.update(f"{one.name!r} {one.label} {one.parts} {stamp}\n".encode())
        shards.append(Shard(number, f"shard-{number:05d}-{digest.hexdigest()[:16]}", chunk))
    return shards


def fingerprint_of(shards: Sequence[Shard]) -> str:
    """What the whole store is made of."""
    return hashlib.sha256(" ".join(shard.name for shard in shards).encode()).hexdigest()


@dataclass
class _Open:
    """A shard under way: chunks still to be written, and its bad files so far."""

    writer: ShardWriter
    chunks: int
    bad: list[BadFile]
    recorded: int = 0
    longest: int = 0
    empty: int = 0


class Packer:
    """Makes the shards that are not there yet.

    Args:
        dataset, head: of what.
        max_frames: of a clip.
        directory: where finished shards wait for the others.
        workers: threads.
        skip: whether bad files are left out; else nothing is written after the first, but all are still looked for.
        statistics: counts along.
    """

    def __init__(
        self,
        dataset: Dataset,
        head: StoreHead,
        max_frames: int,
        directory: ShardDirectory,
        workers: int,
        skip: bool,
        statistics: Statistics,
    ) -> None:
        self._head, self._directory, self._skip, self._statistics = head, directory, skip, statistics
        self._readers = [Reader(dataset, (), max_frames, _FILES_AT_ONCE, packs=True) for _ in range(workers + 2)]
        self._workers = workers
        self._open: dict[str, _Open] = {}
        self._lock = threading.Lock()

    def make(self, shards: Sequence[Shard], what: str) -> None:
        """Packs shards and keeps them in the directory.

        Raises:
            OSError: the disk is full or cannot be written; finished shards stay.
        """
        with Progress(sum(len(shard.recordings) for shard in shards), f"prep {what}", "clip") as progress:

            def place(reader: Reader, task: tuple[Shard, Sequence[Recording]], reports: np.ndarray) -> Any:
                progress.update(len(task[1]))
                return self._place(*task, reader, reports)

            try:
                in_order(_chunks(shards), self._readers, self._workers, _read, place, self._write)
            finally:
                for one in self._open.values():
                    one.writer.drop()
                self._open.clear()

    def _place(self, shard: Shard, chunk: Sequence[Recording], reader: Reader, reports: np.ndarray) -> Any:
        """Notes what was read; where its frames go, None where nothing is to be written."""
        known = len(self._statistics.bad)
        good = self._statistics.note(chunk, reports)
        if self._statistics.bad and not self._skip:
            return None
        if shard.name not in self._open:
            chunks = -(-len(shard.recordings) // _FILES_AT_ONCE)
            self._open[shard.name] = _Open(self._directory.writer(shard.name, self._head), chunks, [])
        one = self._open[shard.name]
        one.bad += self._statistics.bad[known:]
        one.recorded += sum(frames for _, _, frames in good)
        one.longest = max(one.longest, *(frames for _, _, frames in good), 0)
        rows = [row for row, _, _ in good]
        empty = int((reader.lengths[rows].sum(axis=1) == 0).sum())
        one.empty += empty
        self._statistics.empty += empty
        clips = [(chunk[row].name, label, _bits(chunk[row].parts), frames) for row, label, frames in good]
        lengths = reader.lengths[rows]
        return shard.name, one.writer.place(clips, lengths), _frames_of(reader, rows, len(chunk))

    def _write(self, reader: Reader, where: tuple[str, int, np.ndarray] | None) -> None:
        if where is None:
            return
        name, place, frames = where
        one = self._open[name]
        one.writer.write(place, frames)
        with self._lock:
            one.chunks -= 1
            last = one.chunks == 0
        if last:
            bad = [(bad.path, bad.line, bad.reason) for bad in one.bad]
            one.writer.finish({"recorded": one.recorded, "longest": one.longest, "empty": one.empty, "bad": bad})
            self._directory.keep(name)
            del self._open[name]


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


def _bits(parts: tuple[int, ...]) -> int:
    return sum(1 << part for part in parts)
