"""Bad files: each is named with its line and what to do, and never read past its end."""

import json
import os

import numpy as np
import pytest
from prep_files import (
    kinetics_clip,
    ntu_lines,
    nw_ucla_clip,
    person,
    write_kinetics_folder,
    write_ntu,
    write_nw_ucla_folder,
)

from native_prep import reference
from native_prep.cpu.one_file import read_clip
from native_prep.cpu.reader import reason
from native_prep.kernels import status
from native_prep.pipeline.prepare import prepare


def good_lines(frames: int = 3) -> list[str]:
    return ntu_lines([[body] for body in person(np.random.default_rng(0), frames)])


def changed(line: int, text: str) -> bytes:
    """A good file but for one line, counted from 1."""
    lines = good_lines()
    lines[line - 1] = text
    return ("\n".join(lines) + "\n").encode()


def joint(place: int, text: str) -> str:
    """A joint's line with another number in one place."""
    numbers = good_lines()[4].split()
    numbers[place] = text
    return " ".join(numbers)


GOOD = ("\n".join(good_lines()) + "\n").encode()
BAD_NTU = {
    "empty": (b"", r": is empty"),
    "white": (b"\n\n", r":1: expected a whole number"),
    "binary": (bytes(range(256)) * 40, r":1: expected a whole number"),
    "zeros": (bytes(10_000), r":1: expected a whole number"),
    "no frames": (b"0\n", r":1: says that there are no frames"),
    "negative": (changed(1, "-3"), r":1: expected a whole number"),
    "fraction": (changed(2, "1.5"), r":2: expected a whole number"),
    "two counts": (changed(2, "1 1"), r":2: expected a whole number"),
    "blank line": (changed(2, ""), r":2: expected a whole number"),
    "many frames": (changed(1, "301"), r":1: has 301 frames, there is room for 300"),
    "huge count": (changed(1, "99999999999999999999"), r":1: expected a whole number"),
    "fewer frames": (changed(1, "2"), r":58: goes on after the last of its 2 frames"),
    "more frames": (changed(1, "4"), r":86: ends after 3 of its 4"),
    "more bodies": (changed(58, "2"), r":86: ends after 2 of its 3"),
    "20 joints": (changed(4, "20"), r":4: has 20 joints, NTU needs 25"),
    "body": (changed(3, "1 2 3"), r":3: the line of a body has 3 numbers instead of 10"),
    "cut joint": (changed(9, "0.1 0.2 0.3 4"), r":9: the line of a joint has 4 numbers instead of 12"),
    "two numbers": (changed(9, "0.1 0.2"), r":9: the line of a joint has 2 numbers instead of 12"),
    "13 numbers": (changed(9, joint(11, "2 2")), r":9: the line of a joint has 13 numbers"),
    "no joint": (changed(9, ""), r":9: the line of a joint has 0 numbers"),
    "word": (changed(9, joint(1, "abc")), r":9: not a number"),
    "nan": (changed(9, joint(0, "nan")), r":9: not a number"),
    "inf": (changed(9, joint(2, "-inf")), r":9: not a number"),
    "two points": (changed(9, joint(0, "1.2.3")), r":9: not a number"),
    "underscore": (changed(9, joint(0, "1_0")), r":9: not a number"),
    "too large": (changed(9, joint(0, "1e9")), r":9: a number out of range"),
    "millimetres": (changed(9, joint(2, "3512.4")), r":9: a number out of range \(at most 1000 .*correct its unit"),
    "overflow": (changed(9, joint(0, "-1e999")), r":9: a number out of range"),
    "other word": (changed(9, joint(7, "abc")), r":9: not a number"),
    "other zero byte": (changed(9, joint(7, "1\x00")), r":9: not a number"),
    "not ascii": (changed(9, joint(7, "1\u00e9")), r":9: not a number"),
    "cut line": (GOOD[:-30], r":85: the line of a joint has"),
    "cut lines": (b"".join(GOOD.splitlines(True)[:40]), r":41: ends after 1 of its 3"),
    "page": (b"<!DOCTYPE html><html></html>", r":1: expected a whole number"),
}


@pytest.mark.parametrize("name", BAD_NTU)
def test_bad_ntu(tmp_path, name):
    content, message = BAD_NTU[name]
    path = tmp_path / "S001C001P001R001A001.skeleton"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"A001\.skeleton" + message) as caught:
        read_clip(path, "ntu60")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        GOOD[:-1],
        GOOD.replace(b"\n", b"\r\n"),
        GOOD.replace(b" ", b"  ").replace(b"\n", b" \n"),
        GOOD.replace(b" ", b"\t"),
        GOOD + b"\n \r\n",
        changed(9, joint(5, "NaN")),
        changed(9, joint(5, "-Infinity")),
    ],
)
def test_odd_but_good_ntu(tmp_path, content):
    path = tmp_path / "a.skeleton"
    path.write_bytes(content)
    assert np.array_equal(read_clip(path, "ntu60"), reference.prepare_ntu_clip(path))


