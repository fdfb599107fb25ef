"""The tables of topology agree with themselves and with the papers' counts."""

import hashlib
import json
from dataclasses import asdict, replace

import pytest

from native_prep.skeletons.layouts import KINETICS, LAYOUTS, NTU, NW_UCLA, Layout, layout_from_edges

# SHA-256 of every field of the layouts, as they were when the first models were trained on them.
KNOWN = {
    "ntu": "606bca03e17f12fb",
    "kinetics": "b83e1bcc04cff311",
    "nw-ucla": "67f421013e4fff6f",
    "coco17": "c03e36355436fc82",
    "openpose18": "ea4cccb15f763205",
    "openpose25": "3b8a077c4134ee04",
    "mediapipe33": "a90404efe26d4b73",
}


def test_no_field_of_a_built_in_layout_has_changed() -> None:
    fields = {name: asdict(LAYOUTS[name]) for name in KNOWN}
    for layout in fields.values():
        del layout["conversions"]  # new since, and compared with tables by hand in poses/test_conversions.py
    told = {name: json.dumps(layout).encode() for name, layout in fields.items()}
    assert {name: hashlib.sha256(text).hexdigest()[:16] for name, text in told.items()} == KNOWN


@pytest.mark.parametrize(("layout", "joints"), [(NTU, 25), (KINETICS, 18), (NW_UCLA, 20)])
def test_counts(layout: Layout, joints: int) -> None:
    assert layout.num_joints == joints == len(layout.joints) == len(set(layout.joints))
    assert len(layout.edges) == joints - 1
    assert len(layout.bone_parents) == joints


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=str)
def test_edges_and_bones_are_trees_over_every_joint(layout: Layout) -> None:
    for pairs in (layout.edges, layout.bones):
        reached = {child for child, parent in pairs if child == parent} or {layout.centre}
        for _ in layout.joints:
            reached |= {child for child, parent in pairs if parent in reached}
            reached |= {parent for child, parent in pairs if child in reached}
        assert len(reached) == layout.num_joints


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=str)
def test_the_sides_of_a_body_are_each_other(layout: Layout) -> None:
    other = layout.mirrored
    middle = [name for joint, name in enumerate(layout.joints) if other[joint] == joint]
    assert [other[joint] for joint in other] == list(range(layout.num_joints))
    assert not any(side in name for name in middle for side in ("left", "right"))
    assert {(other[child], other[parent]) for child, parent in layout.bones} == set(layout.bones)


def test_a_side_without_the_other_is_named() -> None:
    one_sided = replace(layout_from_edges([(1, 0)], 2), joints=("head", "left hand"))
    with pytest.raises(ValueError, match="there is a joint 'left hand', but no 'right hand': name both sides"):
        _ = one_sided.mirrored


def test_ntu_bones_are_its_edges_by_name() -> None:
    parent = {NTU.joints[child]: NTU.joints[parent] for child, parent in NTU.bones}
    assert parent["head"] == "neck" and parent["left wrist"] == "left elbow" and parent["right knee"] == "right hip"
    assert parent["spine shoulder"] == "spine shoulder"


def test_kinetics_bones_are_rooted_at_the_nose() -> None:
    assert dict(KINETICS.bones)[0] == 0 and dict(KINETICS.bones)[1] == 0 and dict(KINETICS.edges)[0] == 1


def test_own_edges() -> None:
    layout = layout_from_edges([(1, 0), (2, 1)], num_joints=4)
    assert layout.num_joints == 4 and layout.bone_parents == (0, 0, 1, 3)


@pytest.mark.parametrize(
    ("edges", "joints", "words"),
    [([], None, "no edges"), ([(5, 0)], 3, "outside its 3 joints"), ([(-1, 0)], 3, "from 0")],
)
def test_wrong_edges_are_named(edges: list, joints: int | None, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        layout_from_edges(edges, num_joints=joints)


def test_two_bones_for_one_joint_are_refused() -> None:
    with pytest.raises(ValueError, match="exactly one bone"):
        Layout("x", ("a", "b"), ((1, 0),), ((1, 0), (1, 1)))
