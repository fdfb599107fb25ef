"""NTU from raw coordinates to clips, step by step, as the original's `data_gen` goes.

Energy and choice of bodies, gaps, centring, rotation; rounded as NumPy rounds, to the last bit that can be seen.
"""

import math

import numpy as np

from native_prep.kernels.jit import borrowed, njit, njit_forceinline

KEPT = 2  # M
_APART = 1e-9  # metres; its square is far above what float64 could lose
_ALL = 3  # instead of an axis: the three together


@njit
def angle_to(x, y, z, along):
    """The angle in radians between a float32 vector and the axis whose component `along` is, as NumPy rounds it.

    NumPy keeps the vector's length in float32; close to 0 and pi the arc cosine makes that rounding visible.
    """
    if abs(x) + abs(y) + abs(z) < np.float32(1e-6):
        return 0.0
    square = np.float32(np.float64(x * x) + np.float64(y * y) + np.float64(z * z))
    cosine = np.float64(along / np.float32(math.sqrt(square)))
    return math.acos(min(max(cosine, -1.0), 1.0))


@njit
def rotation(x, y, z, angle, matrix):
    """The 3x3 float64 matrix of a turn about the axis x y z (Euler-Rodrigues); the identity for a tiny one."""
    length = math.sqrt(x * x + y * y + z * z)
    if abs(x) + abs(y) + abs(z) < 1e-6 or abs(angle) < 1e-6:
        angle, length = 0.0, 1.0
    sine = -math.sin(angle / 2.0)
    a = math.cos(angle / 2.0)
    b, c, d = x / length * sine, y / length * sine, z / length * sine
    matrix[0, 0] = a * a + b * b - c * c - d * d
    matrix[0, 1] = 2 * (b * c + a * d)
    matrix[0, 2] = 2 * (b * d - a * c)
    matrix[1, 0] = 2 * (b * c - a * d)
    matrix[1, 1] = a * a + c * c - b * b - d * d
    matrix[1, 2] = 2 * (c * d + a * b)
    matrix[2, 0] = 2 * (b * d + a * c)
    matrix[2, 1] = 2 * (c * d - a * b)
    matrix[2, 2] = a * a + d * d - b * b - c * c


@njit_forceinline
def _value(points, joint, axis):
    if axis == _ALL:
        return points[joint, 0] + points[joint, 1] + points[joint, 2]
    return points[joint, axis]


@njit_forceinline
def numpy_sum(points, axis):
    """NumPy's pairwise sum over at most 128 joints, at least 8: eight running sums, joined as a tree."""
    s0, s1, s2, s3 = _value(points, 0, axis), _value(points, 1, axis), _value(points, 2, axis), _value(points, 3, axis)
    s4, s5, s6, s7 = _value(points, 4, axis), _value(points, 5, axis), _value(points, 6, axis), _value(points, 7, axis)
    joints = points.shape[0]
    whole = joints - joints % 8
    for index in range(8, whole, 8):
        s0 += _value(points, index, axis)
        s1 += _value(points, index + 1, axis)
        s2 += _value(points, index + 2, axis)
        s3 += _value(points, index + 3, axis)
        s4 += _value(points, index + 4, axis)
        s5 += _value(points, index + 5, axis)
        s6 += _value(points, index + 6, axis)
        s7 += _value(points, index + 7, axis)
    total = ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))
    for index in range(whole, joints):
        total += _value(points, index, axis)
    return total


@njit_forceinline
def is_hidden(points):
    """Whether a frame (V, 3) counts as nobody, summed joint by joint."""
    return numpy_sum(points, _ALL) == 0


@njit_forceinline
def is_empty(points):
    """Whether a float32 frame (V, 3) counts as nobody, summed axis by axis."""
    total = np.float32(0)
    for axis in range(3):
        total += numpy_sum(points, axis)
    return total == 0


@njit
def is_spread(bodies, body, frames):
    """Whether a body's energy is surely above zero: two joints of a seen frame are apart."""
    bodies = borrowed(bodies)
    for frame in range(frames):
        if abs(bodies[frame, body, 0, 0] - bodies[frame, body, 1, 0]) > _APART and not is_hidden(bodies[frame, body]):
            return True
    return False


@njit
def energy_of(bodies, body, frames):
    """The sum over the axes of the standard deviation over seen frames and joints, 0 for nobody."""
    bodies = borrowed(bodies)
    mean_x, mean_y, mean_z = 0.0, 0.0, 0.0
    seen = 0
    for frame in range(frames):
        if not is_hidden(bodies[frame, body]):
            seen += 1
            for joint in range(bodies.shape[2]):
                mean_x += bodies[frame, body, joint, 0]
                mean_y += bodies[frame, body, joint, 1]
                mean_z += bodies[frame, body, joint, 2]
    if seen == 0:
        return 0.0
    count = seen * bodies.shape[2]
    x, y, z = 0.0, 0.0, 0.0
    for frame in range(frames):
        if not is_hidden(bodies[frame, body]):
            for joint in range(bodies.shape[2]):
                x += (bodies[frame, body, joint, 0] - mean_x / count) ** 2
                y += (bodies[frame, body, joint, 1] - mean_y / count) ** 2
                z += (bodies[frame, body, joint, 2] - mean_z / count) ** 2
    return math.sqrt(x / count) + math.sqrt(y / count) + math.sqrt(z / count)


