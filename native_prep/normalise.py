"""Raw coordinates to the original's numbers: which bodies, where they stand, which way they face. Scalar functions.

Letters: T frames, V joints, M = 2 bodies kept. Sums and lengths are kept in the types that the original's NumPy
computes them in where that shows in the result. Source: 2s-AGCN, data_gen/ntu_gendata.py, preprocess.py, rotation.py
and kinetics_gendata.py; `reference.py` states the same in plain NumPy.
"""

import math

import numpy as np

from native_prep.jit import scalar
from native_prep.layouts import NTU

KEPT = 2
TINY = 1e-6
_CENTRE = NTU.centre
assert NTU.spine is not None and NTU.shoulders is not None
_SPINE_BOTTOM, _SPINE_TOP = NTU.spine
_RIGHT, _LEFT = NTU.shoulders


@scalar
def _sum(points):
    """Sum of the coordinates of one body in one frame (V, 3); exactly zero means that nobody is there."""
    total = 0.0
    for joint in range(points.shape[0]):
        total += points[joint, 0] + points[joint, 1] + points[joint, 2]
    return total


@scalar
def _energy(raw, frames, body):
    """Standard deviations of x, y and z over joints and the frames that the body is in, added up."""
    joints = raw.shape[2]
    seen = 0
    mean_x = mean_y = mean_z = 0.0
    for frame in range(frames):
        if _sum(raw[frame, body]) != 0.0:
            seen += joints
            for joint in range(joints):
                mean_x += raw[frame, body, joint, 0]
                mean_y += raw[frame, body, joint, 1]
                mean_z += raw[frame, body, joint, 2]
    if seen == 0:
        return 0.0
    mean_x, mean_y, mean_z = mean_x / seen, mean_y / seen, mean_z / seen
    spread_x = spread_y = spread_z = 0.0
    for frame in range(frames):
        if _sum(raw[frame, body]) != 0.0:
            for joint in range(joints):
                spread_x += (raw[frame, body, joint, 0] - mean_x) ** 2
                spread_y += (raw[frame, body, joint, 1] - mean_y) ** 2
                spread_z += (raw[frame, body, joint, 2] - mean_z) ** 2
    return math.sqrt(spread_x / seen) + math.sqrt(spread_y / seen) + math.sqrt(spread_z / seen)


@scalar
def choose_bodies(raw, frames):
    """The two bodies of highest energy, of equal ones the later: NumPy's stable argsort, reversed.

    Args:
        raw: (T, B, V, 3), of which `frames` frames hold something.
    """
    first, second = -1, -1
    best = next_best = -1.0
    for body in range(raw.shape[1]):
        energy = _energy(raw, frames, body)
        if energy >= best:
            second, next_best = first, best
            first, best = body, energy
        elif energy >= next_best:
            second, next_best = body, energy
    return first, second


@scalar
def _gather(raw, frames, body, points):
    """One body's frames from its first on, to float32 `points` (T, V, 3); returns how many stand before the empty tail.

    A body that is not there in frame 0 is shifted, and loses its gaps too.
    """
    close_up = _sum(raw[0, body]) == 0.0
    place = length = 0
    for frame in range(frames):
        empty = _sum(raw[frame, body]) == 0.0
        if empty and close_up:
            continue
        for joint in range(raw.shape[2]):
            for axis in range(3):
                points[place, joint, axis] = raw[frame, body, joint, axis]
        place += 1
        if not empty:
            length = place
    return length


@scalar
def _repeat(points, length):
    """Fills the frames behind `length` with the clip from its start: (T, V, 3); no frames at all become zeros."""
    for frame in range(length, points.shape[0]):
        for joint in range(points.shape[1]):
            for axis in range(3):
                points[frame, joint, axis] = points[frame % length, joint, axis] if length else np.float32(0.0)


@scalar
def _centre(bodies, frames):
    """Body 0's middle of the spine becomes the origin of each frame: (M, T, V, 3), the first `frames` of T.

    A coordinate triple whose float32 sum is exactly zero counts as not seen, and becomes zero.
    """
    for frame in range(frames):
        x, y, z = bodies[0, frame, _CENTRE, 0], bodies[0, frame, _CENTRE, 1], bodies[0, frame, _CENTRE, 2]
        for body in range(KEPT):
            for joint in range(bodies.shape[2]):
                point = bodies[body, frame, joint]
                seen = point[0] + point[1] + point[2] != np.float32(0.0)
                point[0] = point[0] - x if seen else np.float32(0.0)
                point[1] = point[1] - y if seen else np.float32(0.0)
                point[2] = point[2] - z if seen else np.float32(0.0)


@scalar
def _length32(x, y, z):
    """The length of a float32 vector: products in float32, as NumPy's dot, since arccos magnifies their rounding."""
    return np.float32(math.sqrt(np.float32(np.float64(x * x) + np.float64(y * y) + np.float64(z * z))))


@scalar
def _turning(x, y, z, axis, matrix):
    """The rotation (3, 3) that turns the float32 vector (x, y, z) to the direction of a coordinate axis.

    Returns whether there is anything to turn.
    """
    if abs(x) + abs(y) + abs(z) < np.float32(TINY):
        return False
    part = z if axis == 2 else x
    angle = math.acos(min(max(np.float64(part / _length32(x, y, z)), -1.0), 1.0))
    about_x, about_y, about_z = 0.0, np.float64(z), -np.float64(y)  # (x, y, z) cross (1, 0, 0)
    if axis == 2:
        about_x, about_y, about_z = np.float64(y), -np.float64(x), 0.0  # (x, y, z) cross (0, 0, 1)
    if abs(about_x) + abs(about_y) + abs(about_z) < TINY or abs(angle) < TINY:
        return False
    size = math.sqrt(about_x * about_x + about_y * about_y + about_z * about_z)
    _rodrigues(about_x / size, about_y / size, about_z / size, angle, matrix)
    return True


