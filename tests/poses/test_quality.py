"""The quality of clips: what is measured, the file that says it, and clips that are left out for it."""

import csv
from pathlib import Path

import numpy as np
import pytest
from pose_files import walker, write_array_folder

from native_prep.command import prep
from native_prep.poses.custom import prepare_custom
from native_prep.poses.quality import quality_of
from native_prep.poses.to_clip import PoseSettings

GIVEN: dict = {"layout": "coco17", "image_size": "640x480", "streams": ("joint",)}


def test_what_is_measured() -> None:
    person = walker(10)
    person[..., 2] = 0.8
    clean = quality_of(person[None], image=True)
    assert clean == (0, 0, 0) and clean.quality == 1
    bad = person.copy()
    bad[4:6] = 0  # nobody: 2 of 10 frames
    bad[0, :, 2] = 0.29  # guesses: 17 of 8 * 17 joints
    bad[8:, :, 0] += 500  # one jump, of 6 steps between frames that both show the person
    found = quality_of(np.stack([bad, np.zeros_like(bad)]), image=True)
    assert found == pytest.approx((0.2, 1 / 8, 1 / 6)) and found.quality == pytest.approx(0.8 * 7 / 8 * 5 / 6)
    assert quality_of(np.zeros((2, 5, 17, 3), np.float32), image=True).quality == 0
    assert quality_of(person[None, :1], image=True).quality == 1


def test_a_second_person_counts() -> None:
    people = np.stack([walker(10), walker(10, seed=1)])
    people[0, :5], people[1, 5:] = 0, 0  # one after the other: somebody is always there
    people[..., 2] = np.where(people[..., 2] > 0, 0.9, 0)
    assert quality_of(people, image=True) == (0, 0, 0)


def test_bodies_in_space() -> None:
    body = np.random.default_rng(0).normal(0, 0.5, (1, 1, 25, 3)).repeat(5, axis=1).astype(np.float32)
    body[0, 1, :5] = 0  # not seen: 5 of 5 * 25 joints
    assert quality_of(body, image=False) == pytest.approx((0, 5 / 125, 0))
    body[0, 3:] += 9
    assert quality_of(body, image=False).jumps == 1 / 4


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def spoil(folder: Path) -> Path:
    """Eight clips, of which clip0 (train) shows nobody in half of its frames, and clip2 (val) in three quarters."""
    write_array_folder(folder)
    for name, first in (("clip0", 10), ("clip2", 6)):
        clip = np.load(folder / f"{name}.npy")
        clip[first:] = 0
        np.save(folder / f"{name}.npy", clip)
    return folder


def test_the_file_and_the_summary(tmp_path: Path) -> None:
    result = prepare_custom(spoil(tmp_path / "raw"), tmp_path / "out", **GIVEN)
    rows = rows_of(tmp_path / "out/quality.csv")
    assert [row["name"] for row in rows] == [f"clip{number}" for number in range(8)]
    assert rows[0] | {"weak_joints": ""} == {
        "name": "clip0", "split": "train", "quality": "0.5000", "empty_frames": "0.5000", "weak_joints": "",
        "jumps": "0.0000", "kept": "yes",
    }  # fmt: skip
    empty = result["quality"]["empty_frames"]
    assert empty["clip"] == "clip2" and empty["worst"] == pytest.approx(16 / 22)
    assert empty["mean"] == pytest.approx((16 / 22 + 0.5) / 8)
    assert result["quality"]["left_out"] == 0 and result["clips"] == 8


def test_clips_that_are_left_out(tmp_path: Path) -> None:
    folder = spoil(tmp_path / "raw")
    result = prep("custom", data_path=folder, out_folder=tmp_path / "out", min_quality=0.4, **GIVEN)
    assert result["clips"] == 7 and result["bad_files"] == 0 and result["quality"]["left_out"] == 1
    assert "1 of 8 clips are left out, of a quality below 0.4: see quality.csv (clip2)" in result["warnings"]
    assert {row["name"]: row["kept"] for row in rows_of(tmp_path / "out/quality.csv")}["clip2"] == "no"
    assert np.load(tmp_path / "out/val_data_joint.npy").shape[0] == 3
    with pytest.raises(ValueError, match=r"raw: no clip has a quality of 1, the best 0\.\d+: lower --min-quality"):
        for name in ("clip1", "clip3", "clip4", "clip5", "clip6", "clip7"):
            clip = np.load(folder / f"{name}.npy")
            clip[..., 1, :, :] = 0
            np.save(folder / f"{name}.npy", clip)
        prepare_custom(folder, tmp_path / "none", min_quality=1.0, **GIVEN)
    with pytest.raises(ValueError, match="--min-quality is not for prep ntu60: leave it out"):
        prep("ntu60", min_quality=0.4)
    with pytest.raises(ValueError, match="min quality is 2: give a share from 0 to 1"):
        PoseSettings(min_quality=2)


def test_splits_that_are_prepared_one_after_the_other(tmp_path: Path) -> None:
    folder = spoil(tmp_path / "raw")
    names = (folder / "labels.csv").read_text().splitlines()[1:]
    for split in ("train", "val", "train"):
        lines = [line.rsplit(",", 1)[0] for line in names if line.endswith(split)]
        (folder / "labels.csv").write_text("\n".join(["name,label", *lines]) + "\n")
        (tmp_path / "classes.txt").write_text("fall\nwave\n")
        chosen = tmp_path / split
        chosen.mkdir(exist_ok=True)
        for line in lines:
            (chosen / f"{line.split(',')[0]}.npy").write_bytes((folder / f"{line.split(',')[0]}.npy").read_bytes())
        (chosen / "labels.csv").write_bytes((folder / "labels.csv").read_bytes())
        classes = str(tmp_path / "classes.txt")
        prepare_custom(chosen, tmp_path / "out", split=split, class_list=classes, **GIVEN)
    rows = rows_of(tmp_path / "out/quality.csv")
    assert [row["name"] for row in rows] == [f"clip{number}" for number in range(8)]
    (tmp_path / "out/quality.csv").write_text("another,file\n")
    prepare_custom(tmp_path / "val", tmp_path / "out", split="val", class_list=str(tmp_path / "classes.txt"), **GIVEN)
    assert len(rows_of(tmp_path / "out/quality.csv")) == 4
