"""NTU `.skeleton` text to raw coordinates.

    103                    frames
    1                      bodies of the frame
    7205... 0 1 ... 2      one body: ten numbers
    25                     its joints
    0.21 0.17 3.78 ... 2   one joint: x y z and nine numbers that nobody needs
    ...

Only x y z are turned into numbers. The other nine are counted, 32 characters at a time: that is most of the speed.
They are looked at one by one only in a line that holds a character above 9 (letters, say of an exponent) or below tab.
What else is not a number passes there: `1,2`, `--`, `1.2.3`, the control characters 14 to 31. To look for commas and
these as well made reading slower. Lines may end in CRLF.

Text is a uint8 array that goes on for at least `SLACK` line feeds behind its `end`, so no line needs another bound.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from native_prep.kernels import status
from native_prep.kernels.jit import borrowed, njit, njit_forceinline
from native_prep.kernels.numbers import number_at, parse_number
from native_prep.kernels.swar import (
    HIGH_BITS,
    LINE_FEEDS,
    ONES,
    WIDE,
    classify_wide,
    count_bits,
    count_marks,
    load_eight,
)

MAX_BODIES = 4  # 2s-AGCN's max_body_kinect: later bodies of a frame are passed over
NUM_JOINTS = 25
LIMIT = 1_000  # metres; no coordinate of a real recording comes near, millimetres are beyond
BODY_LINES = 2 + NUM_JOINTS  # lines of one body in a frame
BODY_FIELDS, JOINT_FIELDS = 10, 12  # numbers in the line of a body, and of a joint
_LINE_FEED, _RETURN, _SPACE, _TAB = 10, 13, 32, 9
_ABOVE_SPACE = np.uint64(0x2121212121212121)
_TABS = np.uint64(0x0909090909090909)
_TO_NINE = np.uint64(0x4646464646464646)  # added to a character above 9 it sets the highest bit


@njit
def line_of(text, at):
    """The line, counted from 1, that the character `at` stands in."""
    line = 1
    for index in range(min(at, text.size)):
        line += text[index] == _LINE_FEED
    return line


@njit_forceinline
def count_fields(text, at):
    """(fields, whether odd characters are about, index behind the line) from a blank or a line end on.

    Eight characters at a time, for GPUs: those of the next line may count as odd too.
    """
    fields = np.int64(0)
    odd = np.uint64(0)
    before = np.uint64(0x80)  # whether the character before the word is blank
    while True:
        word = load_eight(text, at)
        low = word | HIGH_BITS
        blank = ~(low - _ABOVE_SPACE) & HIGH_BITS
        odd |= (word & ~HIGH_BITS) + _TO_NINE | word | ~(low - _TABS)
        starts = ~blank & HIGH_BITS & (blank << np.uint64(8) | before)
        other = word ^ LINE_FEEDS
        feeds = (other - ONES) & ~other & HIGH_BITS
        lowest = feeds & (~feeds + np.uint64(1))  # zero: no line feed, and all of the word is kept
        fields += count_marks(starts & (lowest - np.uint64(1)))
        if feeds != np.uint64(0):
            return fields, odd & HIGH_BITS != np.uint64(0), at + count_marks((lowest - np.uint64(1)) & HIGH_BITS) + 1
        before = blank >> np.uint64(56)
        at += 8


@njit_forceinline
def _count_fields_wide(text, at):
    """`count_fields`, 32 characters at a time: a whole file goes 1.7 times as fast."""
    fields = np.int64(0)
    odd = np.uint64(0)
    before = np.uint64(1)  # whether the character before is blank
    while True:
        blank, feeds, strange = classify_wide(text, at)
        starts = ~blank & (blank << np.uint64(1) | before) & WIDE
        if feeds != np.uint64(0):
            kept = (feeds & (~feeds + np.uint64(1))) - np.uint64(1)
            odd_there = odd | strange & kept
            return fields + count_bits(starts & kept), odd_there != np.uint64(0), at + count_bits(kept) + 1
        fields += count_bits(starts)
        odd |= strange
        before = blank >> np.uint64(31)
        at += 32


@njit
def _is_word_number(text, start, end):
    """Whether a field is one of Python's words for what is no finite number: Kinect wrote them for hidden joints."""
    if text[start] == 43 or text[start] == 45:
        start += 1
    size = end - start
    if size != 3 and size != 8:
        return False
    first, last = text[start] | 32, text[end - 1] | 32
    return (first == 110 and last == 110) or (first == 105 and (last == 102 or last == 121))  # nan, inf, infinity


@njit
def _check_fields(text, at):
    """(status, index) of a line with odd characters: each of its fields must be a number."""
    while text[at] != _LINE_FEED:
        if text[at] == _SPACE or text[at] == _TAB or text[at] == _RETURN:
            at += 1
            continue
        start = at
        while text[at] > _SPACE:
            at += 1
        code, _, behind = parse_number(text, start)
        if (code == status.NOT_A_NUMBER or behind != at) and not _is_word_number(text, start, at):
            return status.NOT_A_NUMBER, start
        if text[at] < _SPACE and text[at] != _TAB and text[at] != _RETURN and text[at] != _LINE_FEED:
            return status.NOT_A_NUMBER, start
    return status.OK, at


@njit
def count_line(text, at):
    """(status, value, next line) of a line that holds one whole number."""
    value = 0
    start = at
    while text[at] >= 48 and text[at] <= 57 and at - start < 10:
        value = 10 * value + int(text[at]) - 48
        at += 1
    if at == start:
        return status.NOT_A_COUNT, 0, start
    while text[at] == _SPACE or text[at] == _TAB or text[at] == _RETURN:
        at += 1
    if text[at] != _LINE_FEED:
        return status.NOT_A_COUNT, 0, start
    return status.OK, value, at + 1


