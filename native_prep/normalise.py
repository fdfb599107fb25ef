"""From raw coordinates to the clip that a network sees, one clip at a time (2s-AGCN, preprocess and ntu_gendata).

`bodies` is float64 (T, 4, V, 3) as the file gave it; `clip` is float32 (M, T, V, 3). Sums that decide something are
taken in the order and the precision in which NumPy takes them, since "empty" means a sum of exactly zero; sums over
whole bodies are taken in float64, which finds the same zeros.
"""

import math

import numpy as np

from native_prep.jit import borrowed, inlined, scalar
from native_prep.rotation import angle_to, rotation

_KEPT = 2  # M


@inlined
def numpy_sum(values):
    """NumPy's pairwise sum of at most 128 numbers, at least 8: eight running sums, joined as a tree."""
    s0, s1, s2, s3 = values[0], values[1], values[2], values[3]
    s4, s5, s6, s7 = values[4], values[5], values[6], values[7]
    whole = values.size - values.size % 8
    for index in range(8, whole, 8):
        s0 += values[index]
        s1 += values[index + 1]
        s2 += values[index + 2]
        s3 += values[index + 3]
        s4 += values[index + 4]
        s5 += values[index + 5]
        s6 += values[index + 6]
        s7 += values[index + 7]
    total = ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))
    for index in range(whole, values.size):
        total += values[index]
    return total


@inlined
def is_hidden(points, room):
    """Whether a frame (V, 3) counts as nobody, summed joint by joint. `room` (V,) is of the same type."""
    for joint in range(points.shape[0]):
        room[joint] = points[joint, 0] + points[joint, 1] + points[joint, 2]
    return numpy_sum(room) == 0


@inlined
def is_empty(points, room):
    """Whether a float32 frame (V, 3) counts as nobody, summed axis by axis."""
    total = np.float32(0)
    for axis in range(3):
        for joint in range(points.shape[0]):
            room[joint] = points[joint, axis]
        total += numpy_sum(room)
    return total == 0


@scalar
def _energy(bodies, body, frames, room):
    """The sum over the axes of the standard deviation over seen frames and joints, 0 for nobody."""
    bodies, room = borrowed(bodies), borrowed(room)
    mean, spread = np.zeros(3), np.zeros(3)
    seen = 0
    for frame in range(frames):
        if not is_hidden(bodies[frame, body], room):
            seen += 1
            for joint in range(bodies.shape[2]):
                for axis in range(3):
                    mean[axis] += bodies[frame, body, joint, axis]
    if seen == 0:
        return 0.0
    count = seen * bodies.shape[2]
    for frame in range(frames):
        if not is_hidden(bodies[frame, body], room):
            for joint in range(bodies.shape[2]):
                for axis in range(3):
                    spread[axis] += (bodies[frame, body, joint, axis] - mean[axis] / count) ** 2
    return math.sqrt(spread[0] / count) + math.sqrt(spread[1] / count) + math.sqrt(spread[2] / count)


@scalar
def choose_bodies(bodies, frames, room):
    """The two bodies of highest energy; of equal ones the later comes first, as NumPy's reversed argsort has it."""
    best, second = -1, -1
    most, next_most = -1.0, -1.0
    for body in range(bodies.shape[1]):
        energy = _energy(bodies, body, frames, room)
        if energy >= most:
            second, next_most = best, most
            best, most = body, energy
        elif energy >= next_most:
            second, next_most = body, energy
    return best, second


