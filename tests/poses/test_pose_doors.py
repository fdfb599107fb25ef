"""Every fault of `poses.checks`, by each way that poses come in: all name the clip and the range that was seen."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from pose_faults import IN_METRES, IN_PICTURES, MADE_WORLD, metres, pixels
from pose_files import write_labels

from native_prep.poses.custom import custom_metadata, prepare_custom, read_custom_clip
from native_prep.poses.to_clip import NO_UNIT
from native_prep.poses.write_clips import Clip, write_clips
from native_prep.skeletons.layouts import layout_as_dict

TRAINED = "give it as the clips were that the network was trained on"
OTHER_SIZE = "give --image-size WIDTHxHEIGHT, or "
CASES = {
    **{name: (points, {"image_size": "1920x1080" if settings.image_size else None}, "coco17", words)
       for name, (points, settings, words) in IN_PICTURES.items()},
    **{name: (points, {"unit": unit}, layout.name, words) for name, (points, unit, layout, words) in IN_METRES.items()},
}  # fmt: skip


def layout_of(name: str, folder: Path) -> str:
    if name != MADE_WORLD.name:
        return name
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(layout_as_dict(MADE_WORLD)))
    return str(path)


def folder_of(folder: Path, clips: dict[str, np.ndarray]) -> Path:
    folder.mkdir()
    for name, points in clips.items():
        np.save(folder / f"{name}.npy", points)
    write_labels(folder / "labels.csv", [(name, 0, "train") for name in clips])
    return folder


def good(name: str, given: dict[str, Any]) -> np.ndarray:
    """A clip that these settings accept."""
    if name == "coco17":
        return pixels() if given["image_size"] else pixels() / np.float32((1920, 1080, 1))
    points = metres()[:, :, :17] if name == "made" else metres()
    return points * np.float32({"m": 1, "cm": 100, "mm": 1000}[given["unit"]])


@pytest.mark.parametrize(("points", "given", "name", "words"), CASES.values(), ids=list(CASES))
@pytest.mark.parametrize("door", ["prep custom", "write_clips", "read_custom_clip"])
def test_every_door_refuses(tmp_path: Path, door: str, points, given: dict, name: str, words: str) -> None:
    layout, points = layout_of(name, tmp_path), points.astype(np.float32)
    raw = folder_of(tmp_path / "raw", {"wave": points})
    with pytest.raises(ValueError) as told:
        if door == "prep custom":
            prepare_custom(raw, tmp_path / "out", layout=layout, **given)
        elif door == "write_clips":
            write_clips([Clip("wave", points, 0, "train")], tmp_path / "out", layout, **given)
        else:
            write_clips([Clip("ok", good(name, given), 0, "train")], tmp_path / "out", layout, **given)
            read_custom_clip(str(raw / "wave.npy"), custom_metadata(tmp_path / "out/train_data_joint.npy"))
    where = "clip wave: " if door == "write_clips" else f"{raw / 'wave.npy'}: "
    assert str(told.value).startswith(where) and "\n" not in str(told.value)
    if door == "read_custom_clip":
        assert str(told.value).endswith(TRAINED)
        with pytest.raises(ValueError) as prepared:
            prepare_custom(raw, tmp_path / "other", layout=layout, **given)
        same_range = str(told.value).removesuffix(TRAINED).removesuffix(OTHER_SIZE)
        assert str(prepared.value).startswith(same_range)
        assert (OTHER_SIZE in str(told.value)) is ("are pixels" in words or "far outside" in words)
    else:
        told.match(words)
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("factor", [1e-9, 1e-3, 1, 30, 1e4, 1e5])
def test_no_unit_takes_anything_finite(tmp_path: Path, factor: float) -> None:
    points = metres() * np.float32(factor)
    write_clips([Clip("a", points, 0, "train")], tmp_path / "out", "ntu", unit=NO_UNIT, streams=("joint",))
    joint = np.load(tmp_path / "out/train_data_joint.npy")
    np.testing.assert_array_equal(joint[0, ..., 0], points[0].transpose(2, 0, 1))
