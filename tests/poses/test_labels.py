"""Label files of own data: numbers, names of classes, slips."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from native_prep.datasets.recordings import BadClip
from native_prep.poses.files import MEDIAPIPE, first_kind, kind_of_clip
from native_prep.poses.labels import read_classes, read_label_file
from native_prep.poses.sources import _clip_files


@pytest.mark.parametrize("slip", ["-1", "", "1.5", "1e3"])
def test_one_slip_does_not_make_names_of_numbers(tmp_path: Path, slip: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(f"name,label\na,0\nb,{slip}\nc,1\n")
    with pytest.raises(ValueError, match=rf"labels\.csv:3: label '{slip}' is not a class"):
        read_label_file(path)


def test_labels_as_numbers_and_names(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("Name,Label,Split\na,2,train\n\nb,0,TEST\n")
    labels = read_label_file(path)
    assert {name: (one.label, one.split, one.line) for name, one in labels.clips.items()} == {
        "a": (2, "train", 2), "b": (0, "val", 4),
    }  # fmt: skip
    assert labels.classes == ["0", "1", "2"]
    path.write_text("name,label\na,wave\nb,fall\n")
    labels = read_label_file(path)
    assert labels.classes == ["fall", "wave"] and labels.clips["a"].label == 1 and labels.clips["a"].split == ""
    assert read_label_file(path, ["wave", "fall"]).clips["a"].label == 0
    (tmp_path / "l.pkl").write_bytes(pickle.dumps((["a", "b"], [1, 0])))
    assert read_label_file(tmp_path / "l.pkl").clips["a"].label == 1


@pytest.mark.parametrize("content", [(1, 2), (["a"], 2), (["a"], np.array(1)), (["a"], "b"), (["a"], [1, 2]), 3])
def test_odd_label_pickles(tmp_path: Path, content) -> None:
    path = tmp_path / "l.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(ValueError, match=r"l\.pkl: holds no \(names, labels\)"):
        read_label_file(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ":1: its columns"),
        ("a,1\n", ":1: its columns"),
        ("name,label\n", "names no clip"),
        ("name,label\na,1\na,2\n", ":3: clip 'a' appears twice"),
        ("name,label,split\na,1,left\n", ":2: split 'left'"),
        ("name,label\na\n", ":2: has 1 columns instead of 2"),
        ("name,label\na,7\n", ":2: label 7 is not one of 0 to 1"),
        ("name,label\na," + 5000 * "9" + "\n", ":2: label 99999999999999999999 is not one of 0 to 1"),
        ("name,label\na,jump\n", ":2: label 'jump' is not a class"),
        ("name,label\na," + 200_000 * "9" + "\n", ":2: not CSV"),
    ],
)
def test_bad_labels(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=words) as error:
        read_label_file(path, ["wave", "fall"])
    assert str(error.value).startswith(str(path))


def test_what_is_no_text_or_names_nothing(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"labels\.csv: not text \("):
        read_label_file(path)
    (tmp_path / "l.pkl").write_bytes(pickle.dumps(([], [])))
    with pytest.raises(ValueError, match=r"l\.pkl: names no clip"):
        read_label_file(tmp_path / "l.pkl")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff\xfe\x00", r"classes\.txt: not text \("),
        (b"\n\n", r"classes\.txt: names no class"),
        (b"wave\n\nfall\n", r"classes\.txt:2: '' is empty"),
        (b"wave\nfall\nwave\n", r"classes\.txt:3: 'wave' is empty or appears twice"),
    ],
)
def test_bad_names_of_classes(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "classes.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=words):
        read_classes(path)
    path.write_bytes(b"wave\n fall \n\n\n")
    assert read_classes(path) == ["wave", "fall"]


YOLO = "0 " + "0.5 " * 55


@pytest.mark.parametrize("name", ["labels.csv", "mine.csv"])
@pytest.mark.parametrize(
    ("file", "content", "source"),
    [("a.json", "[]", ""), ("a_0.txt", "", ""), ("a_0.txt", YOLO, "ultralytics"), ("a.mp4", "", "video")],
)
def test_a_label_file_is_no_clip(tmp_path: Path, name: str, file: str, content: str, source: str) -> None:
    (tmp_path / file).write_text(content)
    (tmp_path / name).write_text("\ufeffName, label,split\na,0,train\n", encoding="utf-8")
    found = first_kind(sorted(tmp_path.iterdir()))
    assert (found.source if found else "") == source
    if not source:
        assert kind_of_clip(tmp_path) is None
    assert name.removesuffix(".csv") not in _clip_files(MEDIAPIPE, tmp_path)
    (tmp_path / file).unlink()
    with pytest.raises(BadClip, match="holds no file of poses"):
        kind_of_clip(tmp_path)
