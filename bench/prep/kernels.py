"""The kernels alone, on one thread: text that lies in memory to clips, without files and without Python in between."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from native_prep.cpu.ntu_clip import normalise_ntu, ntu_scratch, turned_joints
from native_prep.kernels import status
from native_prep.kernels.jit import borrowed, njit_cached
from native_prep.kernels.kinetics_json import MAX_PEOPLE, parse_kinetics
from native_prep.kernels.kinetics_ucla_steps import normalise_kinetics
from native_prep.kernels.packed_frames import pack, periods_kept
from native_prep.kernels.skeleton_text import MAX_BODIES, parse_skeleton
from native_prep.kernels.swar import SLACK
from native_prep.skeletons.layouts import KINETICS, NTU

_FRAMES, _BODIES = 300, 2


@njit_cached
def _pack_ntu(text, starts, sizes, raw, joints, clip, lengths, frames):
    bodies, body, scratch, periods = raw
    good = 0
    for index in range(starts.size):
        found = parse_skeleton(text[starts[index] :], sizes[index], bodies, body)
        if found[0] == status.OK:
            good += 1
            normalise_ntu(bodies, found[4], found[2], clip, joints, scratch, periods)
            periods_kept(periods, clip.shape[1], lengths)
            pack(borrowed(clip), lengths, borrowed(frames), 0)
    return good


@njit_cached
def _make_kinetics(text, starts, sizes, points, people, poses, scores, clip):
    good = 0
    for index in range(starts.size):
        if parse_kinetics(text[starts[index] :], sizes[index], points, people, poses, scores)[0] == status.OK:
            good += 1
            normalise_kinetics(borrowed(points), borrowed(people), borrowed(clip))
    return good


class TextKernels:
    """Raw files of one kind, held in memory.

    Args:
        paths: `.skeleton` files, or Kinetics' JSON files.
        kind: "ntu" or "kinetics".
    """

    def __init__(self, paths: Sequence[Path], kind: str) -> None:
        texts = [path.read_bytes() for path in paths]
        self._sizes = np.array([len(text) for text in texts])
        self._starts = np.concatenate(([0], np.cumsum(self._sizes + SLACK)[:-1]))
        self._text = np.frombuffer(b"".join(text + b"\n" * SLACK for text in texts), np.uint8).copy()
        self._kind = kind

    def run(self) -> None:
        """NTU's text to the packed store's frames, or Kinetics' to clips.

        Raises:
            ValueError: a file is bad.
        """
        given = (self._text, self._starts, self._sizes)
        good = _pack_ntu(*given, *self._ntu) if self._kind == "ntu" else _make_kinetics(*given, *self._kinetics)
        if good != len(self._sizes):
            raise ValueError(f"{len(self._sizes) - good} of the files to measure are bad: prep names them")

    @property
    def _ntu(self) -> tuple:
        joints = NTU.num_joints
        scratch = ntu_scratch(MAX_BODIES, _FRAMES)
        raw = (np.empty((_FRAMES, MAX_BODIES, joints, 3)), np.empty((joints, 3)), scratch, np.zeros(_BODIES, np.int64))
        clip = np.empty((_BODIES, _FRAMES, joints, 3), np.float32)
        return (
            raw,
            turned_joints(NTU),
            clip,
            np.zeros(_BODIES, np.int64),
            np.empty((_BODIES * _FRAMES, joints, 3), np.float32),
        )

    @property
    def _kinetics(self) -> tuple:
        joints = KINETICS.num_joints
        points, people = np.empty((_FRAMES, MAX_PEOPLE, 3 * joints)), np.zeros(_FRAMES, np.int64)
        poses, scores = np.empty((MAX_PEOPLE, 2 * joints)), np.empty((MAX_PEOPLE, joints))
        return points, people, poses, scores, np.empty((_BODIES, _FRAMES, joints, 3), np.float32)
