"""The original's data_gen in plain NumPy, one clip at a time: what the kernels are checked and measured against.

Slow on purpose: it reads as the definition does. Letters: T frames, V joints, M bodies, B bodies before two are chosen.

Source: data_gen/ntu_gendata.py, preprocess.py, rotation.py, kinetics_gendata.py, gen_bone_data.py and
gen_motion_data.py of 2s-AGCN.
"""

import json
import math
import os
from pathlib import Path

import numpy as np

from native_prep.skeletons.layouts import KINETICS, NTU, Layout
from native_prep.skeletons.streams import bones, motion

__all__ = [
    "angle_between", "best_people", "bones", "motion", "normalise_ntu", "pad", "prepare_kinetics_clip",
    "prepare_ntu_clip", "prepare_raw_clip", "raw_kinetics_clip", "raw_ntu_clip", "read_kinetics", "read_ntu",
    "rotation_matrix", "spread",
]  # fmt: skip
NTU_BODIES, KINETICS_BODIES, KEPT_BODIES = 4, 5, 2


def prepare_ntu_clip(path: str | os.PathLike[str], max_frames: int = 300) -> np.ndarray:
    """A `.skeleton` file as float32 (3, max_frames, 25, 2), metres: padded, centred and turned.

    Raises:
        ValueError: the file is damaged.
    """
    bodies = raw_ntu_clip(path, max_frames).transpose(3, 1, 2, 0)  # (M, T, V, 3)
    normalise_ntu(bodies)
    return bodies.transpose(3, 1, 2, 0)


def raw_ntu_clip(path: str | os.PathLike[str], max_frames: int = 300) -> np.ndarray:
    """The two bodies of most motion as recorded, float32 (3, max_frames, 25, 2), metres; zeros after the last frame.

    Raises:
        ValueError: the file is damaged.
    """
    raw = read_ntu(path)
    energy = np.array([spread(body) for body in raw])
    kept = raw[energy.argsort()[::-1][:KEPT_BODIES]]  # (M, T, V, 3)
    bodies = np.zeros((KEPT_BODIES, max_frames, NTU.num_joints, 3), np.float32)
    bodies[:, : kept.shape[1]] = kept
    return bodies.transpose(3, 1, 2, 0)  # (3, T, V, M)


def read_ntu(path: str | os.PathLike[str]) -> np.ndarray:
    """X y z of the first four bodies of each frame, float64 (4, T, 25, 3); zeros where there is none.

    Raises:
        ValueError: a line is missing or holds something else.
    """
    lines = iter(Path(path).read_text(encoding="ascii").splitlines())
    frames = int(next(lines))
    data = np.zeros((NTU_BODIES, frames, NTU.num_joints, 3))
    try:
        for frame in range(frames):
            for body in range(int(next(lines))):
                next(lines)  # body id and tracking state
                for joint in range(int(next(lines))):
                    point = [float(word) for word in next(lines).split()[:3]]
                    if body < NTU_BODIES and joint < NTU.num_joints:
                        data[body, frame, joint] = point
    except StopIteration:
        raise ValueError(f"{path}: ends in frame {frame} of {frames}: the file was cut off, fetch it again") from None
    return data


def spread(body: np.ndarray) -> float:
    """Motion energy of a body (T, V, 3): how far its coordinates spread over the frames that it is in."""
    seen = body[body.sum(-1).sum(-1) != 0]
    return float(sum(seen[:, :, axis].std() for axis in range(3))) if len(seen) else 0.0


def normalise_ntu(bodies: np.ndarray) -> None:
    """Pads, centres and turns one clip of NTU's joints in place: float32 (M, T, V, 3), metres, zeros for nobody."""
    if bodies.sum() == 0:
        return
    for body in bodies:
        pad(body)
    centre = bodies[0][:, NTU.centre : NTU.centre + 1].copy()  # (T, 1, 3)
    for body in bodies:
        if body.sum() != 0:
            body[:] = (body - centre) * (body.sum(-1) != 0)[:, :, None]
    assert NTU.spine is not None and NTU.shoulders is not None
    bottom, top = NTU.spine
    _turn(bodies, bodies[0, 0, top] - bodies[0, 0, bottom], (0, 0, 1))
    right, left = NTU.shoulders
    _turn(bodies, bodies[0, 0, right] - bodies[0, 0, left], (1, 0, 0))


