"""Numbers that no pose has are told in one line, with the range seen and the likely cause, wherever poses come in."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from pose_faults import (
    HAND,
    IN_METRES,
    IN_PICTURES,
    PICTURE,
    SCORE,
    X,
    Y,
    metres,
    pixels,
    with_,
)
from pose_files import annotation, make_clip, walker, write_array_folder, write_labels, write_pyskl

from native_prep.datasets.recordings import BadClip, EmptyClip
from native_prep.poses.custom import custom_metadata, prepare_custom, read_custom_clip
from native_prep.poses.to_clip import Poses, PoseSettings
from native_prep.poses.write_clips import Clip, write_clips
from native_prep.skeletons.layouts import COCO17, NTU, NW_UCLA
from native_prep.synth import motion as synth_motion


@pytest.mark.parametrize(("points", "settings", "words"), IN_PICTURES.values(), ids=list(IN_PICTURES))
def test_pictures(points: np.ndarray, settings: PoseSettings, words: str) -> None:
    with pytest.raises(BadClip, match=rf"^wave\.npy: {words}") as told:
        make_clip(Poses(points.astype(np.float32)), COCO17, settings, "wave.npy")
    assert "\n" not in str(told.value)


def test_what_estimators_do_give() -> None:
    """OpenPose and other networks of heat maps give scores a little above 1, and joints a little outside."""
    for place, value in ((SCORE, 1.41), (SCORE, -0.05), (X, -300), (X, 2500), (Y, 2000)):
        assert make_clip(Poses(with_(pixels(), place, value)), COCO17, PICTURE, "x").any(), (place, value)
    shares = pixels() / (1920, 1080, 1)
    assert make_clip(Poses(with_(shares, X, 1.138).astype(np.float32)), COCO17, PoseSettings(), "x").any()


@pytest.mark.parametrize(("points", "unit", "layout", "words"), IN_METRES.values(), ids=list(IN_METRES))
def test_metres(points: np.ndarray, unit: str, layout, words: str) -> None:
    with pytest.raises(BadClip, match=rf"^wave\.npy: {words}") as told:
        make_clip(Poses(points.astype(np.float32)), layout, PoseSettings(unit=unit), "wave.npy")
    assert "\n" not in str(told.value)


def test_units_become_metres() -> None:
    expected = make_clip(Poses(metres()), NTU, PoseSettings(align="centre"), "x")
    for unit, factor in (("mm", 1000), ("cm", 100)):
        points = (metres().astype(np.float64) * factor).astype(np.float32)
        found = make_clip(Poses(points), NTU, PoseSettings(unit=unit, align="centre"), "x")
        np.testing.assert_allclose(found, expected, atol=1e-6)
    odd = metres() * 30
    np.testing.assert_array_equal(make_clip(Poses(odd), NTU, PoseSettings(unit="none"), "x")[0], odd[0])
    hand = np.linspace((0, 0, 0.5), (0.1, 0.15, 0.5), 21)[None, None].astype(np.float32)
    assert make_clip(Poses(hand), HAND, PoseSettings(), "x").any()
    with pytest.raises(BadClip, match=r"180\.3 m across .*: give --unit cm or mm"):  # nobody knows its size
        make_clip(Poses(1000 * hand), HAND, PoseSettings(), "x")
    with pytest.raises(ValueError, match="--unit is for x y z"):
        PoseSettings(unit="mm").check(COCO17)
    with pytest.raises(ValueError, match="unit 'inch' is not known: use one of m, cm, mm, none"):
        PoseSettings(unit="inch")


def test_the_same_in_folders_in_single_clips_and_from_python(tmp_path: Path) -> None:
    raw = write_array_folder(tmp_path / "raw", clips=4)
    prepare_custom(raw, tmp_path / "out", layout="coco17", image_size="640x480")
    wrong = np.load(raw / "clip2.npy") * (1, 1, 87)
    np.save(raw / "clip2.npy", wrong)
    words = r"scores are from 0 to \d+.*, expected 0 to 1"
    with pytest.raises(ValueError, match=rf"clip2\.npy: {words}.*1 bad file, nothing is written"):
        prepare_custom(raw, tmp_path / "other", layout="coco17", image_size="640x480")
    with pytest.raises(
        ValueError, match=rf"clip2\.npy: {words}: give it as the clips were that the network was trained on"
    ):
        read_custom_clip(str(raw / "clip2.npy"), custom_metadata(tmp_path / "out/train_data_joint.npy"))
    with pytest.raises(ValueError, match=rf"clip wave1: {words}"):
        write_clips([Clip("wave1", wrong, 0, "train")], tmp_path / "other", image_size="640x480")
    assert not (tmp_path / "other").exists()


def test_clips_that_nobody_is_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = write_array_folder(tmp_path / "raw", clips=4)
    np.save(raw / "clip1.npy", np.zeros((9, 17, 3), np.float32))
    given: dict = {"layout": "coco17", "image_size": "640x480"}
    with pytest.raises(ValueError, match=r"clip1\.npy: nobody is seen in any of its 9 frames"):
        prepare_custom(raw, tmp_path / "out", **given)
    skipped = prepare_custom(raw, tmp_path / "out", **given, on_bad_file="skip")
    assert (skipped["clips"], skipped["bad_files"], skipped["empty"]) == (3, 1, 0)
    assert "nobody is seen" in (tmp_path / "out/bad_files.csv").read_text()
    kept = prepare_custom(raw, tmp_path / "out", **given, keep_empty=True)
    assert (kept["clips"], kept["bad_files"], kept["empty"]) == (4, 0, 1)
    assert "nobody is seen in 1 of the clips: they stay, all zeros" in capsys.readouterr().err
    assert not np.load(tmp_path / "out/train_data_joint.npy")[1].any()
    with pytest.raises(EmptyClip):  # predict says so, whatever prep was told
        read_custom_clip(str(raw / "clip1.npy"), custom_metadata(tmp_path / "out/train_data_joint.npy"))


def test_one_cause_is_told_three_times(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = write_array_folder(tmp_path / "raw", clips=36)
    for number in range(34):
        np.save(raw / f"clip{number}.npy", np.full((5 + number, 17, 3), 3 + number, np.float32))
    given: dict = {"layout": "coco17", "image_size": "640x480"}
    with pytest.raises(ValueError, match=r"clip0\.npy: scores .*\(34 bad files, nothing is written") as error:
        prepare_custom(raw, tmp_path / "out", **given)
    told = f"{error.value}\n{capsys.readouterr().err}"
    assert told.count("scores are from") == 3 and "... and 31 more files with this fault" in told
    prepare_custom(raw, tmp_path / "out", **given, on_bad_file="skip")
    with (tmp_path / "out/bad_files.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 34
    for number, points in enumerate((np.zeros((4, 18, 3)), np.zeros((4, 17, 4)), np.zeros(3), np.zeros((4, 17, 3)))):
        np.save(raw / f"clip{number}.npy", points)
    with pytest.raises(ValueError, match="34 bad files"):
        prepare_custom(raw, tmp_path / "out", **given)
    told = capsys.readouterr().err
    assert all(f"clip{number}.npy" in told for number in range(4)) and "... and 27 more files" in told


def test_custom_json_keeps_the_unit(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    points = synth_motion.as_layout(metres()[0], NW_UCLA)
    np.save(raw / "a.npy", points * 1000)
    write_labels(raw / "labels.csv", [("a", 0, "train")])
    prepare_custom(raw, tmp_path / "out", layout="nw-ucla", unit="mm")
    about = custom_metadata(tmp_path / "out/train_data_joint.npy")
    assert about["unit"] == "mm"
    clip = read_custom_clip(str(raw / "a.npy"), about)
    np.testing.assert_allclose(clip[..., 0].transpose(1, 2, 0), points, rtol=1e-5)
    path = tmp_path / "out/custom.json"
    older = json.loads(path.read_text())
    del older["unit"]
    path.write_text(json.dumps(older))
    np.save(raw / "a.npy", points)
    assert read_custom_clip(str(raw / "a.npy"), custom_metadata(path)).shape == clip.shape


def test_what_looks_wrong_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    person = np.zeros((6, 17, 3), np.float32)
    person[..., 0], person[..., 2] = 300, 0.9
    person[..., 1] = 100 + 10 * np.arange(17)  # COCO's joints go from the nose down
    clips = [Clip(f"clip{number}", person, 0, "train") for number in range(5)]
    clips += [Clip(f"over{number}", person * (1, -1, 1) + (0, 480, 0), 0, "train") for number in range(4)]
    result = write_clips(clips, tmp_path / "out", image_size="640x480")
    assert result["warnings"] == [
        "4 of 9 clips are upside down: y of a picture counts downwards from its upper edge (over0, over1, over2, ...)"
    ]
    assert result["warnings"][0] in capsys.readouterr().err
    pickled = [annotation(name, 0, walker(4)[None]) for name in "abc"]
    path = write_pyskl(tmp_path / "x.pkl", pickled, {"train": ["a", "b"], "val": ["b", "c"]})
    told = prepare_custom(path, tmp_path / "pickle", layout="coco17")["warnings"]
    both = "clips are in train and in val, whose accuracy then says nothing of new clips"
    assert f"1 of 4 {both} (b)" in told
    assert f"1 of 4 {both} (b)" in capsys.readouterr().err
    for split, names in (("train", "ab"), ("val", "bc")):  # as older pickles are, one for each
        path = write_pyskl(tmp_path / f"{split}.pkl", [one for one in pickled if one["frame_dir"] in names])
        told = prepare_custom(path, tmp_path / "two", layout="coco17", split=split)["warnings"]
    assert f"1 of 2 {both} (b)" in told
