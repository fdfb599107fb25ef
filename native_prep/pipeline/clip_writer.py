"""Clips that come one by one, from wherever, to `.npy` files and a packed store.

`clip_writer` takes them as they come; `write_job` makes them, leaves bad ones out or refuses them, and counts.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from native_prep.datasets.recordings import BadClip, BadFile, Recording, Recordings
from native_prep.io.atomic import DiscardFolder, atomic_folder
from native_prep.io.progress import Progress
from native_prep.kernels import status
from native_prep.pipeline.outputs import Outputs, check_formats, write_npy
from native_prep.pipeline.statistics import Statistics
from native_prep.skeletons.layouts import Layout
from native_prep.skeletons.streams import check_streams
from native_prep.store.format import STORE, StoreHead
from native_prep.store.reader import FOLDER, Store
from native_prep.store.shards import SHARD_CLIPS, ShardWriter, write_store_json


class ClipWriter:
    """Takes clips one after the other, in the order in which they are to stand; see `clip_writer`.

    Attributes:
        clips: how many it has.
        notes: more files to publish with them, name -> text; set before the end.
        bad: what `bad_files.csv` is to list; None for no such file.
        settings: what decides about the numbers, see `Outputs`; set before the end.
        paths: what was written, after the end.
    """

    def __init__(self, part: Path, final: Path, head: StoreHead) -> None:
        self._part, self._final, self._head = part, final, head
        self._shard: ShardWriter | None = None
        self._shards: list[str] = []
        self._in_shard = self._longest = self._recorded = self.clips = 0
        self.notes: dict[str, str] = {}
        self.bad: list[BadFile] | None = None
        self.settings = ""
        self.paths: list[Path] = []

    def add(self, name: str, label: int, parts: Sequence[str], bodies: Sequence[np.ndarray]) -> None:
        """Adds a clip.

        Args:
            name, label: as label files have them; labels count from 0.
            parts: those of the head's that the clip belongs to.
            bodies: at most M, each float32 (t, V, 3) with t from 0 to T; behind its frames a body repeats or is zero,
                as the head's padding says. Bodies of different t repeat each for themselves.

        Raises:
            ValueError: a part or a shape that does not fit, a number that is not finite, a negative label.
            OSError: the disk is full or cannot be written.
        """
        frames = self._checked(name, label, bodies)
        mask = 0
        for part in parts:
            if part not in self._head.parts:
                raise ValueError(f"{name}: no part is called {part!r}: use {', '.join(self._head.parts)}")
            mask |= 1 << self._head.parts.index(part)
        if self._shard is None:
            self._shards.append(f"shard-{len(self._shards):05d}")
            self._shard = ShardWriter(self._part / self._shards[-1], self._head, self._final)
        lengths = np.zeros((1, self._head.bodies), np.int64)
        lengths[0, : len(frames)] = [len(body) for body in frames]
        longest = int(lengths.max())
        place = self._shard.place([(name, label, mask, longest)], lengths)
        if frames:
            self._shard.write(place, np.concatenate(frames))
        self.clips += 1
        self._in_shard += 1
        self._recorded += longest
        self._longest = max(self._longest, longest)
        if self._in_shard == SHARD_CLIPS:
            self._finish_shard()

    def _checked(self, name: str, label: int, bodies: Sequence[np.ndarray]) -> list[np.ndarray]:
        head = self._head
        joints, most = head.layout.num_joints, head.frames
        if len(bodies) > head.bodies:
            raise ValueError(f"{name}: has {len(bodies)} bodies: give at most {head.bodies}")
        if label < 0:
            raise ValueError(f"{name}: has label {label}: count labels from 0")
        frames = [np.ascontiguousarray(body, np.float32) for body in bodies]
        for body in frames:
            if body.ndim != 3 or body.shape[1:] != (joints, 3) or (most is not None and len(body) > most):
                room = "any number" if most is None else f"at most {most}"
                raise ValueError(f"{name}: a body of shape {body.shape}: give (frames, {joints}, 3), {room} of frames")
            if not np.isfinite(body).all():
                raise ValueError(f"{name}: has a coordinate that is not a finite number: fix it or leave the clip out")
        return frames

    def _finish_shard(self) -> None:
        if self._shard is not None:
            self._shard.finish({"recorded": self._recorded, "longest": self._longest, "bad": []})
        self._shard, self._in_shard, self._recorded, self._longest = None, 0, 0, 0

    def finish(self) -> Store:
        """The store of all clips, in its hidden folder.

        Raises:
            ValueError: there is no clip.
        """
        if not self.clips:
            raise ValueError(f"{self._final.parent}: no clip to write: check the input")
        self._finish_shard()
        write_store_json(self._part, self._head, self._shards)
        return Store(self._part)

    def drop(self) -> None:
        """Lets an unfinished shard go."""
        if self._shard is not None:
            self._shard.drop()


@contextmanager
def clip_writer(
    folder: str | os.PathLike[str],
    head: StoreHead,
    formats: Sequence[str] = ("npy",),
    streams: Sequence[str] = ("joint", "bone"),
    workers: int | None = None,
) -> Iterator[ClipWriter]:
    """Writes `prep`'s outputs from clips that are added one by one; they appear when the block ends without an error.

    >>> head = StoreHead("", layout, bodies=2, frames=None, parts=("train", "val"), padding="repeat")
    >>> with clip_writer("data/mine", head, ("npy", "packed")) as writer:
    ...     writer.add("clip1", 0, ("train",), [points])  # (t, V, 3)

    Raises:
        ValueError: no clip, a place that is taken by something else, a format or stream that is not known.
        OSError: the disk is full or cannot be written.
    """
    check_formats(formats)
    asked = check_streams(tuple(streams))
    final = Path(folder) / FOLDER
    with atomic_folder(final, STORE) as part:
        writer = ClipWriter(part, final, head)
        try:
            yield writer
            store = writer.finish()
        finally:
            writer.drop()
        parts = head.parts if "npy" in formats else ()
        with Outputs(Path(folder), parts, asked if parts else (), store.clip_shape, writer.settings) as outputs:
            if parts:
                write_npy(store, outputs, parts, asked, workers or os.cpu_count() or 1)
            for name, text in writer.notes.items():
                outputs.temporary(name).write_text(text, encoding="utf-8")
            if writer.bad is not None:
                outputs.write_bad_files(writer.bad)
        writer.paths += outputs.paths
        if "packed" not in formats:
            raise DiscardFolder
        writer.paths.append(final)


Made = tuple[np.ndarray, int]
Make = Callable[[int], Made | None]


@dataclass(frozen=True)
class PoseJob:
    """What is to be written.

    Attributes:
        dataset: its name.
        source: where the clips are from, for messages.
        recordings: which clips, and the parts that they belong to.
        make: the place of a clip in `recordings.found` -> its bodies, float32 (M, T', V, 3), T' being at most T, and
            how many frames the recording has; None for a clip that is to be left out; raises BadClip.
        layout, streams, frames, bodies: V and bones; what to make; T, None for the longest clip's; M.
        folder, formats: where it goes, as npy, packed or both.
        on_bad_file: "error" or "skip".
        repeats: whether a body is to go on from its start behind its last frame; zeros follow otherwise.
        files: called when all clips are made: more files to publish with the arrays, name -> text.
        settings: what decides about the numbers, see `outputs.Outputs`.
    """

    dataset: str
    source: Path | str
    recordings: Recordings
    make: Make
    layout: Layout
    streams: tuple[str, ...]
    frames: int | None
    bodies: int
    folder: Path
    formats: tuple[str, ...]
    on_bad_file: str
    repeats: bool = False
    files: Callable[[], Mapping[str, str]] = dict
    settings: str = ""


def write_job(job: PoseJob) -> dict[str, Any]:
    """Writes all clips and their labels, whole or not at all.

    Returns:
        dataset, clips, frames, bytes_read, seconds, bad_files (how many), outputs (paths).

    Raises:
        ValueError: a clip is bad and bad ones are not to be left out, or no good one is left.
        OSError: a file cannot be written.
    """
    start = time.perf_counter()
    statistics = Statistics(
        bad=list(job.recordings.bad), bytes_read=_size(job.recordings.found), ignored=job.recordings.ignored
    )
    parts = job.recordings.parts
    head = StoreHead(
        job.dataset, job.layout, job.bodies, job.frames, parts, "repeat" if job.repeats else "zero"
    )  # fmt: skip
    skip = job.on_bad_file == "skip"
    with clip_writer(job.folder, head, job.formats, job.streams) as writer:
        for recording, bodies, length in _made(job, statistics.bad):
            statistics.clips, statistics.frames = statistics.clips + 1, statistics.frames + length
            statistics.empty += not bodies.any()
            if skip or not statistics.bad:
                kept = [_without_end(body, job.repeats) for body in bodies]
                writer.add(recording.name, recording.label, [parts[part] for part in recording.parts], kept)
        statistics.raise_if_bad(skip, job.source)
        writer.notes, writer.settings = dict(job.files()), job.settings
        writer.bad = statistics.bad if skip else None
    result = statistics.result(time.perf_counter() - start)
    return {"dataset": job.dataset, **result, "outputs": [str(path) for path in writer.paths]}


def _without_end(body: np.ndarray, repeats: bool) -> np.ndarray:
    """The frames of a body (T', V, 3) that a store has to hold: up to the last that is not zero, or a period."""
    seen = np.flatnonzero(body.any(axis=(1, 2)))
    if not repeats or not len(seen):
        return body[: seen[-1] + 1 if len(seen) else 0]
    for period in np.flatnonzero((body == body[0]).all(axis=(1, 2))).tolist()[1:]:
        if (body[period:] == body[:-period]).all():
            return body[:period]
    return body


def _made(job: PoseJob, bad: list[BadFile]) -> Iterator[tuple[Recording, np.ndarray, int]]:
    """The clips that can be made, in order; the others are added to `bad`."""
    found = job.recordings.found
    with Progress(len(found), f"prep {job.dataset}", "clip") as progress:
        for place, recording in enumerate(found):
            made = _attempt(job.make, place, recording.path, bad)
            if made is not None and job.frames is not None and made[1] > job.frames:
                text = status.explain(status.TOO_MANY_FRAMES, made[1], job.frames)
                bad.append(BadFile(recording.path, 0, f"clip {recording.name} {text}"))
            elif made is not None:
                yield recording, *made
            progress.update(1)


def _attempt(make: Make, place: int, path: str, bad: list[BadFile]) -> Made | None:
    """What `make` makes of the clip at `place`, or None where it is left out, or bad, which is noted."""
    try:
        return make(place)
    except BadClip as error:
        bad.append(error.bad)
    except OSError as error:
        bad.append(BadFile(path, 0, f"{error.strerror or error}: give a file that can be read"))
    return None


def _size(found: list[Recording]) -> int:
    """Bytes of the files that clips were read from; a file of several clips counts once."""
    total = sum(max(0, one.member.size) for one in found if one.member is not None)
    for path in {recording.path for recording in found if recording.member is None}:
        files = Path(path).iterdir() if Path(path).is_dir() else [Path(path)]
        with suppress(OSError):  # who reads the clip says what is wrong; those from Python have no file
            total += sum(file.stat().st_size for file in files)
    return total
