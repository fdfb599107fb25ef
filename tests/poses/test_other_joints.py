"""`predict` on poses of other joints than the engine's: they become its own, it says so, or says what is missing."""

from pathlib import Path

import numpy as np
import pytest
from pose_files import SIZE, walker, write_labels
from pose_forms import FORMS, alphapose, azure_kinect, some_people, ultralytics_json

from export.raw_clips import ClipForm, RawClips
from native_prep.poses.custom import custom_metadata, prepare_custom
from native_prep.skeletons.layouts import LAYOUTS

T = 8


def write_walkers(folder: Path, joints: int = 17) -> Path:
    """Two people in six frames, in pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    people = [walker(6, joints, seed=1), walker(6, joints, seed=2, start=300)]
    write = ultralytics_json if joints == 17 else alphapose
    return write(folder, [[one[frame] for one in people] for frame in range(6)])


def test_a_clip_is_read_as_prep_converted_those_of_the_training_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_walkers(tmp_path / "raw")
    write_labels(tmp_path / "raw/labels.csv", [("clip", "wave", "train")])
    prepare_custom(tmp_path / "raw", tmp_path / "out", convert="kinetics", image_size="640x480", max_frames=T)
    prepared = np.load(tmp_path / "out/train_data_joint.npy")
    metadata = custom_metadata(tmp_path / "out/train_data_joint.npy")
    raw = RawClips(ClipForm("custom", "kinetics", metadata, {}, (3, T, 18, 2), 0), "engine")
    capsys.readouterr()
    np.testing.assert_array_equal(raw.read(str(path)), prepared)
    np.testing.assert_array_equal(raw.read(str(path)), prepared)
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and f"{path}: its coco17 joints become kinetics's" in told
    # A file that does not say which joints it has: those that were converted for training.
    np.save(tmp_path / "clip.npy", np.stack([walker(6, seed=1), walker(6, seed=2, start=300)]))
    found = raw.read(str(tmp_path / "clip.npy"))[0]  # its people are in their own order
    np.testing.assert_allclose(np.sort(found, axis=-1), np.sort(prepared[0], axis=-1), atol=1e-6)
    # Shares of the picture, though the training data were pixels.
    frames = [
        [one[frame] / (*SIZE, 1) for one in (walker(6, seed=1), walker(6, seed=2, start=300))] for frame in range(6)
    ]
    (tmp_path / "shares").mkdir()
    np.testing.assert_allclose(raw.read(str(ultralytics_json(tmp_path / "shares", frames))), prepared, atol=1e-6)
    larger = RawClips(ClipForm("custom", "kinetics", metadata, {}, (3, T, 18, 2), 0), "engine", (1280, 960))
    half = larger.read(str(path))[0, :2, 0, :, 0] + np.array([[0.5], [-0.5]])
    np.testing.assert_allclose(half, (prepared[0, :2, 0, :, 0] + np.array([[0.5], [-0.5]])) / 2, atol=1e-6)


@pytest.mark.parametrize("joints", [17, 26, 133, 136])
def test_an_engine_of_kinetics(tmp_path: Path, joints: int) -> None:
    path = write_walkers(tmp_path, joints)
    raw = RawClips(ClipForm("kinetics", "kinetics", {}, {}, (3, T, 18, 2), 0), "engine", SIZE)
    clip = raw.read(str(path))[0]  # (C, T, V, M)
    shoulder = walker(6, joints, seed=1)[:, 6], walker(6, joints, seed=2, start=300)[:, 6]
    found = {tuple(np.round(clip[:2, 0, 2, body], 5)) for body in range(2)}
    expected = {(one[0, 0] / SIZE[0] - 0.5, 0.5 - one[0, 1] / SIZE[1]) for one in shoulder}
    assert all(any(np.allclose(one, other, atol=1e-4) for other in expected) for one in found) and len(found) == 2
    assert not clip[:, 6:].any()
    with pytest.raises(ValueError, match="are pixels: give --image-size"):
        RawClips(ClipForm("kinetics", "kinetics", {}, {}, (3, T, 18, 2), 0), "engine").read(str(path))


def test_an_engine_of_ntu(tmp_path: Path) -> None:
    people = some_people(32, world=True)
    path = azure_kinect(tmp_path, people)
    raw = RawClips(ClipForm("ntu60", "ntu", {}, {}, (3, T, 25, 2), 0), "engine")
    points = np.zeros((2, 6, 25, 3))
    for frame, bodies in enumerate(people):
        for place, body in enumerate(bodies):
            points[place, frame] = body[[0, 1, 3, 26, *range(5, 9), *range(12, 16), *range(18, 26), 2, 9, 10, 16, 17]]
    np.testing.assert_allclose(raw.read(str(path)), raw.prepare(points, "x"), atol=1e-5)
    with pytest.raises(ValueError, match=r"clip\.json: its coco17 joints cannot become those of ntu: give"):
        raw.read(str(write_walkers(tmp_path / "flat")))


def test_no_conversion_is_one_line(tmp_path: Path) -> None:
    write, layouts = FORMS["openpose"][1:]
    path = write(tmp_path, some_people(LAYOUTS[layouts[0]].num_joints))
    with pytest.raises(ValueError, match="its openpose18 joints cannot become those of coco17: give") as error:
        RawClips(ClipForm("custom", "coco17", _metadata(tmp_path), {}, (3, T, 17, 2), 0), "engine").read(str(path))
    assert str(error.value).startswith(str(path))


def _metadata(folder: Path) -> dict:
    write_walkers(folder / "raw")
    write_labels(folder / "raw/labels.csv", [("clip", "wave", "train")])
    prepare_custom(folder / "raw", folder / "out", image_size="640x480")
    return custom_metadata(folder / "out/train_data_joint.npy")
