"""`predict --stream`: raw frames become the clips that files become, and answers come while the stream goes on."""

import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exported import CLASSES
from prep_files import kinetics_clip, nw_ucla_clip, write_ntu

from export.live import session as live_module
from export.live.frames import BadLine, Frame, FrameParser, frames_of
from export.live.session import LiveSession, LiveSettings, predict_stream
from export.live.sources import Arrival, LineFrames, follow_file, split_lines
from export.manifest import Manifest, read_manifest
from export.runtime.predict import predict
from native_prep.cpu.in_memory import prepare_frames
from native_prep.cpu.one_file import read_clip
from native_prep.datasets.catalog import class_names, get_dataset
from native_prep.poses.ntu_tracked import read_ntu_bodies
from native_prep.poses.people import read_people
from native_prep.poses.to_clip import Poses
from native_prep.reference import read_ntu
from native_prep.skeletons.layouts import LAYOUTS, NTU, layout_as_dict

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """70 frames of two people."""
    folder = tmp_path_factory.mktemp("live")
    return write_ntu(folder / "S001C001P001R001A001.skeleton", seed=3, frames=70, bodies=1)


def lines_of(path: Path) -> list[str]:
    """A recording as the lines of a stream."""
    poses = read_ntu_bodies(str(path))
    frames = []
    for frame in frames_of(Poses(poses.points), NTU):
        bodies = [{"id": name, "joints": body.points.tolist()} for name, body in frame.bodies.items()]
        frames.append(json.dumps({"frame": frame.number, "bodies": bodies}))
    return frames


