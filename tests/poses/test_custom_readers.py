"""Every reader of poses on files as their programs write them, and what is wrong with them told by file and place."""

import csv
import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pose_files import SIZE, annotation, make_clip, walker, write_openpose, write_pyskl

from native_prep.datasets.recordings import BadClip
from native_prep.poses.files import read_pose_file
from native_prep.poses.labels import read_label_file
from native_prep.poses.pyskl_pickle import PysklFile
from native_prep.poses.sources import default_layout, open_source
from native_prep.poses.to_clip import Poses, PoseSettings
from native_prep.skeletons.layouts import COCO17, LAYOUTS, NTU

OPENPOSE18, OPENPOSE25, MEDIAPIPE33 = (LAYOUTS[name] for name in ("openpose18", "openpose25", "mediapipe33"))
WORLD33 = replace(MEDIAPIPE33, name="world33", coordinates="world")


def mediapipe_frames(frames: int = 4) -> np.ndarray:
    """x y z visibility of one person, (T, 33, 4)."""
    return np.random.default_rng(5).uniform(0.1, 0.9, (frames, 33, 4)).round(4)


def as_dicts(frame: np.ndarray) -> list[dict]:
    return [dict(zip(("x", "y", "z", "visibility"), map(float, joint), strict=True)) for joint in frame]


# OpenPose


@pytest.mark.parametrize("layout", [OPENPOSE18, OPENPOSE25])
def test_openpose(tmp_path: Path, layout) -> None:
    one, two = walker(4, layout.num_joints, 1), walker(4, layout.num_joints, 2, 400)
    folder = write_openpose(tmp_path / "wave1", {3: [one[0]], 5: [two[2], one[2]], 6: []}, {5: [4, 7]})
    poses = read_pose_file(str(folder), layout)
    assert poses.points.shape == (2, 4, layout.num_joints, 3)
    np.testing.assert_array_equal(poses.points[0], [one[0], np.zeros_like(one[0]), two[2], np.zeros_like(one[0])])
    assert poses.ids is not None and poses.ids.tolist() == [[-1, -1, 4, -1], [-1, -1, 7, -1]]


def test_image_poses_are_centred_like_kinetics(tmp_path: Path) -> None:
    person = walker(1, 18)[0]
    person[4, 2] = 0
    faint = np.concatenate([person[:, :2] + 50, person[:, 2:] / 3], axis=1)
    folder = write_openpose(tmp_path / "a", {0: [faint, person]})
    assert not read_pose_file(str(folder), OPENPOSE18).points[:, 0, 4].any()  # nor is it seen
    clip = make_clip(read_pose_file(str(folder), OPENPOSE18), OPENPOSE18, PoseSettings(2, SIZE), "a")
    expected = np.stack([person[:, 0] / 640 - 0.5, 0.5 - person[:, 1] / 480, person[:, 2]], axis=1)
    expected[4] = 0
    np.testing.assert_allclose(clip[0, 0], expected, atol=1e-6)  # of the best score first
    with pytest.raises(BadClip, match="are pixels: give --image-size"):
        make_clip(read_pose_file(str(folder), OPENPOSE18), OPENPOSE18, PoseSettings(), "a")
    shares = Poses(np.full((1, 2, 18, 3), 0.5, np.float32))
    with pytest.raises(BadClip, match="leave --image-size out"):
        make_clip(shares, OPENPOSE18, PoseSettings(2, SIZE), "a")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", ":1: not JSON"),
        ("[]", "no list of people"),
        ('{"people": [1]}', "no list of people"),
        ('{"people": [{"pose_keypoints_2d": [1, 2]}]}', "not x, y, score"),
        ('{"people": [{"pose_keypoints_2d": ["a", 2, 3]}]}', "no list of numbers"),
        (json.dumps({"people": [{"pose_keypoints_2d": [1.0] * 75}]}), "25 joints.*--layout ntu or openpose25"),
        (json.dumps({"people": [{"pose_keypoints_2d": [1.0] * 51}]}), "17 joints.*--layout coco17"),
        (
            json.dumps({"people": [{"pose_keypoints_2d": [float("nan")] * 54}]}),
            "frame 0 holds what is not a coordinate",
        ),
    ],
)
def test_bad_openpose(tmp_path: Path, content: str, words: str) -> None:
    folder = write_openpose(tmp_path / "a", {0: []})
    (folder / "a_000000000000_keypoints.json").write_text(content)
    with pytest.raises(BadClip, match=words) as error:
        read_pose_file(str(folder), OPENPOSE18)
    assert str(error.value).startswith(str(folder))