def pad(body: np.ndarray) -> None:
    """Shifts a late start to frame 0 and fills an empty tail with the clip from its start: (T, V, 3), in place."""
    if body.sum() == 0:
        return
    if body[0].sum() == 0:
        seen = body[body.sum(-1).sum(-1) != 0].copy()
        body[:] = 0
        body[: len(seen)] = seen
    for frame in range(len(body)):
        if body[frame].sum() == 0 and body[frame:].sum() == 0:
            body[frame:] = np.resize(body[:frame], body[frame:].shape)
            return


def _turn(bodies: np.ndarray, vector: np.ndarray, towards: tuple[int, int, int]) -> None:
    """Turns every body so that `vector` points along an axis: (M, T, V, 3), in place."""
    matrix = rotation_matrix(np.cross(vector, towards), angle_between(vector, towards))
    for body in bodies:
        for frame in body:
            if frame.sum() != 0:
                frame[:] = frame @ matrix.T


def angle_between(vector: np.ndarray, towards: tuple[int, int, int]) -> float:
    """The angle, in radians, between a vector (3,) and an axis; 0 for a vector of nearly no length."""
    # The length stays in the vector's own float32: near 0 degrees, arccos makes a large matter of it.
    if np.abs(vector).sum() < 1e-6:
        return 0.0
    cosine = np.dot(vector / np.linalg.norm(vector), np.array(towards) / np.linalg.norm(towards))
    return float(np.arccos(np.clip(cosine, -1.0, 1.0)))


def rotation_matrix(axis: np.ndarray, angle: float) -> np.ndarray:
    """The rotation by `angle` radians about `axis`, float64 (3, 3); the identity where either is nearly zero."""
    if np.abs(axis).sum() < 1e-6 or abs(angle) < 1e-6:
        return np.eye(3)
    x, y, z = axis / math.sqrt(np.dot(axis, axis))
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross  # Rodrigues' formula


def prepare_kinetics_clip(path: str | os.PathLike[str], max_frames: int = 300) -> np.ndarray:
    """A Kinetics-skeleton file as float32 (3, max_frames, 18, 2): x, y (up, 0 at the centre), score.

    Raises:
        ValueError: the file is not JSON, or a frame lies outside 0 .. max_frames - 1.
    """
    data = read_kinetics(path, max_frames)
    _centre_picture(data)
    return best_people(data).astype(np.float32)


def read_kinetics(path: str | os.PathLike[str], max_frames: int = 300) -> np.ndarray:
    """X y score of the first five people of each frame, float64 (3, max_frames, 18, 5); zeros where there is none.

    Raises:
        ValueError: the file is not JSON, or a frame lies outside 0 .. max_frames - 1.
    """
    data = np.zeros((3, max_frames, KINETICS.num_joints, KINETICS_BODIES))
    for frame in json.loads(Path(path).read_text(encoding="utf-8"))["data"]:
        place = frame["frame_index"]
        if not 0 <= place < max_frames:
            raise ValueError(f"{path}: frame_index {place} is not in 0...{max_frames - 1}: give more frames")
        for person, skeleton in enumerate(frame["skeleton"][:KINETICS_BODIES]):
            data[0, place, :, person] = skeleton["pose"][0::2]
            data[1, place, :, person] = skeleton["pose"][1::2]
            data[2, place, :, person] = skeleton["score"]
    return data


def raw_kinetics_clip(path: str | os.PathLike[str], max_frames: int = 300) -> np.ndarray:
    """`prepare_kinetics_clip` without centring: float32 (3, max_frames, 18, 2), shares of the picture and scores.

    Raises:
        ValueError: the file is not JSON, or a frame lies outside 0 .. max_frames - 1.
    """
    return best_people(read_kinetics(path, max_frames)).astype(np.float32)


def prepare_raw_clip(raw: np.ndarray, layout: Layout) -> np.ndarray:
    """What `raw_ntu_clip` or `raw_kinetics_clip` gave, float32 (3, T, V, M), prepared."""
    clip = raw.copy()
    if layout == KINETICS:
        _centre_picture(clip)
    else:
        normalise_ntu(clip.transpose(3, 1, 2, 0))
    return clip


def _centre_picture(data: np.ndarray) -> None:
    """Moves the origin to the picture's middle, y up: x y score (3, ...), in place."""
    data[0] -= 0.5
    data[1] = 0.5 - data[1]
    data[:2, data[2] == 0] = 0


def best_people(data: np.ndarray) -> np.ndarray:
    """The two people of each frame whose joints score highest: (3, T, V, 5) -> (3, T, V, 2)."""
    order = (-data[2].sum(axis=1)).argsort(axis=1)[:, :KEPT_BODIES]  # (T, M)
    return np.take_along_axis(data, order[None, :, None, :], axis=3)
