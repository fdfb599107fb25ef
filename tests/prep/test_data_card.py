"""The data card of NW-UCLA says of classes, splits, joints and recordings what the toolkit knows and the files hold."""

import json
import re
import tarfile
from collections import Counter, defaultdict
from pathlib import Path
from statistics import median

import numpy as np
import pytest

from native_prep.datasets.catalog import class_names, get_dataset
from native_prep.datasets.names import NW_UCLA_TRAINING_VIEWS, is_training, parse_name

DOCS = Path(__file__).resolve().parents[2] / "docs"
CARD = (DOCS / "data-card-nw-ucla.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """The table under a heading, without its first line."""
    section = CARD.split(f"## {heading}\n")[1].split("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[1:]]


@pytest.fixture(scope="module")
def clips(shared: Path) -> dict[str, tuple[np.ndarray, int]]:
    """Name -> joints (T, V, 3) and label from 1."""
    found = {}
    with tarfile.open(shared / "data" / "nw-ucla.tar.xz") as archive:
        for member in archive:
            if member.name.endswith(".json"):
                clip = json.loads(archive.extractfile(member).read())  # type: ignore[union-attr]
                found[Path(member.name).stem] = (np.array(clip["skeletons"]), clip["label"])
    return found


def test_classes_and_skeleton_are_the_catalogue_s() -> None:
    known = get_dataset("nw-ucla")
    assert [(row[0], row[1]) for row in rows("Classes")] == [
        (str(label), name) for label, name in enumerate(class_names("nw-ucla"))
    ]
    assert f"`{known.layout.name}`: the {known.layout.num_joints} joints" in CARD
    assert f"| classes | {known.num_class} |" in CARD


def test_splits_add_up() -> None:
    counts = {row[0]: int(row[2].replace(",", "")) for row in rows("Splits")}
    views = {row[0]: frozenset(map(int, row[1].split(","))) for row in rows("Splits")}
    assert views == {"train": NW_UCLA_TRAINING_VIEWS, "test": {3}}
    for row in rows("Splits"):
        assert sum(int(number) for number in row[3].split(",")) == counts[row[0]]
    for place, split in ((2, "train"), (3, "test")):
        assert sum(int(row[place]) for row in rows("Classes")) == counts[split]
    assert f"{sum(counts.values()):,} clips" in CARD


def test_templates_have_the_filled_cards_headings() -> None:
    headings = re.compile(r"^## (.*)$", re.MULTILINE)
    assert headings.findall((DOCS / "templates" / "data-card.md").read_text(encoding="utf-8")) == headings.findall(CARD)
    template = (DOCS / "templates" / "model-card.md").read_text(encoding="utf-8")
    for named in re.findall(r"[\w/-]+\.md\b", template):
        assert (DOCS.parent / named).is_file(), named


def test_counts_are_those_of_the_files(clips: dict[str, tuple[np.ndarray, int]]) -> None:
    of_class: dict[int, list[tuple[bool, int]]] = defaultdict(list)
    for name, (joints, label) in clips.items():
        of_class[label - 1].append((is_training("nw-ucla", "", name), len(joints)))
    assert rows("Classes") == [
        [
            str(label), name, str(sum(trains for trains, _ in of_class[label])),
            str(sum(not trains for trains, _ in of_class[label])), f"{median(n for _, n in of_class[label]):g}",
        ]
        for label, name in enumerate(class_names("nw-ucla"))
    ]  # fmt: skip
    lengths = [len(joints) for joints, _ in clips.values()]
    assert f"{len(clips):,} clips, {sum(lengths):,} frames: {min(lengths)} to {max(lengths)} a clip" in CARD
    assert f"median {median(lengths):g}" in CARD
    views = Counter(parse_name("nw-ucla", name).camera for name in clips)
    assert [[int(n) for n in row[3].split(",")] for row in rows("Splits")] == [[views[1], views[2]], [views[3]]]
    takes = Counter(name[: -len("_v01")] for name in clips)
    seen = Counter(takes.values())
    assert f"{len(takes)} takes: {seen[3]} in all three views, {seen[2]} in two and {seen[1]} in one" in CARD


def test_errors_are_those_of_the_files(clips: dict[str, tuple[np.ndarray, int]]) -> None:
    same = defaultdict(list)
    for name, (joints, _) in clips.items():
        same[joints.tobytes()].append(name)
    pairs = [sorted(names) for names in same.values() if len(names) > 1]
    assert all(len(pair) == 2 and [name[-1] for name in pair] == ["2", "3"] for pair in pairs)
    assert all(pair[0][:-1] == pair[1][:-1] for pair in pairs)
    tests = Counter(label for name, (_, label) in clips.items() if not is_training("nw-ucla", "", name))
    assert f"**{len(pairs)} of the {tests.total()} test clips are copies of training clips.**" in CARD
    copied = Counter(clips[pair[0]][1] for pair in pairs)
    assert copied == {2: tests[2], 3: tests[3]}
    assert f'All {copied[2]} test clips of "pick up with two hands" and all {copied[3]} of "drop\n  trash"' in CARD
    assert sorted(name for name, (joints, _) in clips.items() if len(joints) == 1) == [
        "a02_s09_e04_v02", "a02_s09_e04_v03",
    ]  # fmt: skip
    assert sum(len(joints) < 10 for joints, _ in clips.values()) == 10
    zeros = {name: int((joints == 0).all(axis=2).sum()) for name, (joints, _) in clips.items()}
    assert {name: count for name, count in zeros.items() if count} == {"a04_s01_e01_v01": 6, "a04_s04_e02_v01": 6}
