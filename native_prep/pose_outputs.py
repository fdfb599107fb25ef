"""Clips of bodies written as `prep` writes them, one at a time: memory does not grow with the data set."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from native_prep import status
from native_prep.bad_files import settle_bad
from native_prep.layouts import Layout
from native_prep.outputs import Outputs, write_clip
from native_prep.poses import BadClip
from native_prep.progress import Progress
from native_prep.recordings import BadFile, Recording, Recordings
from native_prep.streams import stream_of

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
        layout, streams, frames, bodies: V and bones; what to make; T; M.
        folder: where it goes.
        on_bad_file: "error" or "skip".
        files: more files to publish with the arrays, name -> text.
    """

    dataset: str
    source: Path
    recordings: Recordings
    make: Make
    layout: Layout
    streams: tuple[str, ...]
    frames: int
    bodies: int
    folder: Path
    on_bad_file: str
    files: Mapping[str, str] = field(default_factory=dict)


def write_job(job: PoseJob) -> dict[str, Any]:
    """Writes all clips and their labels, whole or not at all.

    Returns:
        dataset, clips, frames, bytes_read, seconds, bad_files (how many), outputs (paths).

    Raises:
        ValueError: a clip is bad and bad ones are not to be left out, or no good one is left.
        OSError: a file cannot be written.
    """
    start = time.perf_counter()
    bad = list(job.recordings.bad)
    clips = frames = 0
    shape = (3, job.frames, job.layout.num_joints, job.bodies)
    with Outputs(job.folder, job.recordings.parts, job.streams, shape) as outputs:
        for recording, bodies, length in _made(job, bad):
            if bad and job.on_bad_file != "skip":
                continue
            write_bodies(outputs, recording, bodies, job)
            clips, frames = clips + 1, frames + length
        settle_bad(bad, clips, job.on_bad_file, job.source)
        outputs.write_labels()
        if job.on_bad_file == "skip":
            outputs.write_bad_files(bad)
        for name, text in job.files.items():
            outputs.part(name).write_text(text, encoding="utf-8")
    return {
        "dataset": job.dataset,
        "clips": clips,
        "frames": frames,
        "bytes_read": _size(job.recordings.found),
        "seconds": time.perf_counter() - start,
        "bad_files": len(bad),
        "outputs": [str(path) for path in outputs.paths],
    }


def write_bodies(outputs: Outputs, recording: Recording, bodies: np.ndarray, job: PoseJob) -> None:
    """Writes the bodies (M, T', V, 3) of one clip, zeros behind its last frame, as rows of every stream.

    The one place where clips of poses meet the files: another kind of store is to be fed here.
    """
    joint = np.zeros((3, job.frames, job.layout.num_joints, job.bodies), np.float32)
    joint[:, : bodies.shape[1]] = bodies.transpose(3, 1, 2, 0)
    rows = np.stack([stream_of(joint, stream, job.layout) for stream in job.streams])
    write_clip(outputs.place(recording, recording.label), rows)


def _made(job: PoseJob, bad: list[BadFile]) -> Iterator[tuple[Recording, np.ndarray, int]]:
    """The clips that can be made, in order; the others are added to `bad`."""
    found = job.recordings.found
    with Progress(len(found), f"prep {job.dataset}", "clip") as progress:
        for place, recording in enumerate(found):
            made = attempt(job.make, place, recording.path, bad)
            if made is not None and made[1] > job.frames:
                text = status.explain(status.TOO_MANY_FRAMES, made[1], job.frames)
                bad.append(BadFile(recording.path, 0, f"clip {recording.name} {text}"))
            elif made is not None:
                yield recording, *made
            progress.update(1)


def attempt(make: Make, place: int, path: str, bad: list[BadFile]) -> Made | None:
    """What `make` makes of the clip at `place`, or None where it is bad, which is noted."""
    try:
        return make(place)
    except BadClip as error:
        bad.append(error.bad)
    except OSError as error:
        bad.append(BadFile(path, 0, f"{error.strerror or error}: give a file that can be read"))
    return None


def longest(make: Make, recordings: Recordings) -> int:
    """Frames of the longest good clip, 1 at least; what is bad is told when it is written."""
    lengths = [1]
    with Progress(len(recordings.found), "measure", "clip") as progress:
        for place, recording in enumerate(recordings.found):
            made = attempt(make, place, recording.path, [])
            lengths.append(0 if made is None else made[1])
            progress.update(1)
    return max(lengths)


def _size(found: list[Recording]) -> int:
    """Bytes of the files that clips were read from; a file of several clips counts once."""
    total = 0
    for path in {recording.path for recording in found}:
        files = Path(path).iterdir() if Path(path).is_dir() else [Path(path)]
        try:
            total += sum(file.stat().st_size for file in files)
        except OSError as error:
            print(f"{path}: {error.strerror}: its size is not counted", file=sys.stderr)
    return total
