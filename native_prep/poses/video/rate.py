"""One rate for all: which frames of a video are looked at, and poses at even times, whenever they were seen."""

from collections.abc import Iterable, Iterator, Mapping
from math import floor

import numpy as np

from native_prep.poses.tracking import LONGEST_GAP
from native_prep.poses.video.media import VideoFrame

# Of a time that falls on a frame but for rounding, in frames: containers may count in milliseconds.
_ROUNDING = 0.05
# Frames that are farther apart, in seconds, have nobody between them, unless they are within `LONGEST_GAP` frames.
_LONGEST_PAUSE = 1.0


def select_nearest(frames: Iterable[VideoFrame], fps: float) -> Iterator[VideoFrame]:
    """Of frames in order those that are nearest to one of the times 0, 1/fps, 2/fps, ...

    >>> [round(frame.time, 2) for frame in select_nearest(of_60_fps, 30)]
    [0.0, 0.03, 0.07, 0.1]
    """
    before, taken, last = None, -1, 0.0
    for frame in frames:
        if before is not None:
            # The last of those times to which the frame before is nearer than this one.
            number = floor((before.time + frame.time) / 2 * fps)
            if number > taken:
                yield before
                taken, last = number, before.time
        before = frame
    # The last one also where the last times lie between it and the one that was taken before it.
    if before is not None and (taken < 0 or _number(before.time, fps) > _number(last, fps)):
        yield before


def _number(time: float, fps: float) -> int:
    """The last frame that is not later than a time in seconds."""
    return floor(time * fps + _ROUNDING)


class Resampler:
    """People at the times 0, 1/fps, 2/fps, ... from people at any times.

    Between two times a person moves in a straight line, and who was seen at one of them only is in the frames nearer to
    it. Nobody is in a pause of more than a second and of more than `tracking.LONGEST_GAP` frames.

    >>> resampler = Resampler(fps=30)
    >>> for number, people in resampler.add(0.04, {1: points}):
    ...     print(number, people[1].shape)  # (V, 3)
    """

    def __init__(self, fps: float) -> None:
        self._fps, self._next = fps, 0
        self._longest = max(_LONGEST_PAUSE, LONGEST_GAP / fps) + _ROUNDING / fps
        self._before: tuple[float, Mapping[int, np.ndarray]] | None = None

    def add(self, time: float, people: Mapping[int, np.ndarray]) -> Iterator[tuple[int, dict[int, np.ndarray]]]:
        """The frames that are known now, by number.

        Args:
            time: seconds; must be later than those before, or no frame comes.
            people: x y score (V, 3) by the number that they are followed by.
        """
        last = _number(time, self._fps)
        before, self._before = self._before, (time, people)
        start, old = before or (time, people)
        for number in range(self._next, last + 1):
            now = min(max(number / self._fps, start), time)
            yield number, self._between(old, people, now - start, time - now)
        self._next = max(self._next, last + 1)

    def _between(
        self, old: Mapping[int, np.ndarray], new: Mapping[int, np.ndarray], since: float, until: float
    ) -> dict[int, np.ndarray]:
        """People `since` seconds after the old ones and `until` seconds before the new ones."""
        near, distance = (old, since) if since < until else (new, until)
        apart = since + until
        if apart > self._longest:
            return dict(near) if distance <= (0.5 + _ROUNDING) / self._fps else {}
        found = dict(near)
        for name in old.keys() & new.keys():
            points = old[name] + (since / apart if apart else 1.0) * (new[name] - old[name])
            seen = (old[name][:, 2:] != 0) & (new[name][:, 2:] != 0)
            found[name] = np.where(seen, points, near[name])
        return found
