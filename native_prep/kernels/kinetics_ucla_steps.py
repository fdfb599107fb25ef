"""Kinetics and NW-UCLA from raw coordinates to clips; `clip` is float32 (M, T, V, 3)."""

import numpy as np

from native_prep.kernels.jit import njit
from native_prep.kernels.ntu_steps import clear_frames


@njit
def _rank(points, people, order, sums):
    """Orders five people by summed score, the highest first; equal ones stay as they are, as NumPy leaves them."""
    for person in range(order.size):
        total = 0.0
        if person < people:
            for joint in range(points.shape[1] // 3):
                total += points[person, 3 * joint + 2]
        place = person
        while place > 0 and sums[place - 1] < total:
            sums[place] = sums[place - 1]
            order[place] = order[place - 1]
            place -= 1
        sums[place] = total
        order[place] = person


@njit
def kinetics_frame(points, people, frame, clip, order, sums):
    """Makes one frame of a clip; arguments as for `normalise_kinetics`, `order` and `sums` (5,) to work in."""
    _rank(points[frame], people[frame], order, sums)
    for body in range(clip.shape[0]):
        person = order[body]
        if person >= people[frame]:
            clear_frames(clip[body], frame, frame + 1)
            continue
        for joint in range(clip.shape[2]):
            score = points[frame, person, 3 * joint + 2]
            seen = score != 0
            clip[body, frame, joint, 0] = points[frame, person, 3 * joint] - 0.5 if seen else 0.0
            clip[body, frame, joint, 1] = -(points[frame, person, 3 * joint + 1] - 0.5) if seen else 0.0
            clip[body, frame, joint, 2] = score


@njit
def normalise_kinetics(points, people, clip):
    """Centres a clip on the middle of the picture and keeps the two people of highest score of each frame.

    The picture's y points down, the clip's up; x and y are zero where the score is (2s-AGCN, kinetics_gendata).

    Args:
        points: float64 (T, 5, 3V), x y score of each joint, of as many people as `people` (T,) says.
        clip: to fill, all of it.
    """
    order, sums = np.zeros(points.shape[1], np.int64), np.zeros(points.shape[1])
    for frame in range(clip.shape[1]):
        kinetics_frame(points, people, frame, clip, order, sums)


@njit
def nw_ucla_frame(points, frames, frame, clip):
    """Makes one frame of a clip; arguments as for `normalise_nw_ucla`."""
    for joint in range(clip.shape[2]):
        for axis in range(3):
            clip[0, frame, joint, axis] = points[frame, joint, axis] if frame < frames else 0.0


@njit
def normalise_nw_ucla(points, frames, clip):
    """Takes the coordinates, in metres, as they were recorded; zeros after the clip's `frames` frames.

    Args:
        points: float64 (T, V, 3).
        clip: (1, T, V, 3) to fill, all of it.
    """
    for frame in range(clip.shape[1]):
        nw_ucla_frame(points, frames, frame, clip)
