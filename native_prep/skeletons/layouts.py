"""Skeleton layouts: joint names, edges, bone pairs, centre. The one source of topology for the whole project.

Joints are counted from 0 everywhere in this project; the tables of NTU RGB+D and NW-UCLA count from 1 in their papers.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from native_prep.io.yaml_file import read_yaml

Edge = tuple[int, int]


# What the three channels of a joint are: x y z in metres, or x y in the picture and how sure its finder was.
COORDINATES = ("world", "image")


@dataclass(frozen=True)
class Layout:
    """The topology of one kind of skeleton.

    Attributes:
        name: the name used on the command line and in manifests.
        joints: the V joint names, in the order of the recordings.
        edges: (child, parent) pairs, pointing inwards to the centre; the adaptive graph's fixed part comes from them.
        bones: (child, parent) pairs of the bone stream; a joint paired with itself has a zero bone.
            A joint without a pair would keep its coordinates, so every joint has one.
        centre: the joint that a recording is centred on.
        spine: (bottom, top) joints turned parallel to the z axis, or None where the recording is not turned.
        shoulders: (right, left) joints turned parallel to the x axis, or None.
        coordinates: "world" (x y z, metres) or "image" (x y score).

    Raises:
        ValueError: an edge or a bone names a joint that does not exist, or a joint has no bone or two.
    """

    name: str
    joints: tuple[str, ...]
    edges: tuple[Edge, ...]
    bones: tuple[Edge, ...]
    centre: int = 0
    spine: Edge | None = None
    shoulders: Edge | None = None
    coordinates: str = "world"

    def __post_init__(self) -> None:
        for child, parent in self.edges + self.bones:
            if not (0 <= child < self.num_joints and 0 <= parent < self.num_joints):
                raise ValueError(
                    f"layout {self.name}: edge ({child}, {parent}) is outside its {self.num_joints} joints: "
                    "count joints from 0"
                )
        if sorted(child for child, _ in self.bones) != list(range(self.num_joints)):
            raise ValueError(f"layout {self.name}: every joint needs exactly one bone: pair the centre with itself")
        if not 0 <= self.centre < self.num_joints:
            raise ValueError(f"layout {self.name}: centre {self.centre} is outside its {self.num_joints} joints")
        if self.coordinates not in COORDINATES:
            raise ValueError(
                f"layout {self.name}: coordinates {self.coordinates!r} are not known: use {' or '.join(COORDINATES)}"
            )

    @property
    def num_joints(self) -> int:
        """V."""
        return len(self.joints)

    @property
    def bone_parents(self) -> tuple[int, ...]:
        """For each joint, the joint that its bone starts from (itself: a zero bone)."""
        parents = dict(self.bones)
        return tuple(parents[joint] for joint in range(self.num_joints))

    @property
    def mirrored(self) -> tuple[int, ...]:
        """For each joint, the one on the other side of the body: itself where its name has neither left nor right.

        Raises:
            ValueError: a joint has no other.
        """
        sides = {"left": "right", "right": "left"}
        others = []
        for name in self.joints:
            other = " ".join(sides.get(word, word) for word in name.split())
            if other not in self.joints:
                raise ValueError(f"layout {self.name}: there is a joint {name!r}, but no {other!r}: name both sides")
            others.append(self.joints.index(other))
        return tuple(others)


def _from_one(pairs: tuple[Edge, ...]) -> tuple[Edge, ...]:
    return tuple((child - 1, parent - 1) for child, parent in pairs)


def layout_from_edges(
    edges: list[Edge] | tuple[Edge, ...], num_joints: int | None = None, centre: int = 0, name: str = "custom"
) -> Layout:
    """Layout for any skeleton given as (child, parent) pairs, counted from 0.

    Bones are the first edge that names a joint as child; a joint that is nobody's child has a zero bone.

    Raises:
        ValueError: no edges, or an edge outside the joints.
    """
    pairs = tuple((int(child), int(parent)) for child, parent in edges)
    if not pairs:
        raise ValueError(f"layout {name}: no edges: give (child, parent) pairs")
    count = num_joints if num_joints is not None else 1 + max(max(pair) for pair in pairs)
    parents = dict(reversed(pairs))
    bones = tuple((joint, parents.get(joint, joint)) for joint in range(count))
    return Layout(name, tuple(f"joint{joint}" for joint in range(count)), pairs, bones, centre)


# Kinect v2. Bones: the edges and a zero bone at the spine's top (2s-AGCN, gen_bone_data).
_NTU_EDGES = _from_one(
    (
        (1, 2), (2, 21), (3, 21), (4, 3), (5, 21), (6, 5), (7, 6), (8, 7), (9, 21), (10, 9), (11, 10), (12, 11),
        (13, 1), (14, 13), (15, 14), (16, 15), (17, 1), (18, 17), (19, 18), (20, 19), (22, 23), (23, 8), (24, 25),
        (25, 12),
    )
)  # fmt: skip


NTU = Layout(
    name="ntu",
    joints=(
        "spine base", "spine middle", "neck", "head", "left shoulder", "left elbow", "left wrist", "left hand",
        "right shoulder", "right elbow", "right wrist", "right hand", "left hip", "left knee", "left ankle",
        "left foot", "right hip", "right knee", "right ankle", "right foot", "spine shoulder", "left hand tip",
        "left thumb", "right hand tip", "right thumb",
    ),
    edges=_NTU_EDGES,
    bones=tuple(sorted((*_NTU_EDGES, (20, 20)))),
    centre=1,
    spine=(0, 1),
    shoulders=(8, 4),
)  # fmt: skip


# OpenPose's COCO model. The bones are the edges, but rooted at the nose, so the neck's bone points the other way
# (2s-AGCN, gen_bone_data).
KINETICS = Layout(
    name="kinetics",
    joints=(
        "nose", "neck", "right shoulder", "right elbow", "right wrist", "left shoulder", "left elbow", "left wrist",
        "right hip", "right knee", "right ankle", "left hip", "left knee", "left ankle", "right eye", "left eye",
        "right ear", "left ear",
    ),
    edges=(
        (4, 3), (3, 2), (7, 6), (6, 5), (13, 12), (12, 11), (10, 9), (9, 8), (11, 5), (8, 2), (5, 1), (2, 1), (0, 1),
        (15, 0), (14, 0), (17, 15), (16, 14),
    ),
    bones=(
        (0, 0), (1, 0), (2, 1), (3, 2), (4, 3), (5, 1), (6, 5), (7, 6), (8, 2), (9, 8), (10, 9), (11, 5), (12, 11),
        (13, 12), (14, 0), (15, 0), (16, 14), (17, 15),
    ),
    centre=1,
    coordinates="image",
)  # fmt: skip


# Kinect v1, as Northwestern-UCLA Multiview Action 3D records it.
_NW_UCLA_EDGES = _from_one(
    (
        (1, 2), (2, 3), (4, 3), (5, 3), (6, 5), (7, 6), (8, 7), (9, 3), (10, 9), (11, 10), (12, 11), (13, 1),
        (14, 13), (15, 14), (16, 15), (17, 1), (18, 17), (19, 18), (20, 19),
    )
)  # fmt: skip


NW_UCLA = Layout(
    name="nw-ucla",
    joints=(
        "hip centre", "spine", "shoulder centre", "head", "left shoulder", "left elbow", "left wrist", "left hand",
        "right shoulder", "right elbow", "right wrist", "right hand", "left hip", "left knee", "left ankle",
        "left foot", "right hip", "right knee", "right ankle", "right foot",
    ),
    edges=_NW_UCLA_EDGES,
    bones=tuple(sorted((*_NW_UCLA_EDGES, (2, 2)))),
    centre=1,
)  # fmt: skip


# The same joints found in one's own videos: weights trained on Kinetics fit.
OPENPOSE18 = replace(KINETICS, name="openpose18")


# OpenPose's BODY_25 (doc/02_output.md and poseParameters.cpp), without its two links from ear to shoulder.
_OPENPOSE25_EDGES = (
    (0, 1), (2, 1), (3, 2), (4, 3), (5, 1), (6, 5), (7, 6), (8, 1), (9, 8), (10, 9), (11, 10), (12, 8), (13, 12),
    (14, 13), (15, 0), (16, 0), (17, 15), (18, 16), (19, 14), (20, 19), (21, 14), (22, 11), (23, 22), (24, 11),
)  # fmt: skip


OPENPOSE25 = Layout(
    name="openpose25",
    joints=(
        "nose", "neck", "right shoulder", "right elbow", "right wrist", "left shoulder", "left elbow", "left wrist",
        "middle hip", "right hip", "right knee", "right ankle", "left hip", "left knee", "left ankle", "right eye",
        "left eye", "right ear", "left ear", "left big toe", "left small toe", "left heel", "right big toe",
        "right small toe", "right heel",
    ),
    edges=_OPENPOSE25_EDGES,
    bones=tuple(sorted((*_OPENPOSE25_EDGES, (1, 1)))),
    centre=1,
    coordinates="image",
)  # fmt: skip


# COCO's keypoints. It has no neck: the shoulders hang from the nose, the hips from the shoulders, as in PYSKL's graph.
_COCO17_EDGES = (
    (1, 0), (2, 0), (3, 1), (4, 2), (5, 0), (6, 0), (7, 5), (8, 6), (9, 7), (10, 8), (11, 5), (12, 6), (13, 11),
    (14, 12), (15, 13), (16, 14),
)  # fmt: skip


COCO17 = Layout(
    name="coco17",
    joints=(
        "nose", "left eye", "right eye", "left ear", "right ear", "left shoulder", "right shoulder", "left elbow",
        "right elbow", "left wrist", "right wrist", "left hip", "right hip", "left knee", "right knee", "left ankle",
        "right ankle",
    ),
    edges=_COCO17_EDGES,
    bones=tuple(sorted((*_COCO17_EDGES, (0, 0)))),
    centre=0,
    coordinates="image",
)  # fmt: skip


# MediaPipe's pose landmarks. Its own connections (pose_landmarker.py) close circles and leave the face apart; here the
# face and the shoulders hang from the nose, as in coco17, and of each circle the link nearest the centre is kept.
_MEDIAPIPE33_EDGES = (
    (1, 0), (2, 1), (3, 2), (4, 0), (5, 4), (6, 5), (7, 3), (8, 6), (9, 0), (10, 0), (11, 0), (12, 0), (13, 11),
    (14, 12), (15, 13), (16, 14), (17, 15), (18, 16), (19, 15), (20, 16), (21, 15), (22, 16), (23, 11), (24, 12),
    (25, 23), (26, 24), (27, 25), (28, 26), (29, 27), (30, 28), (31, 27), (32, 28),
)  # fmt: skip


MEDIAPIPE33 = Layout(
    name="mediapipe33",
    joints=(
        "nose", "left eye inner", "left eye", "left eye outer", "right eye inner", "right eye", "right eye outer",
        "left ear", "right ear", "mouth left", "mouth right", "left shoulder", "right shoulder", "left elbow",
        "right elbow", "left wrist", "right wrist", "left pinky", "right pinky", "left index", "right index",
        "left thumb", "right thumb", "left hip", "right hip", "left knee", "right knee", "left ankle", "right ankle",
        "left heel", "right heel", "left foot index", "right foot index",
    ),
    edges=_MEDIAPIPE33_EDGES,
    bones=tuple(sorted((*_MEDIAPIPE33_EDGES, (0, 0)))),
    centre=0,
    coordinates="image",
)  # fmt: skip


LAYOUTS = {layout.name: layout for layout in (NTU, KINETICS, NW_UCLA, COCO17, OPENPOSE18, OPENPOSE25, MEDIAPIPE33)}


SUFFIXES = (".yaml", ".yml")


_KEYS = ("name", "coordinates", "joints", "edges", "centre", "bones", "spine", "shoulders")


def find_layout(name: str | os.PathLike[str]) -> Layout:
    """The layout of that name, or the one that a YAML file describes.

    Raises:
        ValueError: there is none of that name, or the file is wrong; it names the file.
        OSError: the file cannot be read.
    """
    text = os.fspath(name)
    if text in LAYOUTS:
        return LAYOUTS[text]
    if not text.endswith(SUFFIXES):
        known = ", ".join(LAYOUTS)
        raise ValueError(f"no skeleton layout is called {text!r}: use one of {known}, or a YAML file that describes it")
    return load_layout(text)


def load_layout(path: str | os.PathLike[str]) -> Layout:
    """Reads a layout from a YAML file.

    Raises:
        ValueError: not YAML, a key that is missing, unknown or of another kind, a joint that does not exist.
        OSError: it cannot be read.
    """
    raw, _ = read_yaml(path, "a layout with name, joints, edges and centre")
    try:
        layout = layout_from_dict({"name": Path(path).stem, **raw})
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if layout.name in LAYOUTS and layout != LAYOUTS[layout.name]:
        raise ValueError(f"{path}: name: {layout.name!r} is another skeleton's: give this one a name of its own")
    return layout


def layout_as_dict(layout: Layout) -> dict[str, Any]:
    """A layout as plain values that `layout_from_dict` reads back."""
    plain: dict[str, Any] = {
        "name": layout.name,
        "coordinates": layout.coordinates,
        "joints": list(layout.joints),
        "edges": [list(edge) for edge in layout.edges],
        "bones": [list(bone) for bone in layout.bones],
        "centre": layout.centre,
    }
    for key in ("spine", "shoulders"):
        if getattr(layout, key) is not None:
            plain[key] = list(getattr(layout, key))
    return plain


def layout_from_dict(raw: Mapping[str, Any]) -> Layout:
    """A layout from the values of a YAML file.

    Raises:
        ValueError: a key that is missing, unknown or of another kind, a joint that does not exist.
    """
    for key in raw:
        if key not in _KEYS:
            raise ValueError(f"unknown key {key!r}: use {', '.join(_KEYS)}")
    for key in ("joints", "edges", "centre"):
        if key not in raw:
            raise ValueError(f"has no {key}: add it")
    joints = _joints(raw["joints"])
    edges = _pairs(raw["edges"], "edges", joints)
    for place, (child, parent) in enumerate(edges):
        if child == parent:
            raise ValueError(f"edges: {joints[child]!r} is tied to itself: leave that pair out")
        if {child, parent} in map(set, edges[:place]):
            raise ValueError(f"edges: {joints[child]!r} and {joints[parent]!r} are tied twice: keep one of the pairs")
    centre = _joint(raw["centre"], "centre", joints)
    whole = layout_from_edges(edges, len(joints), centre, str(raw["name"]))
    bones = whole.bones
    if raw.get("bones") is not None:
        given = _pairs(raw["bones"], "bones", joints)
        named = [child for child, _ in given]
        twice = [joint for joint in named if named.count(joint) > 1]
        if twice:
            raise ValueError(f"bones: {joints[twice[0]]!r} has more than one bone: keep one of them")
        # A joint without a bone of its own has a zero bone, as the centre has.
        bones = tuple(sorted((*given, *((joint, joint) for joint in range(len(joints)) if joint not in named))))
    _check_reach(edges, joints, centre)
    ends = {key: _pair(raw[key], key, joints) for key in ("spine", "shoulders") if raw.get(key) is not None}
    for key, (one, other) in ends.items():
        if one == other:
            raise ValueError(f"{key}: {joints[one]!r} is given twice: name two joints")
    coordinates = str(raw.get("coordinates", "world"))
    return Layout(whole.name, joints, edges, bones, centre, ends.get("spine"), ends.get("shoulders"), coordinates)


def _joints(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError("joints is to be a list of names: give one for each joint, in the order of the recordings")
    for place, name in enumerate(value):
        if not isinstance(name, str):
            raise ValueError(f"joints: number {place} is {name!r}, not a name: quote it")
        if value.index(name) != place:
            raise ValueError(f"joints: {name!r} is there twice: give every joint a name of its own")
    return tuple(value)


def _joint(value: Any, key: str, joints: tuple[str, ...]) -> int:
    if isinstance(value, str) and value in joints:
        return joints.index(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(joints):
        return value
    if isinstance(value, int | str):
        raise ValueError(
            f"{key}: no joint is called {value!r}: use one of the joints, or its number from 0 to {len(joints) - 1}"
        )
    raise ValueError(f"{key}: {value!r} is no joint: give its name or its number from 0")


def _pair(value: Any, key: str, joints: tuple[str, ...]) -> Edge:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f"{key}: {value!r} is not a pair of joints: write [one, other]")
    return _joint(value[0], key, joints), _joint(value[1], key, joints)


def _pairs(value: Any, key: str, joints: tuple[str, ...]) -> tuple[Edge, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError(f"{key} is to be a list of [child, parent] pairs: give one for each link")
    return tuple(_pair(item, key, joints) for item in value)


def _check_reach(edges: tuple[Edge, ...], joints: tuple[str, ...], centre: int) -> None:
    """A joint that no edge ties to the centre is a slip of the pen: its messages would reach nobody."""
    reached, before = {centre}, 0
    while len(reached) > before:
        before = len(reached)
        for child, parent in edges:
            if child in reached or parent in reached:
                reached |= {child, parent}
    for joint, name in enumerate(joints):
        if joint not in reached:
            raise ValueError(f"edges: nothing ties {name!r} to the centre {joints[centre]!r}: add its [child, parent]")