@pytest.mark.parametrize("content", ["[]", '{"people": [1]}', '{"people": [{"pose_keypoints_2d": 3}]}'])
def test_bad_openpose_tells_no_layout(tmp_path: Path, content: str) -> None:
    write_openpose(tmp_path / "a", {0: [], 1: [walker(1, 25)[0]]})
    assert default_layout("openpose", tmp_path) == "openpose25"
    file = tmp_path / "a/a_000000000000_keypoints.json"
    file.write_text(content)
    with pytest.raises(BadClip, match=f"{file}: .* list of"):
        default_layout("openpose", tmp_path)


def test_openpose_numbering(tmp_path: Path) -> None:
    folder = write_openpose(tmp_path / "a", {0: [], 400_000: []})
    with pytest.raises(BadClip, match="numbered 0 to 400000"):
        read_pose_file(str(folder), OPENPOSE18)
    (folder / "x_keypoints.json").write_text("{}")
    with pytest.raises(BadClip, match="no number of a frame"):
        read_pose_file(str(folder), OPENPOSE18)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadClip, match="holds no file"):
        read_pose_file(str(tmp_path / "empty"), OPENPOSE18)


# AlphaPose


def test_alphapose(tmp_path: Path) -> None:
    one, two = walker(3, seed=1), walker(3, seed=2, start=400)
    entries = [
        {"image_id": f"{frame}.jpg", "category_id": 1, "keypoints": person[frame].ravel().tolist(), "score": 2.4,
         "idx": idx}
        for frame in (0, 2)
        for person, idx in ((one, [[1.0], [1.0]]), (two, 2))
    ]  # fmt: skip
    path = tmp_path / "clip.json"
    path.write_text(json.dumps(entries))
    poses = read_pose_file(str(path), COCO17)
    np.testing.assert_array_equal(poses.points[:, [0, 2]], np.stack([one, two])[:, [0, 2]])
    assert poses.ids is not None and poses.ids.tolist() == [[1, -1, 1], [2, -1, 2]]
    entries[1]["image_id"] = "x.jpg"
    path.write_text(json.dumps(entries))
    with pytest.raises(BadClip, match=r"entry 1: image_id 'x\.jpg'"):
        read_pose_file(str(path), COCO17)
    path.write_text(json.dumps([entries[0], {"image_id": "0.jpg"}]))
    with pytest.raises(BadClip, match="entry 1 has no image_id and keypoints"):
        read_pose_file(str(path), COCO17)


# MediaPipe


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
        read_pose_file(str(path), MEDIAPIPE33)


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
        (lambda rows: [], "is empty"),
        (lambda rows: [["frame", "landmark", "x", "y"], [0, 33, 1, 1]], ":2: landmark '33'"),
        (lambda rows: [["frame", "landmark", "x"], [0, 3, 1]], ":1: has no column y"),
        (lambda rows: [["frame", "landmark", "x", "y"], [0.5, 3, 1, 1]], ":2: '0.5' is not the number of a frame"),
        (lambda rows: [*rows[:2], ["inf", *rows[2][1:]]], "frame 1 holds what is not a coordinate"),
    ],
)
def test_bad_mediapipe_csv(tmp_path: Path, change, words: str) -> None:
    path = write_csv(tmp_path / "clip.csv", change(wide(mediapipe_frames(), True)))
    with pytest.raises(BadClip, match=words):
        read_pose_file(str(path), MEDIAPIPE33)


# NumPy


