"""Clips (M, T, V, 3) to the dense rows (3, T, V, M) of the four streams. All arrays are float32."""

from native_prep.jit import scalar

JOINT, BONE, JOINT_MOTION, BONE_MOTION = range(4)  # the places of `streams.STREAMS`


@scalar
def _repeat(row, made):
    """Fills the frames after the first `made` with the same frames again."""
    for channel in range(row.shape[0]):
        for frame in range(made, row.shape[1]):
            for joint in range(row.shape[2]):
                for body in range(row.shape[3]):
                    row[channel, frame, joint, body] = row[channel, frame - made, joint, body] if made > 0 else 0


@scalar
def _joints(clip, made, row):
    for channel in range(3):
        for frame in range(made):
            for joint in range(clip.shape[2]):
                for body in range(clip.shape[0]):
                    row[channel, frame, joint, body] = clip[body, frame, joint, channel]
    _repeat(row, made)


@scalar
def _bones(clip, made, parents, row):
    for channel in range(3):
        for frame in range(made):
            for joint in range(clip.shape[2]):
                parent = parents[joint]
                for body in range(clip.shape[0]):
                    row[channel, frame, joint, body] = (
                        clip[body, frame, joint, channel] - clip[body, frame, parent, channel]
                    )
    _repeat(row, made)


@scalar
def _motion(row, moved):
    last = row.shape[1] - 1
    for channel in range(3):
        for frame in range(last):
            for joint in range(row.shape[2]):
                for body in range(row.shape[3]):
                    moved[channel, frame, joint, body] = (
                        row[channel, frame + 1, joint, body] - row[channel, frame, joint, body]
                    )
        for joint in range(row.shape[2]):
            for body in range(row.shape[3]):
                moved[channel, last, joint, body] = 0


@scalar
def write_streams(clip, made, parents, places, rows, spare):
    """Writes the streams that are asked for.

    Args:
        clip: (M, T, V, 3); it repeats from its start after `made` frames, and is nobody for 0.
        parents: int64 (V,), the joint that each joint's bone starts from.
        places: int64 (4,), for each of `streams.STREAMS` its place in `rows`, or -1.
        rows: (S, 3, T, V, M) to fill.
        spare: (3, T, V, M), to work in.
    """
    if places[JOINT] >= 0 or places[JOINT_MOTION] >= 0:
        row = rows[places[JOINT]] if places[JOINT] >= 0 else spare
        _joints(clip, made, row)
        if places[JOINT_MOTION] >= 0:
            _motion(row, rows[places[JOINT_MOTION]])
    if places[BONE] >= 0 or places[BONE_MOTION] >= 0:
        row = rows[places[BONE]] if places[BONE] >= 0 else spare
        _bones(clip, made, parents, row)
        if places[BONE_MOTION] >= 0:
            _motion(row, rows[places[BONE_MOTION]])
