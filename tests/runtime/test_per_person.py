"""`predict --per-person`: each person is put alone into the network, beside the clip as a whole."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from live_streams import Looker, answers, engine_for, session
from prep_files import ntu_lines

from export.live.frames import frames_of
from export.live.session import LiveSettings
from export.live.sources import Arrival
from export.runtime.open import open_engine
from export.runtime.predict import predict
from native_prep.poses.ntu_tracked import read_ntu_bodies
from native_prep.poses.to_clip import Poses
from native_prep.poses.tracking import Follower, people_of
from native_prep.skeletons.layouts import NTU


def test_each_person_of_a_clip(exported: Path, tmp_path: Path) -> None:
    points = walkers(30, swaps=30)
    path = tmp_path / "S001C001P001R001A001.skeleton"
    path.write_text("\n".join(ntu_lines([list(frame) for frame in points.transpose(1, 0, 2, 3)])) + "\n")
    (found,) = predict(exported / "engine", [path], per_person=True)["clips"]
    assert found["top"] == predict(exported / "engine", [path])["clips"][0]["top"]
    poses = read_ntu_bodies(str(path))
    alone = people_of(poses.points, poses.ids, image=False)
    assert [one["person"] for one in found["persons"]] == [str(name) for name in alone] and len(alone) == 2
    engine = open_engine(exported / "engine", "onnxruntime")
    for one, body in zip(found["persons"], alone.values(), strict=True):
        there = np.flatnonzero(body.any(axis=(1, 2)))
        assert one["frames"] == [there[0], there[-1]]
        classes, scores = engine.predict([body[None]])
        assert one["top"][0]["class"] == classes[0]
        assert one["top"][0]["score"] == pytest.approx(float(scores.max()), abs=1e-5)


def walkers(frames: int, swaps: int = 7) -> np.ndarray:
    """Two people far apart, without ids, whose order in the file changes after every few frames: (P, T, V, 3)."""
    rng = np.random.default_rng(0)
    bodies = rng.normal(0, (0.1, 0.5, 0.1), (2, 1, 25, 3)) + np.array([[-2.0, 0, 4], [2.0, 0, 4]])[:, None, None]
    points = bodies + 0.01 * np.arange(frames)[None, :, None, None]
    for frame in range(0, frames, swaps):
        points[:, frame : frame + swaps] = points[:: 1 - 2 * (frame // swaps % 2), frame : frame + swaps]
    return points.astype(np.float32)


def stream(engine: Looker, **settings: object) -> list[dict]:
    ours, found = session(engine, window=10, stride=10, per_person=True, **settings)
    ours.run(Arrival(frame, 0.0, 0) for frame in frames_of(Poses(walkers(30)), NTU))
    return found


def test_people_of_a_stream_are_followed_by_the_nearest_pose(exported: Path) -> None:
    engine = engine_for(exported)
    found = stream(engine)
    assert [[one["person"] for one in answer["persons"]] for answer in found] == [["#0", "#1"]] * 3
    # After the first run, each answer shows both, and then one after the other.
    assert len(engine.shown) == 1 + 3 * 3
    both, first, second = engine.shown[1:4]
    assert both[..., 1].any() and not first[..., 1].any() and not second[..., 1].any()
    again = stream(engine_for(exported))
    assert [answer["persons"] for answer in again] == [answer["persons"] for answer in found]


def test_a_timeline_of_each_person(exported: Path, tmp_path: Path) -> None:
    lines = []
    for frame in frames_of(Poses(walkers(40)), NTU):
        bodies = {"left" if body.points[0, 0] < 0 else "right": body for body in frame.bodies.values()}
        if frame.number >= 20:
            bodies.pop("left")
        listed = [{"id": name, "joints": body.points.tolist()} for name, body in bodies.items()]
        lines.append(json.dumps({"frame": frame.number, "bodies": listed}))
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    settings = LiveSettings(window=10, stride=10, max_gap=0, per_person=True)
    found, _ = answers(
        exported / "engine", str(tmp_path / "a.jsonl"), settings=settings, timeline=tmp_path / "t.csv"
    )  # fmt: skip
    assert [len(answer["persons"]) for answer in found] == [2, 2, 1, 1]
    with (tmp_path / "t.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["start", "end", "label", "name", "score", "person"]
    assert {row["person"] for row in rows} == {"", "left", "right"}
    ends = {name: max(float(row["end"]) for row in rows if row["person"] == name) for name in ("", "left", "right")}
    assert ends["left"] < ends["right"] == ends[""]


def test_a_follower_counts_on() -> None:
    follower = Follower(image=False)
    left, right = walkers(1)[:, 0]
    assert follower.follow(0, np.stack([left, right])) == [0, 1]
    assert follower.follow(1, np.stack([right, left])) == [1, 0]
    assert follower.follow(12, np.stack([right])) == [2]  # out of sight for more than ten frames
    assert follower.follow(13, np.zeros((0, 25, 3))) == []
