"""Lines of a live stream to frames, frames to a window, answers to a timeline."""

import csv
import json
import time
from pathlib import Path

import numpy as np
import pytest

from export.live.frames import BadLine, Body, Frame, FrameParser, WrongStream, frames_of
from export.live.sources import LONGEST_LINE, LineFrames, split_lines
from export.live.timeline import Actions, Timeline
from export.live.window import MOST_PEOPLE, Fate, Window, fill
from native_prep.poses.to_clip import Poses
from native_prep.skeletons.layouts import KINETICS, NTU

CENTRE = NTU.centre
RNG = np.random.default_rng(4)
WALK = RNG.normal(0, 0.3, (60, 25, 3)) + np.array((0.2, 0.1, 3.0))  # (T, V, 3)


def frame(number: int, *people: str, time: float | None = None, hidden: tuple[int, ...] = ()) -> Frame:
    bodies = {}
    for place, name in enumerate(people):
        points, seen = WALK[number % 60] + place, np.ones(25, bool)
        points[list(hidden)], seen[list(hidden)] = 0, False
        bodies[name] = Body(points, seen)
    return Frame(number, time, bodies)


def line(number: int | None = 0, joints: list | None = None, **more: object) -> bytes:
    body = {"id": "a", "joints": WALK[0].tolist() if joints is None else joints}
    value = {"frame": number, "bodies": [body], **more}
    return json.dumps({key: one for key, one in value.items() if one is not None}).encode()


def window(length: int = 6, max_gap: int = 3) -> Window:
    return Window(length, max_gap, NTU)


def test_a_line_is_a_frame() -> None:
    joints = WALK[3].tolist()
    joints[4], joints[9] = None, [0, 0, 0]
    found = FrameParser(NTU, None).parse(line(17, joints, time=0.567))
    assert found is not None and (found.number, found.time, list(found.bodies)) == (17, 0.567, ["a"])
    points, seen = found.bodies["a"]
    assert np.flatnonzero(~seen).tolist() == [4, 9] and not points[[4, 9]].any()
    np.testing.assert_array_equal(points[seen], WALK[3][seen])


def test_frames_are_numbered_by_time_or_by_order() -> None:
    parser = FrameParser(NTU, 10.0)
    frames = [parser.parse(line(None)), parser.parse(line(7)), parser.parse(line(None))]
    assert [one.number for one in frames if one] == [0, 7, 8]
    by_time = FrameParser(NTU, 10.0)
    frames = [by_time.parse(line(None, time=time)) for time in (100.0, 100.11, 100.3, 100.19)]
    assert [one.number for one in frames if one] == [0, 1, 3, 2]


def test_the_first_line_may_say_what_follows() -> None:
    parser = FrameParser(NTU, None)
    assert parser.parse(b'{"layout": "ntu", "joints": 25, "fps": 15}') is None and parser.fps == 15
    assert parser.parse(b"  ") is None
    assert FrameParser(NTU, 20.0).fps == 20
    for text, words in (
        (b'{"joints": 18}', "18 joints, the engine's skeleton .ntu. has 25"),
        (b'{"layout": "kinetics"}', "layout 'kinetics', the engine for ntu"),
        (b'{"fps": 0}', "0 frames a second"),
        (line(0, WALK[0, :18].tolist()), "body 0 has 18 joints"),
    ):
        with pytest.raises(WrongStream, match=words):
            FrameParser(NTU, None).parse(text)


@pytest.mark.parametrize(
    "text",
    [
        b"{", b"\xff\xfe", b"[1]", b"7", b"[" * 100_000, b"{}", b'{"bodies": 1}', b'{"bodies": [1]}',
        b'{"bodies": [{"joints": 3}]}', line(1.5), line("1"), line(True), line(10**30), line(0, time="now"),
        line(None, time=1e308), line(None, time=10**400), line(10**400),
        line(0, time=float("inf")), line(0, WALK[0, :18].tolist()), line(0, ["a"] * 25),
        line(0, [["1", "2", "3"]] * 25),
        line(0, [[1, 2]] * 25), line(0, [[1, 2, 3]] * 24 + [[1, 2]]), line(0, [[float("nan"), 0, 1]] * 25),
        line(0, [[1e400, 0, 1]] * 25), line(0, [[1e7, 0, 1]] * 25), line(0, [[10**400, 0, 1]] * 25),
        line(0, [[None, 0, 1]] * 25), line(0, [{}] * 25), b'{"bodies": [' + b"{}," * 64 + b"{}]}",
        json.dumps({"bodies": [{"id": 1, "joints": WALK[0].tolist()}] * 2}).encode(),
        json.dumps({"bodies": [{"id": [], "joints": WALK[0].tolist()}]}).encode(),
    ],
)  # fmt: skip
def test_a_bad_line_is_named_not_raised_through(text: bytes) -> None:
    parser = FrameParser(NTU, None)
    parser.parse(line(0))
    with pytest.raises(BadLine):
        parser.parse(text)
    assert (found := parser.parse(line(1))) is not None and found.number == 1


