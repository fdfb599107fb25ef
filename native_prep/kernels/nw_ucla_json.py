"""NW-UCLA clips, from JSON text to raw coordinates.

{"file_name": "...", "skeletons": [[[x, y, z], ...], ...], "label": 1}, in any order, other keys passed over.
"""

from native_prep.kernels import status
from native_prep.kernels.jit import borrowed, scalar
from native_prep.kernels.json_text import (
    finish,
    is_word,
    next_item,
    next_key,
    number_list,
    opens,
    skip_space,
    skip_value,
    whole_number,
    word,
)
from native_prep.kernels.skeleton_text import LIMIT as METRES

_LIST, _OBJECT = 91, 123


_SKELETONS, _LABEL = word("skeletons"), word("label")


@scalar
def _joints(text, at, end, points):
    """(status, index, first) of one frame of NW-UCLA, to `points` (V, 3)."""
    text, points = borrowed(text), borrowed(points)
    code, at = opens(text, at, end, _LIST)
    joints, first, more = 0, True, code == status.OK
    while more:
        code, more, at = next_item(text, at, end, first)
        first = False
        count = 3
        if more:
            code, at, count = number_list(text, at, end, points[min(joints, points.shape[0] - 1)])
            joints += 1
        if code != status.OK:
            return code, at, count
        if count != 3:
            return status.POINT_LENGTH, at - 1, count
        x, y, z = points[min(joints, points.shape[0]) - 1]
        if max(abs(x), abs(y), abs(z)) > METRES:
            return status.OUT_OF_RANGE, at - 1, METRES
    if code == status.OK and joints != points.shape[0]:
        return status.CLIP_JOINTS, at - 1, joints
    return code, at, 0


@scalar
def _skeletons(text, at, end, points):
    """(status, index, number of frames, or what goes with the status) of the frames, to `points` (T, V, 3)."""
    code, at = opens(text, at, end, _LIST)
    frames, first, more = 0, True, code == status.OK
    while more:
        code, more, at = next_item(text, at, end, first)
        first = False
        value = 0
        if more:
            code, at, value = _joints(text, at, end, points[min(frames, points.shape[0] - 1)])
            frames += 1
        if code != status.OK:
            return code, at, value
    return code, at, frames


@scalar
def parse_nw_ucla(text0, end, points, classes):
    """Reads a whole file.

    Args:
        text0: uint8, the file's `end` bytes and `SLACK` line feeds.
        points: float64 (T, V, 3) to fill; frames past the clip's last are left as they were.
        classes: labels count from 1 to this.

    Returns:
        (status, where, first, second): frames and label, counted from 0, when all is well.
    """
    text = borrowed(text0)
    if end == 0:
        return status.EMPTY, 0, 0, 0
    code, at = opens(text, skip_space(text, 0, end), end, _OBJECT)
    frames, label = -1, -1
    first = True
    while code == status.OK:
        code, start, stop, at = next_key(text, at, end, first)
        first = False
        if code != status.OK or start < 0:
            break
        where = at
        if is_word(text, start, stop, _SKELETONS):
            code, at, value = _skeletons(text, at, end, borrowed(points))
            if code != status.OK:
                return code, at, value, points.shape[1] if code == status.CLIP_JOINTS else 0
            frames = value
            if frames == 0 or frames > points.shape[0]:
                return status.NO_FRAMES if frames == 0 else status.TOO_MANY_FRAMES, where, frames, points.shape[0]
        elif is_word(text, start, stop, _LABEL):
            code, label, at = whole_number(text, at, end)
            if code == status.OK and (label < 1 or label > classes):
                return status.NOT_A_LABEL, where, label, classes
        else:
            code, at = skip_value(text, at, end)
    code, at, frames, label = finish(text, at, end, code, frames, label)
    return code, at, frames, label - (label > 0)
