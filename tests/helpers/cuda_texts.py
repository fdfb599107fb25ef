"""Made `.skeleton` texts for the CUDA driver: good ones, and ones in which something is odd."""

import numpy as np

from native_prep.kernels import status

T = 6
ALLOWED = 1e-6
JOINT = "{:.4g} {:.4g} {:.4g} 1 2 3 4 5 6 7 8 2"


def body(rng: np.random.Generator, still: float = 0.0) -> list[str]:
    points = rng.normal((0.2, 0.1, 3.5), 0.3, (25, 3))
    return [JOINT.format(*point) if not still else JOINT.format(0, 0, 0) for point in points]


def text_of(frames: list[list[list[str]]], end: str = "\n") -> str:
    lines = [str(len(frames))]
    for bodies in frames:
        lines.append(str(len(bodies)))
        for one in bodies:
            lines += ["72057594037931101 0 1 1 1 1 0 0.02 0.05 2", str(len(one)), *one]
    return end.join(lines) + end


def good_texts() -> dict[str, str]:
    """Every way in which bodies come and go."""
    rng = np.random.default_rng(5)
    a, b, c, d, e = ([body(rng) for _ in range(T)] for _ in range(5))
    zero = body(rng, still=1)
    return {
        "one": text_of([[a[0]], [a[1]], [a[2]]]),
        "two": text_of([[a[0], b[0]], [a[1], b[1]]], end="\r\n"),
        "full": text_of([[a[frame]] for frame in range(T)]),
        "late start": text_of([[], [zero], [a[0]], [], [a[1]]]),
        "gap and early end": text_of([[a[0]], [], [a[1]], [zero], []]),
        "two periods": text_of([[a[0], b[0]], [a[1], b[1]], [a[2]]]),
        "second one enters": text_of([[a[0]], [a[1], b[0]], [a[2], b[1]]]),
        "five bodies": text_of([[a[0], b[0], c[0], d[0], e[0]], [a[1], b[1], c[1], d[1]]]),
        "nobody": text_of([[], []]),
        "zeros": text_of([[zero], [zero, zero]]),
        "a zero joint": text_of([[[*a[0][:7], zero[0], *a[0][8:]]]]),
        "exponents": text_of([[[*a[0][:24], "1.5E-3 -2e+0 +.35E1\t1 2 3 4 5 6 7E-9 nan 2 "]]]),
        "no line end": text_of([[a[0]]])[:-1] + "\r\n\n \t\n",
        "many digits": text_of(
            [[[*a[0][:24], "0.1234567890123456789012 12345678901234567890e-19 3 1 2 3 4 5 6 7 8 9"]]]
        ),
    }


def odd_texts() -> dict[str, tuple[str, int]]:
    """What the GPU leaves to the CPU, and the status that comes of it."""
    rng = np.random.default_rng(6)
    good = body(rng)
    whole = text_of([[good], [good]])

    def line(text: str) -> str:
        return text_of([[[*good[:3], text, *good[4:]]]])

    return {
        "empty": ("", status.EMPTY),
        "cut": (whole[: len(whole) // 2], status.ENDS_EARLY),
        "cut between frames": ("\n".join(whole.split("\n")[:29]) + "\n", status.ENDS_EARLY),
        "no count": ("x\n" + whole, status.NOT_A_COUNT),
        "no count of bodies": (whole.replace("\n1\n", "\n1 1\n", 1), status.NOT_A_COUNT),
        "no frames": ("0\n", status.NO_FRAMES),
        "too many frames": (text_of([[]] * (T + 1)), status.TOO_MANY_FRAMES),
        "a body's line": (whole.replace(" 0.05 2\n", " 2\n", 1), status.BODY_FIELDS),
        "joints": (text_of([[good[:20]]]), status.JOINT_COUNT),
        "eleven numbers": (line("1 2 3 4 5 6 7 8 9 10 11"), status.JOINT_FIELDS),
        "a word": (line("1 2 x 4 5 6 7 8 9 10 11 12"), status.NOT_A_NUMBER),
        "a word behind": (line("1 2 3 4 5 6 7 8 9 1e 11 12"), status.NOT_A_NUMBER),
        "far away": (line("1 2 1e7 4 5 6 7 8 9 10 11 12"), status.OUT_OF_RANGE),
        "goes on": (whole + "1\n", status.TRAILING),
        "binary": ("\x00\x01\n" * 40, status.NOT_A_COUNT),
        "undecided": (line("4.9e-324 2 3 4 5 6 7 8 9 10 11 12"), status.OK),
        "equal bodies": (text_of([[good, good], [good, good]]), status.OK),
    }