def test_bad_lines_are_told_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    texts = [line(0), b"{", line(1), b"", *[b"?"] * 30, b'{"frame": 2, "x": "' + b"y" * LONGEST_LINE + b'"}', line(3)]
    stream = b"\n".join(texts)
    pieces = (stream[start : start + 1000] for start in range(0, len(stream), 1000))
    lines = LineFrames(pieces, "cam", FrameParser(NTU, None), live=False)
    assert [arrival.frame.number for arrival in lines] == [0, 1, 3]
    assert lines.bad_lines == 32
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("cam:2: not JSON") and len(told) == 20 and "only counted" in told[-1]


def test_lines_come_in_any_pieces() -> None:
    text = b"one\r\n\ntwo\nthree"
    for size in range(1, len(text) + 1):
        pieces = iter([text[start : start + size] for start in range(0, len(text), size)])
        found = [(one.number, one.text.strip()) for one in split_lines(pieces)]
        assert found == [(1, b"one"), (2, b""), (3, b"two"), (4, b"three")]


def test_lines_of_a_finished_file_arrive_when_they_are_wanted() -> None:
    lines = iter(LineFrames(iter([line(0) + b"\n" + line(1)]), "cam", FrameParser(NTU, None), live=False))
    next(lines)
    asked = time.monotonic()
    assert next(lines).arrived >= asked


def test_wrong_stream_names_the_line() -> None:
    pieces = iter([b"\n", line(0, WALK[0, :3].tolist()) + b"\n"])
    with pytest.raises(ValueError, match=r"cam:2: body 0 has 3 joints, the engine's skeleton \(ntu\) has 25"):
        list(LineFrames(pieces, "cam", FrameParser(NTU, None), live=False))


def test_the_window_slides() -> None:
    ours = window()
    for number in range(10, 30):
        assert ours.add(frame(number, "a")) is Fate.TAKEN
        first = max(10, number - 5)
        assert ours.start == first
        np.testing.assert_array_equal(list(ours.people().values()), WALK[None, first : number + 1])


def test_late_repeated_and_far_frames() -> None:
    ours = window()
    for number in (10, 11, 14, 13):
        assert ours.add(frame(number, "a")) is Fate.TAKEN
    assert ours.add(frame(12, "a")) is Fate.TAKEN, "late, but in time for the window"
    np.testing.assert_array_equal(list(ours.people().values()), WALK[None, 10:15])
    assert ours.add(frame(9, "a")) is Fate.TAKEN and ours.start == 9
    assert ours.add(frame(12, "a")) is Fate.REPEATED
    assert ours.add(Frame(12)) is Fate.OTHER and ours.add(frame(12, "b")) is Fate.OTHER
    np.testing.assert_array_equal(list(ours.people().values()), WALK[None, 9:15])
    assert ours.add(frame(8, "a")) is Fate.LATE
    assert ours.add(frame(19, "a")) is Fate.FAR and ours.newest == 14
    assert ours.add(frame(18, "a")) is Fate.TAKEN, "a gap of three is filled"
    assert ours.start == 13


def test_missing_frames_are_filled_in_a_straight_line() -> None:
    ours = window(7)
    for number in (*range(-20, 2), 5, 6):  # its ring has gone round
        ours.add(frame(number, "a"))
    (found,) = ours.people().values()
    np.testing.assert_allclose(found[2:5], WALK[1] + (WALK[5] - WALK[1]) * np.array([0.25, 0.5, 0.75])[:, None, None])
    np.testing.assert_array_equal(found[[0, 1, 5, 6]], WALK[[0, 1, 5, 6]])


def test_a_dropout_at_the_windows_start_is_filled_from_before_it() -> None:
    ours = window(4, 3)
    for number in range(12):
        ours.add(frame(number, "a", hidden=(7,) if number in (7, 8) else ()))
    assert ours.start == 8
    (found,) = ours.people().values()
    np.testing.assert_allclose(found[0, 7], WALK[6, 7] + (WALK[9, 7] - WALK[6, 7]) * 2 / 3)


def test_joints_that_are_lost() -> None:
    ours = window(10, 2)
    for number in range(10):
        ours.add(frame(number, "a", hidden=((7,) if number in (0, 1) else ()) + ((9,) if number > 3 else ())))
    (found,) = ours.people().values()
    np.testing.assert_array_equal(found[:2, 7], WALK[[2, 2], 7])
    np.testing.assert_array_equal(found[4:, 9], [WALK[3, 9], WALK[3, 9], *np.zeros((4, 3))])
    np.testing.assert_array_equal(found[:, 5], WALK[:10, 5])


