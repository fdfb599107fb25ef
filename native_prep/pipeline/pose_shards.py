"""Clips that Python makes, of one's own poses and of tracked bodies, to `.npy` files and a packed store.

Processes of this machine make a few clips at a time, which are written here in order; on a cluster a machine makes and
writes a whole shard. Either way the same functions make the same bytes.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, groupby, islice
from operator import attrgetter
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from native_prep.datasets.recordings import BadClip, BadFile, Recording, Recordings
from native_prep.io.folders import stamps
from native_prep.io.hashes import sources_digest
from native_prep.kernels import status
from native_prep.pipeline.processes import in_processes
from native_prep.pipeline.statistics import Statistics
from native_prep.pipeline.store_run import Made, StoreRun, finish_shard, write_store
from native_prep.pipeline.threads import runs
from native_prep.store.format import StoreHead, frames_to_keep
from native_prep.store.shards import Shard, begin_shard, bits_of, plan_shards

# Clips that a process makes at a time.
_CLIPS_AT_ONCE = 8


class MadeClip(NamedTuple):
    """What is made of a recording.

    Attributes:
        bodies: float32 (M, T', V, 3), T' being at most T; None for a clip that is to be left out.
        frames: how many the recording has.
        note: plain values that `files` is to have.
    """

    bodies: np.ndarray | None
    frames: int
    note: Any = None


class _Outcome(NamedTuple):
    """A made clip as it is stored: the frames of each body, end to end, and how many each has; or what is wrong."""

    points: np.ndarray
    lengths: tuple[int, ...]
    frames: int
    left_out: bool = False
    bad: BadFile | None = None
    note: Any = None


@dataclass(frozen=True)
class PoseJob:
    """How the shards of clips are made.

    Attributes:
        make: can be pickled, and makes a clip of a recording; raises BadClip or OSError.
        head, final: of the store.
        skip: whether bad clips are left out; a shard with bad clips is not kept otherwise.
        whole_files: the clips of a file are made one after the other, since reading it takes long.
        copy, source: of a copy that is read, its place and how messages name it.
    """

    make: Callable[[Recording], MadeClip]
    head: StoreHead
    final: Path
    skip: bool
    whole_files: bool = False
    copy: str = ""
    source: str = ""
    gpu: ClassVar[bool] = False

    def open(self) -> Callable[[Shard], dict[str, Any]]:
        """What makes one shard, and returns what is said of it."""
        return lambda shard: self._write(shard, map(self.make_clips, self._chunks(shard)))

    def run_here(self, shards: Sequence[Shard], workers: int, update: Callable[[int], None]) -> Iterator[Made]:
        """Makes the clips in processes, and writes the shards here."""
        chunks = [self._chunks(shard) for shard in shards]

        def with_progress(count: int) -> Iterator[list[_Outcome]]:
            for some in islice(outcomes, count):
                yield some
                update(len(some))

        with closing(in_processes(self.make_clips, list(chain.from_iterable(chunks)), workers)) as outcomes:
            for shard, ours in zip(shards, chunks, strict=True):
                yield shard, self._write(shard, with_progress(len(ours)))

    def _chunks(self, shard: Shard) -> list[Sequence[Recording]]:
        if self.whole_files:
            return [list(clips) for _, clips in groupby(shard.recordings, attrgetter("path"))]
        return list(runs(shard.recordings, _CLIPS_AT_ONCE))

    def make_clips(self, recordings: Sequence[Recording]) -> list[_Outcome]:
        """What becomes of recordings; bad ones raise nothing."""
        made = [self._outcome(recording) for recording in recordings]
        return [one._replace(bad=one.bad.renamed(self.copy, self.source)) if one.bad else one for one in made]

    def _outcome(self, recording: Recording) -> _Outcome:
        try:
            made = self.make(recording)
        except BadClip as error:
            return _bad(error.bad)
        except OSError as error:
            return _bad(BadFile(recording.path, 0, f"{error.strerror or error}: give a file that can be read"))
        if self.head.frames is not None and made.frames > self.head.frames:
            text = status.explain(status.TOO_MANY_FRAMES, made.frames, self.head.frames)
            return _bad(BadFile(recording.path, 0, f"clip {recording.name} {text}"))
        if made.bodies is None:
            return _bad(None)._replace(note=made.note)
        kept = [frames_to_keep(body, self.head.padding) for body in made.bodies]
        return _Outcome(np.concatenate(kept), tuple(map(len, kept)), made.frames, note=made.note)

    def _write(self, shard: Shard, outcomes: Iterable[list[_Outcome]]) -> dict[str, Any]:
        """Writes the clips of a shard."""
        counts, notes, longest = Statistics(), [], 0
        writer = begin_shard(self.final, shard.name, self.head)
        try:
            for recording, outcome in zip(shard.recordings, chain.from_iterable(outcomes), strict=True):
                if outcome.note is not None:
                    notes.append(outcome.note)
                if outcome.bad is not None:
                    counts.bad.append(outcome.bad)
                elif not outcome.left_out:
                    counts.clips, counts.frames = counts.clips + 1, counts.frames + outcome.frames
                    counts.empty += not outcome.points.any()
                    longest = max(longest, *outcome.lengths)
                    clip = recording.name, recording.label, bits_of(recording.parts), outcome.frames
                    writer.append([clip], np.array([outcome.lengths]), outcome.points)
        except BaseException:
            writer.drop()
            raise
        return finish_shard(writer, self.final, shard, self.skip, longest, counts, notes)


def _bad(bad: BadFile | None) -> _Outcome:
    return _Outcome(np.empty((0, 0, 3), np.float32), (), 0, bad is None, bad)


def write_poses(
    run: StoreRun,
    make: Callable[[Recording], MadeClip],
    recordings: Recordings,
    key: str = "",
    whole_files: bool = False,
) -> dict[str, Any]:
    """Writes all clips and their labels, whole or not at all.

    Args:
        run: what is to be written; make, whole_files: see `PoseJob`.
        recordings: which clips, and the parts that they belong to.
        key: what else than the files and the head decides about the numbers.

    Returns:
        dataset, clips, frames, bytes_read, seconds, bad_files (how many), outputs (paths), and as `write_store`.

    Raises:
        ValueError: a clip is bad and bad ones are not to be left out, or no good one is left.
        OSError: a file cannot be written.
    """
    start = time.perf_counter()
    places = dict.fromkeys((one.path, one.member) for one in recordings.found)  # a file of several clips counts once
    found = dict(zip(places, stamps(places), strict=True))
    # Another label file may take another of a file's clips for one of this name.
    states = (f"{found[one.path, one.member][0]} {getattr(one.content, 'place', '')}" for one in recordings.found)
    plan = plan_shards(run.head, f"{sources_digest()} {key}", recordings.found, states)
    size = sum(size for _, size in found.values())
    bad = [one.renamed(run.copy, str(run.source)) for one in recordings.bad]
    statistics = Statistics(bad=bad, bytes_read=size, ignored=recordings.ignored)
    job = PoseJob(make, run.head, run.final, run.skip_bad, whole_files, run.copy, str(run.source))
    outcome = write_store(run, job, plan, statistics)
    return {"dataset": run.dataset, **statistics.result(time.perf_counter() - start), **outcome}
