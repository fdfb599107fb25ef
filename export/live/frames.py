"""The lines of a live stream, one JSON object a frame.

    {"frame": 17, "time": 0.567, "bodies": [{"id": "a", "joints": [[0.21, 0.17, 3.78], null, ...]}]}

`joints` holds V joints as the data set's raw files have them: x y z in metres in the camera's space, or x y score;
null, or 0 0 0, is a joint that was not seen. `id` tells people apart from frame to frame; without it their order does.
`frame` counts frames; where it is missing, `time` (seconds) and the rate give it, or the frame follows the last one. A
first line without `bodies` may say what the sender thinks it sends: {"layout": "ntu", "joints": 25, "fps": 30}.
"""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from native_prep.kernels.json_text import LIMIT
from native_prep.poses.checks import score_fault
from native_prep.poses.to_clip import Poses
from native_prep.skeletons.layouts import Layout

_LARGEST_NUMBER = 1 << 53  # what JSON's readers agree on
_LATEST = 1e12  # seconds: any clock's, in milliseconds too
# More in one frame are noise of a detector.
_MOST_BODIES = 64


class Body(NamedTuple):
    """One person of a frame: float64 (V, 3), zeros where nothing is seen, and bool (V,)."""

    points: np.ndarray
    seen: np.ndarray


@dataclass(frozen=True)
class Frame:
    """One frame: its number, when it was taken (seconds on the sender's clock, None if not told), people by id."""

    number: int
    time: float | None = None
    bodies: dict[str, Body] = field(default_factory=dict)


class BadLine(ValueError):
    """What is wrong with a line that is skipped."""


class WrongStream(BadLine):
    """A line that shows that the whole stream is for another skeleton."""


def body_of(points: np.ndarray, layout: Layout) -> Body | None:
    """A person (V, 3) whose unseen joints are zeros, None for nobody.

    Of x y score every joint counts as seen, as a score of zero says all about it.
    """
    seen = np.asarray(points.any(axis=1))
    if not seen.any():
        return None
    return Body(points, seen if layout.coordinates == "world" else np.ones_like(seen))