@scalar
def total_of(person, frames, repeats_to):
    """The float64 sum of a body's `frames` frames, repeated until `repeats_to`."""
    whole, part = 0.0, 0.0
    left = repeats_to % frames
    for frame in range(frames):
        total = 0.0
        for joint in range(person.shape[1]):
            total += np.float64(person[frame, joint, 0]) + person[frame, joint, 1] + person[frame, joint, 2]
        whole += total
        part += total if frame < left else 0.0
    return whole * (repeats_to // frames) + part


@scalar
def clear_frames(person, start, stop):
    """Empties frames of a body (T, V, 3). Loops, here and elsewhere: slices take Numba far longer to compile."""
    for frame in range(start, stop):
        for joint in range(person.shape[1]):
            for axis in range(3):
                person[frame, joint, axis] = 0


@scalar
def _copy_frame(person, source, target):
    for joint in range(person.shape[1]):
        for axis in range(3):
            person[target, joint, axis] = person[source, joint, axis]


@scalar
def close_ranks(person, frames, room):
    """Drops the empty frames of a body whose first frame is empty; the number of frames left."""
    person, room = borrowed(person), borrowed(room)
    kept = 0
    for frame in range(frames):
        if not is_hidden(person[frame], room):
            if kept != frame:
                _copy_frame(person, frame, kept)
            kept += 1
    clear_frames(person, kept, frames)
    return kept


@scalar
def find_period(person, frames, room):
    """After how many frames a body repeats from its start: where only empty frames are left, or T."""
    person, room = borrowed(person), borrowed(room)
    last = 0
    for frame in range(frames):
        if not is_empty(person[frame], room):
            last = frame + 1
    return last


@scalar
def take_body(bodies, body, frames, person, room):
    """Copies a body to `person` (T, V, 3), float32, and puts its frames in order.

    Returns:
        Its period: 0 for nobody, T for one that is to be left as it is.
    """
    some = False
    for frame in range(frames):
        for joint in range(person.shape[1]):
            for axis in range(3):
                value = np.float32(bodies[frame, body, joint, axis])
                person[frame, joint, axis] = value
                some |= value != 0
    if not some:
        return 0
    clear_frames(person, frames, person.shape[0])
    if total_of(person, frames, frames) == 0:
        return -person.shape[0]
    if is_empty(person[0], room):
        frames = close_ranks(person, frames, room)
    return find_period(person, frames, room)


@scalar
def _repeat(person, period, frames):
    for frame in range(period, frames):
        _copy_frame(person, frame - period, frame)


@scalar
def _centre(clip, centre, frames, present):
    """Moves all present bodies so that joint `centre` of the first one is the origin; joints of sum zero get zeros."""
    clip = borrowed(clip)
    for frame in range(frames):
        x, y, z = clip[0, frame, centre, 0], clip[0, frame, centre, 1], clip[0, frame, centre, 2]
        for body in range(_KEPT):
            if not present[body]:
                continue
            for joint in range(clip.shape[2]):
                point = clip[body, frame, joint]  # no copy, and no reference is counted: `clip` is borrowed
                if point[0] + point[1] + point[2] != 0:
                    point[0] -= x
                    point[1] -= y
                    point[2] -= z
                else:
                    point[0] = point[1] = point[2] = 0


@scalar
def _turn(clip, start, stop, to_z, frames, present, room):
    """Turns all present bodies so that the first one's bone from `start` to `stop` lies along z, or along x."""
    clip, room = borrowed(clip), borrowed(room)
    first = clip[0, 0]
    x, y, z = first[stop, 0] - first[start, 0], first[stop, 1] - first[start, 1], first[stop, 2] - first[start, 2]
    axis, matrix = np.zeros(3), np.empty((3, 3))
    if to_z:
        axis[0], axis[1] = y, -x
    else:
        axis[1], axis[2] = z, -y
    rotation(axis, angle_to(x, y, z, z if to_z else x), matrix)
    for body in range(_KEPT):
        for frame in range(frames if present[body] else 0):
            if is_empty(clip[body, frame], room):
                continue
            for joint in range(clip.shape[2]):
                point = clip[body, frame, joint]
                x, y, z = point[0], point[1], point[2]
                for row in range(3):
                    point[row] = matrix[row, 0] * x + matrix[row, 1] * y + matrix[row, 2] * z


@scalar
def _look(clip, frames, total, present):
    """Notes which bodies have a sum other than zero; whether their sum is other than zero."""
    both = 0.0
    for body in range(_KEPT):
        if present[body]:
            alone = total_of(clip[body], frames, total)
            present[body] = alone != 0
            both += alone
    return both != 0


@scalar
def normalise_ntu(bodies, frames, clip, centre, spine, shoulders, room, room32, periods):
    """Chooses two bodies, fills their gaps, centres and turns them.

    Args:
        bodies: float64 (T, 4, V, 3), of which `frames` frames are read.
        clip: float32 (2, T, V, 3) to fill.
        centre, spine, shoulders: the layout's; joints, and pairs of joints as int64 (2,).
        room, room32: float64 and float32 (V,), to work in.
        periods: int64 (2,) to fill: after how many frames each body repeated before it was centred, 0 for nobody,
            -T for one that was left as it is.

    Returns:
        How many frames of `clip` are made; the clip repeats from its start after them. 0: nobody is there.
    """
    best, second = choose_bodies(bodies, frames, room)
    total = clip.shape[1]
    periods[0] = take_body(bodies, best, frames, clip[0], room32)
    periods[1] = take_body(bodies, second, frames, clip[1], room32)
    made = max(abs(periods[0]), abs(periods[1]))
    if made == 0:
        return 0
    if periods[0] != periods[1] and periods[0] != 0 and periods[1] != 0:
        made = total
    present = np.zeros(_KEPT, np.bool_)
    for body in range(_KEPT):
        present[body] = periods[body] > 0
        if periods[body] == 0:
            clear_frames(clip[body], 0, made)
        elif periods[body] > 0:
            _repeat(clip[body], periods[body], made)
    if _look(clip, made, total, present):
        _centre(clip, centre, made, present)
    if _look(clip, made, total, present):
        _turn(clip, spine[0], spine[1], True, made, present, room32)
    if _look(clip, made, total, present):
        _turn(clip, shoulders[1], shoulders[0], False, made, present, room32)
    return made
