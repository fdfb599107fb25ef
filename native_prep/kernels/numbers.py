"""Decimal text to float64, to the bit what Python's `float` makes of it, in scalar functions without objects.

Almost every number of a recording has few enough digits for one exact division (Clinger, "How to read floating point
numbers accurately", 1990). The others take one or two 64-bit products with a table of powers of ten (Lemire, "Number
parsing at a gigabyte per second", 2021). What both leave undecided (about one number in 10^15, and subnormal ones) is
reported as `UNDECIDED`, for the C library to settle on a CPU.

Every function here takes text whose last byte is no part of a number: it stops there, so it needs no other bound.
"""

import math

import numpy as np
from numba import types

from native_prep.kernels import status
from native_prep.kernels.jit import c_function, njit, njit_forceinline
from native_prep.kernels.swar import HIGH_BITS, count_marks, load_eight

_LOWEST, _HIGHEST = -348, 347
_ZERO, _POINT, _PLUS, _MINUS, _SMALL_E = 48, 46, 43, 45, 101
_ONE = np.uint64(1)


def _power_table() -> np.ndarray:
    """(696, 2) uint64: the upper and the lower half of 10**q as a 128-bit fraction, rounded down."""
    table = np.empty((_HIGHEST - _LOWEST + 1, 2), np.uint64)
    for power in range(_LOWEST, _HIGHEST + 1):
        # Numbers below one need bits to spare in front of the division.
        whole = 10 ** max(power, 0) << 128 + 4 * max(-power, 0)
        whole //= 10 ** max(-power, 0)
        whole >>= whole.bit_length() - 128
        table[power - _LOWEST] = whole >> 64, whole & (1 << 64) - 1
    return table


_POWERS = _power_table()
_EXACT_POWERS = 10.0 ** np.arange(23)
_ZEROS = np.uint64(0x3030303030303030)
_TO_TEN = np.uint64(0x7676767676767676)  # added to a byte above 9 it sets the highest bit
_PAIRS = np.uint64(0x000000FF000000FF)
_FIRST = np.uint64(100 + (1_000_000 << 32))
_SECOND = np.uint64(1 + (10_000 << 32))
_WHOLE_POWERS = np.uint64(10) ** np.arange(9, dtype=np.uint64)
_EIGHT, _SIXTEEN, _LOW_BYTE = np.uint64(8), np.uint64(16), np.uint64(0xFF)
_POINT_WORD, _E_WORD, _LOWER_CASE = np.uint64(_POINT), np.uint64(_SMALL_E), np.uint64(32)
THREE_DECIMALS = 7
_PICTURE = np.uint64(0x00202C3030302E30)
_BEYOND_PICTURE = np.uint64(0x007F7F7676767F76)  # sets the highest bit of a digit above 9, of another sign above 0
_PICTURE_HIGHS = np.uint64(0x0080808080808080)
_strtod = c_function("strtod", types.float64, types.voidptr, types.uintp)


@njit
def _leading_zeros(value):
    count = 0
    for width in (32, 16, 8, 4, 2, 1):
        if value >> np.uint64(64 - width) == np.uint64(0):
            value <<= np.uint64(width)
            count += width
    return count


@njit
def _product(left, right):
    """The upper and the lower 64 bits of a product of two uint64."""
    mask = np.uint64(0xFFFFFFFF)
    half = np.uint64(32)
    low = (left & mask) * (right & mask)
    middle = (left >> half) * (right & mask) + (low >> half)
    cross = (left & mask) * (right >> half) + (middle & mask)
    return (left >> half) * (right >> half) + (middle >> half) + (cross >> half), left * right


