"""JSON in compiled code: a bounded tokenizer that builds nothing, for readers that know what they look for.

The grammar is RFC 8259's: NaN and Infinity are errors; `5.e3` passes all the same. Keys must be spelt without escapes
to be found. Nesting is limited to 64 levels, one bit of a word each, so nothing here recurs.

Every function takes uint8 `text` with `swar.SLACK` line feeds behind its `end` and returns a status and an index.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from native_prep.kernels import status
from native_prep.kernels.jit import njit, njit_forceinline, njit_inline
from native_prep.kernels.numbers import THREE_DECIMALS, number_at, short_fraction, three_decimals

MAX_DEPTH = 64
LIMIT = 1_000_000  # of numbers in lists: no coordinate or score of a real recording comes near
_SPACE, _QUOTE, _COMMA, _MINUS, _ZERO, _COLON, _BACKSLASH = 32, 34, 44, 45, 48, 58, 92
_OPEN_LIST, _CLOSE_LIST, _OPEN_OBJECT, _CLOSE_OBJECT = 91, 93, 123, 125
_ONE = np.uint64(1)


def key_bytes(text: str) -> np.ndarray:
    """A key or a literal as the bytes that `bytes_equal` compares."""
    return np.frombuffer(text.encode(), np.uint8)


_TRUE, _FALSE, _NULL = key_bytes("true"), key_bytes("false"), key_bytes("null")
_ESCAPES = key_bytes('"\\/bfnrt')


@njit_forceinline
def skip_space(text, at, end):
    """The index of the first character that is no white space, at most `end`."""
    here = np.uint64(at)  # without a sign: see `numbers.parse_number`
    stop = np.uint64(end)
    byte = text[here]
    while byte <= 32 and here < stop and (byte == 32 or byte == 10 or byte == 13 or byte == 9):
        here += _ONE
        byte = text[here]
    return np.int64(here)


@njit
def bytes_equal(text, start, stop, wanted):
    """Whether the characters from `start` to `stop` are those of `wanted`."""
    if stop - start != wanted.size:
        return False
    same = 0
    for index in range(wanted.size):
        same += text[start + index] == wanted[index]
    return same == wanted.size


@njit
def syntax_error(at, end):
    """(status, index) of a character that should be another one."""
    if at >= end:
        return status.JSON_ENDS, end
    return status.JSON_SYNTAX, at


@njit
def _is_hex(byte):
    return (byte >= 48 and byte <= 57) or (byte | 32 >= 97 and byte | 32 <= 102)


@njit
def _escape_end(text, at, end):
    """(status, index behind the escape) whose backslash stands at `at`."""
    kind = text[at + 1]
    if kind == 117:  # \u and four hexadecimal digits
        for index in range(at + 2, at + 6):
            if not _is_hex(text[index]):
                return syntax_error(index, end)
        return status.OK, at + 6
    known = 0
    for letter in _ESCAPES:
        known += kind == letter
    if known == 0:
        return syntax_error(at + 1, end)
    return status.OK, at + 2


@njit
def string_end(text, at, end):
    """(status, index behind the closing quote) of the string at `at`."""
    if at >= end or text[at] != _QUOTE:
        return syntax_error(at, end)
    at += 1
    while at < end:
        byte = text[at]
        if byte == _QUOTE:
            return status.OK, at + 1
        if byte < 32:
            return syntax_error(at, end)
        if byte == _BACKSLASH:
            code, at = _escape_end(text, at, end)
            if code != status.OK:
                return code, at
        else:
            at += 1
    return syntax_error(end, end)


@njit_forceinline
def json_number(text, at, end):
    """(status, float64, index behind) of the number at `at`, which JSON spells more strictly than Python does."""
    first = np.uint64(at) + np.uint64(text[np.uint64(at)] == _MINUS)
    code, number, behind = number_at(text, at)
    digit = text[first] - np.uint8(_ZERO)
    if code != status.OK or digit > 9 or text[np.uint64(behind) - _ONE] == 46:
        code, at = syntax_error(at, end)
        return code, 0.0, at
    if digit == 0 and text[first + _ONE] - np.uint8(_ZERO) <= 9:
        return status.JSON_SYNTAX, 0.0, at
    return status.OK, number, behind


@njit
def any_number(text, at, end):
    """`json_number` as a call, for places where speed does not count."""
    return json_number(text, at, end)


@njit
def whole_number(text, at, end):
    """(status, int64, index behind) of a number without point and exponent, below 10^9 in size."""
    code, number, behind = any_number(text, at, end)
    if code != status.OK:
        return code, 0, behind
    for index in range(at, behind):
        if text[index] != _MINUS and (text[index] < _ZERO or text[index] > 57):
            return status.NOT_WHOLE, 0, at
    if abs(number) >= 1e9:
        return status.NOT_WHOLE, 0, at
    return status.OK, np.int64(number), behind


@njit
def next_item(text, at, end, first):
    """Goes on in a list, from behind its bracket (`first`) or behind an item.

    Returns:
        (status, whether there is another item, its index or the index behind the list).
    """
    at = skip_space(text, at, end)
    if text[at] == _CLOSE_LIST and at < end:
        return status.OK, False, at + 1
    if not first:
        if text[at] != _COMMA or at >= end:
            code, at = syntax_error(at, end)
            return code, False, at
        at = skip_space(text, at + 1, end)
    return status.OK, True, at


@njit
def next_key(text, at, end, first):
    """Goes on in an object, from behind its brace (`first`) or behind a value.

    Returns:
        (status, index of the key's first letter or -1 at the object's end, index behind its last, index of its value or
        behind the object).
    """
    at = skip_space(text, at, end)
    if at < end and text[at] == _CLOSE_OBJECT:
        return status.OK, -1, -1, at + 1
    if not first:
        if at >= end or text[at] != _COMMA:
            code, at = syntax_error(at, end)
            return code, -1, -1, at
        at = skip_space(text, at + 1, end)
    code, behind = string_end(text, at, end)
    if code != status.OK:
        return code, -1, -1, behind
    colon = skip_space(text, behind, end)
    if colon >= end or text[colon] != _COLON:
        code, colon = syntax_error(colon, end)
        return code, -1, -1, colon
    return status.OK, at + 1, behind - 1, skip_space(text, colon + 1, end)


@njit
def expect_character(text, at, end, bracket):
    """(status, index behind) of the bracket or brace that must stand at `at`."""
    if at >= end or text[at] != bracket:
        return syntax_error(at, end)
    return status.OK, at + 1


def object_reader(on_key: Callable[..., Any]) -> Any:
    """The compiled loop over the keys of an object, in whatever order they stand.

    Args:
        on_key: compiled (text, at, end, start, stop, target, found) -> (status, index behind the value, number that
            goes with a bad status): reads the value at `at`, whose key is the text from `start` to `stop`.

    Returns:
        Compiled (text, at, end, target, found) -> (status, index behind the object, number that goes with a bad
        status). `target` and `found`, arrays to fill and what was found so far, are handed on.
    """

    @njit_inline
    def read_object(text, at, end, target, found):
        code, at = expect_character(text, at, end, _OPEN_OBJECT)
        first, number = True, 0
        while code == status.OK:
            code, start, stop, at = next_key(text, at, end, first)
            first = False
            if code != status.OK or start < 0:
                return code, at, 0
            code, at, number = on_key(text, at, end, start, stop, target, found)
        return code, at, number

    return read_object


def list_reader(on_item: Callable[..., Any]) -> Any:
    """The compiled loop over the items of a list; see `object_reader`.

    Args:
        on_item: compiled (text, at, end, count, target, found), like `on_key`; `count` items stand before this one.

    Returns:
        Compiled, like that of `object_reader`; the number of a good list is how many items it has.
    """

    @njit_inline
    def read_list(text, at, end, target, found):
        code, at = expect_character(text, at, end, _OPEN_LIST)
        count, more = 0, code == status.OK
        while more:
            code, more, at = next_item(text, at, end, count == 0)
            number = 0
            if more:
                code, at, number = on_item(text, at, end, count, target, found)
                count += 1
            if code != status.OK:
                return code, at, number
        return code, at, count

    return read_list


@njit
def _plain_end(text, at, end):
    """(status, index behind) of a value that holds no others."""
    byte = text[at]
    if byte == _QUOTE:
        return string_end(text, at, end)
    if byte == _MINUS or (byte >= _ZERO and byte <= 57):
        code, _, behind = any_number(text, at, end)
        return code, behind
    if bytes_equal(text, at, min(at + 4, end), _TRUE) or bytes_equal(text, at, min(at + 4, end), _NULL):
        return status.OK, at + 4
    if bytes_equal(text, at, min(at + 5, end), _FALSE):
        return status.OK, at + 5
    return syntax_error(at, end)


@njit
def _enter(text, at, end, in_object, first):
    """(status, whether there is a value, its index or the index behind) of an object or a list, behind its opening."""
    if in_object:
        code, start, _, at = next_key(text, at, end, first)
        return code, start >= 0, at
    return next_item(text, at, end, first)


@njit
def skip_value(text, at, end):
    """(status, index behind) of any value at `at`."""
    depth = 0
    objects = np.uint64(0)  # the kinds of what we are in, the innermost in the lowest bit
    while True:
        at = skip_space(text, at, end)
        if at >= end:
            return status.JSON_ENDS, end
        first = text[at] == _OPEN_OBJECT or text[at] == _OPEN_LIST
        if first:
            if depth == MAX_DEPTH:
                return status.JSON_DEPTH, at
            objects = objects << _ONE | np.uint64(text[at] == _OPEN_OBJECT)
            depth += 1
            at += 1
        else:
            code, at = _plain_end(text, at, end)
            if code != status.OK:
                return code, at
        inside = False
        while depth > 0 and not inside:
            code, inside, at = _enter(text, at, end, objects & _ONE == _ONE, first)
            if code != status.OK:
                return code, at
            if not inside:
                objects >>= _ONE
                depth -= 1
            first = False
        if depth == 0:
            return status.OK, at


@njit_forceinline
def number_list(text, at, end, values):
    """(status, index, how many) of a list of numbers; as many as fit go to `values`, a float64 array."""
    code, at = expect_character(text, at, end, _OPEN_LIST)
    if code != status.OK:
        return code, at, 0
    count = 0
    at = skip_space(text, at, end)
    if text[at] == _CLOSE_LIST and at < end:
        return status.OK, at + 1, 0
    while True:
        known, number = three_decimals(text, at)
        behind = at + THREE_DECIMALS
        if not known:
            number, behind = short_fraction(text, at)
        if behind == at:
            code, number, behind = json_number(text, at, end)
            if code != status.OK:
                return code, behind, count
            if not abs(number) <= LIMIT:
                return status.OUT_OF_RANGE, at, LIMIT
        if count < values.size:
            values[np.uint64(count)] = number
        count += 1
        if known:
            at = skip_space(text, behind, end)
            continue
        at = skip_space(text, behind, end)
        if at >= end or text[at] != _COMMA:
            break
        at = skip_space(text, at + 1, end)
    if at >= end or text[at] != _CLOSE_LIST:
        code, at = syntax_error(at, end)
        return code, at, count
    return status.OK, at + 1, count


@njit
def finish(text, at, end, frames, label):
    """(status, where, frames, label) behind the one value of a file, or what is wrong with all of it.

    A label of -1 means that the file has none: one's own recordings need none to be recognised.
    """
    at = skip_space(text, at, end)
    if at != end:
        return status.JSON_TRAILING, at, 0, 0
    if frames < 0:
        return status.NO_DATA, 0, 0, 0
    return status.OK, at, frames, label
