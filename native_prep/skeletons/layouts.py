"""Skeleton layouts: joint names, edges, bone pairs, centre. The one source of topology for the whole project.

Every skeleton is a YAML file: the built-in ones in `data/`, and a user's own in the same form.

name: stick
coordinates: world            # x y z in metres; image: x y score
joints: [hip, chest, head]
edges: [[chest, hip], [head, chest]]          # [child, parent], by name or by number from 0
centre: hip
bones: [[chest, hip], [head, chest]]          # optional; the edges without it
spine: [hip, chest]                           # optional; turned to the z axis by --align turn
shoulders: [right shoulder, left shoulder]    # optional; turned to the x axis by --align turn
conversions:                                  # optional; how to make another layout's joints of these: those that are
  kinetics: {neck: [left shoulder, right shoulder]}     # not called so here are another, or the mean of several

Joints are counted from 0 everywhere in this project; the tables of NTU RGB+D and NW-UCLA count from 1 in their papers.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
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
        conversions: for each layout that these joints can become, by name, its joints that are called otherwise here,
            and what they are made of; see `conversion_table`.

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
    conversions: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict, compare=False)

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
            raise ValueError(
                f"layout {self.name}: centre {self.centre} is outside its {self.num_joints} joints: count them from 0"
            )
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


SUFFIXES = (".yaml", ".yml")
_KEYS = ("name", "coordinates", "joints", "edges", "centre", "bones", "spine", "shoulders", "conversions")


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
    layout = _read_layout(path)
    if layout.name in LAYOUTS and layout != LAYOUTS[layout.name]:
        raise ValueError(f"{path}: name: {layout.name!r} is another skeleton's: give this one a name of its own")
    try:
        _check_conversions([layout])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return layout


def _read_layout(path: str | os.PathLike[str]) -> Layout:
    raw, _ = read_yaml(path, "a layout with name, joints, edges and centre")
    try:
        return layout_from_dict({"name": Path(path).stem, **raw})
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


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


def conversions_as_dict(layout: Layout) -> dict[str, dict[str, list[str]]]:
    """What `layout_as_dict` leaves out, as plain values: who looks at prepared clips needs no conversions."""
    return {
        target: {joint: list(sources) for joint, sources in made.items()} for target, made in layout.conversions.items()
    }


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
    conversions = _conversions(raw.get("conversions"), joints)
    return Layout(
        whole.name, joints, edges, bones, centre, ends.get("spine"), ends.get("shoulders"), coordinates, conversions
    )


def _conversions(value: Any, joints: tuple[str, ...]) -> dict[str, dict[str, tuple[str, ...]]]:
    conversions: dict[str, dict[str, tuple[str, ...]]] = {}
    for target, made in ({} if value is None else _mapping(value, "conversions")).items():
        conversions[target] = {}
        for joint, given in ({} if made is None else _mapping(made, f"conversions: {target}")).items():
            sources = given if isinstance(given, list) and given else [given]
            key = f"conversions: {target}: {joint}"
            conversions[target][joint] = tuple(joints[_joint(source, key, joints)] for source in sources)
    return conversions


def _mapping(value: Any, key: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise ValueError(f"{key} must be a list of NAME: value: give a layout's name, and its joints below it")
    return value


def conversion_table(source: Layout, target: Layout) -> tuple[tuple[int, ...], ...]:
    """For each joint of `target`, the joints of `source` of which it is the mean.

    Raises:
        ValueError: no conversion is known, or it leaves a joint out.
    """
    if source.joints == target.joints and source.coordinates == target.coordinates:
        return tuple((joint,) for joint in range(source.num_joints))
    # Layouts of the same joints are one for this: openpose18 and kinetics.
    named = [
        made for name, made in source.conversions.items() if name == target.name or _joints_of(name) == target.joints
    ]
    if not named or source.coordinates != target.coordinates:
        known = ", ".join(source.conversions)
        raise ValueError(
            f"layout {source.name}: no conversion to {target.name} is known: "
            + (f"convert it to {known}" if known else "add conversions to its YAML file")
        )
    table = []
    for joint in target.joints:
        made = named[0].get(joint, (joint,))
        if any(name not in source.joints for name in made):
            raise ValueError(f"layout {source.name}: conversions: {target.name} does not say what {joint!r} is: add it")
        table.append(tuple(source.joints.index(name) for name in made))
    for joint in named[0]:
        if joint not in target.joints:
            raise ValueError(f"layout {source.name}: conversions: {target.name} has no joint {joint!r}: leave it out")
    return tuple(table)


def _joints_of(name: str) -> tuple[str, ...]:
    return LAYOUTS[name].joints if name in LAYOUTS else ()


def _joints(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError("joints must be a list of names: give one for each joint, in the order of the recordings")
    for place, name in enumerate(value):
        if not isinstance(name, str):
            raise ValueError(f"joints: number {place} is {name!r}, not a name: quote it")
        if value.index(name) != place:
            raise ValueError(f"joints: {name!r} appears twice: give every joint a name of its own")
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
    raise ValueError(f"{key}: {value!r} is not a joint: give its name or its number from 0")


def _pair(value: Any, key: str, joints: tuple[str, ...]) -> Edge:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f"{key}: {value!r} is not a pair of joints: write [one, other]")
    return _joint(value[0], key, joints), _joint(value[1], key, joints)


def _pairs(value: Any, key: str, joints: tuple[str, ...]) -> tuple[Edge, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError(f"{key} must be a list of [child, parent] pairs: give one for each link")
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


def _load_built_in() -> dict[str, Layout]:
    folder = Path(__file__).resolve().parent / "data"
    names = (
        "ntu", "kinetics", "nw-ucla", "coco17", "openpose18", "openpose25", "mediapipe33", "halpe26", "halpe136",
        "coco133", "h36m17", "azure32",
    )  # fmt: skip
    layouts: dict[str, Layout] = {}
    for name in names:
        # The same joints found in one's own videos: weights trained on Kinetics fit.
        same = "kinetics" if name == "openpose18" else name
        layouts[name] = replace(_read_layout(folder / f"{same}.yaml"), name=name)
    return layouts


def _check_conversions(layouts: Iterable[Layout]) -> None:
    """Raises ValueError where what makes one layout of another does not meet their joints."""
    for layout in layouts:
        for target in layout.conversions:
            conversion_table(layout, find_layout(target))


LAYOUTS = _load_built_in()
_check_conversions(LAYOUTS.values())
NTU, KINETICS, NW_UCLA, COCO17 = (LAYOUTS[name] for name in ("ntu", "kinetics", "nw-ucla", "coco17"))