def test_npy_clips(tmp_path: Path) -> None:
    people = np.stack([walker(5), walker(5, seed=1)])
    for name, array in (("one", people[0]), ("two", people), ("flat", people[..., :2]), ("whole", people.astype(int))):
        np.save(tmp_path / f"{name}.npy", array)
    np.testing.assert_array_equal(read_pose_file(str(tmp_path / "one.npy"), COCO17).points, people[:1])
    np.testing.assert_array_equal(read_pose_file(str(tmp_path / "two.npy"), COCO17).points, people)
    assert (read_pose_file(str(tmp_path / "flat.npy"), COCO17).points[..., 2] == 1).all()
    with pytest.raises(BadClip, match=r"has two numbers a joint, layout .* x y z"):
        np.save(tmp_path / "flat25.npy", np.ones((3, 25, 2)))
        read_pose_file(str(tmp_path / "flat25.npy"), NTU)
    with pytest.raises(BadClip, match="17 joints, layout ntu has 25: use --layout coco17"):
        read_pose_file(str(tmp_path / "one.npy"), NTU)
    np.save(tmp_path / "four.npy", np.ones((2, 5, 17, 4)))
    with pytest.raises(BadClip, match=r"float64 \(2, 5, 17, 4\)"):
        read_pose_file(str(tmp_path / "four.npy"), COCO17)
    for shape in ((3, 5, 17, 2), (3, 5, 17, 3)):
        np.save(tmp_path / "either.npy", np.ones(shape))
        with pytest.raises(BadClip, match=r"may be \(M, T, V, C\) of three people or \(C, T, V, M\)"):
            read_pose_file(str(tmp_path / "either.npy"), COCO17)
    (tmp_path / "cut.npy").write_bytes((tmp_path / "one.npy").read_bytes()[:200])
    with pytest.raises(BadClip, match=r"not an \.npy array"):
        read_pose_file(str(tmp_path / "cut.npy"), COCO17)
    np.save(tmp_path / "objects.npy", np.array([{}, 1], dtype=object))
    with pytest.raises(BadClip, match=r"not an \.npy array"):
        read_pose_file(str(tmp_path / "objects.npy"), COCO17)


def test_three_numbers_are_scores_or_depths_as_the_layout_says() -> None:
    """World poses stay as they are, or are centred on body 0 and turned."""
    rng = np.random.default_rng(0)
    points = rng.normal(0, 1, (2, 6, 25, 3)).astype(np.float32) + 3
    points[0, 2] = points[1, 4:] = 0
    none, centre, turn = (
        make_clip(Poses(points), NTU, PoseSettings(align=align), "x") for align in ("none", "centre", "turn")
    )
    np.testing.assert_array_equal(none, points)
    np.testing.assert_allclose(centre[0][[0, 1, 3]], (points[0] - points[0, :, 1:2])[[0, 1, 3]], atol=1e-6)
    np.testing.assert_allclose(centre[1, 2], points[1, 2] - points[0, 1, 1], atol=1e-6)  # where body 0 was last
    assert not centre[0, 2].any() and not centre[1, 4:].any()
    distances = [np.linalg.norm(clip[0, 1, 3] - clip[0, 5, 9]) for clip in (centre, turn)]
    assert distances[0] == pytest.approx(distances[1], rel=1e-5)


def test_more_people_than_bodies() -> None:
    loud, quiet = walker(5, seed=1), walker(5, seed=2)
    quiet[..., 2] /= 10
    kept = make_clip(Poses(np.stack([quiet, loud, loud]), None, SIZE), COCO17, PoseSettings(2), "x")
    assert kept[:, 0, 0, 2].tolist() == [loud[0, 0, 2]] * 2
    assert make_clip(Poses(quiet[None], None, SIZE), COCO17, PoseSettings(3), "x").shape == (3, 5, 17, 3)


