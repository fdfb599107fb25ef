"""How much of a prepared clip was recorded: the rest repeats it, or is zeros.

Letters: C channels, T frames, V joints, M bodies.
"""

import numpy as np

# Metres: above what float32 loses of a place in a room, below what a sensor's noise moves it from frame to frame.
_ROUNDING = 1e-5


def real_frames(clip: np.ndarray) -> int:
    """How many frames of a prepared clip (C, T, V, M) were recorded: as many as the longest body has of its own.

    One at least. Of a clip of which nobody moves it is the shortest stretch that repeats.

    In NTU each body repeats after its own last frame, and is then centred on the first body. So the first body's frames
    repeat to the bit; of the others it is the places of joints beside each other that do.
    """
    first, others = clip[..., 0], clip[..., 1:]
    beside = others - others[:, :, :1]
    return max(
        _own_frames(first, first, 0.0),
        *(_own_frames(others[..., body], beside[..., body], _ROUNDING) for body in range(others.shape[3])),
        1,
    )


def _own_frames(body: np.ndarray, compared: np.ndarray, tolerance: float) -> int:
    """The frames of one body (C, T, V) until it repeats in what is compared, or until the last that is not zeros."""
    filled = np.flatnonzero(body.any(axis=(0, 2)))
    frames = int(filled[-1]) + 1 if len(filled) else 0
    compared = compared[:, :frames]
    as_first = (np.abs(compared - compared[:, :1]) <= tolerance).all(axis=(0, 2))
    for length in np.flatnonzero(as_first)[1:].tolist():
        if (np.abs(compared[:, length:] - compared[:, : frames - length]) <= tolerance).all():
            return int(length)
    return frames