@njit
def choose_bodies(energies):
    """The two bodies of highest energy; of equal ones the later comes first, as NumPy's reversed argsort has it."""
    best, second = -1, -1
    most, next_most = -1.0, -1.0
    for body in range(energies.size):
        energy = energies[body]
        if energy >= most:
            second, next_most = best, most
            best, most = body, energy
        elif energy >= next_most:
            second, next_most = body, energy
    return best, second


@njit
def frame_total(points):
    """The float64 sum of a float32 frame (V, 3); three running sums, so that none waits for the one before."""
    x, y, z = 0.0, 0.0, 0.0
    for joint in range(points.shape[0]):
        x += points[joint, 0]
        y += points[joint, 1]
        z += points[joint, 2]
    return x + y + z


@njit
def total_of(totals, frames, repeats_to):
    """The sum of `frames` frames whose own sums are `totals`, repeated until `repeats_to`."""
    whole, part = 0.0, 0.0
    left = repeats_to % frames
    for frame in range(frames):
        whole += totals[frame]
        part += totals[frame] if frame < left else 0.0
    return whole * (repeats_to // frames) + part


@njit
def clear_frames(person, start, stop):
    """Empties frames of a body (T, V, 3). Loops, here and elsewhere: slices take Numba far longer to compile."""
    for frame in range(start, stop):
        for joint in range(person.shape[1]):
            for axis in range(3):
                person[frame, joint, axis] = 0


@njit
def _copy_frame(person, source, target):
    for joint in range(person.shape[1]):
        for axis in range(3):
            person[target, joint, axis] = person[source, joint, axis]


@njit
def drop_empty_frames(person, frames):
    """Drops the empty frames of a body whose first frame is empty; the number of frames left."""
    person = borrowed(person)
    kept = 0
    for frame in range(frames):
        if not is_hidden(person[frame]):
            if kept != frame:
                _copy_frame(person, frame, kept)
            kept += 1
    clear_frames(person, kept, frames)
    return kept


@njit
def find_period(person, frames):
    """After how many frames a body repeats from its start: where only empty frames are left, or T."""
    person = borrowed(person)
    for frame in range(frames - 1, -1, -1):
        if not is_empty(person[frame]):
            return frame + 1
    return 0


@njit
def keep_frame(bodies, frame, body, person):
    """Copies a frame of a body to `person` (T, V, 3), float32; whether it holds anything but zeros."""
    some = False
    for joint in range(person.shape[1]):
        for axis in range(3):
            value = np.float32(bodies[frame, body, joint, axis])
            person[frame, joint, axis] = value
            some |= value != 0
    return some


@njit
def remove_gaps(person, frames, totals):
    """Closes the gaps of a body that is not all zeros.

    Returns:
        Its period; -T for one that is to be left as it is, with zeros behind its last frame.
    """
    if total_of(totals, frames, frames) == 0:
        return -person.shape[0]
    if is_empty(person[0]):
        frames = drop_empty_frames(person, frames)
    return find_period(person, frames)


@njit
def clip_length(first, second, longest):
    """How many frames are to be made for two periods (0 for nobody): a clip repeats as a whole, or is made whole."""
    if first != second and first != 0 and second != 0:
        return longest
    return max(abs(first), abs(second))


@njit
def fill_frame(person, period, frame):
    """Makes a frame behind the period of a body, or one of nobody."""
    if period == 0:
        clear_frames(person, frame, frame + 1)
    elif period > 0 and frame >= period:
        _copy_frame(person, frame % period, frame)


@njit
def find_bodies(totals, made, longest, present):
    """Which of the `present` bodies (a bit each) have a sum other than zero, and whether their sum is other than zero.

    Args:
        totals: float64 (2, T), the sums of each body's `made` frames; the clip repeats until `longest`.
    """
    both, seen = 0.0, 0
    for body in range(KEPT):
        if present >> body & 1:
            alone = total_of(totals[body], made, longest)
            seen |= (alone != 0) << body
            both += alone
    return seen, both != 0


@njit
def centre_frame(clip, frame, centre, present):
    """Moves the present bodies so that joint `centre` of the first one is the origin; joints of sum zero get zeros."""
    clip = borrowed(clip)
    x, y, z = clip[0, frame, centre, 0], clip[0, frame, centre, 1], clip[0, frame, centre, 2]
    for body in range(KEPT):
        if present >> body & 1 == 0:
            continue
        for joint in range(clip.shape[2]):
            point = clip[body, frame, joint]  # no copy, and no reference is counted: `clip` is borrowed
            if point[0] + point[1] + point[2] != 0:
                point[0] -= x
                point[1] -= y
                point[2] -= z
            else:
                point[0] = point[1] = point[2] = 0


@njit
def alignment_matrix(clip, start, stop, to_z, matrix):
    """The turn that brings the first body's first bone from `start` to `stop` along z, or along x, to `matrix`."""
    first = borrowed(clip)[0, 0]
    x, y, z = first[stop, 0] - first[start, 0], first[stop, 1] - first[start, 1], first[stop, 2] - first[start, 2]
    angle = angle_to(x, y, z, z if to_z else x)
    if to_z:
        rotation(np.float64(y), -np.float64(x), 0.0, angle, matrix)
    else:
        rotation(0.0, np.float64(z), -np.float64(y), angle, matrix)


@njit
def turn_frame(person, frame, matrix):
    """Turns a frame of a body (T, V, 3) unless it is empty."""
    person = borrowed(person)
    if is_empty(person[frame]):
        return
    for joint in range(person.shape[1]):
        point = person[frame, joint]
        x, y, z = point[0], point[1], point[2]
        for row in range(3):
            point[row] = matrix[row, 0] * x + matrix[row, 1] * y + matrix[row, 2] * z
