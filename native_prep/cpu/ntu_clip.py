"""The CPU's way from raw NTU coordinates to the clip that a network sees, one clip at a time.

`bodies` is float64 (T, 4, V, 3) as the file gave it; `clip` is float32 (M, T, V, 3).
"""

import numpy as np

from native_prep.kernels.jit import borrowed, njit
from native_prep.kernels.ntu_steps import (
    KEPT,
    alignment_matrix,
    centre_frame,
    choose_bodies,
    clear_frames,
    clip_length,
    energy_of,
    fill_frame,
    find_bodies,
    frame_total,
    is_spread,
    keep_frame,
    remove_gaps,
    turn_frame,
)
from native_prep.skeletons.layouts import Layout


def turned_joints(layout: Layout) -> tuple[int, np.ndarray, np.ndarray]:
    """What `normalise_ntu` centres and turns by: the centre, and the ends of spine and shoulders as int64 (2,)."""
    return layout.centre, np.array(layout.spine), np.array(layout.shoulders)


def ntu_scratch(bodies: int, frames: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What `normalise_ntu` works in, for so many bodies of a file and frames of a clip."""
    return np.empty(bodies), np.empty((KEPT, frames)), np.empty((3, 3))


@njit
def _energies(bodies, people, frames, energies):
    """What `choose_bodies` compares; of one body alone only whether it is above zero counts."""
    for body in range(energies.size):
        energies[body] = 0.0
        if people == 1 and body == 0 and is_spread(bodies, body, frames):
            energies[body] = 1.0
        elif body < people:
            energies[body] = energy_of(bodies, body, frames)


@njit
def _take_body(bodies, body, people, frames, person, totals):
    """Copies a body to `person` (T, V, 3), float32, and puts its frames in order; its period, 0 for nobody."""
    person, totals = borrowed(person), borrowed(totals)
    some = False
    for frame in range(frames if body < people else 0):
        some |= keep_frame(bodies, frame, body, person)
    if not some:
        return 0
    for frame in range(frames):
        totals[frame] = frame_total(person[frame])
    period = remove_gaps(person, frames, totals)
    if period < 0:
        clear_frames(person, frames, person.shape[0])
    return period


@njit
def _find_bodies(clip, num_distinct, present, totals):
    clip, totals = borrowed(clip), borrowed(totals)
    for body in range(KEPT):
        for frame in range(num_distinct if present >> body & 1 else 0):
            totals[body, frame] = frame_total(clip[body, frame])
    return find_bodies(totals, num_distinct, clip.shape[1], present)


@njit
def _turn(clip, start, stop, to_z, num_distinct, present, matrix):
    alignment_matrix(clip, start, stop, to_z, matrix)
    for body in range(KEPT):
        for frame in range(num_distinct if present >> body & 1 else 0):
            turn_frame(clip[body], frame, matrix)


@njit
def normalise_ntu(bodies, people, frames, clip, joints, scratch, periods):
    """Chooses two bodies, fills their gaps, centres and turns them.

    Args:
        bodies: float64 (T, 4, V, 3), of which `frames` frames and `people` bodies are read.
        clip: float32 (2, T, V, 3) to fill.
        joints: see `turned_joints`; scratch: see `ntu_scratch`.
        periods: int64 (2,) to fill: after how many frames each body repeated before it was centred, 0 for nobody,
            -T for one that was left as it is.

    Returns:
        How many frames of `clip` are distinct; the clip repeats from its start after them. 0: nobody is there.
    """
    centre, spine, shoulders = joints
    energies, totals, matrix = scratch
    bodies, clip, matrix = borrowed(bodies), borrowed(clip), borrowed(matrix)
    _energies(bodies, people, frames, energies)
    best, second = choose_bodies(energies)
    first_period = _take_body(bodies, best, people, frames, clip[0], totals[0])
    second_period = _take_body(bodies, second, people, frames, clip[1], totals[1])
    periods[0], periods[1] = first_period, second_period
    num_distinct = clip_length(first_period, second_period, clip.shape[1])
    for frame in range(num_distinct):
        fill_frame(clip[0], first_period, frame)
        fill_frame(clip[1], second_period, frame)
    present = (first_period > 0) | (second_period > 0) << 1
    present, some = _find_bodies(clip, num_distinct, present, totals)
    if some:
        for frame in range(num_distinct):
            centre_frame(clip, frame, centre, present)
    present, some = _find_bodies(clip, num_distinct, present, totals)
    if some:
        _turn(clip, spine[0], spine[1], True, num_distinct, present, matrix)
    present, some = _find_bodies(clip, num_distinct, present, totals)
    if some:
        _turn(clip, shoulders[1], shoulders[0], False, num_distinct, present, matrix)
    return num_distinct
