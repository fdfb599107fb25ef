"""Kinetics-skeleton clips, from JSON text to raw coordinates.

{"data": [{"frame_index": 1, "skeleton": [{"pose": [x, y, ...], "score": [s, ...]}, ...]}, ...], "label": "...",
"label_index": 24}. Keys may stand in any order; others are passed over, however deep.
"""

import numpy as np

from native_prep.kernels import status
from native_prep.kernels.jit import borrowed, scalar
from native_prep.kernels.json_text import (
    LIMIT,
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

# Shares of the picture and scores are from 0 to 1, real ones up to 1.4; pixels and per cent are beyond this.
LARGEST = 3


MAX_PEOPLE = 5  # 2s-AGCN's num_person_in: later people of a frame are passed over


_LIST, _OBJECT = 91, 123


_DATA, _LABEL_INDEX, _FRAME_INDEX = word("data"), word("label_index"), word("frame_index")


_SKELETON, _POSE, _SCORE = word("skeleton"), word("pose"), word("score")


@scalar
def _person(text, at, end, pose, score):
    """(status, index, first) of one object with a pose (2V numbers) and scores (V)."""
    text, pose, score = borrowed(text), borrowed(pose), borrowed(score)
    code, at = opens(text, at, end, _OBJECT)
    poses, scores = -1, -1
    first = True
    while code == status.OK:
        code, start, stop, at = next_key(text, at, end, first)
        first = False
        if code != status.OK:
            return code, at, 0
        if start < 0:
            break
        count = 0
        if is_word(text, start, stop, _POSE):
            code, at, count = number_list(text, at, end, pose)
            poses = count
        elif is_word(text, start, stop, _SCORE):
            code, at, count = number_list(text, at, end, score)
            scores = count
        else:
            code, at = skip_value(text, at, end)
        if code != status.OK:
            return code, at, count
    if code != status.OK:
        return code, at, 0
    if poses < 0 or scores < 0:
        return status.NO_POSE, at - 1, 0
    if poses != pose.size:
        return status.POSE_LENGTH, at - 1, poses
    if scores != score.size:
        return status.SCORE_LENGTH, at - 1, scores
    return status.OK, at, 0


@scalar
def _people(text, at, end, poses, scores):
    """(status, index, how many of at most five) of a frame's list of people."""
    code, at = opens(text, at, end, _LIST)
    count, first, more = 0, True, code == status.OK
    while more:
        code, more, at = next_item(text, at, end, first)
        first = False
        value = 0
        if more and count < MAX_PEOPLE:
            code, at, value = _person(text, at, end, poses[count], scores[count])
            count += 1
        elif more:
            code, at = skip_value(text, at, end)
        if code != status.OK:
            return code, at, value
    return code, at, count


@scalar
def _frame(text, at, end, clip, people, poses, scores):
    """(status, index, first) of one frame, to `clip` (T, 5, 3V) and `people` (T,)."""
    code, at = opens(text, at, end, _OBJECT)
    frame, count = -1, -1
    first = True
    while code == status.OK:
        code, start, stop, at = next_key(text, at, end, first)
        first = False
        if code != status.OK or start < 0:
            break
        where, value = at, 0
        if is_word(text, start, stop, _FRAME_INDEX):
            code, frame, at = whole_number(text, at, end)
            if code == status.OK and (frame < 0 or frame >= people.size):
                return status.FRAME_INDEX, where, frame
        elif is_word(text, start, stop, _SKELETON):
            code, at, value = _people(text, at, end, poses, scores)
            count = value
        else:
            code, at = skip_value(text, at, end)
        if code != status.OK:
            return code, at, value
    if code != status.OK:
        return code, at, 0
    if frame < 0 or count < 0:
        return status.NO_FRAME_INDEX if frame < 0 else status.NO_SKELETON, at - 1, 0
    joints = scores.shape[1]
    largest = 0.0
    for person in range(count):
        for joint in range(joints):
            clip[frame, person, 3 * joint] = poses[person, 2 * joint]
            clip[frame, person, 3 * joint + 1] = poses[person, 2 * joint + 1]
            clip[frame, person, 3 * joint + 2] = scores[person, joint]
            for axis in range(3):
                largest = max(largest, abs(clip[frame, person, 3 * joint + axis]))
    if largest > LARGEST:
        return status.NO_SHARE, at - 1, np.int64(largest)
    people[frame] = max(people[frame], count)
    return status.OK, at, 0


@scalar
def _frames(text, at, end, clip, people, poses, scores):
    """(status, index, number of frames, or what goes with the status) of the list of frames."""
    code, at = opens(text, at, end, _LIST)
    frames, first, more = 0, True, code == status.OK
    while more:
        code, more, at = next_item(text, at, end, first)
        first = False
        value = 0
        if more:
            code, at, value = _frame(text, at, end, clip, people, poses, scores)
            frames += 1
        if code != status.OK:
            return code, at, value
    return code, at, frames


@scalar
def _second(code, people, scores):
    """The other number of a message about a Kinetics clip."""
    if code == status.FRAME_INDEX:
        return people.size - 1
    return scores.shape[1] * (2 if code == status.POSE_LENGTH else 1)


@scalar
def _clear(people):
    for frame in range(people.size):
        people[frame] = 0


@scalar
def parse_kinetics(text0, end, clip, people, poses, scores):
    """Reads a whole file.

    Args:
        text0: uint8, the file's `end` bytes and `SLACK` line feeds.
        clip: float64 (T, 5, 3V): x, y, score of each joint of the first five people; only those that `people` counts.
        people: int64 (T,), the people of each frame.
        poses, scores: float64 (5, 2V) and (5, V), to work in.

    Returns:
        (status, where, first, second): frames and label when all is well.
    """
    text = borrowed(text0)
    _clear(people)
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
        if is_word(text, start, stop, _DATA):
            _clear(people)
            code, at, value = _frames(text, at, end, borrowed(clip), borrowed(people), borrowed(poses), scores)
            if code != status.OK:
                return code, at, value, LIMIT if code == status.OUT_OF_RANGE else _second(code, people, scores)
            frames = value
        elif is_word(text, start, stop, _LABEL_INDEX):
            code, label, at = whole_number(text, at, end)
        else:
            code, at = skip_value(text, at, end)
    return finish(text, at, end, code, frames, label)
