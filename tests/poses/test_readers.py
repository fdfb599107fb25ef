"""Files of every program: each is told by what it holds, read to the same numbers, and by no other program's reader."""

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mutations import mutated
from pose_files import write_labels
from pose_forms import FORMS, as_points, some_people
from pose_forms import alphapose as alphapose_file

from native_prep.poses.custom import prepare_custom
from native_prep.poses.files import Kind, default_layout, kind_of_clip, read_as, read_pose_file
from native_prep.poses.readers import alphapose, azure_kinect, mediapipe, mmpose, ultralytics
from native_prep.poses.sources import clips_below, detect_kind
from native_prep.skeletons.layouts import LAYOUTS, NTU, layout_from_edges


def write_form(folder: Path, form: str, layout: str = "") -> Path:
    """One clip of a form, in a layout that it may have."""
    _, write, layouts = FORMS[form]
    found = LAYOUTS[layout or layouts[0]]
    folder.mkdir(parents=True, exist_ok=True)
    return write(folder, some_people(found.num_joints, found.coordinates == "world"))


@pytest.mark.parametrize(("form", "layout"), [(form, name) for form, (*_, names) in FORMS.items() for name in names])
def test_every_form_is_told_and_read(tmp_path: Path, form: str, layout: str) -> None:
    clip = write_form(tmp_path, form, layout)
    kind = detect_kind(tmp_path)
    assert kind.source == FORMS[form][0] and kind == kind_of_clip(clip)
    assert list(clips_below(kind, tmp_path)) == [clip]
    assert default_layout(kind, clips_below(kind, tmp_path), tmp_path) == layout
    poses = read_pose_file(str(clip), LAYOUTS[layout])
    points, ids = as_points(some_people(LAYOUTS[layout].num_joints, LAYOUTS[layout].coordinates == "world"))
    np.testing.assert_allclose(poses.points, points, rtol=1e-6)
    assert poses.ids is not None and poses.ids.tolist() == ids.tolist()
    assert (poses.size == (1, 1)) is (form == "ultralytics_txt")


@pytest.mark.parametrize("form", FORMS)
def test_no_form_is_taken_for_another(tmp_path: Path, form: str) -> None:
    clip = write_form(tmp_path / "ours", form)
    source, _, layouts = FORMS[form]
    kind = kind_of_clip(clip)
    assert kind is not None
    for other, (wanted, *_) in FORMS.items():
        if wanted == source:
            continue
        with pytest.raises(ValueError, match=f"looks like {source}, --source says {wanted}"):
            detect_kind(tmp_path / "ours", wanted)
        theirs = kind_of_clip(write_form(tmp_path / "theirs" / other, other))
        assert theirs is not None
        with pytest.raises(ValueError, match=str(tmp_path)):
            read_pose_file(str(clip), LAYOUTS[layouts[0]], theirs)


def test_exactly_one_reader_fits_each_document(tmp_path: Path) -> None:
    readers = {"alphapose": alphapose, "mediapipe": mediapipe, "mmpose": mmpose, "ultralytics": ultralytics,
               "azure-kinect": azure_kinect}  # fmt: skip
    documents = {form: write_form(tmp_path / form, form) for form in FORMS}
    contents = [(FORMS[form][0], json.loads(path.read_text())) for form, path in documents.items() if path.is_file()]
    contents.append(("mediapipe", [[{"x": 0.5, "y": 0.5}] * 33]))
    for source, content in contents:
        assert [name for name, reader in readers.items() if reader.fits(content)] == [source]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"a": 1}, 'an object with "a": fits nothing that is known: give poses of pyskl'),
        ([[{"b": [1]}]] * 3, 'a list of 3: a list of 1: an object with "b": fits nothing'),
        ([None, {"world": []}], 'a list of 2: an object with "world": fits nothing'),
        ([{"image_id": "1.jpg", "keypoints": [], "instances": []}], "fits alphapose and mmpose: give --source"),
        ([{"keypoints": {"x": [1], "y": [1]}}], "is one frame of ultralytics: give the folder"),
        ([[], []], "nobody is in it"),
        ("text", "a text: fits nothing"),
        (3, "a number: fits nothing"),
        (None, "null: fits nothing"),
        ({}, "an empty object: fits nothing"),
    ],
)
def test_what_fits_nothing_is_said_as_what_was_seen(tmp_path: Path, content: object, words: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=words) as error:
        read_pose_file(str(path), LAYOUTS["coco17"])
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)


