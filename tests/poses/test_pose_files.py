"""OpenPose, AlphaPose and NumPy files as their programs write them, and what is wrong told by file and place."""

import json
from pathlib import Path

import numpy as np
import pytest
from pose_files import SIZE, make_clip, walker, write_openpose
from pose_layouts import OPENPOSE18, OPENPOSE25, WORLD33

from native_prep.datasets.recordings import BadClip
from native_prep.poses.files import OPENPOSE, default_layout, read_pose_file
from native_prep.poses.to_clip import Poses, PoseSettings
from native_prep.skeletons.layouts import COCO17, NTU

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
    assert default_layout(OPENPOSE, [tmp_path / "a"], tmp_path) == "openpose25"
    file = tmp_path / "a/a_000000000000_keypoints.json"
    file.write_text(content)
    with pytest.raises(BadClip, match=f"{file}: .* list of"):
        default_layout(OPENPOSE, [tmp_path / "a"], tmp_path)


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
        with pytest.raises(BadClip, match=r"may be \(M, T, V, C\) of 3 people or \(C, T, V, M\)"):
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
