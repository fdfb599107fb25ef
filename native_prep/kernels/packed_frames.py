"""Clips (M, T, V, 3) to the frames that the packed store keeps, and back: kernels only, all arrays float32.

A body is kept up to the frame after which it repeats (NTU) or is zero (Kinetics, NW-UCLA); the rest is an index.
"""

import numpy as np

from native_prep.kernels.jit import borrowed, njit, njit_cached
from native_prep.kernels.ntu_steps import clear_frames
from native_prep.kernels.stream_rows import copy_bytes, repeat, write_streams


@njit
def periods_kept(periods, total, lengths):
    """How many frames of each body to keep, from the periods that `normalise_ntu` reports.

    The second body is centred on the first one's frames, so it repeats when both do. A body without a sum is kept
    whole, as is one whose repetition does not fit into the clip.
    """
    for body in range(lengths.size):
        lengths[body] = abs(periods[body])
    first, second = lengths[0], lengths[1]
    if first > 0 and second > 0 and first != second:
        common = first
        while common % second != 0 and common < total:
            common += first
        lengths[1] = min(common, total)


@njit
def bits_kept(bits, frames, lengths):
    """How many frames of each body to keep where zeros follow its last one; `bits` is the clip as whole numbers.

    Minus zero is not zero here: it must come back as it was.
    """
    for body in range(lengths.size):
        lengths[body] = frames
        while lengths[body] > 0 and _is_zero(bits[body, lengths[body] - 1]):
            lengths[body] -= 1


@njit
def _is_zero(points):
    some = np.int32(0)
    for joint in range(points.shape[0]):
        some |= points[joint, 0] | points[joint, 1] | points[joint, 2]
    return some == 0


@njit
def pack(clip, lengths, frames, at):
    """Copies the kept frames of a clip to `frames` (F, V, 3), body after body from `at` on; where they end."""
    for body in range(clip.shape[0]):
        if lengths[body] > 0:
            size = 4 * lengths[body] * clip.shape[2] * clip.shape[3]
            copy_bytes(frames[at:].ctypes, clip[body].ctypes, size)
            at += lengths[body]
    return at


@njit
def _unpack(frames, halves, table, starts, lengths, repeats, clip):
    """One clip as it was before it was packed; how many of its frames are distinct, as `normalise_ntu` tells it."""
    total = clip.shape[1]
    num_distinct = 0
    for body in range(lengths.size):
        num_distinct = max(num_distinct, lengths[body])
    for body in range(lengths.size):
        if not repeats or (lengths[body] != num_distinct and lengths[body] > 0):
            num_distinct = total
    for body in range(lengths.size):
        length = lengths[body]
        if halves.shape[0] > 0:
            _widen(halves[starts[body] : starts[body] + length], table, clip[body])
        elif length > 0:
            copy_bytes(clip[body].ctypes, frames[starts[body] :].ctypes, 4 * length * clip.shape[2] * clip.shape[3])
        if length == 0 or not repeats:
            clear_frames(clip[body], length, num_distinct)
            continue
        repeat(
            clip[body], length, num_distinct, clip.shape[2] * clip.shape[3]
        )  # no whole number of times where two differ
    return num_distinct


@njit
def _widen(halves, table, person):
    for frame in range(halves.shape[0]):
        for joint in range(halves.shape[1]):
            for axis in range(3):
                person[frame, joint, axis] = table[halves[frame, joint, axis]]


@njit_cached
def unpack_streams(stored, starts, lengths, repeats, targets, parents, clip, places, rows, scratch):
    """Writes the streams of packed clips.

    Args:
        stored: frames float32 (F, V, 3) and half precision ones as uint16 (F, V, 3), one of the two empty, and the
            float32 value of each of the 65,536 halves.
        starts, lengths: int64 (n, M), where each body's frames begin and how many they are.
        repeats: whether a body repeats after its frames; else zeros follow.
        targets: int64 (n,), the places of the clips in `rows`.
        parents, places, scratch: see `write_streams`.
        clip: (M, T, V, 3), to work in.
        rows: (N, S, 3, T * V * M) to fill.
    """
    frames, halves, table = stored
    for index in range(targets.size):
        num_distinct = _unpack(
            borrowed(frames), borrowed(halves), table, starts[index], lengths[index], repeats, borrowed(clip)
        )
        write_streams(clip, num_distinct, parents, places, rows[targets[index]], scratch)
