"""NTU preparation the way the original's data_gen goes about it: the baseline that whole commands are timed against.

Each benchmark reads every file anew, every number of a line becomes an entry of a dictionary, every joint is turned by
a product of its own, and bones are made from the finished joints. `native_prep.reference` gives the same numbers with
fewer steps. Letters: C channels, T frames, V joints, M bodies.

Source: data_gen/ntu_gendata.py, preprocess.py and gen_bone_data.py of 2s-AGCN.
"""

from pathlib import Path

import numpy as np

from native_prep.datasets.names import is_training
from native_prep.reference import KEPT_BODIES, NTU_BODIES, angle_between, pad, rotation_matrix, spread
from native_prep.skeletons.layouts import NTU

_FRAMES = 300
_BODY_KEYS = (
    "bodyID", "clipedEdges", "handLeftConfidence", "handLeftState", "handRightConfidence", "handRightState",
    "isResticted", "leanX", "leanY", "trackingState",
)  # fmt: skip
_JOINT_KEYS = (
    "x", "y", "z", "depthX", "depthY", "colorX", "colorY", "orientationW", "orientationX", "orientationY",
    "orientationZ", "trackingState",
)  # fmt: skip


def prepare_original(paths: list[Path], folder: Path) -> None:
    """Writes joints and bones of both splits of xsub and xview, `.npy` float32 (N, 3, 300, 25, 2)."""
    for benchmark in ("xsub", "xview"):
        for split in ("train", "val"):
            ours = [path for path in paths if is_training("ntu60", benchmark, path.name) == (split == "train")]
            joints = np.zeros((len(ours), 3, _FRAMES, NTU.num_joints, KEPT_BODIES), np.float32)
            for place, path in enumerate(ours):
                clip = _two_bodies(path)
                joints[place, :, : clip.shape[1]] = clip
            _normalise(joints)
            np.save(folder / f"{benchmark}_{split}_joint.npy", joints)
            _write_bones(joints, folder / f"{benchmark}_{split}_bone.npy")


def _record(keys: tuple[str, ...], line: str) -> dict[str, float]:
    return {key: float(word) for key, word in zip(keys, line.split(), strict=True)}


def _read(path: Path) -> list[list[list[dict[str, float]]]]:
    """Frames of bodies of joints."""
    with path.open(encoding="ascii") as file:
        frames = []
        for _ in range(int(file.readline())):
            bodies = []
            for _ in range(int(file.readline())):
                _record(_BODY_KEYS, file.readline())
                bodies.append([_record(_JOINT_KEYS, file.readline()) for _ in range(int(file.readline()))])
            frames.append(bodies)
    return frames


def _two_bodies(path: Path) -> np.ndarray:
    """(C, T, V, M) of the two bodies of highest energy."""
    frames = _read(path)
    data = np.zeros((NTU_BODIES, len(frames), NTU.num_joints, 3))
    for frame, bodies in enumerate(frames):
        for body, joints in enumerate(bodies[:NTU_BODIES]):
            for place, joint in enumerate(joints):
                data[body, frame, place] = [joint["x"], joint["y"], joint["z"]]
    energy = np.array([spread(body) for body in data])
    return data[energy.argsort()[::-1][:KEPT_BODIES]].transpose(3, 1, 2, 0)


def _normalise(joints: np.ndarray) -> None:
    """Pads, centres and turns all clips in place."""
    for clip in joints.transpose(0, 4, 2, 3, 1):  # (M, T, V, C)
        if clip.sum() == 0:
            continue
        for body in clip:
            pad(body)
        centre = clip[0][:, NTU.centre : NTU.centre + 1].copy()
        for body in clip:
            if body.sum() != 0:
                body[:] = (body - centre) * (body.sum(-1) != 0)[:, :, None]
        assert NTU.spine is not None and NTU.shoulders is not None
        _turn(clip, NTU.spine[0], NTU.spine[1], (0, 0, 1))
        _turn(clip, NTU.shoulders[1], NTU.shoulders[0], (1, 0, 0))


def _turn(clip: np.ndarray, start: int, stop: int, axis: tuple[int, int, int]) -> None:
    vector = clip[0, 0, stop] - clip[0, 0, start]
    matrix = rotation_matrix(np.cross(vector, axis), angle_between(vector, axis))
    for body in clip:
        for frame in body:
            if frame.sum() != 0:
                for joint in frame:
                    joint[:] = np.dot(matrix, joint)


def _write_bones(joints: np.ndarray, path: Path) -> None:
    bones = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=joints.shape)
    bones[:] = joints
    for child, parent in NTU.bones:
        bones[:, :, :, child] = joints[:, :, :, child] - joints[:, :, :, parent]
