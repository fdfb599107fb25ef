"""Layouts from YAML: read as they are written, and every slip named with the file."""

from pathlib import Path

import pytest
import yaml

from agcn.model.graph import resolve_graph
from native_prep.io.yaml_file import read_yaml
from native_prep.skeletons.layouts import (
    COCO17,
    LAYOUTS,
    Layout,
    find_layout,
    layout_as_dict,
    layout_from_dict,
    load_layout,
)

EXAMPLE = Path(__file__).resolve().parents[2] / "native_prep/skeletons/data/h36m17.yaml"
STICK = {"joints": ["hip", "chest", "head"], "edges": [["chest", "hip"], [2, 1]], "centre": "hip"}


def write(path: Path, **changes: object) -> Path:
    path.write_text(yaml.safe_dump({key: value for key, value in {**STICK, **changes}.items() if value is not None}))
    return path


def test_names_and_numbers_and_what_is_left_out(tmp_path: Path) -> None:
    layout = load_layout(write(tmp_path / "stick.yaml"))
    assert layout == Layout("stick", ("hip", "chest", "head"), ((1, 0), (2, 1)), ((0, 0), (1, 0), (2, 1)), 0)


def test_everything_given(tmp_path: Path) -> None:
    path = write(
        tmp_path / "stick.yaml", name="rod", coordinates="image", bones=[["hip", "chest"], ["head", "chest"]],
        spine=["hip", "chest"], shoulders=[1, 2],
    )  # fmt: skip
    layout = load_layout(path)
    assert (layout.name, layout.coordinates, layout.spine, layout.shoulders) == ("rod", "image", (0, 1), (1, 2))
    assert layout.bone_parents == (1, 1, 1)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=lambda layout: layout.name)
def test_every_layout_survives_the_way_there_and_back(layout: Layout) -> None:
    assert layout_from_dict(layout_as_dict(layout)) == layout


def test_the_example_is_sound_and_serves_a_model() -> None:
    layout = resolve_graph(str(EXAMPLE))
    assert layout.num_joints == 17 and layout.joints[layout.centre] == "hip" and layout.spine and layout.shoulders
    assert dict(layout.bones)[16] == 15
    assert find_layout("coco17") is COCO17 is resolve_graph("coco17")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"joints": None}, "has no joints"),
        ({"edges": None}, "has no edges"),
        ({"centre": None}, "has no centre"),
        ({"edge": [[0, 1]]}, "unknown key 'edge'"),
        ({"joints": ["hip", "hip", "head"]}, "'hip' appears twice"),
        ({"joints": ["hip", 3, "head"]}, "number 1 is 3"),
        ({"joints": "hip"}, "list of names"),
        ({"edges": [["chest", "hips"]]}, "no joint is called 'hips'"),
        ({"edges": [[1, 3]]}, "number from 0 to 2"),
        ({"edges": [[1, -1]]}, "no joint is called -1"),
        ({"edges": [[1, 0, 2]]}, "not a pair"),
        ({"edges": []}, "list of .child, parent."),
        ({"edges": [["chest", "chest"]]}, "tied to itself"),
        ({"edges": [["chest", "hip"]]}, "nothing ties 'head' to the centre 'hip'"),
        ({"bones": [["chest", "hip"], ["chest", "head"]]}, "'chest' has more than one bone"),
        ({"centre": [0]}, "is not a joint"),
        ({"centre": True}, "no joint is called True"),
        ({"coordinates": "pixels"}, "use world or image"),
        ({"spine": "hip"}, "spine: 'hip' is not a pair"),
        ({"spine": ["hip", "hip"]}, "spine: 'hip' is given twice"),
        ({"edges": [["chest", "hip"], ["head", "chest"], ["hip", "chest"]]}, "'hip' and 'chest' are tied twice"),
        ({"name": "coco17"}, "'coco17' is another skeleton's"),
    ],
)
def test_slips_are_named(tmp_path: Path, changes: dict, words: str) -> None:
    path = write(tmp_path / "stick.yaml", **changes)
    with pytest.raises(ValueError, match=words) as error:
        load_layout(path)
    assert str(error.value).startswith(f"{path}: ") and str(error.value).count(": ") >= 2


@pytest.mark.parametrize(
    ("text", "words"),
    [("a: [", ":1: not YAML"), ("- 1", "KEY: VALUE"), ("", "KEY: VALUE"), ("a: 2020-13-45", "not YAML")],
)
def test_what_is_no_layout(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=words):
        load_layout(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="not a text file"):
        load_layout(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("centre: hip\njoints: [hip]\ncentre: head\n", ":3: key centre stands in line 1 already: keep one of them"),
        ("conversions:\n  ntu: {head: a,\n    head: b}\n", ":3: key head stands in line 2 already: keep one of them"),
        ("edges:\n- {a: 1}\n- {b: 1, b: 2}\n", ":3: key b stands in line 3 already: keep one of them"),
        ("a: &x\n  b: [*x]\n", ":2: *x stands within &x: write out what is meant"),
        ("a: " + "[" * 100_000, ":1: more than 50 values stand in one another: write fewer"),
    ],
    ids=["twice", "nested", "in a list", "itself", "deep"],
)
def test_what_loaders_pass_over(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(ValueError) as error:
        load_layout(path)
    assert str(error.value) == f"{path}{words}"


def test_merge_keys_stand_beside_others(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("a: &a {b: 1, c: 2}\nd: &d {e: 3}\nf:\n  <<: *a\n  <<: *d\n  b: 4\n")
    raw, lines = read_yaml(path, "pairs")
    assert raw["f"] == {"b": 4, "c": 2, "e": 3} and lines["f.b"] == 6


def test_no_such_layout() -> None:
    with pytest.raises(ValueError, match=r"'coco'.*coco17.*YAML"):
        find_layout("coco")
    with pytest.raises(OSError, match="nowhere"):
        find_layout("nowhere.yaml")