@njit
def _rounded(mantissa, power):
    """(decided, mantissa * 10**power) for mantissa > 0, uint64."""
    if power < _LOWEST:
        return True, 0.0
    if power > _HIGHEST:
        return True, np.inf
    shift = _leading_zeros(mantissa)
    mantissa <<= np.uint64(shift)
    high, low = _product(mantissa, _POWERS[power - _LOWEST, 0])
    nine = np.uint64(0x1FF)
    if high & nine == nine and low + mantissa < low:
        more, rest = _product(mantissa, _POWERS[power - _LOWEST, 1])
        wider = low + more
        high += np.uint64(wider < low)
        low = wider
        if high & nine == nine and low + np.uint64(1) == np.uint64(0) and rest + mantissa < rest:
            return False, 0.0
    top = high >> np.uint64(63)
    kept = high >> (top + np.uint64(9))  # 54 bits
    if low == np.uint64(0) and high & nine == np.uint64(0) and kept & np.uint64(3) == np.uint64(1):
        return False, 0.0
    kept = (kept + (kept & np.uint64(1))) >> np.uint64(1)  # 53 bits, to nearest
    # 217706 / 65536 is log2(10), close enough for every power of the table.
    exponent = (217706 * power >> 16) + 64 - shift - (1 - np.int64(top)) - 52
    if exponent < -1022 - 52 + 1 or exponent > 1022 - 52:
        return False, 0.0
    return True, math.ldexp(np.float64(kept), int(exponent))


@njit
def _many_digits(text, at):
    """(mantissa, power of ten, whether they are all of it) of a run of more than 19 digits, perhaps with a point.

    `at` is its first character. The mantissa holds the first 19 digits that count; an exponent is the caller's to add.
    """
    mantissa = np.uint64(0)
    digits = 0
    power = 0
    exact = True
    behind = False
    while True:
        byte = text[at]
        if byte == _POINT and not behind:
            behind = True
        elif byte >= _ZERO and byte <= _ZERO + 9:
            if digits < 19:
                mantissa = mantissa * np.uint64(10) + np.uint64(byte - _ZERO)
                digits += mantissa != np.uint64(0)
                power -= behind
            else:
                exact = exact and byte == _ZERO
                power += not behind
        else:
            return mantissa, power, exact
        at += 1


@njit
def _exponent(text, at):
    """(status, exponent, next) of what follows an e; beyond 10^5 it no longer matters how large it is."""
    negative = text[at] == _MINUS
    if negative or text[at] == _PLUS:
        at += 1
    start = at
    value = 0
    while text[at] >= _ZERO and text[at] <= _ZERO + 9:
        if value < 100_000:
            value = 10 * value + int(text[at]) - _ZERO
        at += 1
    if at == start:
        return status.NOT_A_NUMBER, 0, at
    return status.OK, -value if negative else value, at


@njit
def _hard_value(text, start, mantissa, digits, power):
    """(status, magnitude) where one exact product or quotient does not do."""
    exact = True
    if digits > 19:
        mantissa, power_of_run, exact = _many_digits(text, start)
        power += power_of_run
    if mantissa == np.uint64(0):
        return status.OK, 0.0
    decided, number = _rounded(mantissa, power)
    if not exact and decided:
        decided, above = _rounded(mantissa + np.uint64(1), power)
        decided = decided and above == number
    return status.OK if decided else status.UNDECIDED, number


@njit_forceinline
def _value(text, start, mantissa, digits, power, behind):
    """(status, magnitude) of the digits from `start`; `behind` of them stand behind the point."""
    if digits > 19:
        return _hard_value(text, start, mantissa, digits, power)
    power -= behind
    if mantissa <= np.uint64(1 << 53) and power >= -22 and power <= 22:
        number = np.float64(mantissa)
        return status.OK, number / _EXACT_POWERS[-power] if power < 0 else number * _EXACT_POWERS[power]
    return _hard_value(text, start, mantissa, digits, power)


@njit_forceinline
def _digits(text, here, mantissa):
    """(mantissa with the digits from uint64 `here` on behind it, index behind them); more than 19 overflow."""
    byte = text[here] - np.uint8(_ZERO)
    while byte <= 9:
        mantissa = mantissa * np.uint64(10) + np.uint64(byte)
        here += _ONE
        byte = text[here] - np.uint8(_ZERO)
    return mantissa, here


