"""Clips of bodies written as `prep` writes them, one at a time: memory does not grow with the data set."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from native_prep import status
from native_prep.clip_writer import clip_writer
from native_prep.layouts import Layout
from native_prep.pipeline import Tally
from native_prep.poses import BadClip
from native_prep.progress import Progress
from native_prep.recordings import BadFile, Recording, Recordings
from native_prep.store_format import StoreHead

Made = tuple[np.ndarray, int]
Make = Callable[[int], Made]


@dataclass(frozen=True)
class PoseJob:
    """What is to be written.

    Attributes:
        dataset: its name.
        source: where the clips are from, for messages.
        recordings: which clips, and the parts that they belong to.
        make: the place of a clip in `recordings.found` -> its bodies, float32 (M, T', V, 3), T' being at most T, and
            how many frames the recording has; raises BadClip.
        layout, streams, frames, bodies: V and bones; what to make; T, None for the longest clip's; M.
        folder, formats: where it goes, as npy, packed or both.
        on_bad_file: "error" or "skip".
        repeats: whether a body is to go on from its start behind its last frame; zeros follow otherwise.
        files: more files to publish with the arrays, name -> text.
        settings: what decides about the numbers, see `outputs.Outputs`.
    """

    dataset: str
    source: Path
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
    files: Mapping[str, str] = field(default_factory=dict)
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
    tally = Tally(bad=list(job.recordings.bad), bytes_read=_size(job.recordings.found), ignored=job.recordings.ignored)
    parts = job.recordings.parts
    head = StoreHead(
        job.dataset, job.layout, job.bodies, job.frames, parts, "repeat" if job.repeats else "zero"
    )  # fmt: skip
    skip = job.on_bad_file == "skip"
    with clip_writer(job.folder, head, job.formats, job.streams) as writer:
        for recording, bodies, length in _made(job, tally.bad):
            tally.clips, tally.frames = tally.clips + 1, tally.frames + length
            tally.empty += not bodies.any()
            if skip or not tally.bad:
                kept = [_without_end(body, job.repeats) for body in bodies]
                writer.add(recording.name, recording.label, [parts[part] for part in recording.parts], kept)
        tally.settle(skip, job.source)
        writer.notes, writer.settings = dict(job.files), job.settings
        writer.bad = tally.bad if skip else None
    result = tally.result(time.perf_counter() - start)
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
    """What `make` makes of the clip at `place`, or None where it is bad, which is noted."""
    try:
        return make(place)
    except BadClip as error:
        bad.append(error.bad)
    except OSError as error:
        bad.append(BadFile(path, 0, f"{error.strerror or error}: give a file that can be read"))
    return None


def _size(found: list[Recording]) -> int:
    """Bytes of the files that clips were read from; a file of several clips counts once."""
    total = 0
    for path in {recording.path for recording in found}:
        files = Path(path).iterdir() if Path(path).is_dir() else [Path(path)]
        with suppress(OSError):  # who reads the clip says what is wrong; those from Python have no file
            total += sum(file.stat().st_size for file in files)
    return total
