"""`predict --stream` on files that grow and pipes, and what is wrong with streams told in one line."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from live_streams import answers, arrivals, engine_for, lines_of, session
from prep_files import nw_ucla_clip

from export.live import session as live_module
from export.live.frames import BadLine, FrameParser, frames_of
from export.live.session import LiveSettings, predict_stream
from export.live.sources import Arrival, LineFrames, follow_file, split_lines
from native_prep.datasets.catalog import get_dataset
from native_prep.poses.to_clip import Poses
from native_prep.skeletons.layouts import LAYOUTS, NTU, layout_as_dict

ROOT = Path(__file__).resolve().parents[2]


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
        ({"window": 0}, "window is 0"), ({"stride": 0}, "stride is 0"), ({"max_gap": -1}, "gone is -1"),
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