def test_a_file_of_another_program_among_clips(tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    write_form(folder, "mmpose_inferencer").rename(folder / "a.json")
    write_form(folder, "alphapose").rename(folder / "b.json")
    write_labels(folder / "labels.csv", [("a", "wave", "train"), ("b", "clap", "val")])
    with pytest.raises(
        ValueError, match=r"b\.json: a list of .* looks like alphapose, expected mmpose: keep them apart"
    ):
        prepare_custom(folder, tmp_path / "out")


def test_layouts_that_no_program_has(tmp_path: Path) -> None:
    kind = Kind("alphapose", (".json",))
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"image_id": 0, "keypoints": [1.0] * 15}]))
    with pytest.raises(ValueError, match=r"has 5 joints, no layout of alphapose's: give --layout"):
        default_layout(kind, [path], tmp_path)
    path.write_text("[]")
    with pytest.raises(ValueError, match="does not say which joints it has: give --layout"):
        default_layout(kind, [path], tmp_path)
    path.write_text(json.dumps([{"frame_id": 0, "instances": [{"keypoints": [[1.0, 2.0, 3.0]] * 17}]}]))
    assert default_layout(Kind("mmpose", (".json",)), [path], tmp_path) == "h36m17"
    with pytest.raises(ValueError, match="frame 0 holds x y z, layout coco17 is of x y score: give another --layout"):
        read_pose_file(str(path), LAYOUTS["coco17"])


@pytest.mark.parametrize(
    ("form", "change", "words"),
    [
        ("ultralytics_json", lambda frames: frames[1][0].pop("keypoints"), "frame 1: person 0: has no keypoints"),
        ("ultralytics_json", lambda frames: frames[1][0]["keypoints"]["x"].pop(), r"has x \(16,\) and y \(17,\)"),
        ("ultralytics_json", lambda frames: frames[1][0]["keypoints"]["visible"].pop(), r"17 keypoints and scores"),
        ("ultralytics_json", lambda frames: frames[1][0]["keypoints"].update(x=["a"] * 17), "x are no list of numbers"),
        ("mmpose_inferencer", lambda entries: entries[1].pop("instances"), "entry 1 has no list of instances"),
        ("mmpose_inferencer", lambda entries: entries[1].pop("frame_id"), "entry 1 and the first differ in having"),
        ("mmpose_inferencer", lambda entries: entries[1].update(frame_id=0), "frame 0 appears twice"),
        ("mmpose_inferencer", lambda entries: entries[1].update(frame_id=-3), "frame_id is -3, expected a whole"),
        ("mmpose_demo", lambda it: it["instance_info"][1]["instances"][0].pop("keypoints"), "0: has no keypoints"),
        ("mmpose_demo", lambda content: content.update(instance_info=3), "instance_info is no list of frames"),
        ("azure_kinect", lambda content: content["frames"][1].pop("bodies"), "frame 1 has no list of bodies"),
        ("azure_kinect", lambda content: content["frames"][1].update(frame_id=0), "frame 0 appears twice"),
        ("azure_kinect", lambda content: content["frames"][0]["bodies"].append({}), "body 1: has no joint_positions"),
        ("azure_kinect", lambda content: content["frames"][0]["bodies"][0].update(joint_positions=[[1, 2]] * 32),
         r"joint_positions are \(32, 2\), expected"),
    ],
)  # fmt: skip
def test_damaged_clips(tmp_path: Path, form: str, change, words: str) -> None:
    path = write_form(tmp_path, form)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=words) as error:
        read_pose_file(str(path), LAYOUTS[FORMS[form][2][0]])
    assert str(error.value).startswith(str(path))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0 0.5 0.5 0.1 0.1 0.3\n", r"clip_2\.txt:1: has 6 numbers: expected class, box"),
        ("0 0.5 0.5 0.1 0.1 x y z\n", r"clip_2\.txt:1: holds what is no number"),
        ("0 0.5 0.5 0.1 0.1" + " 0.5" * 15, "frame 2 has 5 joints, layout coco17 has 17"),
    ],
)
def test_damaged_label_files(tmp_path: Path, text: str, words: str) -> None:
    clip = write_form(tmp_path, "ultralytics_txt")
    (clip / "clip_2.txt").write_text(text)
    with pytest.raises(ValueError, match=words):
        read_pose_file(str(clip), LAYOUTS["coco17"])


def test_label_files_of_fewer_columns(tmp_path: Path) -> None:
    """Without visibility, without tracking; frames without anybody have no file."""
    clip = tmp_path / "a"
    clip.mkdir()
    for number, width in ((3, 2), (5, 3)):
        (clip / f"a_{number}.txt").write_text(" ".join(["0", "0.5", "0.5", "0.1", "0.1", *["0.25"] * 17 * width]))
    poses = read_pose_file(str(clip), LAYOUTS["coco17"])
    assert poses.points.shape == (1, 3, 17, 3) and not poses.points[0, 1].any()
    assert (poses.points[0, 0] == (0.25, 0.25, 1)).all() and (poses.points[0, 2] == 0.25).all()
    assert poses.ids is not None and poses.ids.tolist() == [[-1, -1, -1]]


@pytest.mark.parametrize("extra", [[], [0.87], [3], [0.87, 3]])
def test_confidence_and_number_behind_a_label(tmp_path: Path, extra: list[float]) -> None:
    clip = tmp_path / "a"
    clip.mkdir()
    (clip / "a_1.txt").write_text(" ".join(map(str, [0, 0.5, 0.5, 0.1, 0.1, *[0.25] * 51, *extra])))
    poses = read_pose_file(str(clip), LAYOUTS["coco17"])
    assert (poses.points == 0.25).all()
    assert poses.ids is not None and poses.ids.tolist() == [[3 if 3 in extra else -1]]


