"""Clips (M, T, V, 3) to the dense rows (3, T * V * M) of the four streams. All arrays are float32."""

from numba import types

from native_prep.kernels.jit import c_function, njit, njit_forceinline

JOINT, BONE, JOINT_MOTION, BONE_MOTION = range(4)  # the places of `streams.STREAMS`
copy_bytes = c_function("memcpy", types.voidptr, types.voidptr, types.voidptr, types.uintp)


@njit_forceinline
def repeat(values, filled, total, step):
    """Fills `values` up to `total` with its first `filled` entries again and again, twice as many each time.

    An entry is `step` float32 numbers, along the first axis.
    """
    while filled < total:
        more = min(filled, total - filled)
        copy_bytes(values[filled:].ctypes, values.ctypes, 4 * more * step)
        filled += more


@njit
def _joints(clip, num_distinct, row):
    bodies, _, joints, _ = clip.shape
    for channel in range(3):
        for body in range(bodies):
            for frame in range(num_distinct):
                for joint in range(joints):
                    row[channel, (frame * joints + joint) * bodies + body] = clip[body, frame, joint, channel]


@njit_forceinline
def bone_at(clip, body, frame, joint, parent, channel):
    """A joint minus the joint its bone starts from."""
    return clip[body, frame, joint, channel] - clip[body, frame, parent, channel]


@njit
def _bones(clip, num_distinct, parents, row):
    bodies, _, joints, _ = clip.shape
    for channel in range(3):
        for body in range(bodies):
            for frame in range(num_distinct):
                for joint in range(joints):
                    bone = bone_at(clip, body, frame, joint, parents[joint], channel)
                    row[channel, (frame * joints + joint) * bodies + body] = bone


@njit
def _motion(row, moved, step):
    """`step` numbers make a frame."""
    last = row.shape[1] - step
    for channel in range(3):
        for index in range(last):
            moved[channel, index] = row[channel, index + step] - row[channel, index]
        for index in range(last, row.shape[1]):
            moved[channel, index] = 0


@njit
def _finish(clip, num_distinct, row):
    step = clip.shape[0] * clip.shape[2]
    if num_distinct > 0:
        for channel in range(row.shape[0]):
            repeat(row[channel], num_distinct * step, row.shape[1], 1)
    else:
        for channel in range(3):
            for index in range(row.shape[1]):
                row[channel, index] = 0


@njit
def write_streams(clip, num_distinct, parents, places, rows, scratch):
    """Writes the streams that are asked for.

    Args:
        clip: (M, T, V, 3); it repeats from its start after `num_distinct` frames, and is nobody for 0.
        parents: int64 (V,), the joint that each joint's bone starts from.
        places: int64 (4,), for each of `streams.STREAMS` its place in `rows`, or -1.
        rows: (S, 3, T * V * M) to fill.
        scratch: (3, T * V * M), to work in.
    """
    step = clip.shape[0] * clip.shape[2]
    if places[JOINT] >= 0 or places[JOINT_MOTION] >= 0:
        row = rows[places[JOINT]] if places[JOINT] >= 0 else scratch
        _joints(clip, num_distinct, row)
        _finish(clip, num_distinct, row)
        if places[JOINT_MOTION] >= 0:
            _motion(row, rows[places[JOINT_MOTION]], step)
    if places[BONE] >= 0 or places[BONE_MOTION] >= 0:
        row = rows[places[BONE]] if places[BONE] >= 0 else scratch
        _bones(clip, num_distinct, parents, row)
        _finish(clip, num_distinct, row)
        if places[BONE_MOTION] >= 0:
            _motion(row, rows[places[BONE_MOTION]], step)
