"""Label files of one's own data: which class a clip shows, and whether it trains or validates."""

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from native_prep.datasets.recordings import SPLITS
from native_prep.io.pickles import load_pickle
from native_prep.io.whole import read_whole

# The label file that is taken where none is named.
LABELS = "labels.csv"
# Labels that no list of classes bounds end here: every class gets a name.
MOST_CLASSES = 1_000_000
# What val is called elsewhere.
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "val",
    "testing": "val",
}


@dataclass(frozen=True)
class Label:
    """What a label file says of a clip: class counted from 0, split ("" where it does not say), line."""

    label: int
    split: str
    line: int


@dataclass(frozen=True)
class Labels:
    """A label file: its clips in order, and the names of the classes."""

    path: str
    clips: Mapping[str, Label]
    classes: list[str]


def read_classes(path: str | os.PathLike[str]) -> list[str]:
    """The names of the classes, one a line; the place in the list is the label.

    Raises:
        ValueError: no text, no names, or one of them twice.
        OSError: the file cannot be read.
    """
    try:
        names = [line.strip() for line in read_whole(path, "a list of classes").decode("utf-8").splitlines()]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not text ({error.reason}): give the names of the classes, one a line") from error
    while names and not names[-1]:
        names.pop()
    if not names:
        raise ValueError(f"{path}: names no class: give one a line")
    first = {name: number for number, name in reversed(list(enumerate(names, 1)))}
    for number, name in enumerate(names, 1):
        if not name or first[name] != number:
            raise ValueError(f"{path}:{number}: {name!r} is empty or appears twice: give every class a name of its own")
    return names


def number_classes(count: int) -> list[str]:
    """Names for classes that have none."""
    return [str(label) for label in range(count)]


def read_label_file(path: str | os.PathLike[str], classes: list[str] | None = None) -> Labels:
    """Reads `name,label[,split]` from a CSV file, or the names and labels of a label file that prep wrote.

    Labels are whole numbers from 0, or names of classes; without a list of classes those are sorted and numbered.

    Args:
        path: a file ending in .pkl, or a CSV file whose first line names its columns.
        classes: the names of the classes.

    Raises:
        ValueError: the file is something else, a clip appears twice, a label or a split is not known.
        OSError: it cannot be read.
    """
    rows = _read_pickle(path) if str(path).endswith((".pkl", ".pickle")) else _read_csv(Path(path))
    return number_labels(rows, str(path), classes)


def is_label_file(path: Path) -> bool:
    """Whether a CSV file is one of labels, by its name or its first line, and not one of poses.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        first = file.readline(1 << 16).decode("utf-8-sig", "replace")
    return path.name == LABELS or {"name", "label"} <= {cell.strip().lower() for cell in first.split(",")}


def number_labels(rows: Sequence[tuple[str, str, str, int]], path: str, classes: list[str] | None = None) -> Labels:
    """What name, label, split and line (0 for none) of clips say; see `read_label_file`."""
    texts = {text for _, text, _, _ in rows}
    if classes is None and not any(_is_like_number(text) for text in texts):
        classes = sorted(texts)
    places = {name: place for place, name in enumerate(classes or ())}
    count = len(classes) if classes is not None else MOST_CLASSES
    clips: dict[str, Label] = {}
    for name, text, split, line in rows:
        where = f"{path}:{line}" if line else f"{path}"
        if name in clips:
            raise ValueError(f"{where}: clip {name!r} appears twice: keep one of them")
        clips[name] = Label(_label_of(text, places, count, where), split, line)
    return Labels(path, clips, classes or number_classes(1 + max(one.label for one in clips.values())))


def _is_like_number(text: str) -> bool:
    """Nobody calls a class so: one slip in a column of numbers must not make names of all the others."""
    try:
        float(text or "0")
    except ValueError:
        return False
    return True


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _label_of(text: str, places: Mapping[str, int], count: int, where: str) -> int:
    if text in places:
        return places[text]
    if not _is_number(text):
        raise ValueError(f"{where}: label {text!r} is not a class: give one of the list of classes, or a number from 0")
    if len(text.lstrip("0")) > 9 or int(text[-9:]) >= count:  # `int` refuses thousands of digits
        raise ValueError(f"{where}: label {text:.20} is not one of 0 to {count - 1}: labels count from 0")
    return int(text[-9:])


def _read_csv(path: Path) -> list[tuple[str, str, str, int]]:
    advice = "give a CSV file with a first line name,label or name,label,split"
    try:
        lines = read_whole(path, "a label file").decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not text ({error.reason}): {advice}") from error
    reader = csv.reader(lines)
    rows = []
    try:
        columns = [column.strip().lower() for column in next(reader, [])]
        if columns not in (["name", "label"], ["name", "label", "split"]):
            raise ValueError(f"{path}:1: its columns are not name,label: {advice}")
        for row in reader:
            if not row:
                continue
            line = reader.line_num
            if len(row) != len(columns) or not row[0].strip():
                raise ValueError(f"{path}:{line}: has {len(row)} columns instead of {len(columns)}: fix the line")
            name, label, split = (*(cell.strip() for cell in row), "")[:3]
            if split and split.lower() not in SPLIT_NAMES:
                raise ValueError(f"{path}:{line}: split {split!r} is not known: use train or val")
            rows.append((name, label, SPLIT_NAMES.get(split.lower(), ""), line))
    except csv.Error as error:
        raise ValueError(f"{path}:{reader.line_num}: not CSV ({error}): {advice}") from error
    if not rows:
        raise ValueError(f"{path}: names no clip: {advice}")
    return rows


def _read_pickle(path: str | os.PathLike[str]) -> list[tuple[str, str, str, int]]:
    content = load_pickle(path)
    pair = isinstance(content, tuple | list) and len(content) == 2 and all(is_row(one) for one in content)
    if not pair or len(content[0]) != len(content[1]):
        raise ValueError(f"{path}: holds no (names, labels): give a label file that prep wrote, or a CSV file")
    if not len(content[0]):
        raise ValueError(f"{path}: names no clip: give a label file that prep wrote, or a CSV file")
    return [(str(name), str(label), "", 0) for name, label in zip(*content, strict=True)]


def is_row(value: Any) -> bool:
    """Whether a value from a pickle is a list, of Python's or NumPy's."""
    return isinstance(value, tuple | list) or (isinstance(value, np.ndarray) and value.ndim == 1)


def split_of(given: str, asked: str | None, what: str) -> str:
    """The split of a clip: what its file says, or what is asked for where no file says.

    Raises:
        ValueError: nobody says.
    """
    if asked is not None and asked not in SPLITS:
        raise ValueError(f"--split {asked}: the label file has no splits of other names: use train or val")
    if not given and asked is None:
        raise ValueError(f"{what}: does not say which clips train: add a column split, or give --split train or val")
    return given or str(asked)