def answers(*args: Any, **options: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    found: list[dict[str, Any]] = []
    result = predict_stream(*args, write=found.append, runtime="onnxruntime", **options)
    return found, result


class Looker:
    """An engine that keeps what it is shown; its answer is the class `says`."""

    runtime, device, folder = "fake", "cpu", "engine"

    def __init__(self, manifest: Manifest) -> None:
        self.manifest, self.says = manifest, 0
        self.shown: list[np.ndarray] = []

    def run(self, joints: np.ndarray) -> tuple[np.ndarray, ...]:
        self.shown.append(joints)
        scores = 9 * np.eye(self.manifest.num_class, dtype=np.float32)[[self.says]]
        return scores, scores, scores


def engine_for(exported: Path, known_as: str = "ntu60", frames: int = 300, **values: Any) -> Looker:
    known = get_dataset(known_as)
    about = read_manifest(exported / "engine").__dict__ | {
        "dataset": known_as, "layout": known.layout.name, "frames": frames, "joints": known.layout.num_joints,
        "bodies": known.num_person, "num_class": known.num_class, "class_names": class_names(known_as),
        "feeder_args": {}, "prepared_frames": 0,
    }  # fmt: skip
    return Looker(Manifest(**about | values))


def session(engine: Looker, **settings: Any) -> tuple[LiveSession, list[dict[str, Any]]]:
    found: list[dict[str, Any]] = []
    return LiveSession(engine, LiveSettings(**settings), "cam", found.append), found  # type: ignore[arg-type]


def arrivals(recording: Path, numbers: Any, waiting: int = 0) -> Iterator[Arrival]:
    frames = list(frames_of(Poses(read_ntu_bodies(str(recording)).points), NTU))
    for number in numbers:
        yield Arrival(Frame(number, None, frames[number % len(frames)].bodies), time.monotonic(), waiting)


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


def test_a_followed_file_that_begins_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cam.jsonl"
    path.write_text("a\nb")
    lines = split_lines(follow_file(str(path), 5.0))
    assert next(lines)[:2] == (1, b"a")
    (tmp_path / "other").write_text("c\nd\n")
    (tmp_path / "other").rename(path)
    assert [next(lines)[:2] for _ in range(4)] == [(2, b"b"), (0, None), (1, b"c"), (2, b"d")]
    path.write_text("e\n")
    assert [next(lines)[:2] for _ in range(2)] == [(0, None), (1, b"e")]
    path.unlink()
    threading.Timer(0.2, path.write_text, ("f\n",)).start()
    assert [next(lines)[:2] for _ in range(2)] == [(0, None), (1, b"f")]
    told = capsys.readouterr().err.splitlines()
    assert [line.removeprefix(f"{path}: ") for line in told] == [
        "is another file: read from its start",
        "became shorter: read from its start",
        "is gone: waiting for another one",
        "is another file: read from its start",
    ]
    assert [line.text for line in split_lines(follow_file(str(path), 0.01))] == [b"f"]
    with pytest.raises(IsADirectoryError, match=str(tmp_path)):
        next(follow_file(str(tmp_path), 0.01))


@pytest.mark.parametrize(("numbers", "restarts"), [(range(15, 20), 0), (range(5), 1)])
def test_a_followed_files_numbers_say_whether_the_stream_goes_on(
    exported: Path, recording: Path, numbers: range, restarts: int
) -> None:
    ours, found = session(engine_for(exported), window=10, stride=5)
    before, (first, *others) = arrivals(recording, range(15)), list(arrivals(recording, numbers))
    ours.run([*before, first._replace(first=True), *others])
    assert found[-1]["end_frame"] == numbers[-1] and ours.result()["restarts"] == restarts
    assert ours.result()["frames"] == 20


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


@pytest.mark.parametrize(("dataset", "joints"), [("kinetics", 18), ("nw-ucla", 20), ("custom", 17)])
def test_other_skeletons(exported: Path, tmp_path: Path, dataset: str, joints: int) -> None:
    values: dict[str, Any] = {}
    if dataset == "custom":
        about = {"version": 1, "layout": layout_as_dict(LAYOUTS["coco17"]), "classes": ["a", "b"], "max_bodies": 2,
                 "image_size": None, "align": "none", "track": False}  # fmt: skip
        values = {"dataset": "custom", "layout": "coco17", "joints": 17, "bodies": 2, "custom": about}
    engine = engine_for(exported, "kinetics" if dataset == "custom" else dataset, 40, **values)
    rng = np.random.default_rng(0)
    people = rng.uniform(0.2, 0.8, (3, 50, joints, 3))
    ours, found = session(engine, window=20, stride=10)
    ours.run(Arrival(frame, 0.0, 0) for frame in frames_of(Poses(people), ours.raw.layout))
    assert [one["end_frame"] for one in found] == [19, 29, 39, 49] and found[0]["people"] == 3
    assert {one.shape for one in engine.shown} == {(1, 3, 40, joints, 1 if dataset == "nw-ucla" else 2)}
    assert engine.shown[-1].any(axis=(0, 1, 3)).all(axis=1)[:20].all() and not engine.shown[-1][:, :, 20:].any()


@pytest.mark.parametrize(
    ("dataset", "joint", "words"),
    [
        ("ntu60", [300.0, -200.0, 2900.0], r"stdin:1: body 0: a body is .* m across .*expected less than 10"),
        ("kinetics", [400.0, 250.0, 0.9], r"stdin:1: body 0: coordinates from .* are pixels"),
        ("kinetics", [0.4, 0.5, 87.0], r"stdin:1: body 0: scores are from 0 to 87.*, expected 0 to 1"),
    ],
)
def test_streams_of_numbers_that_cannot_be_meant(exported: Path, dataset: str, joint: list[float], words: str) -> None:
    live, _ = session(engine_for(exported, dataset), window=8)
    layout, rng = get_dataset(dataset).layout, np.random.default_rng(0)

    def lines() -> Iterator[bytes]:
        for number in range(9):
            joints = [[x * rng.uniform(0.8, 1), y * rng.uniform(0.8, 1), z] for x, y, z in [joint] * layout.num_joints]
            yield json.dumps({"frame": number, "bodies": [{"joints": joints}]}).encode() + b"\n"

    with pytest.raises(ValueError, match=words):
        live.run(LineFrames(lines(), "stdin", FrameParser(layout, None, live.raw.fault), live=False))


def test_one_odd_number_is_one_bad_line(exported: Path, recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A tracker's glitch, or half a person at the picture's edge, ends no stream."""
    lines = lines_of(recording)
    glitch = json.loads(lines[40])
    glitch["bodies"][0]["joints"][7][0] = 40.0
    lines[40] = json.dumps(glitch)
    live, told = session(engine_for(exported), window=30)
    parser = FrameParser(NTU, None, live.raw.fault)
    live.lines = LineFrames(iter(["\n".join(lines).encode()]), "stdin", parser, live=False)
    live.run(live.lines)
    assert live.result()["dropped"]["bad_lines"] == 1 and live.result()["frames"] == 69 and len(told) > 1
    assert "stdin:41: body 0: a body is 4" in capsys.readouterr().err
    shares = FrameParser(LAYOUTS["kinetics"], None, session(engine_for(exported, "kinetics"))[0].raw.fault)
    half_out = [[-0.1, 0.5, 0.9]] * 12 + [[0.1, 0.5, 0.9]] * 6
    assert shares.parse(json.dumps({"bodies": [{"joints": half_out}]}).encode()) is not None
    with pytest.raises(BadLine, match="body 0: scores are from 0 to 9"):
        shares.parse(json.dumps({"bodies": [{"joints": [[0.4, 0.5, 9.0], *half_out[1:]]}]}).encode())


def test_recordings_of_another_unit(exported: Path, tmp_path: Path) -> None:
    path = tmp_path / "a01_s01_e00_v01.json"
    clip = nw_ucla_clip(1, 9, 1)
    clip["skeletons"] = (100 * np.array(clip["skeletons"])).tolist()
    path.write_text(json.dumps(clip))
    live, _ = session(engine_for(exported, "nw-ucla"), window=6)
    with pytest.raises(ValueError, match=r"a body is .* m across .*expected less than 10"):
        live.run([Arrival(frame, 0.0, 0) for frame in frames_of(live.raw.read_people(str(path)), live.raw.layout)])


def test_wrong_settings_and_streams(exported: Path, recording: Path, tmp_path: Path) -> None:
    for wrong, words in (
        ({"window": 0}, "window is 0"), ({"stride": 0}, "stride is 0"), ({"gone": -1}, "gone is -1"),
        ({"fps": 0.0}, "fps is 0.0"), ({"top": 0}, "top is 0"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            LiveSettings(**wrong)
    with pytest.raises(ValueError, match="400 frames are more than the 300 of a clip"):
        answers(exported / "engine", str(recording), settings=LiveSettings(window=400))
    (tmp_path / "cam.jsonl").write_text('{"joints": 17}\n')
    with pytest.raises(ValueError, match=r"cam\.jsonl:1: 17 joints, the engine's skeleton \(ntu\) has 25"):
        answers(exported / "engine", str(tmp_path / "cam.jsonl"), timeline=tmp_path / "t.csv")
    assert not (tmp_path / "t.csv").exists()
    with pytest.raises(ValueError, match=r"clip\.json: the engine is for ntu60, whose clips end in \.skeleton"):
        answers(exported / "engine", str(tmp_path / "clip.json"))
    with pytest.raises(OSError, match=r"nowhere\.jsonl"):
        answers(exported / "engine", str(tmp_path / "nowhere.jsonl"))


def test_a_growing_file(
    exported: Path, recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(live_module, "open_engine", lambda folder, runtime: engine_for(exported))
    texts = lines_of(recording)
    path = tmp_path / "cam.jsonl"
    path.write_text(texts[0] + "\n" + texts[1][:50])
    seen = threading.Event()

    def grow() -> None:
        assert seen.wait(60)
        with path.open("a") as file:
            file.write(texts[1][50:] + "\n" + "\n".join(texts[2:20]) + "\n")
            file.flush()
        assert answered.wait(60)
        path.write_text("".join(text + "\n" for text in texts[20:24]))

    found: list[dict[str, Any]] = []
    answered = threading.Event()

    def write(answer: dict[str, Any]) -> None:
        found.append(answer)
        if answer["end_frame"] == 19:
            answered.set()

    writer = threading.Thread(target=grow)
    writer.start()
    follow = live_module.follow_file

    def slow(path: str, idle: float | None) -> Iterator[bytes]:
        for chunk in follow(path, idle):
            seen.set()
            yield chunk

    monkeypatch.setattr(live_module, "follow_file", slow)
    settings = LiveSettings(window=10, stride=5)
    result = predict_stream("engine", follow=str(path), idle=2.0, settings=settings, write=write)
    writer.join()
    assert [one["end_frame"] for one in found] == [9, 14, 19, 23]
    assert result["frames"] == 24 and result["dropped"]["bad_lines"] == 0
    assert "became shorter: read from its start" in capsys.readouterr().err


def start(exported: Path, *args: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "cli.py"), "predict", "--engine", str(exported / "engine"), "--stream", *args]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background ignores it
    )  # fmt: skip


def test_answers_come_while_the_stream_goes_on(exported: Path, recording: Path, tmp_path: Path) -> None:
    texts = lines_of(recording)
    process = start(exported, "--window", "20", "--stride", "10", "--timeline", str(tmp_path / "t.csv"))
    assert process.stdin and process.stdout and process.stderr
    for end in (20, 30):
        process.stdin.write("".join(text + "\n" for text in texts[0 if end == 20 else 20 : end]))
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        assert answer["end_frame"] == end - 1 and answer["latency_seconds"] > 0
    process.stdin.write(texts[30] + "\n{\n")
    process.stdin.flush()
    # Whoever tells of a bad line has taken the frame before it.
    assert process.stderr.readline().startswith("stdin:32: not JSON")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    last, result = map(json.loads, out.splitlines())
    assert last["end_frame"] == 30
    assert result["command"] == "predict" and result["interrupted"] is True and result["answers"] == 3
    assert (tmp_path / "t.csv").read_text().startswith("start,end,label,name,score\n0.000,")


def test_a_listener_who_goes_is_an_end(exported: Path, recording: Path) -> None:
    process = start(exported, "--window", "5", "--stride", "1", "-")
    assert process.stdin and process.stdout and process.stderr
    process.stdout.close()
    process.stdin.write("\n".join(lines_of(recording)))
    process.stdin.close()
    assert process.wait(60) == 0
    assert process.stderr.read() == ""
    process.stderr.close()