class FrameParser:
    """Lines to frames.

    Args:
        layout: the skeleton that is expected.
        fps: frames a second, for frames that have a time and no number; None for the first line's, or 30.
        fault: says what cannot be meant of the places of people (P, T, V, 3), see `RawClips.fault`.

    Attributes:
        fps: as asked for, or as the stream says.
    """

    def __init__(
        self, layout: Layout, fps: float | None, fault: Callable[[np.ndarray], str] = lambda points: ""
    ) -> None:
        self._layout, self._fps, self._fault = layout, fps, fault
        self.fps = fps or 30.0
        self._next = 0
        self._start: float | None = None
        self.expect_header()

    def expect_header(self) -> None:
        """The next line may say what follows, as the first one of a stream."""
        self._good = False

    def parse(self, text: bytes) -> Frame | None:
        """The frame of a line, None for an empty line and the first line that says what follows.

        Raises:
            WrongStream: the stream is for another skeleton.
            BadLine: this line cannot be used.
        """
        if not text.strip():
            return None
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BadLine(f"not JSON ({error if isinstance(error, json.JSONDecodeError) else 'text'})") from error
        if not isinstance(value, dict):
            raise BadLine("not an object of a frame")
        if not self._good and "bodies" not in value and value.keys() & {"joints", "layout", "fps"}:
            self._read_header(value)
            return None
        bodies = self._bodies(value.get("bodies"))
        time = value.get("time")
        if time is not None and not (_is_number(time) and abs(time) <= _LATEST):
            raise BadLine("its time is not a number of seconds")
        number = self._number(value.get("frame"), time)
        self._next, self._good = number + 1, True
        return Frame(number, time, bodies)

    def _read_header(self, value: dict[str, Any]) -> None:
        joints, name, fps = (value.get(key) for key in ("joints", "layout", "fps"))
        if joints is not None and joints != self._layout.num_joints:
            raise WrongStream(self._joints_differ(joints))
        if name is not None and name != self._layout.name:
            raise WrongStream(f"the stream is of layout {name!r}, the engine for {self._layout.name}: send that layout")
        if fps is not None and not (_is_number(fps) and 0 < fps <= 1000):
            raise WrongStream(f"{fps!r} frames a second: give a number above 0")
        self.fps = self._fps or (float(fps) if fps else self.fps)

    def _joints_differ(self, joints: Any) -> str:
        name, ours = self._layout.name, self._layout.num_joints
        return f"{joints!r} joints, the engine's skeleton ({name}) has {ours}: send that one's"

    def _number(self, number: Any, time: float | None) -> int:
        if number is None and time is None:
            return self._next
        if number is None:
            assert time is not None
            if self._start is None:
                self._start = time - self._next / self.fps
            number = round((time - self._start) * self.fps)
        if not isinstance(number, int) or isinstance(number, bool) or abs(number) > _LARGEST_NUMBER:
            raise BadLine("its frame is not a whole number")
        return number

    def _bodies(self, values: Any) -> dict[str, Body]:
        if not isinstance(values, list) or len(values) > _MOST_BODIES:
            raise BadLine(f"its bodies are no list of at most {_MOST_BODIES}")
        bodies: dict[str, Body] = {}
        for place, value in enumerate(values):
            if not isinstance(value, dict) or not isinstance(value.get("joints"), list):
                raise BadLine(f"body {place} has no list of joints")
            name = value.get("id")
            if isinstance(name, list | dict):
                raise BadLine(f"the id of body {place} is neither text nor a number")
            name = f"#{place}" if name is None else str(name)
            if name in bodies:
                raise BadLine(f"two bodies have the id {name[:40]!r}")
            body = body_of(self._points(value["joints"], place), self._layout)
            if body is not None:
                bodies[name] = body
        return bodies

    def _points(self, joints: list[Any], place: int) -> np.ndarray:
        """float64 (V, 3)."""
        if len(joints) != self._layout.num_joints:
            text = f"body {place} has {self._joints_differ(len(joints))}"
            raise BadLine(text) if self._good else WrongStream(text)
        try:
            points = np.array([(0, 0, 0) if one is None else one for one in joints])
        except (ValueError, OverflowError) as error:
            raise BadLine(f"a joint of body {place} is not three numbers or null") from error
        if points.shape != (len(joints), 3) or points.dtype.kind not in "fi":
            raise BadLine(f"a joint of body {place} is not three numbers or null")
        points = points.astype(np.float64)
        if not (np.abs(points) <= LIMIT).all():
            raise BadLine(f"a joint of body {place} is not a coordinate")
        fault = ""
        if self._layout.coordinates == "image":
            wrong = score_fault(points[:, 2])
            fault = f"{wrong.wrong}: send scores" if wrong else ""
            points[points[:, 2] == 0] = 0
        if fault := fault or self._fault(points[None, None]):
            # Of the first line, it shows what the whole stream is like.
            raise BadLine(f"body {place}: {fault}") if self._good else WrongStream(f"body {place}: {fault}")
        return points


def _is_number(value: Any) -> bool:
    # Not by `isfinite`: a whole number of hundreds of digits is too large for it.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def frames_of(poses: Poses, layout: Layout) -> Iterator[Frame]:
    """The frames of a recording, numbered from 0; people without an id are called by their place."""
    for number in range(poses.points.shape[1]):
        bodies = {}
        for place, points in enumerate(poses.points[:, number]):
            name = -1 if poses.ids is None else int(poses.ids[place, number])
            body = body_of(points.astype(np.float64), layout)
            if body is not None:
                bodies[f"#{place}" if name < 0 else str(name)] = body
        yield Frame(number, None, bodies)