def test_room_for_frames(tmp_path):
    path = write_ntu(tmp_path / "a.skeleton", frames=20)
    assert read_clip(path, "ntu60", 20).shape == (3, 20, 25, 2)
    with pytest.raises(ValueError, match="has 20 frames, there is room for 19"):
        read_clip(path, "ntu60", 19)


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "folder.skeleton").mkdir()
    (tmp_path / "loop.skeleton").symlink_to(tmp_path / "loop.skeleton")
    for name, message in (
        ("none.skeleton", "No such file"),
        ("folder.skeleton", "Is a directory"),
        ("loop.skeleton", "symbolic links"),
    ):
        with pytest.raises(ValueError, match=rf"{name}: .*{message}"):
            read_clip(tmp_path / name, "ntu60")


def test_huge_file(tmp_path):
    path = tmp_path / "a.skeleton"
    with path.open("wb") as file:
        file.truncate(5 << 30)
    with pytest.raises(ValueError, match=r"a\.skeleton: is larger than 32 MiB"):
        read_clip(path, "ntu60")


def test_clips_against_the_reference(tmp_path):
    for seed in range(6):
        path = write_ntu(tmp_path / f"{seed}.skeleton", seed, frames=5 + 7 * seed, bodies=1 + seed % 5)
        assert np.abs(read_clip(path, "ntu60") - reference.prepare_ntu_clip(path)).max() < 1e-6
        path = tmp_path / f"{seed}.json"
        path.write_text(json.dumps(kinetics_clip(seed)))
        assert np.array_equal(read_clip(path, "kinetics"), reference.prepare_kinetics_clip(path))


def kinetics_text(**changes) -> str:
    return json.dumps({**kinetics_clip(1), **changes})


FRAME = {"frame_index": 0, "skeleton": [{"pose": [0.5] * 36, "score": [1] * 18}]}
BAD_KINETICS = {
    "empty": ("", r": is empty"),
    "list": ("[]", r":1: not JSON"),
    "cut": (kinetics_text()[:-200], r":1: ends inside a value"),
    "cut string": ('{"da', r":1: ends inside a value"),
    "no data": (json.dumps({"label_index": 1}), r":1: has no list of frames"),
    "behind": (kinetics_text() + "\n\n{}", r":3: goes on after the end"),
    "comma": ('{"data": [],\n"label_index": 1,\n}', r":3: not JSON"),
    "nan": (kinetics_text().replace("0.5", "NaN", 1), r":1: not JSON"),
    "leading zero": ('{"label_index": 01, "data": []}', r":1: not JSON"),
    "fraction": ('{"label_index": 1.5, "data": []}', r":1: expected a whole number of at most nine digits"),
    "large label": ('{"label_index": 1000000000, "data": []}', r":1: expected a whole number of at most nine digits"),
    "word": ('{"label_index": "1", "data": []}', r":1: not JSON"),
    "frame": (kinetics_text(data=[{**FRAME, "frame_index": 300}]), r":1: frame_index 300 is not in 0\.\.\.299"),
    "negative": (kinetics_text(data=[{**FRAME, "frame_index": -1}]), r":1: frame_index -1 is not in"),
    "no index": (kinetics_text(data=[{"skeleton": []}]), r":1: a frame without frame_index"),
    "no skeleton": (kinetics_text(data=[{"frame_index": 1}]), r":1: a frame without its list"),
    "no score": (kinetics_text(data=[{"frame_index": 1, "skeleton": [{"pose": [0] * 36}]}]), r":1: a skeleton without"),
    "pose": (
        kinetics_text(data=[{"frame_index": 1, "skeleton": [{"pose": [0] * 34, "score": [0] * 18}]}]),
        r":1: a pose of 34 numbers instead of 36",
    ),
    "score": (
        kinetics_text(data=[{"frame_index": 1, "skeleton": [{"pose": [0] * 36, "score": [0] * 19}]}]),
        r":1: 19 scores instead of 18",
    ),
    "range": (kinetics_text().replace("0.5", "1e7", 1), r":1: a number out of range \(at most 1000000"),
    "pixels": (
        kinetics_text(data=[{**FRAME, "skeleton": [{"pose": [170] * 36, "score": [1] * 18}]}]),
        r":1: x, y or a score of 170, expected shares of the picture .*divide pixels by",
    ),
    "per cent": (
        kinetics_text(data=[{**FRAME, "skeleton": [{"pose": [0.5] * 36, "score": [87.5] * 18}]}]),
        r":1: x, y or a score of 87, expected",
    ),
    "deep": (kinetics_text(more=json.loads("[" * 70 + "]" * 70)), r":1: JSON nested deeper than 64"),
    "control": ('{"data": [], "label_index": 1, "a\x01": 1}', r":1: not JSON"),
    "escape": ('{"data": [], "label_index": 1, "a\\x": 1}', r":1: not JSON"),
    "hex": ('{"data": [], "label_index": 1, "a\\u12g4": 1}', r":1: not JSON"),
    "literal": ('{"data": [], "label_index": 1, "a": nul}', r":1: not JSON"),
    "brackets": ('{"data": [], "label_index": 1, "a": [{]}}', r":1: not JSON"),
}


