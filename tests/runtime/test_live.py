"""`predict --stream`: raw frames become the clips that files become, and each window has its answer."""

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from exported import CLASSES
from live_streams import answers, arrivals, engine_for, lines_of, session
from prep_files import kinetics_clip, nw_ucla_clip, write_ntu

from export.live.frames import Frame
from export.live.session import LiveSettings
from export.live.sources import Arrival
from export.runtime.predict import predict
from native_prep.cpu.in_memory import prepare_frames
from native_prep.cpu.one_file import read_clip
from native_prep.datasets.catalog import class_names, get_dataset
from native_prep.poses.people import read_people
from native_prep.reference import read_ntu


def test_frames_become_what_a_file_becomes(tmp_path: Path) -> None:
    for bodies in (1, 2, 4):
        path = write_ntu(tmp_path / f"S001C001P001R001A00{bodies}.skeleton", bodies, 9 + bodies, bodies)
        for frames in (None, 40):
            got = prepare_frames(read_ntu(path), get_dataset("ntu60"), frames)
            np.testing.assert_array_equal(got, read_clip(path, "ntu60", frames))
    (tmp_path / "k.json").write_text(json.dumps(kinetics_clip(3, frames=20)))
    people = read_people(str(tmp_path / "k.json"), get_dataset("kinetics")).points.astype(np.float64)
    got = prepare_frames(people, get_dataset("kinetics"))
    np.testing.assert_allclose(got, read_clip(tmp_path / "k.json", "kinetics"), atol=1e-7)
    (tmp_path / "a01_s01_e00_v01.json").write_text(json.dumps(nw_ucla_clip(1, 14, 2)))
    people = read_people(str(tmp_path / "a01_s01_e00_v01.json"), get_dataset("nw-ucla")).points.astype(np.float64)
    for still in (people, np.concatenate([people[:, :1].repeat(14, 1), people])):
        got = prepare_frames(still, get_dataset("nw-ucla"))
        np.testing.assert_array_equal(got, read_clip(tmp_path / "a01_s01_e00_v01.json", "nw-ucla"))
    for name in ("ntu60", "kinetics", "nw-ucla"):
        joints = get_dataset(name).layout.num_joints
        assert not prepare_frames(np.zeros((0, 5, joints, 3)), get_dataset(name), 8).any()
    with pytest.raises(ValueError, match="301 frames are more than the 300 of a clip"):
        prepare_frames(np.zeros((1, 301, 25, 3)), get_dataset("ntu60"))


def test_damaged_recordings_are_named(tmp_path: Path) -> None:
    for name, text in (
        ("kinetics", "[]"), ("kinetics", '{"data": [{"frame_index": 1}]}'), ("nw-ucla", '{"skeletons": [[1, 2]]}'),
        ("kinetics", '{"data": [{"frame_index": 1e9, "skeleton": []}]}'), ("nw-ucla", "{"), ("nw-ucla", "7"),
        ("kinetics", '{"data": [{"frame_index": 1, "skeleton": [{"pose": [1], "score": [1]}]}]}'),
    ):  # fmt: skip
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(ValueError, match=r"x\.json"):
            read_people(str(tmp_path / "x.json"), get_dataset(name))


def test_a_window_of_all_is_the_clip(exported: Path, recording: Path) -> None:
    (expected,) = predict(exported / "engine", [recording], runtime="onnxruntime")["clips"]
    found, result = answers(exported / "engine", str(recording), settings=LiveSettings(window=200, max_gap=0))
    assert [one["top"] for one in found] == [expected["top"]]
    assert (found[0]["start_frame"], found[0]["end_frame"], found[0]["end"]) == (0, 69, 2.3)
    assert (result["frames"], result["answers"], result["interrupted"]) == (70, 1, False)


