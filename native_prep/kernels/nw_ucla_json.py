"""NW-UCLA clips, from JSON text to raw coordinates.

{"file_name": "...", "skeletons": [[[x, y, z], ...], ...], "label": 1}, in any order, other keys passed over.
"""

import numpy as np

from native_prep.kernels import status
from native_prep.kernels.jit import borrowed, njit, njit_inline
from native_prep.kernels.json_text import (
    bytes_equal,
    finish,
    key_bytes,
    list_reader,
    number_list,
    object_reader,
    skip_space,
    skip_value,
    whole_number,
)
from native_prep.kernels.skeleton_text import LIMIT as METRES

_SKELETONS, _LABEL = key_bytes("skeletons"), key_bytes("label")
# What is found of the clip, -1 for nothing yet; and how many classes there are.
_FRAMES, _LABEL_AT, _CLASSES = range(3)


@njit_inline
def _joint(text, at, end, count, points, found):
    """One joint, to `points` (V, 3); those past the last are only checked."""
    point = points[min(count, points.shape[0] - 1)]
    code, at, numbers = number_list(text, at, end, point)
    if code != status.OK:
        return code, at, numbers
    if numbers != 3:
        return status.POINT_LENGTH, at - 1, numbers
    if max(abs(point[0]), abs(point[1]), abs(point[2])) > METRES:
        return status.OUT_OF_RANGE, at - 1, METRES
    return status.OK, at, 0


_read_joints = list_reader(_joint)


@njit
def _frame(text, at, end, count, points, found):
    """One frame, to `points` (T, V, 3); those past the last are only checked."""
    frame = borrowed(points[min(count, points.shape[0] - 1)])
    code, at, number = _read_joints(borrowed(text), at, end, frame, found)
    if code == status.OK and number != points.shape[1]:
        return status.CLIP_JOINTS, at - 1, number
    return code, at, number


_read_frames = list_reader(_frame)


@njit_inline
def _clip_key(text, at, end, start, stop, points, found):
    if bytes_equal(text, start, stop, _SKELETONS):
        code, behind, frames = _read_frames(text, at, end, points, found)
        if code == status.OK and (frames == 0 or frames > points.shape[0]):
            return status.NO_FRAMES if frames == 0 else status.TOO_MANY_FRAMES, at, frames
        found[_FRAMES] = frames
        return code, behind, frames
    if bytes_equal(text, start, stop, _LABEL):
        code, label, behind = whole_number(text, at, end)
        if code == status.OK and (label < 1 or label > found[_CLASSES]):
            return status.NOT_A_LABEL, at, label
        found[_LABEL_AT] = label
        return code, behind, 0
    code, at = skip_value(text, at, end)
    return code, at, 0


_read_clip = object_reader(_clip_key)


@njit
def _second(code, points, classes):
    """The other number of a message about an NW-UCLA clip."""
    if code == status.CLIP_JOINTS:
        return points.shape[1]
    if code == status.NOT_A_LABEL:
        return classes
    return points.shape[0] if code == status.TOO_MANY_FRAMES else 0


@njit
def parse_nw_ucla(text, end, points, classes):
    """Reads a whole file.

    Args:
        text: uint8, the file's `end` bytes and `SLACK` line feeds.
        points: float64 (T, V, 3) to fill; frames past the clip's last are left as they were.
        classes: labels count from 1 to this.

    Returns:
        (status, where, first, second): frames and label, counted from 0, when all is well.
    """
    if end == 0:
        return status.EMPTY, 0, 0, 0
    found = np.full(3, -1)
    found[_CLASSES] = classes
    at = skip_space(text, 0, end)
    code, at, number = _read_clip(borrowed(text), at, end, borrowed(points), borrowed(found))
    if code != status.OK:
        return code, at, number, _second(code, points, classes)
    code, at, frames, label = finish(text, at, end, found[_FRAMES], found[_LABEL_AT])
    return code, at, frames, label - (label > 0)
