"""`prep ntu60 --track`: NTU's bodies followed by their id instead of by their order in the file.

Another reader than the usual one, which passes over ids; plain Python, for an option that few need.
"""

import os
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from native_prep.datasets.catalog import get_dataset
from native_prep.datasets.names import check_benchmarks
from native_prep.datasets.recordings import BadClip, Recording, find_recordings
from native_prep.io.folders import open_folder
from native_prep.io.locks import sole_run
from native_prep.kernels import status
from native_prep.kernels.skeleton_text import BODY_FIELDS, JOINT_FIELDS, LIMIT
from native_prep.pipeline.outputs import check_formats, check_room, output_folder
from native_prep.pipeline.pose_shards import MadeClip, write_poses
from native_prep.pipeline.reading import raw_place, read_recording
from native_prep.pipeline.store_run import StoreRun
from native_prep.poses.readers.frames import read_text
from native_prep.poses.to_clip import Poses
from native_prep.poses.tracking import bodies_of_highest_motion
from native_prep.reference import normalise_ntu
from native_prep.skeletons.layouts import NTU
from native_prep.skeletons.streams import check_streams
from native_prep.store.format import StoreHead


def prepare_tracked(
    name: str,
    data_path: str | os.PathLike[str] | None = None,
    out_folder: str | os.PathLike[str] | None = None,
    *,
    ignored_samples: str | os.PathLike[str] | None = None,
    benchmarks: Sequence[str] | None = None,
    streams: Sequence[str] = ("joint", "bone"),
    formats: Sequence[str] = ("npy",),
    max_frames: int | None = None,
    on_bad_file: str = "error",
    workers: int | None = None,
    cluster: str | None = None,
) -> dict[str, Any]:
    """Writes NTU clips whose bodies are followed and cleaned (see `tracking`), then padded, centred, turned as usual.

    Arguments, result and errors are those of `pipeline.prepare.prepare`; `name` is ntu60 or ntu120.
    """
    dataset = get_dataset(name)
    if dataset.layout is not NTU:
        raise ValueError(f"--track is for NTU and custom data, {name} names no bodies: leave it out")
    asked, divisions = check_streams(tuple(streams)), check_benchmarks(name, tuple(benchmarks or ()))
    check_formats(formats)
    frames = max_frames or dataset.max_frames
    assert frames is not None, "NTU has a T"
    check_room(frames, NTU, dataset.num_person, asked)
    source = raw_place(data_path, dataset.data_path)
    folder = output_folder(out_folder, dataset.out_folder)
    with open_folder(source, folder) as opened:
        recordings = find_recordings(dataset, opened, divisions, ignored_samples)
        head = StoreHead(name, NTU, dataset.num_person, frames, recordings.parts, "repeat")
        run = StoreRun(
            name, source, folder, head, recordings.parts if "npy" in formats else (), asked, "packed" in formats,
            on_bad_file == "skip", workers or os.cpu_count() or 1, cluster, settings="track",
        )  # fmt: skip
        with sole_run(run.final, folder):
            return write_poses(run, partial(_make, frames=frames, count=dataset.num_person), recordings, "track")


def _make(recording: Recording, frames: int, count: int) -> MadeClip:
    content = None if recording.member is None else read_recording(recording)
    return MadeClip(*read_tracked(recording.path, frames, count, content))


def read_tracked(path: str, frames: int, count: int = 2, content: bytes | None = None) -> tuple[np.ndarray, int]:
    """A `.skeleton` file as bodies that stay themselves; `content` is its bytes where they are not on disk.

    Returns:
        float32 (count, frames, 25, 3), and how many frames were recorded.

    Raises:
        BadClip: the file is damaged or has more frames.
        OSError: it cannot be read.
    """
    poses = read_ntu_bodies(path, content)
    length = poses.points.shape[1]
    if length > frames:
        raise BadClip(path, status.explain(status.TOO_MANY_FRAMES, length, frames), 1)
    bodies = np.zeros((count, frames, NTU.num_joints, 3), np.float32)
    bodies[:, :length] = bodies_of_highest_motion(poses.points, poses.ids, count, image=False)
    normalise_ntu(bodies)
    return bodies, length


def read_ntu_bodies(path: str, content: bytes | None = None) -> Poses:
    """All bodies of a `.skeleton` file with their ids, metres; `content` is its bytes where they are not on disk.

    Ids are numbered from 0 in the order in which they come.

    Raises:
        BadClip: the file is damaged; it names the line.
        OSError: it cannot be read.
    """
    content = read_text(path) if content is None else content
    if not content.strip():
        raise BadClip(path, status.explain(status.EMPTY))
    lines = content.split(b"\n")
    frames = _count(lines, 0, path)
    if not frames:
        raise BadClip(path, status.explain(status.NO_FRAMES), 1)
    at = 1
    people: list[list[tuple[bytes, np.ndarray]]] = []
    try:
        for _ in range(frames):
            here = []
            bodies, at = _count(lines, at, path), at + 1
            for _ in range(bodies):
                fields = _fields(lines, at)
                if len(fields) != BODY_FIELDS:
                    raise BadClip(path, status.explain(status.BODY_FIELDS, len(fields)), at + 1)
                joints = _count(lines, at + 1, path)
                if joints != NTU.num_joints:
                    raise BadClip(path, status.explain(status.JOINT_COUNT, joints, NTU.num_joints), at + 2)
                here.append((fields[0], _joints(lines, at + 2, path)))
                at += 2 + joints
            people.append(here)
    except IndexError as error:
        text = status.explain(status.ENDS_EARLY, len(people), frames)
        raise BadClip(path, text, len(lines)) from error
    if any(line.strip() for line in lines[at:]):
        raise BadClip(path, status.explain(status.TRAILING, frames), at + 1)
    return _as_poses(people)


def _count(lines: list[bytes], at: int, path: str) -> int:
    text = b" ".join(_fields(lines, at))
    if not text.isdigit() or len(text) > 9:
        raise BadClip(path, status.explain(status.NOT_A_COUNT), at + 1)
    return int(text)


def _fields(lines: list[bytes], at: int) -> list[bytes]:
    """The words of a line; raises IndexError behind the last one."""
    fields = lines[at].split()
    if at == len(lines) - 1 and not fields:
        raise IndexError(at)  # what is behind the last line feed
    return fields


def _joints(lines: list[bytes], at: int, path: str) -> np.ndarray:
    """X y z of a body's lines, float64 (25, 3)."""
    points = np.empty((NTU.num_joints, 3))
    for joint in range(NTU.num_joints):
        fields = _fields(lines, at + joint)
        if len(fields) != JOINT_FIELDS:
            raise BadClip(path, status.explain(status.JOINT_FIELDS, len(fields)), at + joint + 1)
        try:
            points[joint] = [float(field) for field in fields[:3]]
        except ValueError as error:
            raise BadClip(path, status.explain(status.NOT_A_NUMBER), at + joint + 1) from error
        if not (np.abs(points[joint]) <= LIMIT).all():
            raise BadClip(path, status.explain(status.OUT_OF_RANGE, LIMIT), at + joint + 1)
    return points


def _as_poses(people: list[list[tuple[bytes, np.ndarray]]]) -> Poses:
    most = max((len(here) for here in people), default=0)
    points = np.zeros((most, len(people), NTU.num_joints, 3), np.float32)
    ids = np.full(points.shape[:2], -1, np.int64)
    numbers: dict[bytes, int] = {}
    for frame, here in enumerate(people):
        for place, (name, joints) in enumerate(here):
            points[place, frame] = joints
            ids[place, frame] = numbers.setdefault(name, len(numbers))
    return Poses(points, ids)
