"""Poses at one rate, whatever the times at which the pictures were taken."""

from collections.abc import Iterator, Mapping
from math import floor

import numpy as np

from native_prep.poses.tracking import LONGEST_GAP
from native_prep.poses.video.media import ROUNDING


class Resampler:
    """People at the times 0, 1/fps, 2/fps, ... from people at any times.

    Between two pictures a person moves in a straight line, and who is in one of them only is in the frames nearer to
    it. Where pictures are more than `tracking.LONGEST_GAP` frames apart, nobody is in the frames between.

    >>> resampler = Resampler(fps=30)
    >>> for number, people in resampler.add(0.04, {1: points}):
    ...     print(number, people[1].shape)  # (V, 3)
    """

    def __init__(self, fps: float) -> None:
        self._fps, self._next = fps, 0
        self._before: tuple[float, Mapping[int, np.ndarray]] | None = None

    def add(self, time: float, people: Mapping[int, np.ndarray]) -> Iterator[tuple[int, dict[int, np.ndarray]]]:
        """The frames that are known now, by number.

        Args:
            time: seconds, later than those before.
            people: x y score (V, 3) by the number that they are followed by.
        """
        last = floor(time * self._fps + ROUNDING)
        before, self._before = self._before, (time, people)
        start, old = before or (time, people)
        for number in range(self._next, last + 1):
            now = min(max(number / self._fps, start), time)
            yield number, _between(old, people, now - start, time - now, self._fps)
        self._next = max(self._next, last + 1)


def _between(
    old: Mapping[int, np.ndarray], new: Mapping[int, np.ndarray], since: float, until: float, fps: float
) -> dict[int, np.ndarray]:
    """People `since` seconds after the old picture and `until` seconds before the new one."""
    near, nearest = (old, since) if since < until else (new, until)
    apart = since + until
    if apart * fps > LONGEST_GAP + ROUNDING:
        return dict(near) if nearest <= 0.5 / fps + ROUNDING else {}
    found = dict(near)
    for name in old.keys() & new.keys():
        points = old[name] + (since / apart if apart else 1.0) * (new[name] - old[name])
        seen = (old[name][:, 2:] != 0) & (new[name][:, 2:] != 0)
        found[name] = np.where(seen, points, near[name])
    return found
