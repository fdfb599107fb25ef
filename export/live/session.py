"""`predict --stream`: an answer for every stride of a stream or of a long recording, and a timeline of actions."""

import json
import os
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from export.live.frames import Frame, FrameParser, frames_of
from export.live.sources import Arrival, LineFrames, follow_file, read_file, read_pipe
from export.live.timeline import Timeline
from export.live.window import Fate, Window
from export.raw_clips import RawClips
from export.runtime.open import Engine, open_engine
from export.runtime.predict import likeliest
from native_prep.datasets.recordings import NOBODY, EmptyClip
from native_prep.io.atomic import atomic_file
from native_prep.poses.tracking import Follower

LINE_SUFFIXES = (".jsonl", ".ndjson")
# So many frames that the window has no room for, with no newer one between them: their sender began anew.
_OLD_IN_A_ROW = 10
# Latencies kept for the median and the 99th percentile.
_KEPT = 100_000


@dataclass(frozen=True)
class LiveSettings:
    """How a stream is looked at.

    Attributes:
        window: frames that an answer looks at; None for the engine's, see `RawClips.default_window`.
        stride: frames from one answer to the next; None for a sixth of the window.
        fps: frames a second, for times; None for what the stream says, or 30.
        max_gap: how many frames a joint, a person or everything may be missing and is filled; after a longer gap in the
            frames' numbers the window begins anew.
        top: how many classes an answer names.
        realtime: leaves out answers while frames wait, so that the next one is about the newest.
        per_person: answers for each person alone too; those without an id are followed by the nearest pose.

    Raises:
        ValueError: a number out of its range.
    """

    window: int | None = None
    stride: int | None = None
    fps: float | None = None
    max_gap: int = 10
    top: int = 5
    realtime: bool = False
    per_person: bool = False

    def __post_init__(self) -> None:
        for name, value, least in (
            ("window", self.window, 1), ("stride", self.stride, 1), ("gone", self.max_gap, 0), ("top", self.top, 1),
        ):  # fmt: skip
            if value is not None and value < least:
                raise ValueError(f"{name} is {value}: give at least {least}")
        if self.fps is not None and not 0 < self.fps <= 1000:
            raise ValueError(f"fps is {self.fps}: give a number above 0, at most 1000")