@pytest.mark.parametrize(
    ("settings", "layout", "words"),
    [
        ({"align": "centre"}, COCO17, "--align centre is for x y z"),
        ({"align": "turn"}, WORLD33, "has no spine and shoulders"),
    ],
)
def test_settings_that_do_not_fit(settings: dict, layout, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PoseSettings(**settings).check(layout)


# PYSKL


def test_pyskl_splits(tmp_path: Path) -> None:
    clips = [annotation(name, place, walker(4 + place)[None]) for place, name in enumerate("abc")]
    split = {"xsub_train": ["a", "b"], "xsub_val": ["c"], "xview_train": ["c"], "xview_val": ["a", "lost"]}
    file = PysklFile(write_pyskl(tmp_path / "x.pkl", clips, split))
    assert list(file.clips("xsub")) == [(0, "a", 0, "train"), (1, "b", 1, "train"), (2, "c", 2, "val")]
    assert file.lost == []
    assert list(file.clips("xview")) == [(0, "a", 0, "val"), (2, "c", 2, "train")] and file.lost == ["lost"]
    for asked, words in ((None, "several splits.*xsub, xview"), ("xset", "no split 'xset'.*xsub, xview")):
        with pytest.raises(ValueError, match=words):
            list(file.clips(asked))
    poses = file.read(1, COCO17)
    assert poses.size == SIZE and poses.points.shape == (1, 5, 17, 3) and poses.ids is None
    np.testing.assert_allclose(poses.points[0], walker(5), atol=0.2)  # of float16
    numbered = PysklFile(write_pyskl(tmp_path / "y.pkl", clips, {"train1": ["a"], "test1": ["b"], "train2": []}))
    assert list(numbered.clips("1")) == [(0, "a", 0, "train"), (1, "b", 1, "val")]
    alone = PysklFile(write_pyskl(tmp_path / "z.pkl", clips, {"train": ["a"], "val": ["b"]}))
    assert [clip[1:] for clip in alone.clips(None)] == [("a", 0, "train"), ("b", 1, "val")]


def test_pyskl_list_and_world(tmp_path: Path) -> None:
    world = np.random.default_rng(0).normal(0, 1, (2, 5, 25, 3)).astype(np.float32)
    file = PysklFile(write_pyskl(tmp_path / "x.pkl", [annotation("a", 3, world, scores=False)]))
    assert list(file.clips("val")) == [(0, "a", 3, "val")]
    with pytest.raises(ValueError, match="--split train or val"):
        list(file.clips(None))
    np.testing.assert_array_equal(file.read(0, NTU).points, world)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"keypoint": np.zeros((1, 4, 18, 2))}, "clip a: has 18 joints, layout coco17 has 17: use --layout kinetics"),
        ({"keypoint": np.zeros((1, 5, 17, 2))}, "clip a: scores are"),
        ({"keypoint": [["x"]]}, "clip a: holds"),
        ({"total_frames": 9}, "clip a: has 4 frames, total_frames says 9"),
        ({"keypoint": np.full((1, 4, 17, 2), np.nan)}, "clip a: frame 0 holds what is not a coordinate"),
        ({"keypoint": [[[1, 2]], [[1, 2], [3, 4]]]}, "clip a: its points are lists of different lengths"),
        ({"keypoint_score": [[1], [1, 2]]}, "clip a: its scores are lists of different lengths"),
        ({"total_frames": np.array([4, 5])}, r"clip a: has 4 frames, total_frames says array\(\[4, 5\]\)"),
        ({"total_frames": None}, "clip a: has 4 frames, total_frames says None"),
        ({"img_shape": ("a", "b")}, "clip a: img_shape is"),
        ({"img_shape": (np.zeros(2), 3)}, "clip a: img_shape is"),
        ({"img_shape": (-1, 3)}, "clip a: img_shape is"),
    ],
)
def test_bad_pyskl(tmp_path: Path, change: dict, words: str) -> None:
    path = write_pyskl(tmp_path / "x.pkl", [annotation("a", 0, walker(4)[None]) | change])
    with pytest.raises(BadClip, match=words):
        PysklFile(path).read(0, COCO17)


@pytest.mark.parametrize("split", [["a"], {"train": 3}, {"train": "a"}, 3])
def test_odd_splits(tmp_path: Path, split) -> None:
    with pytest.raises(ValueError, match=r"x\.pkl: its split is not a dictionary of lists of names"):
        PysklFile(write_pyskl(tmp_path / "x.pkl", [annotation("a", 0, walker(4)[None])], split))