@pytest.mark.parametrize("name", BAD_KINETICS)
def test_bad_kinetics(tmp_path, name):
    content, message = BAD_KINETICS[name]
    path = tmp_path / "clip.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"clip\.json" + message):
        read_clip(path, "kinetics")


def test_odd_but_good_kinetics(tmp_path):
    clip = kinetics_clip(2)
    extra = {"deep": [[{"a": [1, {"b": None}, "}]"]}, True], [], {}], "text": 'x\\"] } \u20ac', "num": -1.5e-7}
    shuffled = {**extra, "label_index": 5, "data": [], "more": extra}
    shuffled["data"] = [
        {"skeleton": [{"score": one["score"], **extra, "pose": one["pose"]} for one in frame["skeleton"]], **frame}
        for frame in reversed(clip["data"])
    ]
    for name, text in (
        ("wide", json.dumps(shuffled, indent=3)),
        ("tight", json.dumps(shuffled, separators=(",", ":"))),
    ):
        path = tmp_path / f"{name}.json"
        path.write_text(f" \r\n\t{text}\n")
        assert np.array_equal(read_clip(path, "kinetics"), reference.prepare_kinetics_clip(path))


BAD_NW_UCLA = {
    "millimetres": (
        {"skeletons": [[[100, -200, 2900]] * 20], "label": 1},
        r":1: a number out of range \(at most 1000",
    ),
    "joints": ({"skeletons": [[[0, 0, 0]] * 19], "label": 1}, r":1: has 19 joints, the data set needs 20"),
    "more joints": ({"skeletons": [[[0, 0, 0]] * 21], "label": 1}, r":1: has 21 joints"),
    "point": ({"skeletons": [[[0, 0]] * 20], "label": 1}, r":1: a joint of 2 numbers instead of 3"),
    "label": ({"skeletons": [[[0, 0, 0]] * 20], "label": 11}, r":1: label 11 is not one of the data set's 10"),
    "label 0": ({"skeletons": [[[0, 0, 0]] * 20], "label": 0}, r":1: label 0 is not one of"),
    "frames": ({"skeletons": [], "label": 1}, r":1: says that there are no frames"),
}


@pytest.mark.parametrize("name", BAD_NW_UCLA)
def test_bad_nw_ucla(tmp_path, name):
    content, message = BAD_NW_UCLA[name]
    path = tmp_path / "clip.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"clip\.json" + message):
        read_clip(path, "nw-ucla")


def test_nw_ucla_as_recorded(tmp_path):
    clip = nw_ucla_clip(3, 7, 4)
    path = tmp_path / "clip.json"
    path.write_text(json.dumps(clip))
    points = np.array(clip["skeletons"]).astype(np.float32).transpose(2, 0, 1)[..., None]  # (C, T, V, M)
    assert np.array_equal(read_clip(path, "nw-ucla"), points)
    padded = read_clip(path, "nw-ucla", 10)
    assert np.array_equal(padded[:, :7], points)
    assert not padded[:, 7:].any()
    with pytest.raises(ValueError, match="has 7 frames, there is room for 6"):
        read_clip(path, "nw-ucla", 6)


@pytest.mark.parametrize(
    ("dataset", "write", "key"),
    [("kinetics", write_kinetics_folder, "label_index"), ("nw-ucla", write_nw_ucla_folder, "label")],
)
def test_a_clip_without_a_label_can_be_recognised_but_not_prepared(tmp_path, dataset, write, key):
    folder = write(tmp_path / "raw")
    path = min(folder.glob("*/*.json"))
    labelled = read_clip(path, dataset)
    content = json.loads(path.read_text())
    del content[key]
    path.write_text(json.dumps(content))
    assert np.array_equal(read_clip(path, dataset), labelled)
    with pytest.raises(ValueError, match=r"\.json: has no label"):
        prepare(dataset, folder, tmp_path / "out")


def test_a_pipe_with_a_writer_does_not_stop_us(tmp_path):
    pipe = str(tmp_path / "S001C001P001R001A001.skeleton")
    os.mkfifo(pipe)
    writer = os.open(pipe, os.O_RDWR)
    try:
        assert reason(pipe, [status.UNREADABLE, 0, 0, 0, 0, 0, -1]) == "is not a file: move it away"
    finally:
        os.close(writer)
