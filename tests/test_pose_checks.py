"""Numbers that no pose has are told in one line, with the range seen and the likely cause, wherever poses come in."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pose_files import annotation, make_clip, walker, write_array_folder, write_labels, write_pyskl

from native_prep import synth_motion
from native_prep.custom import prepare_custom, read_about, read_custom_clip
from native_prep.layouts import COCO17, NTU, NW_UCLA, layout_from_edges
from native_prep.own_clips import Clip, write_clips
from native_prep.poses import BadClip, EmptyClip, Poses, PoseSettings

PICTURE = PoseSettings(2, (1920, 1080))
RNG = np.random.default_rng(0)
# A hand of 18 cm, whose joints have names that no whole person has.
HAND = layout_from_edges([(joint, joint - 1) for joint in range(1, 21)], name="hand")


def metres(frames: int = 8) -> np.ndarray:
    """Somebody before a camera, (1, T, 25, 3)."""
    points, _ = synth_motion.performance(2, frames, 1.0, np.random.default_rng(1))
    return (points + np.array((0.3, -0.8, 2.5))).astype(np.float32)[None]


def pixels() -> np.ndarray:
    """Somebody in a picture of 1920 x 1080, (1, T, 17, 3)."""
    return (walker(8) * (2, 2, 1)).astype(np.float32)[None]


def with_(points: np.ndarray, place: tuple, value: float) -> np.ndarray:
    changed = points.copy()
    changed[place] = value
    return changed


X, Y, SCORE = (0, 3, 5, 0), (0, 3, 5, 1), (0, 3, 5, 2)
FLAGS = with_(with_(pixels(), (..., 2), 2), SCORE, 1)
AS_SHARES = pixels() / (1920, 1080, 1)
FROM_HIP = pixels() - (*pixels()[0, 0, 11, :2], 0)
IN_PICTURES = {
    "x y z": (RNG.uniform(-456, 250, (1, 8, 17, 3)), PICTURE, r"scores are from -4\d+.* to 2\d\d.* 0 to 1: .*x y z"),
    "per cent": (pixels() * (1, 1, 100), PICTURE, "scores are from .* to 9.*divide them by their largest value"),
    "flags": (FLAGS, PICTURE, "scores are from 0 to 2.*flags 0 1 2 are no scores"),
    "a score of 1.5": (with_(pixels(), SCORE, 1.5), PICTURE, "scores are from 0 to 1.5"),
    "a score below 0": (with_(pixels(), SCORE, -0.2), PICTURE, "scores are from -0.2"),
    "far right": (
        with_(pixels(), X, 4000),
        PICTURE,
        "x from .* to 4000 and y .* far outside of .* of 1920x1080",
    ),
    "far left": (with_(pixels(), X, -2000), PICTURE, "x from -2000 .* far outside of a picture of 1920x1080"),
    "far above": (with_(pixels(), Y, -1100), PICTURE, "x from .* y from -1100 to .* far outside of a picture"),
    "shares": (
        AS_SHARES,
        PICTURE,
        r"coordinates from 0\.1\d* to 0\.\d+ are no pixels, but shares .*: leave",
    ),
    "pixels": (pixels(), PoseSettings(), r"coordinates from \d+.* to \d+.* are pixels: give --image-size"),
    "normalised": (pixels() / (960, 540, 1) - (1, 1, 0), PoseSettings(), r"\d+% of the coordinates .* are negative"),
    "from the hip": (FROM_HIP, PICTURE, r"\d+% of the coordinates .* are negative, expected to count from .*corner"),
}


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


MADE_WORLD = replace(COCO17, name="made", coordinates="world")
IN_METRES = {
    "millimetres": (metres() * 1000, "m", NTU, r"a body is 2\d\d\d m across .*expected less than 10: give --unit mm"),
    "centimetres": (metres() * 100, "m", NTU, r"a body is 2\d\d.* m across .*expected less than 10: give --unit cm"),
    "metres as mm": (metres(), "mm", NTU, r"a body is 2\.\d+ mm across .*more than 300: they look like metres, leave"),
    "metres as cm": (metres(), "cm", NTU, r"a body is 2\.\d+ cm across .*more than 30: they look like metres, leave"),
    "x y score": (pixels(), "m", MADE_WORLD, "a body is 244 m across .*are these x y score"),
    "a glitch": (
        with_(metres(), X, 40),
        "m",
        NTU,
        "frame 3: a body is 40.* m across .*, usually 2.*leave that",
    ),
    "far away": (
        metres() + 3000,
        "m",
        NTU,
        r"coordinates from 2999\.2 to 3002.* m, expected at most 1000: count",
    ),
    "neither": (metres() * 5000, "m", NTU, r"a body is .*: are they pixels, or without a unit\? give --unit none"),
}


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
        read_custom_clip(str(raw / "clip2.npy"), read_about(tmp_path / "out/train_data_joint.npy"))
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
        read_custom_clip(str(raw / "clip1.npy"), read_about(tmp_path / "out/train_data_joint.npy"))


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
    about = read_about(tmp_path / "out/train_data_joint.npy")
    assert about["unit"] == "mm"
    clip = read_custom_clip(str(raw / "a.npy"), about)
    np.testing.assert_allclose(clip[..., 0].transpose(1, 2, 0), points, rtol=1e-5)
    path = tmp_path / "out/custom.json"
    older = json.loads(path.read_text())
    del older["unit"]
    path.write_text(json.dumps(older))
    np.save(raw / "a.npy", points)
    assert read_custom_clip(str(raw / "a.npy"), read_about(path)).shape == clip.shape


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
    assert "1 of 4 clips are in train and in val, whose accuracy then says nothing of new clips (b)" in told
