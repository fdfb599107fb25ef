"""MediaPipe landmarks as JSON and CSV, and what is wrong with them told by file and place."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from pose_layouts import MEDIAPIPE33, WORLD33

from native_prep.datasets.recordings import BadClip
from native_prep.poses.files import MEDIAPIPE, read_pose_file


def mediapipe_frames(frames: int = 4) -> np.ndarray:
    """x y z visibility of one person, (T, 33, 4)."""
    return np.random.default_rng(5).uniform(0.1, 0.9, (frames, 33, 4)).round(4)


def as_dicts(frame: np.ndarray) -> list[dict]:
    return [dict(zip(("x", "y", "z", "visibility"), map(float, joint), strict=True)) for joint in frame]


@pytest.mark.parametrize("form", ["dicts", "lists", "named", "people", "landmark", "wrapped"])
@pytest.mark.parametrize("layout", [MEDIAPIPE33, WORLD33], ids=lambda layout: layout.coordinates)
def test_mediapipe_json(tmp_path: Path, form: str, layout) -> None:
    frames = mediapipe_frames()
    key = "pose_world_landmarks" if layout is WORLD33 else "pose_landmarks"
    made: dict = {
        "dicts": [as_dicts(frame) for frame in frames],
        "lists": frames.tolist(),
        "named": [{key: as_dicts(frame), "timestamp": 1} for frame in frames],
        "people": [[as_dicts(frame)] for frame in frames],
        "landmark": [{key: {"landmark": as_dicts(frame)}} for frame in frames],
        "wrapped": {"frames": frames.tolist()},
    }[form]
    (made["frames"] if form == "wrapped" else made)[2] = None
    path = tmp_path / "clip.json"
    path.write_text(json.dumps(made))
    expected = frames[..., [0, 1, 3] if layout is MEDIAPIPE33 else [0, 1, 2]].copy()
    expected[2] = 0
    np.testing.assert_allclose(read_pose_file(str(path), layout).points[0], expected, atol=1e-7)


def test_mediapipe_landmarks_without_visibility_are_seen(tmp_path: Path) -> None:
    path = tmp_path / "clip.json"
    for width in (2, 3):
        path.write_text(json.dumps(mediapipe_frames()[..., :width].tolist()))
        assert (read_pose_file(str(path), MEDIAPIPE33).points[..., 2] == 1).all()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{}", "no list of frames"),
        ("[[]", ":1: not JSON"),
        ("[1]", "frame 0 is not a list"),
        ('[null, {"world": []}]', "frame 1 has no pose_landmarks"),
        (json.dumps([[[0, 0, 0]] * 21]), "frame 0 has 21 joints, layout mediapipe33 has 33"),
        (json.dumps([[[0, 0, 0]] * 32 + [[0, "a", 0]]]), "frame 0, landmark 32"),
        (json.dumps([[[0, 0, 0]] * 32 + [[0]]]), "frame 0, landmark 32"),
        (json.dumps([[{"x": 1}] * 33]), "frame 0, landmark 0"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_bad_mediapipe_json(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "clip.json"
    path.write_text(content)
    with pytest.raises(BadClip, match=words):
        read_pose_file(str(path), MEDIAPIPE33, MEDIAPIPE)


def wide(frames: np.ndarray, header: bool, first: str = "") -> list[list[object]]:
    rows: list[list[object]] = [[*([number] if first else []), *frame.ravel()] for number, frame in enumerate(frames)]
    names = [f"{axis}{joint}" for joint in range(33) for axis in "xyzv"[: frames.shape[2]]]
    return [[*([first] if first else []), *names], *rows] if header else rows


def write_csv(path: Path, rows: list[list[object]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


@pytest.mark.parametrize(("header", "first"), [(True, ""), (False, ""), (True, "frame"), (True, "class")])
@pytest.mark.parametrize("layout", [MEDIAPIPE33, WORLD33], ids=lambda layout: layout.coordinates)
def test_mediapipe_wide_csv(tmp_path: Path, header: bool, first: str, layout) -> None:
    frames = mediapipe_frames()
    path = write_csv(tmp_path / "clip.csv", wide(frames, header, first))
    picked = [0, 1, 3] if layout is MEDIAPIPE33 else [0, 1, 2]
    np.testing.assert_allclose(read_pose_file(str(path), layout).points[0], frames[..., picked], atol=1e-7)


def test_mediapipe_long_csv(tmp_path: Path) -> None:
    frames = mediapipe_frames()
    rows: list[list[object]] = [["frame", "landmark", "x", "y", "z", "visibility"]]
    for number in (0, 1, 3):  # 2 is left out
        for joint in range(33):
            name = MEDIAPIPE33.joints[joint].replace(" ", "_").upper() if joint % 2 else joint
            rows.append([number, name, *frames[number, joint]])
    rows[5][2:] = ["", "", "", ""]  # not seen
    points = read_pose_file(str(write_csv(tmp_path / "clip.csv", rows)), MEDIAPIPE33).points[0]
    frames[2] = frames[0, 4] = 0
    np.testing.assert_allclose(points, frames[..., [0, 1, 3]], atol=1e-7)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: [row[:-4] for row in rows], ":1: read as 4 columns a joint it has 32 joints"),
        (lambda rows: [row[:-2] for row in rows], ":1: has 130 columns"),
        (lambda rows: [*rows[:2], rows[2][:-1]], ":3: has 131 columns instead of 132"),
        (lambda rows: [*rows[:2], ["a1", *rows[2][1:]]], ":3: 'a1' is not a number"),
        (lambda rows: [sorted(rows[0]), *rows[1:]], ":1: column .* is not"),
        (lambda rows: rows[:1], "holds no frame"),
        (lambda rows: [["frame", *rows[0]], [4, *rows[1]], [4, *rows[2]]], ":3: frame 4 appears twice"),
        (lambda rows: [["frame", *rows[0]], [0, *rows[1]], [10**7, *rows[2]]], "frames are numbered 0 to 10000000"),
        (lambda rows: [], "is empty"),
        (
            lambda rows: [["frame", "landmark", "x", "y"], [0, 33, 1, 1]],
            ":2: '33' is not a landmark of layout mediapipe33",
        ),
        (lambda rows: [["frame", "landmark", "x"], [0, 3, 1]], ":1: has no column y"),
        (lambda rows: [["frame", "landmark", "x", "y"], [0, 3, 1]], ":2: has 3 columns instead of 4"),
        (lambda rows: [["frame", "landmark", "x", "y"], [0, 3, 1, "1" * 200_000]], "not CSV"),
        (lambda rows: [["frame", "landmark", "x", "y"], [0.5, 3, 1, 1]], ":2: '0.5' is not the number of a frame"),
        (lambda rows: [*rows[:2], ["inf", *rows[2][1:]]], "frame 1 holds what is not a coordinate"),
    ],
)
def test_bad_mediapipe_csv(tmp_path: Path, change, words: str) -> None:
    path = write_csv(tmp_path / "clip.csv", change(wide(mediapipe_frames(), True)))
    with pytest.raises(BadClip, match=words):
        read_pose_file(str(path), MEDIAPIPE33)


def test_a_csv_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "clip.csv"
    path.write_bytes(b"x0,y0\n\xff\xfe\n")
    with pytest.raises(BadClip, match=r"not text \("):
        read_pose_file(str(path), MEDIAPIPE33)
