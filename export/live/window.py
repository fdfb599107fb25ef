"""The latest frames of a stream, by number, with short dropouts filled. Letters: P people, T frames, V joints."""

from dataclasses import dataclass
from enum import Enum

import numpy as np

from export.live.frames import Frame
from native_prep.skeletons.layouts import Layout

# People looked at; where a stream names more, a new one takes the place of who is not in the frame and was in fewest.
MOST_PEOPLE = 16


class Fate(Enum):
    """What becomes of a frame: taken, known already, another of a known number, too old, or too far behind a gap."""

    TAKEN = "taken"
    REPEATED = "repeated"
    OTHER = "other"
    LATE = "late"
    FAR = "far"


@dataclass
class _Track:
    """One person: float64 (R, V, 3) and bool (R, V), frame n at n mod R."""

    points: np.ndarray
    seen: np.ndarray


class Window:
    """A ring of the latest frames.

    The first of two frames of one number stays. A joint that is not seen, or a person, is filled where it is missing
    for at most `max_gap` frames: x y z by a straight line between the frames around, or by the last position where
    nothing follows; x y score by the last one. What is missing for longer keeps its last position for `max_gap` frames
    and is zeros then. A person of x y z whose centre joint is zeros is not there: nobody knows where to put the others.

    Args:
        length: frames of the window.
        max_gap: how many frames may be missing.
        layout: the skeleton.

    Attributes:
        newest: the highest number so far, None where there is none.
    """

    def __init__(self, length: int, max_gap: int, layout: Layout) -> None:
        self._length, self._max_gap, self._layout = length, max_gap, layout
        # As many again as may be missing, so that a dropout at the window's start is filled from before it.
        self._room = length + max_gap
        self.clear()

    def clear(self) -> None:
        """Forgets everything."""
        self.newest: int | None = None
        self._first = 0
        self._have = np.zeros(self._room, bool)
        self._tracks: dict[str, _Track] = {}

    @property
    def start(self) -> int:
        """The number of the window's first frame; fewer than its length are in it at the beginning."""
        assert self.newest is not None, "an empty window has no start"
        return max(self._first, self.newest - self._length + 1)

    def add(self, frame: Frame) -> Fate:
        """Takes a frame into the window, in whatever order they come."""
        number = frame.number
        if self.newest is None:
            self.newest = self._first = number
        elif number > self.newest:
            if number - self.newest > self._max_gap + 1:
                return Fate.FAR
            self._forget(np.arange(self.newest + 1, number + 1) % self._room)
            self.newest = number
            self._first = max(self._first, number - self._room + 1)
        elif number <= self.newest - self._length:
            return Fate.LATE
        elif number >= self._first and self._have[number % self._room]:
            return Fate.REPEATED if self._is_known(frame) else Fate.OTHER
        self._first = min(self._first, number)
        self._have[number % self._room] = True
        place = number % self._room
        for name, body in frame.bodies.items():
            track = self._tracks.get(name) or self._enter(name, frame)
            if track is not None:
                track.points[place], track.seen[place] = body.points, body.seen
        return Fate.TAKEN

    def _is_known(self, frame: Frame) -> bool:
        """Whether the very frame was taken already."""
        place = frame.number % self._room
        there = {name: track for name, track in self._tracks.items() if track.seen[place].any()}
        if there.keys() != frame.bodies.keys():
            return False
        pairs = [(there[name], body) for name, body in frame.bodies.items()]
        return all(
            np.array_equal(track.points[place], body.points) and np.array_equal(track.seen[place], body.seen)
            for track, body in pairs
        )

    def _forget(self, places: np.ndarray) -> None:
        self._have[places] = False
        for name, track in list(self._tracks.items()):
            track.points[places] = 0
            track.seen[places] = False
            if not track.seen.any():
                del self._tracks[name]

    def _enter(self, name: str, frame: Frame) -> _Track | None:
        """A new person, None where there are too many."""
        if len(self._tracks) == MOST_PEOPLE:
            others = {other: track.seen.any(axis=1).sum() for other, track in self._tracks.items()
                      if other not in frame.bodies}  # fmt: skip
            if not others:
                return None
            del self._tracks[min(others, key=lambda other: int(others[other]))]
        shape = (self._room, self._layout.num_joints)
        self._tracks[name] = _Track(np.zeros((*shape, 3)), np.zeros(shape, bool))
        return self._tracks[name]

    def people(self) -> dict[str, np.ndarray]:
        """Everybody in the window by id, in the order in which they came: float64 (T, V, 3), dropouts filled."""
        assert self.newest is not None, "an empty window has nobody"
        places = np.arange(self._first, self.newest + 1) % self._room
        length = self.newest - self.start + 1
        found = {}
        for name, track in self._tracks.items():
            points = self._filled(track.points[places], track.seen[places])[-length:]
            if points.any():
                found[name] = points
        return found

    def _filled(self, points: np.ndarray, seen: np.ndarray) -> np.ndarray:
        if seen.all():
            return points
        world = self._layout.coordinates == "world"
        points, seen = fill(points, seen, self._max_gap, straight=world)
        if world:
            points[~seen[:, self._layout.centre]] = 0
        return points


def fill(points: np.ndarray, seen: np.ndarray, max_gap: int, straight: bool) -> tuple[np.ndarray, np.ndarray]:
    """Fills joints that were not seen for a while, see `Window`.

    A joint missing when its person comes in takes the first position that follows.

    Args:
        points: (T, V, 3); seen: bool (T, V).
        max_gap: how many frames in a row may be missing.
        straight: whether to go in a straight line from one position to the next, else the last one stays.

    Returns:
        points, and which joints are known now.
    """
    frames = len(seen)
    now = np.arange(frames)[:, None]
    # (T, V): the frames in which each joint was last seen and will be next; too far away where there is none.
    previous = np.maximum.accumulate(np.where(seen, now, -1 - max_gap), axis=0)
    following = np.minimum.accumulate(np.where(seen, now, frames + max_gap)[::-1], axis=0)[::-1]
    since, until = now - previous, following - now
    comes_in = (previous < 0) & (until <= max_gap) & seen.any(axis=1, keepdims=True)
    known = (since <= max_gap) | comes_in
    between = straight & ~seen & (since <= max_gap) & (since + until <= max_gap + 1)
    # How far from the previous position to the following one: 0 stays, 1 is there already.
    share = np.where(between, since / np.maximum(since + until, 1), np.where(comes_in, 1.0, 0.0))[
        ..., None
    ]  # (T, V, 1)
    start = np.take_along_axis(points, np.maximum(previous, 0)[..., None], axis=0)
    end = np.take_along_axis(points, np.minimum(following, frames - 1)[..., None], axis=0)
    return np.where(known[..., None], start + share * (end - start), 0.0), known
