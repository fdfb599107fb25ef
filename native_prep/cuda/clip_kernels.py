"""Kernels that turn raw coordinates into clips, a block a clip and a thread a frame, and clips into dense rows.

`clips` are float32 (F, M, T, V, 3), `num_distinct` (F,) says after how many frames each repeats from its start, 0 for
nobody.
"""

import numpy as np
from numba import types

from native_prep.cuda.target import THREADS, cuda, kernel
from native_prep.kernels.jit import njit
from native_prep.kernels.kinetics_json import MAX_PEOPLE
from native_prep.kernels.kinetics_ucla_steps import kinetics_frame, nw_ucla_frame
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
    keep_frame,
    remove_gaps,
    turn_frame,
)
from native_prep.kernels.stream_rows import BONE, BONE_MOTION, JOINT_MOTION, bone_at

# GPUs may join a product and a sum into one rounding: energies closer than this are for the CPU to compare.
_CLOSE = 1e-9


@njit
def _too_close(energies, best, second):
    """Whether rounding could have chosen other bodies, or in another order."""
    close = False
    for body in range(energies.size):
        for chosen in (best, second):
            apart = abs(energies[chosen] - energies[body])
            close |= body != chosen and energies[body] > 0 and apart <= _CLOSE * energies[chosen]
    return close


@kernel
def weigh_bodies(raw, frames, for_cpu, energies):
    """A thread a body: the energies that choose two of the bodies, to `energies` (F, 4)."""
    for index in range(cuda.grid(1), energies.size, cuda.gridsize(1)):
        file, body = index // energies.shape[1], index % energies.shape[1]
        if for_cpu[file] == 0:
            energies[file, body] = energy_of(raw[file], body, frames[file])


@kernel
def make_ntu_clips(raw, frames, for_cpu, energies, joints, clips, num_distinct, sums):
    """Chooses two bodies, fills their gaps, centres and turns them, as `normalise_ntu` does.

    Args:
        raw: float64 (F, T, 4, V, 3).
        joints: int64 (5,): the layout's centre, spine and shoulders.
        sums: float64 (F, 2, T), to work in.
    """
    periods = cuda.shared.array(KEPT, types.int64)
    seen = cuda.shared.array(2, types.int64)
    matrix = cuda.shared.array((3, 3), types.float64)
    file, thread = cuda.blockIdx.x, cuda.threadIdx.x
    if for_cpu[file] != 0:  # all threads of the block leave
        num_distinct[file] = 0
        return
    clip, totals = clips[file], sums[file]
    longest = clip.shape[1]
    best, second = choose_bodies(energies[file])
    for body in range(KEPT):
        some = 0
        for frame in range(thread, frames[file], THREADS):
            some |= keep_frame(raw[file], frame, best if body == 0 else second, clip[body])
            totals[body, frame] = frame_total(clip[body, frame])
        for frame in range(frames[file] + thread, longest, THREADS):
            clear_frames(clip[body], frame, frame + 1)
        some = cuda.syncthreads_or(some)
        if thread == 0:
            periods[body] = remove_gaps(clip[body], frames[file], totals[body]) if some else 0
    cuda.syncthreads()
    length = clip_length(periods[0], periods[1], longest)
    for frame in range(thread, length, THREADS):
        for body in range(KEPT):
            fill_frame(clip[body], periods[body], frame)
    present = (periods[0] > 0) | (periods[1] > 0) << 1
    for step in range(3):
        for frame in range(thread, length, THREADS):
            for body in range(KEPT):
                totals[body, frame] = frame_total(clip[body, frame])
        cuda.syncthreads()
        if thread == 0:
            seen[0], seen[1] = find_bodies(totals, length, longest, present)
            if seen[1] and step > 0:
                alignment_matrix(clip, joints[1 if step == 1 else 4], joints[2 if step == 1 else 3], step == 1, matrix)
        cuda.syncthreads()
        present = seen[0]
        for frame in range(thread, length if seen[1] else 0, THREADS):
            if step == 0:
                centre_frame(clip, frame, joints[0], present)
                continue
            for body in range(KEPT):
                if present >> body & 1:
                    turn_frame(clip[body], frame, matrix)
        cuda.syncthreads()
    if thread == 0:
        num_distinct[file] = length
        for_cpu[file] = _too_close(energies[file], best, second)


@kernel
def make_kinetics_clips(points, people, clips, num_distinct):
    """A thread a frame; `points` float64 (F, T, 5, 3V) of as many people as `people` (F, T) says."""
    order = cuda.local.array(MAX_PEOPLE, types.int64)
    sums = cuda.local.array(MAX_PEOPLE, types.float64)
    frames = clips.shape[2]
    for index in range(cuda.grid(1), num_distinct.size * frames, cuda.gridsize(1)):
        file, frame = index // frames, index % frames
        kinetics_frame(points[file], people[file], frame, clips[file], order, sums)
        num_distinct[file] = frames


@kernel
def make_nw_ucla_clips(points, lengths, clips, num_distinct):
    """A thread a frame; `points` float64 (F, T, V, 3), of which `lengths` (F,) frames are real."""
    frames = clips.shape[2]
    for index in range(cuda.grid(1), num_distinct.size * frames, cuda.gridsize(1)):
        file, frame = index // frames, index % frames
        nw_ucla_frame(points[file], lengths[file], frame, clips[file])
        num_distinct[file] = frames


@njit
def _number_at(clip, num_distinct, parents, bone, frame, joint, body, channel):
    if num_distinct == 0:
        return np.float32(0)
    if bone:
        return bone_at(clip, body, frame % num_distinct, joint, parents[joint], channel)
    return clip[body, frame % num_distinct, joint, channel]


@kernel
def write_rows(clips, num_distinct, parents, streams, rows):
    """A thread a number: the streams that `streams` (S,) asks for, to `rows` (F, S, 3, T, V, M).

    Blocks are (some, F * S).
    """
    _, number, channels, frames, joints, bodies = rows.shape
    file, place = cuda.blockIdx.y // number, cuda.blockIdx.y % number
    stream, length, clip = streams[place], num_distinct[file], clips[file]
    bone, moving = stream in (BONE, BONE_MOTION), stream in (JOINT_MOTION, BONE_MOTION)
    for index in range(cuda.grid(1), channels * frames * joints * bodies, cuda.gridsize(1)):
        body, rest = index % bodies, index // bodies
        joint, rest = rest % joints, rest // joints
        frame, channel = rest % frames, rest // frames
        value = _number_at(clip, length, parents, bone, frame, joint, body, channel)
        if moving:
            following = min(frame + 1, frames - 1)
            value = _number_at(clip, length, parents, bone, following, joint, body, channel) - value
        rows[file, place, channel, frame, joint, body] = value
