"""Good raw files of each kind, and mutations of them."""

import json
import random

import numpy as np
from prep_files import kinetics_clip, ntu_lines, nw_ucla_clip, person

TOKENS = [
    b"\n", b"\r\n", b" ", b"\t", b"-", b".", b"e", b"1e999", b"nan", b"0", b"99999999999999999999", b"\x00", b"\xff",
    b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"\\u12", b'"data"', b"null", b"[[[[", b"25", b"1", b"2", b"",
    b"0.123456789012345678901234567890123456789", b"-0.0", b"+", b'"frame_index": 299,', b"1E-320",
]  # fmt: skip


def seeds() -> dict[str, list[bytes]]:
    """Good files of each kind, short so that a mutation meets every part of them."""
    rng = np.random.default_rng(1)
    one, two = person(rng, 2), person(rng, 2)
    ntu = ["\n".join(ntu_lines(frames)) + "\n" for frames in ([[one[0]], []], [[one[0], two[0]], [two[1]]])]
    kinetics = [json.dumps({**kinetics_clip(seed, 2), "more": [{"a": [None]}, "b\\n"]}) for seed in (1, 2)]
    return {
        "ntu60": [text.encode() for text in ntu],
        "kinetics": [text.encode() for text in kinetics],
        "nw-ucla": [json.dumps(nw_ucla_clip(1, 2, 3), indent=indent).encode() for indent in (None, 1)],
    }


def mutated(text: bytes, rng: random.Random) -> bytes:
    """A few structured changes: cut, drop, double or swap a stretch, put a token in, change a byte."""
    for _ in range(rng.randrange(1, 4)):
        first, second = sorted(rng.randrange(len(text) + 1) for _ in range(2))
        if rng.random() < 0.7:
            second = min(second, first + rng.randrange(12))
        kind = rng.randrange(6)
        if kind == 0:
            text = text[:first]
        elif kind == 1:
            text = text[:first] + text[second:]
        elif kind == 2:
            text = text[:second] + text[first:second] + text[second:]
        elif kind == 3:
            text = text[:first] + rng.choice(TOKENS) + text[first:]
        elif kind == 4:
            text = text[:first] + rng.choice(TOKENS) + text[second:]
        else:
            text = text[:first] + bytes([rng.randrange(256)]) + text[first + 1 :]
    return text
