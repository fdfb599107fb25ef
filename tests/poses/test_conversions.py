"""One layout's joints as another's: equal to tables written out by hand, and checked when a skeleton file is loaded."""

from pathlib import Path

import numpy as np
import pytest
from pose_files import SIZE, walker, write_array_folder

from native_prep.poses.custom import custom_metadata, prepare_custom
from native_prep.poses.to_clip import Poses, convert
from native_prep.skeletons.layouts import COCO17, KINETICS, LAYOUTS, NTU, conversion_table, load_layout

# Kinetics' joints: nose, neck, right shoulder elbow wrist, left shoulder elbow wrist, right hip knee ankle, left hip
# knee ankle, right eye, left eye, right ear, left ear.
OF_COCO = [0, (5, 6), 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3]
KINETICS_OF = {
    "coco17": OF_COCO,
    "halpe26": OF_COCO,
    "halpe136": OF_COCO,
    "coco133": OF_COCO,
    "openpose25": [0, (5, 2), 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18],
    "mediapipe33": [0, (11, 12), 12, 14, 16, 11, 13, 15, 24, 26, 28, 23, 25, 27, 5, 2, 8, 7],
}
# COCO's joints: nose, left eye, right eye, left ear, right ear, then left and right of shoulder, elbow, wrist, hip,
# knee, ankle.
COCO_OF = {
    "halpe26": list(range(17)),
    "halpe136": list(range(17)),
    "coco133": list(range(17)),
    "openpose25": [0, 16, 15, 18, 17, 5, 2, 6, 3, 7, 4, 12, 9, 13, 10, 14, 11],
    "mediapipe33": [0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28],
}
# Kinect v2's 25 of Azure Kinect's 32.
NTU_OF_AZURE = [0, 1, 3, 26, 5, 6, 7, 8, 12, 13, 14, 15, 18, 19, 20, 21, 22, 23, 24, 25, 2, 9, 10, 16, 17]
TABLES = [
    *((name, target, table) for name, table in KINETICS_OF.items() for target in ("kinetics", "openpose18")),
    *((name, "coco17", table) for name, table in COCO_OF.items()),
    ("azure32", "ntu", NTU_OF_AZURE),
    ("halpe136", "halpe26", list(range(26))),
]


def as_tuples(table: list) -> list[tuple[int, ...]]:
    return [one if isinstance(one, tuple) else (one,) for one in table]


@pytest.mark.parametrize(
    ("source", "target", "table"), TABLES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_tables(source: str, target: str, table: list) -> None:
    found = conversion_table(LAYOUTS[source], LAYOUTS[target])
    assert [tuple(sorted(one)) for one in found] == [tuple(sorted(one)) for one in as_tuples(table)]


def test_every_conversion_that_is_known_has_a_table_here() -> None:
    known = {(name, target) for name, layout in LAYOUTS.items() for target in layout.conversions}
    assert known == {(name, target) for name, target, _ in TABLES if target != "openpose18"}


def test_a_made_joint_is_a_mean_and_has_the_smallest_score() -> None:
    person = walker(4)
    person[1, 5] = 0  # a shoulder that was not seen: no neck
    made = convert(Poses(person[None], np.array([[7, 7, -1, 7]]), SIZE), COCO17, KINETICS)
    neck = (person[:, 5] + person[:, 6]) / 2
    neck[:, 2] = np.minimum(person[:, 5, 2], person[:, 6, 2])
    neck[1] = 0
    np.testing.assert_allclose(made.points[0, :, 1], neck, rtol=1e-6)
    np.testing.assert_array_equal(made.points[0, :, 2], person[:, 6])
    assert made.ids is not None and made.ids.tolist() == [[7, 7, -1, 7]] and made.size == SIZE


def test_joints_in_space() -> None:
    body = np.random.default_rng(0).normal(0, 1, (1, 3, 32, 3)).astype(np.float32)
    body[0, 1, 0] = 0
    made = convert(Poses(body), LAYOUTS["azure32"], NTU)
    np.testing.assert_array_equal(made.points, body[:, :, NTU_OF_AZURE])


def test_prep_custom_converts(tmp_path: Path) -> None:
    folder = write_array_folder(tmp_path / "raw")
    given: dict = {"layout": "coco17", "image_size": "640x480", "streams": ("joint",)}
    prepare_custom(folder, tmp_path / "coco", **given)
    prepare_custom(folder, tmp_path / "kinetics", convert="kinetics", **given)
    coco, kinetics = (np.load(tmp_path / name / "train_data_joint.npy") for name in ("coco", "kinetics"))
    assert kinetics.shape == (4, 3, 27, 18, 2)
    np.testing.assert_allclose(kinetics[:, :, :, 2], coco[:, :, :, 6], atol=1e-6)
    np.testing.assert_allclose(kinetics[:, :2, :, 1], (coco[:, :2, :, 5] + coco[:, :2, :, 6]) / 2, atol=1e-6)
    assert custom_metadata(tmp_path / "kinetics/train_data_joint.npy")["layout"]["name"] == "kinetics"
    with pytest.raises(ValueError, match="layout coco17: no conversion to ntu is known: convert it to kinetics"):
        prepare_custom(folder, tmp_path / "no", convert="ntu", **given)
    with pytest.raises(ValueError, match="no conversion to coco17 is known: add conversions to its YAML file"):
        conversion_table(NTU, COCO17)
    assert not (tmp_path / "no").exists()
    # One split after the other, as of two folders.
    for split in ("train", "val"):
        (folder / "labels.csv").write_text("name,label\n" + "".join(f"clip{clip},{clip % 2}\n" for clip in range(8)))
        prepare_custom(folder, tmp_path / "apart", convert="kinetics", split=split, **given)
    with pytest.raises(ValueError, match="its val clips were prepared with another layout"):
        prepare_custom(folder, tmp_path / "apart", split="train", **given)


STICK = """
name: stick
coordinates: image
joints: [hip, left shoulder, right shoulder, top]
edges: [[left shoulder, hip], [right shoulder, hip], [top, hip]]
centre: hip
conversions: {other: {head: top, neck: [left shoulder, right shoulder]}}
"""


@pytest.mark.parametrize(
    ("conversions", "words"),
    [
        ("3", "conversions must be a list of NAME: value"),
        ("{kinetics: 3}", "conversions: kinetics must be a list of NAME: value"),
        ("{kinetics: {neck: [hip, knee]}}", "conversions: kinetics: neck: no joint is called 'knee'"),
        ("{kinetics: {neck: []}}", r"conversions: kinetics: neck: \[\] is not a joint"),
        ("{kinetics: {neck: hip}}", "layout stick: conversions: kinetics does not say what 'nose' is: add it"),
        ("{nowhere: {neck: hip}}", "no skeleton layout is called 'nowhere'"),
    ],
)
def test_conversions_are_checked_when_loaded(tmp_path: Path, conversions: str, words: str) -> None:
    path = tmp_path / "stick.yaml"
    path.write_text(STICK.replace("{other: {head: top, neck: [left shoulder, right shoulder]}}", conversions))
    with pytest.raises(ValueError, match=words) as error:
        load_layout(path)
    assert str(error.value).startswith(str(path))
    names = "{" + ", ".join(f"{joint}: hip" for joint in (*KINETICS.joints, "tail")) + "}"
    path.write_text(
        STICK.replace("{other: {head: top, neck: [left shoulder, right shoulder]}}", f"{{kinetics: {names}}}")
    )
    with pytest.raises(ValueError, match="kinetics has no joint 'tail': leave it out"):
        load_layout(path)