@njit_forceinline
def is_gap(byte):
    """Whether a byte separates numbers: space, tab, carriage return or line feed."""
    return (byte == _SPACE) | (byte == _TAB) | (byte == _RETURN) | (byte == _LINE_FEED)


def line_readers(number: Callable[..., Any], count: Callable[..., Any]) -> tuple[Any, Any]:
    """The functions that read the line in front of a body's joints, and the line of a joint.

    Args:
        number: reads x, y and z: a GPU has no C library to ask for those that are hard.
        count: counts the other fields.
    """

    @njit_forceinline
    def rest_of_line(text, at, seen, wanted, failure):
        """(status, fields, next line) of what is only counted, from a blank on."""
        fields, odd, behind = count(text, at)
        if odd:
            code, wrong = _check_fields(text, at)
            if code != status.OK:
                return code, 0, wrong
        if seen + fields != wanted:
            return failure, seen + fields, at
        return status.OK, 0, behind

    @njit_forceinline
    def body_line(text, at):
        """(status, fields, next line) of ten numbers."""
        return rest_of_line(text, at, 0, BODY_FIELDS, status.BODY_FIELDS)

    @njit_forceinline
    def joint_line(text, at, point):
        """(status, value, next line); x y z go to `point`, a float64 array of 3."""
        for axis in range(3):
            while text[at] == _SPACE or text[at] == _TAB:
                at += 1
            if text[at] == _LINE_FEED or text[at] == _RETURN:
                return status.JOINT_FIELDS, axis, at
            code, value, behind = number(text, at)
            if code != status.OK:
                return code, 0, at
            if not is_gap(text[behind]):
                return status.NOT_A_NUMBER, 0, at
            if not abs(value) <= LIMIT:
                return status.OUT_OF_RANGE, LIMIT, at
            point[axis] = value
            at = behind
        return rest_of_line(text, at, 3, JOINT_FIELDS, status.JOINT_FIELDS)

    return body_line, joint_line


_body_line, _joint_line = line_readers(number_at, _count_fields_wide)


@njit
def _body_lines(text, at, points):
    """(status, value, next line) of a body and its 25 joints, to `points` (V, 3)."""
    text, points = borrowed(text), borrowed(points)
    code, value, at = _body_line(text, at)
    if code != status.OK:
        return code, value, at
    code, joints, at = count_line(text, at)
    if code != status.OK:
        return code, 0, at
    if joints != NUM_JOINTS:
        return status.JOINT_COUNT, joints, at - 1
    for joint in range(NUM_JOINTS):
        code, value, at = _joint_line(text, at, points[joint])
        if code != status.OK:
            return code, value, at
    return status.OK, 0, at


@njit
def _frame_lines(text, at, end, bodies, scratch):
    """(status, value, next) of one frame, to `bodies` (4, V, 3); the value is how many bodies it has.

    `scratch` (V, 3) takes the bodies past the fourth.
    """
    code, count, at = count_line(text, at)
    if code != status.OK:
        return code, 0, at
    for body in range(count):
        if at >= end:
            return status.ENDS_EARLY, 0, end
        code, value, at = _body_lines(text, at, bodies[body] if body < MAX_BODIES else scratch)
        if code != status.OK:
            return code, value, at
    return status.OK, min(count, MAX_BODIES), at


@njit
def _clear(bodies, start, stop, body):
    for frame in range(start, stop):
        for joint in range(NUM_JOINTS):
            for axis in range(3):
                bodies[frame, body, joint, axis] = 0


@njit_forceinline
def _parse(text, end, bodies, scratch):
    if end == 0:
        return status.EMPTY, 0, 0, 0, 0
    code, frames, at = count_line(text, 0)
    if code != status.OK:
        return code, at, 0, 0, 0
    if frames == 0:
        return status.NO_FRAMES, 0, 0, 0, 0
    if frames > bodies.shape[0]:
        return status.TOO_MANY_FRAMES, 0, frames, bodies.shape[0], 0
    people = 0
    for frame in range(frames):
        if at >= end:
            return status.ENDS_EARLY, end, frame, frames, 0
        code, value, at = _frame_lines(text, at, end, bodies[frame], scratch)
        if code != status.OK:
            if at >= end or code == status.ENDS_EARLY:
                return status.ENDS_EARLY, end, frame, frames, 0
            return code, at, value, NUM_JOINTS, 0
        # Zeros only where somebody is in another frame: most clips have one body, and room for four.
        for body in range(people, value):
            _clear(bodies, 0, frame, body)
        for body in range(value, people):
            _clear(bodies, frame, frame + 1, body)
        people = max(people, value)
    for index in range(at, end):
        if not is_gap(text[index]):
            return status.TRAILING, index, frames, 0, 0
    return status.OK, end, frames, -1, people


@njit
def parse_skeleton(text, end, bodies, scratch):
    """Reads a whole file.

    Args:
        text: uint8, the file's `end` bytes and `SLACK` line feeds.
        bodies: float64 (T, 4, V, 3) to fill; frames past the file's last are left as they were, and so are bodies that
            are in no frame.
        scratch: float64 (V, 3).

    Returns:
        (status, where, first, second, people): frames, -1 and how many bodies, at most 4, when all is well.
    """
    return _parse(borrowed(text), end, borrowed(bodies), borrowed(scratch))
