"""What can be told of a clip from its joints alone: which are there, and which way is up.

Letters: T frames, V joints, M bodies.
"""

import numpy as np

from native_prep.skeletons.layouts import Layout

# Joints that are high on a standing body and low on one, by words of their names.
_HIGH, _LOW = ("head", "neck", "nose", "shoulder"), ("ankle", "foot", "knee", "hip")


def joints_there(points: np.ndarray, layout: Layout, vectors: bool = False) -> np.ndarray:
    """Which joints of a clip are there, bool (T, V, M).

    Zeros and NaN stand for what was not seen, but a body's centre may well be at the origin.

    Args:
        points: (3, T, V, M): x y z, or x y score.
        layout: the skeleton.
        vectors: these are bones or motions, and may be zero in a body that is there.
    """
    known = np.isfinite(points).all(axis=0)  # (T, V, M)
    filled = points.any(axis=0) & known
    if vectors:
        return known & filled.any(axis=1, keepdims=True)
    if layout.coordinates == "image":
        return known & (points[2] > 0)
    there = filled.copy()
    there[:, layout.centre] = known[:, layout.centre] & filled.any(axis=1)
    return there


def up_axis(points: np.ndarray, there: np.ndarray, layout: Layout) -> tuple[int, int]:
    """The axis of x y z that points up, and 1 or -1 for which of its ends: where heads are, as seen from hips and feet.

    y where no body tells it. Arguments as above, `there` as `joints_there` gives it.
    """
    high, low = (
        [joint for joint, name in enumerate(layout.joints) if any(word in name for word in words)]
        for words in (_HIGH, _LOW)
    )
    usable = there[:, high].any(axis=1) & there[:, low].any(axis=1)  # (T, M)
    if not usable.any():
        return 1, 1
    ends = []
    for joints in (high, low):
        seen = there[:, joints]
        total = np.where(seen, points[:, :, joints], 0).sum(axis=2)  # (3, T, M)
        ends.append(total[:, usable] / seen.sum(axis=1)[usable])
    upward = np.median(ends[0] - ends[1], axis=1)  # (3,)
    axis = int(np.abs(upward).argmax())
    return axis, 1 if upward[axis] > 0 else -1
