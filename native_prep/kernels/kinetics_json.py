"""Kinetics-skeleton clips, from JSON text to raw coordinates.

{"data": [{"frame_index": 1, "skeleton": [{"pose": [x, y, ...], "score": [s, ...]}, ...]}, ...], "label": "...",
"label_index": 24}. Keys may stand in any order; others are passed over, however deep.
"""

import numpy as np

from native_prep.kernels import status
from native_prep.kernels.jit import borrowed, njit, njit_forceinline, njit_inline
from native_prep.kernels.json_text import (
    LIMIT,
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

# Shares of the picture and scores are from 0 to 1, real ones up to 1.4; pixels and per cent are beyond this.
LARGEST = 3
MAX_PEOPLE = 5  # 2s-AGCN's num_person_in: later people of a frame are passed over
_DATA, _LABEL_INDEX, _FRAME_INDEX = key_bytes("data"), key_bytes("label_index"), key_bytes("frame_index")
_SKELETON, _POSE, _SCORE = key_bytes("skeleton"), key_bytes("pose"), key_bytes("score")
# What is found of the clip, of a frame and of a person, -1 for nothing yet.
_FRAMES, _LABEL, _FRAME, _PEOPLE, _POSE_SIZE, _SCORE_SIZE = range(6)


@njit_inline
def _person_key(text, at, end, start, stop, target, found):
    pose, score = target
    number = 0
    if bytes_equal(text, start, stop, _POSE):
        code, at, number = number_list(text, at, end, pose)
        found[_POSE_SIZE] = number
    elif bytes_equal(text, start, stop, _SCORE):
        code, at, number = number_list(text, at, end, score)
        found[_SCORE_SIZE] = number
    else:
        code, at = skip_value(text, at, end)
    return code, at, number


_read_person = object_reader(_person_key)


@njit
def _person(text, at, end, pose, score, found):
    """(status, index, number) of one object with a pose (2V numbers) and scores (V)."""
    text, pose, score, found = borrowed(text), borrowed(pose), borrowed(score), borrowed(found)
    found[_POSE_SIZE] = found[_SCORE_SIZE] = -1
    code, at, number = _read_person(text, at, end, (pose, score), found)
    if code != status.OK:
        return code, at, number
    if found[_POSE_SIZE] < 0 or found[_SCORE_SIZE] < 0:
        return status.NO_POSE, at - 1, 0
    if found[_POSE_SIZE] != pose.size:
        return status.POSE_LENGTH, at - 1, found[_POSE_SIZE]
    if found[_SCORE_SIZE] != score.size:
        return status.SCORE_LENGTH, at - 1, found[_SCORE_SIZE]
    return status.OK, at, 0


@njit_inline
def _one_of_people(text, at, end, count, target, found):
    poses, scores = target
    number = 0
    if count < MAX_PEOPLE:
        code, at, number = _person(text, at, end, poses[count], scores[count], found)
    else:
        code, at = skip_value(text, at, end)
    return code, at, number


_read_people = list_reader(_one_of_people)


@njit
def _people(text, at, end, poses, scores, found):
    return _read_people(text, at, end, (poses, scores), found)


@njit_inline
def _frame_key(text, at, end, start, stop, target, found):
    _, people, poses, scores = target
    if bytes_equal(text, start, stop, _FRAME_INDEX):
        code, frame, behind = whole_number(text, at, end)
        if code == status.OK and (frame < 0 or frame >= people.size):
            return status.FRAME_INDEX, at, frame
        found[_FRAME] = frame
        return code, behind, 0
    if bytes_equal(text, start, stop, _SKELETON):
        code, at, number = _people(text, at, end, poses, scores, found)
        found[_PEOPLE] = min(number, MAX_PEOPLE)
        return code, at, number
    code, at = skip_value(text, at, end)
    return code, at, 0


_read_frame = object_reader(_frame_key)


@njit
def _frame(text, at, end, count, target, found):
    """One frame, to the clip's; see `parse_kinetics` for the arrays in `target`."""
    clip, people, poses, scores = target
    found[_FRAME] = found[_PEOPLE] = -1
    code, at, number = _read_frame(text, at, end, target, found)
    if code != status.OK:
        return code, at, number
    frame = found[_FRAME]
    if frame < 0 or found[_PEOPLE] < 0:
        return status.NO_FRAME_INDEX if frame < 0 else status.NO_SKELETON, at - 1, 0
    largest = 0.0
    for person in range(found[_PEOPLE]):
        for joint in range(scores.shape[1]):
            clip[frame, person, 3 * joint] = poses[person, 2 * joint]
            clip[frame, person, 3 * joint + 1] = poses[person, 2 * joint + 1]
            clip[frame, person, 3 * joint + 2] = scores[person, joint]
            for axis in range(3):
                largest = max(largest, abs(clip[frame, person, 3 * joint + axis]))
    if largest > LARGEST:
        return status.NO_SHARE, at - 1, np.int64(largest)
    people[frame] = max(people[frame], found[_PEOPLE])
    return status.OK, at, 0


_read_frames = list_reader(_frame)


@njit
def _clear(people):
    for frame in range(people.size):
        people[frame] = 0


@njit_inline
def _clip_key(text, at, end, start, stop, target, found):
    if bytes_equal(text, start, stop, _DATA):
        _clear(target[1])
        code, at, found[_FRAMES] = _read_frames(text, at, end, target, found)
        return code, at, found[_FRAMES]
    if bytes_equal(text, start, stop, _LABEL_INDEX):
        code, found[_LABEL], at = whole_number(text, at, end)
        return code, at, 0
    code, at = skip_value(text, at, end)
    return code, at, 0


_read_object = object_reader(_clip_key)


@njit_forceinline
def _read_clip(text, at, end, target, found):
    # Inlined by LLVM instead of before types are inferred: 1.6 times the speed, for 7 s of compilation.
    return _read_object(text, at, end, target, found)


@njit
def _second(code, people, scores):
    """The other number of a message about a Kinetics clip."""
    if code == status.OUT_OF_RANGE:
        return LIMIT
    if code == status.FRAME_INDEX:
        return people.size - 1
    return scores.shape[1] * (2 if code == status.POSE_LENGTH else 1)


@njit
def parse_kinetics(text, end, clip, people, poses, scores):
    """Reads a whole file.

    Args:
        text: uint8, the file's `end` bytes and `SLACK` line feeds.
        clip: float64 (T, 5, 3V): x, y, score of each joint of the first five people; only those that `people` counts.
        people: int64 (T,), the people of each frame.
        poses, scores: float64 (5, 2V) and (5, V), to work in.

    Returns:
        (status, where, first, second): frames and label when all is well.
    """
    _clear(people)
    if end == 0:
        return status.EMPTY, 0, 0, 0
    found = np.full(6, -1)
    target = borrowed(clip), borrowed(people), borrowed(poses), borrowed(scores)
    at = skip_space(text, 0, end)
    code, at, number = _read_clip(borrowed(text), at, end, target, borrowed(found))
    if code != status.OK:
        return code, at, number, _second(code, people, scores)
    return finish(text, at, end, found[_FRAMES], found[_LABEL])
