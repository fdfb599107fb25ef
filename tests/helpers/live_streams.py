"""Engines, frames and lines for the tests of streams."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from export.live.frames import Frame, frames_of
from export.live.session import LiveSession, LiveSettings, predict_stream
from export.live.sources import Arrival
from export.manifest import Manifest, read_manifest
from native_prep.datasets.catalog import class_names, get_dataset
from native_prep.poses.ntu_tracked import read_ntu_bodies
from native_prep.poses.to_clip import Poses
from native_prep.skeletons.layouts import NTU


def lines_of(path: Path) -> list[str]:
    """A recording as the lines of a stream."""
    poses = read_ntu_bodies(str(path))
    frames = []
    for frame in frames_of(Poses(poses.points), NTU):
        bodies = [{"id": name, "joints": body.points.tolist()} for name, body in frame.bodies.items()]
        frames.append(json.dumps({"frame": frame.number, "bodies": bodies}))
    return frames


def answers(*args: Any, **options: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    found: list[dict[str, Any]] = []
    result = predict_stream(*args, write=found.append, runtime="onnxruntime", **options)
    return found, result


class Looker:
    """An engine that keeps what it is shown; its answer is the class `says`."""

    runtime, device, folder = "fake", "cpu", "engine"

    def __init__(self, manifest: Manifest) -> None:
        self.manifest, self.says = manifest, 0
        self.shown: list[np.ndarray] = []

    def run(self, joints: np.ndarray) -> tuple[np.ndarray, ...]:
        self.shown.append(joints)
        scores = 9 * np.eye(self.manifest.num_class, dtype=np.float32)[[self.says]]
        return scores, scores, scores


def engine_for(exported: Path, known_as: str = "ntu60", frames: int = 300, **values: Any) -> Looker:
    known = get_dataset(known_as)
    about = read_manifest(exported / "engine").__dict__ | {
        "dataset": known_as, "layout": known.layout.name, "frames": frames, "joints": known.layout.num_joints,
        "bodies": known.num_person, "num_class": known.num_class, "class_names": class_names(known_as),
        "feeder_args": {}, "prepared_frames": 0,
    }  # fmt: skip
    return Looker(Manifest(**about | values))


def session(engine: Looker, **settings: Any) -> tuple[LiveSession, list[dict[str, Any]]]:
    found: list[dict[str, Any]] = []
    return LiveSession(engine, LiveSettings(**settings), "cam", found.append), found  # type: ignore[arg-type]


def arrivals(recording: Path, numbers: Any, waiting: int = 0) -> Iterator[Arrival]:
    frames = list(frames_of(Poses(read_ntu_bodies(str(recording)).points), NTU))
    for number in numbers:
        yield Arrival(Frame(number, None, frames[number % len(frames)].bodies), time.monotonic(), waiting)