@njit_forceinline
def _fraction(text, here, mantissa):
    """`_digits` with the first eight at once: two characters of each pair, then pairs, then fours (simdjson's way)."""
    values = load_eight(text, here) ^ _ZEROS
    others = (values + _TO_TEN | values) & HIGH_BITS  # the highest bit of every byte that is no digit
    lowest = others & (~others + _ONE)
    count = count_marks((lowest - _ONE) & HIGH_BITS)
    if count == 0:
        return mantissa, here
    values <<= np.uint64(64 - 8 * count)
    values = values * np.uint64(10) + (values >> np.uint64(8))
    fours = (values & _PAIRS) * _FIRST + (values >> np.uint64(16) & _PAIRS) * _SECOND
    mantissa = mantissa * _WHOLE_POWERS[count] + (fours >> np.uint64(32))
    here += np.uint64(count)
    if count == 8:
        return _digits(text, here, mantissa)
    return mantissa, here


@njit_forceinline
def three_decimals(text, at):
    """(whether `0.443, ` or the like stands here, its value): a digit, a point, three digits, a comma, a blank.

    Nearly every number of Kinetics-skeleton is written so. One test finds it, and since its length is known at once,
    the next number is begun while this one is divided.
    """
    digits = load_eight(text, at) ^ _PICTURE
    if (digits + _BEYOND_PICTURE | digits) & _PICTURE_HIGHS != np.uint64(0):
        return False, 0.0
    whole = digits & _LOW_BYTE
    for place in range(2, 5):
        whole = whole * np.uint64(10) + (digits >> np.uint64(8 * place) & _LOW_BYTE)
    return True, np.float64(whole) / 1000.0


@njit_forceinline
def short_fraction(text, at):
    """(value, index behind) of one digit, a point and one to five digits: how poses in pictures are written.

    Anything else gives an index of `at`. Eight characters are looked at, one exact division is made.
    """
    word = load_eight(text, at)
    values = (word >> _SIXTEEN << _EIGHT | word & _LOW_BYTE) ^ _ZEROS  # the digits without the point, and one zero byte
    others = (values + _TO_TEN | values) & HIGH_BITS
    lowest = others & (~others + _ONE)
    count = count_marks((lowest - _ONE) & HIGH_BITS)
    if word >> _EIGHT & _LOW_BYTE != _POINT_WORD or count < 2 or count > 6:
        return 0.0, at
    after = word >> np.uint64(8 * count + 8) | _LOWER_CASE
    if after & _LOW_BYTE == _E_WORD:
        return 0.0, at
    values <<= np.uint64(64 - 8 * count)
    values = values * np.uint64(10) + (values >> _EIGHT)
    fours = (values & _PAIRS) * _FIRST + (values >> _SIXTEEN & _PAIRS) * _SECOND
    return np.float64(fours >> np.uint64(32)) / _EXACT_POWERS[count - 1], at + count + 1


@njit_forceinline
def parse_number(text, at):
    """Reads one number.

    Args:
        text: uint8 array whose last byte is no part of a number.
        at: where the number starts.

    Returns:
        (status, float64 value, index behind the number). `UNDECIDED`: the text is a number, its value is not known.
    """
    here = np.uint64(at)  # an index without a sign spares Numba's test for negative ones: twice as fast
    negative = text[here] == _MINUS
    here += np.uint64(negative | (text[here] == _PLUS))  # no branch: signs cannot be foreseen
    start = here
    mantissa, here = _digits(text, here, np.uint64(0))
    digits = here - start
    behind = np.uint64(0)
    if text[here] == _POINT:
        point = here + _ONE
        mantissa, here = _fraction(text, point, mantissa)
        behind = here - point
        digits += behind
    if digits == np.uint64(0):
        return status.NOT_A_NUMBER, 0.0, np.int64(here)
    power = 0
    if text[here] | np.uint8(32) == _SMALL_E:
        code, power, after = _exponent(text, np.int64(here) + 1)
        if code != status.OK:
            return code, 0.0, after
        here = np.uint64(after)
    code, number = _value(text, np.int64(start), mantissa, np.int64(digits), power, np.int64(behind))
    return code, -number if negative else number, np.int64(here)


@njit_forceinline
def number_at(text, at):
    """`parse_number` on a CPU: nothing stays undecided. The C library stops where the number ends, as we do."""
    code, number, behind = parse_number(text, at)
    if code == status.UNDECIDED:
        return status.OK, _strtod(text[at:].ctypes, 0), behind
    return code, number, behind