def test_nobody_knows_where_a_person_without_centre_is() -> None:
    ours = window(10, 2)
    for number in range(10):
        ours.add(frame(number, "a", hidden=(CENTRE,) if number > 3 else ()))
    (found,) = ours.people().values()
    assert found[:6].any(axis=(1, 2)).all() and not found[6:].any()


def test_people_enter_leave_and_come_back() -> None:
    ours = window(12, 2)
    for number in range(12):
        ours.add(frame(number, *("a" * (number < 9)), *("b" * (number not in (0, 1, 2, 5, 6)))))
    a, b = ours.people().values()
    np.testing.assert_array_equal(a[:9], WALK[:9])
    np.testing.assert_array_equal(a[9:], [WALK[8], WALK[8], np.zeros((25, 3))])
    assert not b[:3].any(), "before somebody comes nobody is there"
    assert b[3:].any(axis=(1, 2)).all()
    for number in range(12, 24):
        ours.add(frame(number, "b"))
    assert len(ours.people()) == 1, "who is gone is forgotten"


def test_only_so_many_people_are_followed() -> None:
    ours = window()
    for number in range(60):
        ours.add(frame(number, "steady", f"new{number}a", f"new{number}b", *map(str, range(14))))
        assert len(ours.people()) <= MOST_PEOPLE
    np.testing.assert_array_equal(next(iter(ours.people().values())), WALK[54:])


def test_scores_are_not_drawn_in_lines() -> None:
    points = RNG.uniform(0.2, 0.8, (6, 18, 3))
    points[:, 4] = 0
    ours = Window(6, 3, KINETICS)
    for moment in frames_of(Poses(points[None].astype(np.float32)), KINETICS):
        if moment.number not in (2, 3):
            ours.add(moment)
    (found,) = ours.people().values()
    np.testing.assert_array_equal(found[2:4], found[[1, 1]])
    assert not found[:, 4].any()


def test_without_filling_frames_are_as_they_came() -> None:
    points, seen = RNG.normal(size=(9, 4, 3)), RNG.uniform(size=(9, 4)) > 0.4
    points[~seen] = 0
    for straight in (True, False):
        filled, known = fill(points, seen, 0, straight)
        np.testing.assert_array_equal(filled, points)
        np.testing.assert_array_equal(known, seen)


@pytest.mark.parametrize("max_gap", [1, 2, 4, 30])
def test_fill_as_its_words_say(max_gap: int) -> None:
    points, seen = RNG.normal(size=(30, 1, 3)), RNG.uniform(size=(30, 1)) > 0.6
    filled, known = fill(points * seen[..., None], seen, max_gap, straight=True)
    times = np.flatnonzero(seen[:, 0])
    for now in range(30):
        before, after = times[times <= now].max(initial=-1), times[times >= now].min(initial=99)
        if before == after:
            expected = points[now, 0]
        elif before >= 0 and after < 99 and after - before - 1 <= max_gap:
            share = (now - before) / (after - before)
            expected = points[before, 0] + share * (points[after, 0] - points[before, 0])
        else:
            expected = points[before, 0] if before >= 0 and now - before <= max_gap else np.zeros(3)
        np.testing.assert_allclose(filled[now, 0], expected, atol=1e-12)
        assert known[now, 0] == expected.any()


def test_people_of_a_recording_keep_their_ids() -> None:
    points = np.stack([WALK[:4], WALK[:4] + 1]).astype(np.float32)
    points[1, 2] = 0
    ids = np.array([[7, 7, 9, 9], [9, 9, 7, 7]])
    found = list(frames_of(Poses(points, ids), NTU))
    assert [list(one.bodies) for one in found] == [["7", "9"], ["7", "9"], ["9"], ["9", "7"]]
    assert [list(one.bodies) for one in frames_of(Poses(points), NTU)][1:3] == [["#0", "#1"], ["#0"]]


def test_timeline_joins_neighbours(tmp_path: Path) -> None:
    ours = Actions()
    for start, label, score in ((0, 4, 0.5), (1, 4, 0.7), (2, 6, 0.9), (3, -1, 0.0), (4, 6, 0.8)):
        ours.add(start, start + 2, label, f"class {label}", score)
    ours.cut()
    ours.add(20, 22, 6, "class 6", 0.4)
    timeline = Timeline()
    timeline._together = ours
    timeline.write(tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["start", "end", "label", "name", "score"],
        ["0.000", "2.500", "4", "class 4", "0.6000"],
        ["2.500", "3.500", "6", "class 6", "0.9000"],
        ["4.500", "6.000", "6", "class 6", "0.8000"],
        ["20.000", "22.000", "6", "class 6", "0.4000"],
    ]