def test_what_files_say_of_their_joints(tmp_path: Path) -> None:
    path = write_form(tmp_path, "mmpose_demo")
    content = json.loads(path.read_text())
    content["meta_info"]["dataset_name"] = "ap10k"
    path.write_text(json.dumps(content))
    kind = kind_of_clip(path)
    assert kind is not None
    with pytest.raises(ValueError, match=r"clip\.json: its joints are those of 'ap10k', unknown here: give --layout"):
        default_layout(kind, [path], tmp_path)
    path = write_form(tmp_path, "azure_kinect")
    content = json.loads(path.read_text())
    content["joint_names"] = [name.replace("NAVEL", "NAVAL") for name in azure_kinect.JOINTS]
    path.write_text(json.dumps(content))
    assert read_pose_file(str(path), LAYOUTS["azure32"]).points.any()
    content["joint_names"].reverse()
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="its joint_names are not those of body tracking in their order"):
        read_pose_file(str(path), LAYOUTS["azure32"])


def test_a_label_file_chooses_among_clips_in_the_folder(tmp_path: Path) -> None:
    """Clips that lie in folders beside them are nobody's: the label file says where clips are."""
    folder = tmp_path / "raw"
    write_form(folder, "alphapose").rename(folder / "a.json")
    write_form(folder / "old", "alphapose")
    write_labels(folder / "labels.csv", [("a", "wave", "train")])
    assert prepare_custom(folder, tmp_path / "out")["clips"] == 1


def test_a_first_file_that_is_damaged(tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    write_form(folder, "alphapose").rename(folder / "b.json")
    (folder / "a.json").write_text("[")
    write_labels(folder / "labels.csv", [("a", "wave", "train"), ("b", "clap", "val")])
    assert prepare_custom(folder, tmp_path / "out", on_bad_file="skip")["bad_files"] == 1
    with pytest.raises(ValueError, match=r"a\.json:1: not JSON"):
        prepare_custom(folder, tmp_path / "other")


def test_azure_kinect_is_in_metres(tmp_path: Path) -> None:
    write_form(tmp_path / "raw", "azure_kinect")
    write_labels(tmp_path / "raw/labels.csv", [("clip", "wave", "train")])
    prepare_custom(tmp_path / "raw", tmp_path / "out", track=True)
    joints = np.load(tmp_path / "out/train_data_joint.npy")
    assert joints.shape == (1, 3, 6, 32, 2) and 0.1 < np.abs(joints[joints != 0]).max() < 0.9
    prepare_custom(tmp_path / "raw", tmp_path / "ntu", convert="ntu")
    assert np.load(tmp_path / "ntu/train_data_joint.npy").shape == (1, 3, 6, NTU.num_joints, 2)


@pytest.mark.parametrize("form", [form for form in FORMS if "per_frame" not in form])
def test_mutations_end_in_poses_or_one_line(tmp_path: Path, form: str) -> None:
    clip = write_form(tmp_path, form)
    layout = LAYOUTS[FORMS[form][2][0]]
    file = clip if clip.is_file() else sorted(clip.iterdir())[0]
    good = file.read_bytes()
    rng = random.Random(form)
    read = 0
    for _ in range(250):
        file.write_bytes(mutated(good, rng))
        try:
            points = read_pose_file(str(clip), layout).points
        except ValueError as error:
            assert "\n" not in str(error) and str(error).startswith(str(tmp_path))
        else:
            read += 1
            assert np.isfinite(points).all() and points.shape[2:] == (layout.num_joints, 3)
    assert 0 < read < 250


def test_what_lies_beside_clips_and_frames(tmp_path: Path) -> None:
    """Notes of people, and what file managers leave behind."""
    clip = write_form(tmp_path / "raw", "openpose")
    for folder in (clip, tmp_path / "raw"):
        (folder / "README.txt").write_text("taken in the yard\n")
        (folder / "._clip.json").write_bytes(b"\x00\x05\x16")
        (folder / ".DS_Store").write_bytes(b"\x00")
        (folder / "Thumbs.db").write_bytes(b"\x00")
    assert detect_kind(tmp_path / "raw") == kind_of_clip(clip)
    assert read_pose_file(str(clip), LAYOUTS["openpose18"]).points.shape[1] == 6
    write_labels(tmp_path / "raw/labels.csv", [("clip", "wave", "train")])
    assert prepare_custom(tmp_path / "raw", tmp_path / "out")["clips"] == 1
    assert kind_of_clip(write_form(tmp_path / "other", "ultralytics_json")) == detect_kind(tmp_path / "other")


def test_a_skeleton_of_ones_own_in_the_form_of_a_program(tmp_path: Path) -> None:
    """Its number of joints is no program's, so nothing is converted."""
    stick = replace(layout_from_edges([(1, 0), (2, 1), (3, 1), (4, 3)], 5), coordinates="image")
    path = alphapose_file(tmp_path, some_people(5))
    poses, own = read_as(str(path), stick)
    assert own is stick and poses.points.shape == (2, 6, 5, 3)
    with pytest.raises(ValueError, match="frame 0 has 5 joints, layout coco17 has 17"):
        read_as(str(path), LAYOUTS["coco17"])
