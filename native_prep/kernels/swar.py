"""Eight characters at a time, or 32: how the readers of text go through a file faster than a byte a step."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from native_prep.kernels.jit import njit_forceinline

# Text goes on for this many line feeds behind its end, so that many characters can always be read at once.
SLACK = 64
LINE_FEEDS = np.uint64(0x0A0A0A0A0A0A0A0A)
ONES = np.uint64(0x0101010101010101)
HIGH_BITS = np.uint64(0x8080808080808080)


@njit_forceinline
def load_eight(text, at):
    """Eight characters as one word, the first in the lowest byte.

    Indices without a sign spare Numba's test for negative ones, and compilers make one load of the eight then.
    """
    at = np.uint64(at)
    word = np.uint64(text[at]) | np.uint64(text[at + np.uint64(1)]) << np.uint64(8)
    word |= np.uint64(text[at + np.uint64(2)]) << np.uint64(16) | np.uint64(text[at + np.uint64(3)]) << np.uint64(24)
    word |= np.uint64(text[at + np.uint64(4)]) << np.uint64(32) | np.uint64(text[at + np.uint64(5)]) << np.uint64(40)
    word |= np.uint64(text[at + np.uint64(6)]) << np.uint64(48) | np.uint64(text[at + np.uint64(7)]) << np.uint64(56)
    return word


@njit_forceinline
def count_marks(marks):
    """How many of a word's bytes have their highest bit set; the others must be zero."""
    return np.int64((marks >> np.uint64(7)) * ONES >> np.uint64(56))


@njit_forceinline
def count_line_feeds(word):
    """How many of a word's bytes are line feeds."""
    other = word ^ LINE_FEEDS
    return count_marks(~((other & ~HIGH_BITS) + ~HIGH_BITS | other | ~HIGH_BITS))


_WIDTH = 32
_CHARACTERS = ir.VectorType(ir.IntType(8), _WIDTH)
WIDE = np.uint64((1 << _WIDTH) - 1)


def _classify_wide(typing_context: Any, text: Any, at: Any) -> Any:
    """(blank, feeds, odd) of the 32 characters from `at` on, a bit each, the first in the lowest: on a CPU alone.

    Blank are those up to space, feeds line feeds; odd ones are above 9, or below tab. Compilers make a few vector
    instructions of each (simdjson's way).
    """

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, values[0])
        place = builder.bitcast(builder.gep(array.data, [values[1]]), _CHARACTERS.as_pointer())
        characters = builder.load(place, align=1)

        def against(sign: str, number: int, value: Any = characters) -> Any:
            return builder.icmp_unsigned(sign, value, ir.Constant(_CHARACTERS, [number] * _WIDTH))

        def mask_of(found: Any) -> Any:
            return builder.zext(builder.bitcast(found, ir.IntType(_WIDTH)), ir.IntType(64))

        from_tab = builder.sub(characters, ir.Constant(_CHARACTERS, [9] * _WIDTH))
        found = against("<=", 32), against("==", 10), against(">", 48, from_tab)
        return context.make_tuple(builder, signature.return_type, [mask_of(one) for one in found])

    return types.UniTuple(types.uint64, 3)(text, types.intp), build


classify_wide: Any = intrinsic(_classify_wide)


def _count_bits(typing_context: Any, mask: Any) -> Any:
    """How many bits of a uint64 are set: on a CPU alone."""

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.ctpop(values[0])

    return types.int64(types.uint64), build


count_bits: Any = intrinsic(_count_bits)
