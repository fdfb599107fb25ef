"""Decimal text to float64, to the bit what Python's `float` makes of it."""

import random
import struct
from decimal import Decimal, localcontext

import numpy as np
import pytest

from native_prep.kernels import status
from native_prep.kernels.jit import njit_cached
from native_prep.kernels.json_text import number_list
from native_prep.kernels.numbers import number_at
from native_prep.kernels.swar import SLACK

_AWKWARD = """
0 -0 +0 0.0 -0.0 .5 5. +.5e1 1e0 1E+0 1e-0 00012 0.1 0.2 0.3 123456789012345678 1234567890123456789
12345678901234567890 123456789012345678901234567890 0.1234567890123456789012345 9007199254740992 9007199254740993
9007199254740993.0000000000000000000000001 9007199254740992.9999999999999999999999999 9007199254740995 1e22 1e23
1e-22 1e-23 8.5e22 8.5e23 4.9e-324 4.94e-324 2.4703282292062327e-324 2.4703282292062328e-324 2.47e-324
2.2250738585072014e-308 2.2250738585072011e-308 2.225073858507201e-308 1.7976931348623157e308 1.7976931348623158e308
1.7976931348623159e308 1e308 1e309 -1e309 1e400 1e-400 1e99999999999 1e-99999999999 0e99999999999
0.000000000000000000000000000000000000001 1000000000000000000000000000000000000000000 6.02214076e23 1.17549435e-38
3.4028235e38 0.30000000000000004 179769313486231580793728971405301e276 5e-20 9.5367431640625e-07 2.0352795E-05
-1.2345678E-05 0.99999999 99999999.99999999 1.00000005960464477539062500 1.000000059604644775390625000000000001
1.0000000596046447753906249999999999
"""
AWKWARD = _AWKWARD.split()
NOT_NUMBERS = ["", "-", "+", ".", "-.", "e5", "1e", "1e+", "--1", "nan", "inf", "x", "-e1"]


@njit_cached
def read_all(text, codes, values, behind):
    at = 0
    for index in range(values.size):
        codes[index], values[index], behind[index] = number_at(text, at)
        while text[at] != 10:
            at += 1
        at += 1


@njit_cached
def read_list(text, end, values):
    return number_list(text, 0, end, values)


def read(words: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    text = np.frombuffer(("\n".join(words) + "\n" * 9).encode(), np.uint8).copy()
    codes, behind = np.zeros(len(words), np.int64), np.zeros(len(words), np.int64)
    values = np.zeros(len(words))
    read_all(text, codes, values, behind)
    return codes, values, behind


def halfway(rng: random.Random) -> str:
    """The exact decimal value between two neighbouring numbers, or a little more or less."""
    with localcontext() as context:
        context.prec = 400
        number = abs(rng.uniform(-1, 1)) * 10.0 ** rng.randrange(-15, 15)
        exact = (Decimal(number) + Decimal(float(np.nextafter(number, np.inf)))) / 2
        return f"{exact + rng.choice((-1, 0, 1)) * Decimal(10) ** -rng.choice((60, 150)):f}"


def random_word(rng: random.Random) -> str:
    kind = rng.randrange(6)
    if kind == 0:
        return repr(struct.unpack("d", rng.randbytes(8))[0]).replace("nan", "1").replace("inf", "1")
    if kind == 1:
        return f"{rng.uniform(-5, 5):.{rng.randrange(25)}f}"
    if kind == 2:
        return f"{rng.randrange(10 ** rng.randrange(1, 30))}e{rng.randrange(-345, 320)}"
    if kind == 3:
        return f"{rng.uniform(-5, 5):.{rng.randrange(25)}E}"
    return halfway(rng) if kind == 4 else f"-.{rng.randrange(10**9)}E+{rng.randrange(40)}"


def check(words: list[str]) -> None:
    codes, values, behind = read(words)
    expected = np.array([float(word) for word in words])
    wrong = np.flatnonzero((codes != status.OK) | (values.view(np.int64) != expected.view(np.int64)))
    assert not wrong.size, [(words[index], values[index], expected[index]) for index in wrong[:5]]
    ends = np.cumsum([len(word) + 1 for word in words]) - 1
    assert np.array_equal(behind, ends)


def test_awkward_numbers():
    check(AWKWARD)
    check([f"-{word}" for word in AWKWARD if word[0] not in "+-"])


def test_random_numbers():
    rng = random.Random(7)
    check([random_word(rng) for _ in range(20_000)])


def test_a_million_random_numbers():
    rng = np.random.default_rng(11)
    digits = rng.integers(0, 19, 1_000_000)
    values = rng.normal(0, 3, digits.size)
    check(
        [
            f"{value:.{places}f}" if places else repr(value)
            for value, places in zip(values.tolist(), digits, strict=True)
        ]
    )


def check_list(words: list[str], gap: str) -> None:
    """The numbers of one JSON list, to the bit and to float32 what Python reads."""
    text = f"[{gap.join(words)}]".encode()
    values = np.full(len(words), np.nan)
    padded = np.frombuffer(text + b"\n" * SLACK, np.uint8).copy()
    assert read_list(padded, len(text), values) == (status.OK, len(text), len(words))
    expected = np.array([float(word) for word in words])
    assert np.array_equal(values.view(np.int64), expected.view(np.int64))
    assert np.array_equal(values.astype(np.float32), expected.astype(np.float32))


@pytest.mark.parametrize("gap", [",", ", ", " ,\n", ",\t", ",  "])
def test_every_short_fraction_in_a_list(gap):
    check_list([f"{number // 1000}.{number % 1000:03}" for number in range(10_000)], gap)
    rng = random.Random(5)
    check_list([f"{rng.uniform(0, 9.99):.{rng.randrange(1, 9)}f}" for _ in range(20_000)], gap)
    check_list(
        [f"{rng.randrange(10)}.{rng.randrange(10 ** rng.randrange(1, 7))}e{rng.choice('+-')}2" for _ in range(99)], gap
    )


@pytest.mark.parametrize(
    "text", ["[0.123, ]", "[0.123, 0.12x]", "[0.12.3, 1]", "[0.123 0.1]", "[.123, 0.1]", "[0.123,", "[0."]
)
def test_short_fractions_that_are_no_list(text):
    padded = np.frombuffer(text.encode() + b"\n" * SLACK, np.uint8).copy()
    code, where, _ = read_list(padded, len(text), np.zeros(4))
    assert code != status.OK
    assert where <= len(text)


@pytest.mark.parametrize("word", NOT_NUMBERS)
def test_what_is_no_number(word):
    codes, _, behind = read([word])
    assert codes[0] == status.NOT_A_NUMBER
    assert behind[0] <= len(word)


def test_where_a_number_ends():
    for text, end in (("1.5.2", 3), ("12-3", 2), ("1e5e6", 3), ("0x10", 1), ("1_000", 1), ("1,5", 1)):
        codes, values, behind = read([text])
        assert (codes[0], values[0], behind[0]) == (status.OK, float(text[:end]), end)


def test_very_long_numbers():
    check(
        [
            "0." + "0" * 5000 + "1",
            "1" * 400 + "." + "2" * 400,
            "1" * 309,
            "1" * 308,
            "0" * 3000 + "7",
            "3." + "14" * 2000,
        ]
    )