def test_lines_and_recordings_have_the_same_answers(exported: Path, recording: Path, tmp_path: Path) -> None:
    settings = LiveSettings(window=30, stride=10, top=3)
    recorded, result = answers(exported / "engine", str(recording), settings=settings, timeline=tmp_path / "t.csv")
    assert [(one["start_frame"], one["end_frame"]) for one in recorded] == [
        (0, 29), (10, 39), (20, 49), (30, 59), (40, 69),
    ]  # fmt: skip
    assert all(len(one["top"]) == 3 and one["people"] == 1 and one["lag_frames"] == 0 for one in recorded)
    assert len({one["top"][0]["score"] for one in recorded}) == 5
    texts = lines_of(recording)
    mixed = [texts[1], texts[0], "{", *texts[2:40], texts[38], texts[41], texts[40], *texts[42:], texts[3]]
    (tmp_path / "cam.jsonl").write_text("\n".join(mixed))
    found, counted = answers(exported / "engine", str(tmp_path / "cam.jsonl"), settings=settings)
    assert [one["top"] for one in found] == [one["top"] for one in recorded]
    assert counted["dropped"] == {"late": 1, "repeated": 1, "bad_lines": 1} and counted["frames"] == 70
    assert counted["latency_seconds"]["max"] >= counted["latency_seconds"]["median"] > counted["prepare_seconds"] > 0
    with (tmp_path / "t.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[0]["start"]) == 0 and float(rows[-1]["end"]) == 2.3
    assert {row["name"] for row in rows} <= set(class_names("ntu60")[:CLASSES])
    assert result["timeline"] == str(tmp_path / "t.csv")


def test_gaps_and_new_beginnings(exported: Path, recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours, found = session(engine_for(exported), window=10, stride=5, max_gap=3)
    numbers = [*range(12), 15, 16, 40, *range(41, 60), *range(30)]
    assert ours.run(arrivals(recording, numbers)) is False
    spans = [(one["start_frame"], one["end_frame"]) for one in found]
    assert spans == [
        (0, 9), (6, 15), (7, 16), (40, 49), (45, 54), (50, 59), (0, 9), (5, 14), (10, 19), (15, 24), (20, 29),
    ]  # fmt: skip
    assert "cam: frame 40 follows frame 16: the window begins anew" in capsys.readouterr().err
    assert [(row.start, round(row.end, 3)) for row in ours.timeline.rows] == [
        (0, 0.533),
        (40 / 30, 1.967),
        (0, 0.967),
    ]
    result = ours.result()
    # A sender that counts from 0 again is believed at the eleventh old frame, and then all of them count.
    assert result["restarts"] == 2 and result["dropped"]["late"] == 0 and result["frames"] == len(numbers)


def test_a_new_beginning_soon_after_the_first(exported: Path, recording: Path) -> None:
    ours, found = session(engine_for(exported), window=10, stride=5)
    first, other = list(arrivals(recording, range(15))), list(arrivals(recording, range(40, 60)))
    second = [one._replace(frame=replace(one.frame, number=number)) for number, one in enumerate(other)]
    ours.run([*first, *first[3:14], *second])
    spans = [(one["start_frame"], one["end_frame"]) for one in found]
    assert spans == [(0, 9), (5, 14), (0, 9), (5, 14), (10, 19)]
    result = ours.result()
    # What is sent twice is no new beginning, however much of it.
    assert result["restarts"] == 1 and result["frames"] == 35
    assert result["dropped"] == {"late": 2, "repeated": 9, "bad_lines": 0}


def test_strides_go_on_after_a_gap(exported: Path, recording: Path) -> None:
    ours, found = session(engine_for(exported), window=10, stride=2)
    ours.run(arrivals(recording, [*range(12), *range(18, 22)]))
    assert [one["end_frame"] for one in found] == [9, 11, 18, 19, 21]


def test_people_of_a_file_are_told_apart_by_id(tmp_path: Path) -> None:
    path = write_ntu(tmp_path / "S001C001P001R001A001.skeleton", 1, 4, 2)
    assert read_people(str(path), get_dataset("ntu60")).ids is None, "one id for everybody tells nothing"
    first, *others = path.read_text().split("72057594037931101")
    path.write_text(first + "".join(f"7205{'1221'[place % 4]}{text}" for place, text in enumerate(others)))
    ids = read_people(str(path), get_dataset("ntu60")).ids
    assert ids is not None and ids.tolist() == [[0, 1, 0, 1], [1, 0, 1, 0]]


def test_nobody_there_is_an_answer_too(exported: Path, recording: Path, tmp_path: Path) -> None:
    ours, found = session(engine := engine_for(exported), window=10, stride=10, max_gap=2)
    some = list(arrivals(recording, range(20)))
    nobody = [Arrival(Frame(number), 0.0, 0) for number in range(20, 40)]
    ours.run([*some, *nobody])
    assert [(one["people"], len(one["top"])) for one in found] == [(1, 5), (1, 5), (1, 5), (0, 0)]
    assert len(engine.shown) == 4, "one to warm up, none for nobody"
    ours.timeline.write(tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text().splitlines()[1:] == ["0.000,0.983,0,drink water,0.9928"]


def test_time_of_the_sender(exported: Path, recording: Path) -> None:
    ours, found = session(engine_for(exported), window=10, stride=5, fps=10)
    moments = list(arrivals(recording, range(15)))
    ours.run(
        Arrival(Frame(n, 100 + n / 10 if n != 14 else None, one.frame.bodies), 0.0, 0) for n, one in enumerate(moments)
    )
    assert [(one["start"], one["end"]) for one in found] == [(100.0, 100.9), (100.5, 101.4)]
    # Counted and timed anew: frame 20 comes twice, at 102 and at 500 seconds.
    ours, found = session(engine_for(exported), window=10, stride=50, fps=10)
    numbers = [*range(20, 35), *range(10, 30)]
    ours.run(
        Arrival(Frame(n, (100 if place < 15 else 498) + n / 10, moments[0].frame.bodies), 0.0, 0)
        for place, n in enumerate(numbers)
    )
    times = [(one["start"], one["end"]) for one in found]
    assert times == [(102.0, 102.9), (102.5, 103.4), (499.0, 499.9), (500.0, 500.9)]


def test_realtime_leaves_answers_out(exported: Path, recording: Path) -> None:
    for realtime, spans in ((False, [9, 14, 19, 24]), (True, [9, 24])):
        ours, found = session(engine_for(exported), window=10, stride=5, realtime=realtime)
        slow = list(arrivals(recording, range(25)))
        behind = [one._replace(waiting=8 if 12 <= place < 22 else 0) for place, one in enumerate(slow)]
        ours.run(behind)
        assert [one["end_frame"] for one in found] == spans
        assert ours.result()["skipped_answers"] == (2 if realtime else 0)
        assert [one["lag_frames"] for one in found] == ([0, 0] if realtime else [0, 8, 8, 0])


def test_interruption_is_an_end(exported: Path, recording: Path) -> None:
    def stream() -> Iterator[Arrival]:
        yield from arrivals(recording, range(13))
        raise KeyboardInterrupt

    ours, found = session(engine_for(exported), window=10, stride=5)
    assert ours.run(stream()) is True
    assert [one["end_frame"] for one in found] == [9, 12]