def predict_stream(
    folder: str | os.PathLike[str],
    source: str | None = None,
    *,
    follow: str | None = None,
    idle: float | None = None,
    timeline: str | os.PathLike[str] | None = None,
    settings: LiveSettings | None = None,
    runtime: str = "auto",
    write: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Names the actions of a stream while it comes in.

    Args:
        folder: what `export-trt` wrote.
        source: a raw recording, or a file of lines (`.jsonl`, see `frames`); None or "-" for standard input.
        follow: a file of lines that grows, instead of a source.
        idle: ends where `follow` did not grow for so many seconds.
        timeline: CSV file to write at the end, see `timeline`.
        settings: see `LiveSettings`.
        runtime: see `open_engine`.
        write: takes each answer; JSON lines on stdout where not given.

    Returns:
        frames, answers, dropped {late, repeated, bad_lines}, restarts, skipped_answers, window, stride,
        latency_seconds {median, p99, max}, prepare_seconds (median), timeline, interrupted, runtime; and nobody, True,
        where nobody was seen in any frame.

    Raises:
        ValueError: a recording or stream that does not fit the engine; it names the file and line.
        OSError: a file cannot be read or written.
    """
    settings = settings or LiveSettings()
    engine = open_engine(folder, runtime)
    session = LiveSession(engine, settings, follow or source or "stdin", write or print_answer)
    with ExitStack() as stack:
        part = output_file(stack, timeline)
        interrupted = session.run(_arrivals(session.raw, source, follow, idle, settings.fps, session))
        if part is not None:
            session.timeline.write(part)
    if session.nobody:
        print(f"{session.place}: {NOBODY}", file=sys.stderr)
    result = session.result() | {"timeline": timeline and os.fspath(timeline), "interrupted": interrupted}
    return result | {"runtime": f"{engine.runtime} on {engine.device}"}


def output_file(stack: ExitStack, path: str | os.PathLike[str] | None) -> Path | None:
    """A file that appears when `stack` ends, None where none was asked for.

    Raises:
        OSError: it cannot be written, which is told before the long work.
    """
    if not path:
        return None
    part = stack.enter_context(atomic_file(path))
    try:
        part.touch()
    except OSError as error:
        raise OSError(error.errno, os.strerror(error.errno or 0), os.fspath(path)) from error
    return part


def print_answer(answer: dict[str, Any]) -> None:
    """An answer as a JSON line."""
    print(json.dumps(answer), flush=True)


def _arrivals(
    raw: RawClips,
    source: str | None,
    follow: str | None,
    idle: float | None,
    fps: float | None,
    session: "LiveSession",
) -> Iterable[Arrival]:
    if source not in (None, "-") and not str(source).endswith(LINE_SUFFIXES):
        try:
            return _recorded(frames_of(raw.read_people(str(source)), raw.layout))
        except EmptyClip:  # of which it is not even known how many frames it has
            session.nobody = True
            return ()
    parser = session.parser = FrameParser(raw.layout, fps, raw.fault)
    if follow:
        lines = LineFrames(follow_file(follow, idle), follow, parser, live=True)
    elif source in (None, "-"):
        lines = LineFrames(read_pipe(0), "stdin", parser, live=True)
    else:
        lines = LineFrames(read_file(str(source)), str(source), parser, live=False)
    session.lines = lines
    return lines


def _recorded(frames: Iterator[Frame]) -> Iterator[Arrival]:
    for frame in frames:
        yield Arrival(frame, time.monotonic(), 0)


class LiveSession:
    """One stream on its way through an engine.

    Attributes:
        raw: how frames become the engine's input; timeline: of the answers so far.
        place: what messages name.
        parser, lines: set by who feeds lines.
        nobody: whether there were answers, and nobody in any of them.
    """

    def __init__(
        self, engine: Engine, settings: LiveSettings, place: str, write: Callable[[dict[str, Any]], None]
    ) -> None:
        self.raw, self.timeline = RawClips(engine.manifest, engine.folder), Timeline(settings.per_person)
        self.parser: FrameParser | None = None
        self.lines: LineFrames | None = None
        self.place, self.nobody = place, False
        self._engine, self._write, self._settings = engine, write, settings
        self.length = settings.window or self.raw.default_window
        self.stride = settings.stride or max(1, self.length // 6)
        self._follower = Follower(self.raw.layout.coordinates == "image")
        self._window = Window(self.length, settings.max_gap, self.raw.layout)
        self._due: int | None = None
        self._answered: int | None = None
        self._old: list[tuple[Arrival, Fate]] = []
        self._times: deque[tuple[int, float]] = deque(maxlen=self.length + settings.max_gap)
        self._count: Counter[str] = Counter()
        self._latencies: deque[float] = deque(maxlen=_KEPT)
        self._prepared: deque[float] = deque(maxlen=_KEPT)

    def run(self, arrivals: Iterable[Arrival]) -> bool:
        """Takes everything; whether it was interrupted (Ctrl-C), which is an end like any other."""
        # A first run compiles, plans and allocates: nobody's latency. It also finds a window that is too long.
        still = np.zeros((1, self.length, self.raw.layout.num_joints, 3))
        self._engine.run(self.raw.prepare(still, f"a window of {self.length} frames"))
        interrupted = False
        try:
            try:
                for arrival in arrivals:
                    self.take(arrival)
            except KeyboardInterrupt:
                interrupted = True
            self._finish(time.monotonic())
        except BrokenPipeError:
            # Who reads our answers has gone. What is still to be printed goes nowhere, without another error.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            interrupted = True
        return interrupted

    def take(self, arrival: Arrival) -> None:
        """One frame; answers where one is due."""
        if self._settings.per_person:
            arrival = arrival._replace(frame=self._followed(arrival.frame))
        frame = arrival.frame
        newest = self._window.newest
        if arrival.first and newest is not None and frame.number <= newest:
            self._restart([arrival])
            return
        fate = self._window.add(frame)
        if fate in (Fate.LATE, Fate.OTHER):
            self._old.append((arrival, fate))
        elif fate is Fate.REPEATED or newest is None or frame.number > newest:
            self._old.clear()
        if fate is Fate.FAR:
            self._restart([arrival])
        elif len(self._old) > _OLD_IN_A_ROW:
            # Those before this one were counted while they might have been late.
            self._count.subtract(one.value for _, one in self._old[:-1])
            self._restart([one for one, _ in self._old])
        else:
            self._took(arrival, fate)

    def _followed(self, frame: Frame) -> Frame:
        """The frame with a name for everybody whom it calls by a place."""
        unnamed = [name for name in frame.bodies if name.startswith("#")]
        if not unnamed:
            return frame
        poses = np.stack([frame.bodies[name].points for name in unnamed])
        names = dict(zip(unnamed, map("#{}".format, self._follower.follow(frame.number, poses)), strict=True))
        return replace(frame, bodies={names.get(name, name): body for name, body in frame.bodies.items()})

    def _took(self, arrival: Arrival, fate: Fate) -> None:
        frame = arrival.frame
        self._count[fate.value] += 1
        if fate is not Fate.TAKEN:
            return
        if frame.time is not None:
            self._times.append((frame.number, frame.time))
        newest = self._window.newest
        assert newest is not None
        # The first answer waits for a full window; a frame that comes late may have moved its start.
        due = self._window.start + self.length - 1 if self._due is None else self._due
        if newest >= due:
            if self._settings.realtime and arrival.waiting >= self.stride:
                self._count["skipped"] += 1
            else:
                self._answer(arrival.arrived, arrival.waiting)
            self._due = due + (newest - due) // self.stride * self.stride + self.stride

    def _restart(self, arrivals: list[Arrival]) -> None:
        """Another window, of frames that do not follow those of this one."""
        number, before = arrivals[0].frame.number, self._window.newest
        print(f"{self.place}: frame {number} follows frame {before}: the window begins anew", file=sys.stderr)
        self._finish(arrivals[0].arrived)
        self._window.clear()
        self._times.clear()
        self._due = self._answered = None
        self._old.clear()
        self._count["restarts"] += 1
        self.timeline.cut()
        for one in arrivals:
            self._took(one, self._window.add(one.frame))

    def _finish(self, arrived: float) -> None:
        """An answer for the frames behind the last one."""
        newest = self._window.newest
        if newest is not None and (self._answered is None or newest > self._answered):
            self._answer(arrived, 0)

    def _answer(self, arrived: float, waiting: int) -> None:
        window, settings = self._window, self._settings
        assert window.newest is not None
        self._answered = window.newest
        start, end = self._seconds(window.start), self._seconds(window.newest)
        began = time.monotonic()
        people = window.people()
        top: list[dict[str, Any]] = []
        if people:
            clip = self.raw.prepare(np.stack(list(people.values())), self.place)
            self._prepared.append(time.monotonic() - began)
            top = likeliest(self._engine, clip, settings.top)
        self.timeline.add(start, end, top)
        alone: dict[str, list[dict[str, Any]]] = {}
        if settings.per_person:  # who is alone has everybody's answer
            alone = {name: top if len(people) == 1 else self._alone(points) for name, points in people.items()}
        self.timeline.add_people(start, end, alone, {name: self._seen(people[name]) for name in alone})
        self._latencies.append(time.monotonic() - arrived)
        self.nobody = not people and (self.nobody or not self._count["answers"])
        self._count["answers"] += 1
        self._write(
            {
                "start_frame": window.start, "end_frame": window.newest, "start": round(start, 4),
                "end": round(end, 4), "people": len(people), "top": top,
                **({"persons": [{"person": name, "top": one} for name, one in alone.items()]}
                   if settings.per_person else {}),
                "latency_seconds": round(self._latencies[-1], 6), "lag_frames": waiting,
            }
        )  # fmt: skip

    def _seen(self, points: np.ndarray) -> tuple[float, float]:
        """From when to when in the window a person (T, V, 3) is there, in seconds."""
        frames = np.flatnonzero(points.any(axis=(1, 2)))
        return self._seconds(self._window.start + int(frames[0])), self._seconds(self._window.start + int(frames[-1]))

    def _alone(self, points: np.ndarray) -> list[dict[str, Any]]:
        """The likeliest actions of one person (T, V, 3)."""
        return likeliest(self._engine, self.raw.prepare(points[None], self.place), self._settings.top)

    def _seconds(self, number: int) -> float:
        """When a frame was taken: as the nearest frame that says so and the rate have it."""
        fps = self.parser.fps if self.parser else self._settings.fps or 30.0
        if not self._times:
            return number / fps
        known, seconds = min(self._times, key=lambda one: abs(one[0] - number))
        return seconds + (number - known) / fps

    def result(self) -> dict[str, Any]:
        """What was counted and measured."""
        count, latencies = self._count, np.array(self._latencies or [0.0])
        return {
            "frames": count[Fate.TAKEN.value],
            "answers": count["answers"],
            "dropped": {
                "late": count[Fate.LATE.value],
                "repeated": count[Fate.REPEATED.value] + count[Fate.OTHER.value],
                "bad_lines": self.lines.bad_lines if self.lines else 0,
            },
            "restarts": count["restarts"],
            "skipped_answers": count["skipped"],
            "window": self.length,
            "stride": self.stride,
            "latency_seconds": {
                "median": float(np.median(latencies)),
                "p99": float(np.percentile(latencies, 99)),
                "max": float(latencies.max()),
            },
            "prepare_seconds": float(np.median(self._prepared)) if self._prepared else None,
            **({"nobody": True} if self.nobody else {}),
        }