@scalar
def _rodrigues(x, y, z, angle, matrix):
    """The rotation by `angle` about the unit vector (x, y, z), to float64 `matrix` (3, 3)."""
    sine, cosine = math.sin(angle), math.cos(angle)
    rest = 1.0 - cosine
    matrix[0, 0], matrix[0, 1], matrix[0, 2] = cosine + x * x * rest, x * y * rest - z * sine, x * z * rest + y * sine
    matrix[1, 0], matrix[1, 1], matrix[1, 2] = x * y * rest + z * sine, cosine + y * y * rest, y * z * rest - x * sine
    matrix[2, 0], matrix[2, 1], matrix[2, 2] = x * z * rest - y * sine, y * z * rest + x * sine, cosine + z * z * rest


@scalar
def _turn(bodies, frames, matrix):
    """Turns the first `frames` of every body (M, T, V, 3)."""
    for body in range(KEPT):
        for frame in range(frames):
            for joint in range(bodies.shape[2]):
                point = bodies[body, frame, joint]
                x, y, z = np.float64(point[0]), np.float64(point[1]), np.float64(point[2])
                point[0] = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] * z
                point[1] = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] * z
                point[2] = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2] * z


@scalar
def _direction(bodies, start, end):
    """The float32 vector between two joints of body 0 in frame 0."""
    one, two = bodies[0, 0, start], bodies[0, 0, end]
    return two[0] - one[0], two[1] - one[1], two[2] - one[2]


@scalar
def normalise_ntu(raw, frames, bodies, matrix, out):
    """One NTU clip: chooses two bodies, pads, centres and turns them.

    Args:
        raw: float64 (T, B, V, 3), metres, of which `frames` frames were recorded.
        frames: at most T.
        bodies: float32 (2, T, V, 3), space to work in.
        matrix: float64 (3, 3), likewise.
        out: float32 (3, T, V, 2), the clip.
    """
    first, second = choose_bodies(raw, frames)
    lengths = _gather(raw, frames, first, bodies[0]), _gather(raw, frames, second, bodies[1])
    # Frames repeat with the longer body's length, unless both are there for different times: then all are worked on.
    period = max(lengths[0], lengths[1])
    if lengths[0] != lengths[1] and lengths[1] != 0:
        period = bodies.shape[1]
    _repeat(bodies[0, :period], lengths[0])
    _repeat(bodies[1, :period], lengths[1])
    _centre(bodies, period)
    if period:
        x, y, z = _direction(bodies, _SPINE_BOTTOM, _SPINE_TOP)
        if _turning(x, y, z, 2, matrix):
            _turn(bodies, period, matrix)
        x, y, z = _direction(bodies, _LEFT, _RIGHT)
        if _turning(x, y, z, 0, matrix):
            _turn(bodies, period, matrix)
    _spread_out(bodies, period, out)


@scalar
def _spread_out(bodies, period, out):
    """(M, T, V, 3) to (3, T, V, M), frames from `period` on repeated."""
    for axis in range(3):
        for frame in range(out.shape[1]):
            source = frame % period if period else 0
            for joint in range(out.shape[2]):
                for body in range(KEPT):
                    out[axis, frame, joint, body] = bodies[body, source, joint, axis] if period else np.float32(0.0)


@scalar
def normalise_kinetics(people, used, frame, out):
    """One frame of a Kinetics clip: centred, y up, unseen joints zero, the two best scored people first.

    Args:
        people: float64 (B, V, 3), x, y, score of the people looked at.
        used: float64 (B,), space to work in.
        frame: its place in the clip.
        out: float32 (3, T, V, 2), the clip.
    """
    for person in range(people.shape[0]):
        used[person] = 0.0
        for joint in range(people.shape[1]):
            used[person] += people[person, joint, 2]
    first = 0
    for person in range(1, people.shape[0]):
        if used[person] > used[first]:
            first = person
    second = 1 if first == 0 else 0
    for person in range(people.shape[0]):
        if person != first and used[person] > used[second]:
            second = person
    for joint in range(people.shape[1]):
        for body in range(KEPT):
            point = people[first if body == 0 else second, joint]
            seen = point[2] != 0.0
            out[0, frame, joint, body] = point[0] - 0.5 if seen else 0.0
            out[1, frame, joint, body] = 0.5 - point[1] if seen else 0.0
            out[2, frame, joint, body] = point[2]


@scalar
def write_bones(joint, parents, out):
    """Each joint minus the one that its bone starts from: (3, T, V, M) float32, `parents` (V,)."""
    for axis in range(joint.shape[0]):
        for frame in range(joint.shape[1]):
            for point in range(joint.shape[2]):
                for body in range(joint.shape[3]):
                    start = joint[axis, frame, parents[point], body]
                    out[axis, frame, point, body] = joint[axis, frame, point, body] - start


@scalar
def write_motion(clip, out):
    """Each frame's change to the next, zero in the last: (3, T, V, M) float32."""
    last = clip.shape[1] - 1
    for axis in range(clip.shape[0]):
        for frame in range(clip.shape[1]):
            for point in range(clip.shape[2]):
                for body in range(clip.shape[3]):
                    after = clip[axis, min(frame + 1, last), point, body]
                    out[axis, frame, point, body] = after - clip[axis, frame, point, body]
