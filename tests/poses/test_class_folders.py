"""Clips in folders of their classes, `[train|val/]CLASS/CLIP`, and the shapes that `.npy` clips come in."""

import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from pose_files import walker, write_labels, write_openpose

from native_prep.datasets.recordings import BadClip
from native_prep.poses.custom import custom_metadata, prepare_custom
from native_prep.poses.files import read_pose_file
from native_prep.skeletons.layouts import COCO17, NTU


def write_classes(root: Path, counts: dict[str, int], frames: int = 9) -> Path:
    """Arrays (C, T, V, M) in folders; a folder's name may have a split before it."""
    for place, (name, count) in enumerate(counts.items()):
        folder = root / name
        folder.mkdir(parents=True)
        for clip in range(count):
            person = walker(frames + clip, seed=10 * place + clip)
            people = np.stack([person, np.zeros_like(person)]).transpose(3, 1, 2, 0)
            np.save(folder / f"{clip}.npy", people[None] if clip % 2 else people)
    return root


def labels_of(path: Path) -> dict[str, int]:
    return dict(zip(*pickle.loads(path.read_bytes()), strict=True))


GIVEN: dict = {"layout": "coco17", "image_size": "640x480", "streams": ("joint",)}


@pytest.mark.parametrize("val", ["val", "Test"])
def test_folders_of_splits(tmp_path: Path, val: str, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_classes(tmp_path / "raw", {"train/walk": 3, "train/fall": 2, f"{val}/walk": 1, f"{val}/fall": 1})
    result = prepare_custom(root, tmp_path / "out", **GIVEN)
    assert result["clips"] == 7 and result["warnings"] == [] and capsys.readouterr().err.count("validation") == 0
    assert custom_metadata(tmp_path / "out/train_data_joint.npy")["classes"] == ["fall", "walk"]
    assert labels_of(tmp_path / "out/train_label.pkl") == {
        "train/fall/0": 0, "train/fall/1": 0, "train/walk/0": 1, "train/walk/1": 1, "train/walk/2": 1,
    }  # fmt: skip
    assert labels_of(tmp_path / "out/val_label.pkl") == {f"{val}/fall/0": 0, f"{val}/walk/0": 1}
    joint = np.load(tmp_path / "out/train_data_joint.npy")
    np.testing.assert_allclose(joint[2, 0, :9, :, 0], walker(9)[..., 0] / 640 - 0.5, atol=1e-6)


def test_folders_of_classes_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One clip in five of each class is for validation, the same ones every time."""
    root = write_classes(tmp_path / "raw", {"walk": 11, "fall": 4, "once": 1})
    result = prepare_custom(root, tmp_path / "out", **GIVEN)
    train, val = (labels_of(tmp_path / f"out/{split}_label.pkl") for split in ("train", "val"))
    assert sorted(val.values()) == [0, 2, 2] and sorted(train.values()) == [0] * 3 + [1] + [2] * 9
    assert "3 of 16 clips are for validation, chosen by their names: to choose them" in result["warnings"][-1]
    assert "3 of 16 clips are for validation" in capsys.readouterr().err
    prepare_custom(root, tmp_path / "again", **GIVEN)
    assert labels_of(tmp_path / "again/val_label.pkl") == val
    prepare_custom(root, tmp_path / "all", split="train", **GIVEN)
    assert len(labels_of(tmp_path / "all/train_label.pkl")) == 16


def test_a_list_of_classes(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "raw", {"train/walk": 1, "val/fall": 1})
    names = tmp_path / "classes.txt"
    names.write_text("walk\nsit\nfall\n")
    prepare_custom(root, tmp_path / "out", class_list=str(names), **GIVEN)
    assert labels_of(tmp_path / "out/val_label.pkl") == {"val/fall/0": 2}
    names.write_text("walk\nsit\n")
    with pytest.raises(ValueError, match="raw: has a folder 'fall', which the list of classes has not: add it there"):
        prepare_custom(root, tmp_path / "again", class_list=str(names), **GIVEN)


def test_clips_that_are_folders(tmp_path: Path) -> None:
    person = walker(3, 25)
    for split, label in (("train", "walk"), ("train", "fall"), ("val", "walk")):
        (tmp_path / "raw" / split / label).mkdir(parents=True)
        write_openpose(tmp_path / "raw" / split / label / "a.b", {frame: [person[frame]] for frame in range(3)})
    result = prepare_custom(tmp_path / "raw", tmp_path / "out", image_size="640x480")
    assert result["clips"] == 3
    assert labels_of(tmp_path / "out/train_label.pkl") == {"train/fall/a.b": 0, "train/walk/a.b": 1}


def test_a_label_file_goes_before_folders(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "raw", {"walk": 2})
    (root / "labels.csv").write_text("name,label,split\n")
    with pytest.raises(ValueError, match=r"labels\.csv: names no clip"):
        prepare_custom(root, tmp_path / "out", **GIVEN)
    (root / "labels.csv").unlink()
    np.save(root / "x.npy", walker(3))
    with pytest.raises(ValueError, match=r"x\.npy: lies beside folders of classes: move it into one, or give --label"):
        prepare_custom(root, tmp_path / "out", **GIVEN)
    shutil.rmtree(root / "walk")
    with pytest.raises(ValueError, match=r"labels\.csv: no such file: give --label .*, or put the clips into folders"):
        prepare_custom(root, tmp_path / "out", **GIVEN)


def test_nothing_is_left_behind_in_silence(tmp_path: Path) -> None:
    """Folders beside those of splits, poses of another form, or in the wrong place; a suffix in capitals is one."""
    root = write_classes(tmp_path / "raw", {"train/walk": 2, "val/walk": 1})
    (root / "notes.json").write_text("{}")  # beside the splits: nobody's clip
    (root / "train/walk/README.txt").write_text("")
    prepare_custom(root, tmp_path / "out", **GIVEN)
    for name in ("train/walk/a.json", "train/a.npy", "train/walk/deep/a.npy"):
        (root / name).parent.mkdir(exist_ok=True)
        np.save(root / "x", walker(3))
        (root / "x.npy").rename(root / name)
        with pytest.raises(ValueError, match=f"{name}: is no clip of numpy like the others"):
            prepare_custom(root, tmp_path / "out", **GIVEN)
        result = prepare_custom(root, tmp_path / "skipped", on_bad_file="skip", **GIVEN)
        assert result["clips"] == 3 and result["bad_files"] == 1
        (root / name).unlink()
    np.save(root / "x", walker(3))
    (root / "x.npy").rename(root / "val/walk/A.NPY")
    assert prepare_custom(root, tmp_path / "out", **GIVEN)["clips"] == 4
    write_classes(root, {"other": 1})
    with pytest.raises(ValueError, match="other: lies beside train: move it into a folder of a split, or away"):
        prepare_custom(root, tmp_path / "out", **GIVEN)


def test_names_that_are_no_text(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "raw", {"walk": 2})
    for odd in (b"\xff", b"a\nb"):
        file = Path(os.fsdecode(os.fsencode(root) + b"/walk/" + odd + b".npy"))
        np.save(root / "x", walker(3))
        (root / "x.npy").rename(file)
        with pytest.raises(ValueError, match="has a name that is no text: rename it"):
            prepare_custom(root, tmp_path / "out", **GIVEN)
        file.unlink()


# Shapes


def test_channels_first(tmp_path: Path) -> None:
    people = np.stack([walker(5), walker(5, seed=1)])  # (M, T, V, C)
    first = people.transpose(3, 1, 2, 0)
    for name, array in (("four", first), ("five", first[None]), ("xy", first[None, :2])):
        np.save(tmp_path / f"{name}.npy", array)
        found = read_pose_file(str(tmp_path / f"{name}.npy"), COCO17).points
        np.testing.assert_array_equal(found[..., :2], people[..., :2])
    first[..., 1] = 0  # the place of a second person, empty
    np.save(tmp_path / "one.npy", first)
    np.testing.assert_array_equal(read_pose_file(str(tmp_path / "one.npy"), COCO17).points[0], people[0])
    ntu = np.random.default_rng(0).normal(0, 1, (3, 5, 25, 2)).astype(np.float32)
    np.save(tmp_path / "ntu.npy", ntu)
    np.testing.assert_array_equal(read_pose_file(str(tmp_path / "ntu.npy"), NTU).points, ntu.transpose(3, 1, 2, 0))


@pytest.mark.parametrize("scores", [True, False])
def test_three_people_in_pixels_are_three_people(tmp_path: Path, scores: bool) -> None:
    people = np.stack([walker(5, seed=seed, start=100 + 150 * seed) for seed in range(3)])
    np.save(tmp_path / "a.npy", people if scores else people[..., :2])
    found = read_pose_file(str(tmp_path / "a.npy"), COCO17).points
    np.testing.assert_array_equal(found[..., :2], people[..., :2])


@pytest.mark.parametrize(
    ("array", "layout", "words"),
    [
        (np.full((3, 5, 17, 3), 0.5), COCO17, r"may be \(M, T, V, C\) of 3 people or \(C, T, V, M\) of 3"),
        (np.full((3, 5, 17, 2), 0.5), COCO17, r"may be \(M, T, V, C\) of 3 people or \(C, T, V, M\) of 2"),
        (np.zeros((3, 5, 25, 3)), NTU, r"may be \(M, T, V, C\) of 3 people or"),
        (np.ones((2, 3, 5, 17, 2)), COCO17, r"is \(2, 3, 5, 17, 2\), expected \(T, V, C\)"),
        (np.ones((1, 2, 5, 17, 3)), COCO17, r"is \(1, 2, 5, 17, 3\), expected \(T, V, C\)"),
        (np.ones((1, 4, 5, 17, 2)), COCO17, r"is \(1, 4, 5, 17, 2\), expected \(T, V, C\)"),
        (np.ones((1, 3, 5, 18, 2)), COCO17, "18 joints, layout coco17 has 17"),
    ],
)
def test_shapes_that_are_refused(tmp_path: Path, array: np.ndarray, layout, words: str) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(BadClip, match=words):
        read_pose_file(str(tmp_path / "a.npy"), layout)


@pytest.mark.parametrize("last", [True, False])
def test_one_array(tmp_path: Path, last: bool) -> None:
    people = np.zeros((3, 2, 9, 17, 3), np.float32)  # (N, M, T, V, C)
    for clip in range(3):
        people[clip, :, : 5 + clip] = np.stack([walker(5 + clip, seed=clip), walker(5 + clip, seed=9)])
    array = people if last else people.transpose(0, 4, 2, 3, 1)
    np.save(tmp_path / "data.npy", array)
    names = [("z", 0, "train"), ("y", 1, "train"), ("x", 1, "val")]
    write_labels(tmp_path / "l.csv", names)
    prepare_custom(
        tmp_path / "data.npy", tmp_path / "out", layout="coco17", label=str(tmp_path / "l.csv"), image_size="640x480"
    )
    joint = np.load(tmp_path / "out/train_data_joint.npy")
    assert labels_of(tmp_path / "out/train_label.pkl") == {"y": 1, "z": 0}
    assert joint.shape == (2, 3, 7, 17, 2)  # what is behind the longest clip is gone
    np.testing.assert_allclose(joint[0, 2].transpose(2, 0, 1), people[1, :, :7, :, 2])
    np.savez(tmp_path / "data.npz", data=array)
    again = prepare_custom(
        tmp_path / "data.npz", tmp_path / "again", layout="coco17", label=str(tmp_path / "l.csv"), image_size="640x480"
    )
    assert again["clips"] == 3
    np.testing.assert_array_equal(np.load(tmp_path / "again/train_data_joint.npy"), joint)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((3, 3, 9, 17, 3), "may be .N, C, T, V, M. or .N, M, T, V, C."),
        ((3, 2, 9, 18, 3), "neither .*17 joints"),
        ((3, 1, 9, 17, 4), "no axis of 2 or 3 channels"),
        ((3, 9, 17, 3), "neither"),
    ],
)
def test_arrays_of_other_shapes(tmp_path: Path, shape: tuple, words: str) -> None:
    np.save(tmp_path / "data.npy", np.zeros(shape, np.float32))
    write_labels(tmp_path / "labels.csv", [(name, 0, "train") for name in "abc"])
    with pytest.raises(ValueError, match=words):
        prepare_custom(tmp_path / "data.npy", tmp_path / "out", layout="coco17")