@pytest.mark.parametrize("label", [-1, 2**32 - 1, 1_000_000, np.array([1, 2]), "1", None, 1.5, float("inf")])
def test_odd_labels_leave_their_clip_out(tmp_path: Path, label) -> None:
    """One string is kept for every class, so a label must not be just any number."""
    clips = [annotation("a", label, walker(4)[None]), annotation("b", 2, walker(4)[None])]
    found = open_source("pyskl", write_pyskl(tmp_path / "x.pkl", clips), COCO17, None, "train", None)
    assert [clip.name for clip in found.clips] == ["b"] and found.classes == ["0", "1", "2"]
    assert [bad.reason for bad in found.bad] == [
        "clip a: its label is not a whole number from 0 to 999999: mend it or --class-list"
    ]


def test_scores_where_the_layout_has_none(tmp_path: Path) -> None:
    path = write_pyskl(tmp_path / "x.pkl", [annotation("a", 0, walker(4, 25)[None])])
    with pytest.raises(BadClip, match="has scores, layout ntu x y z"):
        PysklFile(path).read(0, NTU)


class Unsafe:
    def __reduce__(self):
        return (print, ("ran",))


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps([annotation("a", 0, walker(4)[None]) | {"more": Unsafe()}]))
    with pytest.raises(ValueError, match=r"x.pkl: not a pickle of plain values .*builtins.print"):
        PysklFile(path)
    assert "ran" not in capsys.readouterr().out
    path.write_bytes(pickle.dumps({"annotations": 3}))
    with pytest.raises(ValueError, match="no list of annotations"):
        PysklFile(path)
    path.write_bytes(pickle.dumps([{"frame_dir": "a", "label": 0, "raw_file": "k.pkl"}]))
    with pytest.raises(BadClip, match="raw_file"):
        PysklFile(path).read(0, COCO17)


# Labels


@pytest.mark.parametrize("slip", ["-1", "", "1.5", "1e3"])
def test_one_slip_does_not_make_names_of_numbers(tmp_path: Path, slip: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(f"name,label\na,0\nb,{slip}\nc,1\n")
    with pytest.raises(ValueError, match=rf"labels\.csv:3: label '{slip}' is not a class"):
        read_label_file(path)


def test_labels_as_numbers_and_names(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("Name,Label,Split\na,2,train\n\nb,0,TEST\n")
    labels = read_label_file(path)
    assert {name: (one.label, one.side, one.line) for name, one in labels.clips.items()} == {
        "a": (2, "train", 2), "b": (0, "val", 4),
    }  # fmt: skip
    assert labels.classes == ["0", "1", "2"]
    path.write_text("name,label\na,wave\nb,fall\n")
    labels = read_label_file(path)
    assert labels.classes == ["fall", "wave"] and labels.clips["a"].label == 1 and labels.clips["a"].side == ""
    assert read_label_file(path, ["wave", "fall"]).clips["a"].label == 0
    (tmp_path / "l.pkl").write_bytes(pickle.dumps((["a", "b"], [1, 0])))
    assert read_label_file(tmp_path / "l.pkl").clips["a"].label == 1


@pytest.mark.parametrize("content", [(1, 2), (["a"], 2), (["a"], np.array(1)), (["a"], "b"), (["a"], [1, 2]), 3])
def test_odd_label_pickles(tmp_path: Path, content) -> None:
    path = tmp_path / "l.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(ValueError, match=r"l\.pkl: holds no \(names, labels\)"):
        read_label_file(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ":1: its columns"),
        ("a,1\n", ":1: its columns"),
        ("name,label\n", "names no clip"),
        ("name,label\na,1\na,2\n", ":3: clip 'a' is there twice"),
        ("name,label,split\na,1,left\n", ":2: split 'left'"),
        ("name,label\na\n", ":2: has 1 columns instead of 2"),
        ("name,label\na,7\n", ":2: label 7 is not one of 0 to 1"),
        ("name,label\na," + 5000 * "9" + "\n", ":2: label 99999999999999999999 is not one of 0 to 1"),
        ("name,label\na,jump\n", ":2: label 'jump' is not a class"),
    ],
)
def test_bad_labels(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=words) as error:
        read_label_file(path, ["wave", "fall"])
    assert str(error.value).startswith(str(path))
