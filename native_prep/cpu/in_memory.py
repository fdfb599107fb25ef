"""Raw frames in memory to the clip that a network sees, by the same kernels that prepare files.

Letters: P people, T frames, V joints, M bodies.
"""

import numpy as np

from native_prep.cpu.ntu_clip import normalise_ntu, ntu_scratch, turned_joints
from native_prep.datasets.catalog import Dataset
from native_prep.kernels.jit import borrowed, njit_cached
from native_prep.kernels.kinetics_ucla_steps import normalise_kinetics, normalise_nw_ucla
from native_prep.kernels.ntu_steps import KEPT
from native_prep.reference import best_people, spread


@njit_cached
def _prepare_ntu(bodies, clip, joints, scratch, periods):
    num_distinct = normalise_ntu(bodies, bodies.shape[1], bodies.shape[0], clip, joints, scratch, periods)
    # The clip repeats from its start; nobody's is all zeros.
    for body in range(clip.shape[0]):
        for frame in range(num_distinct, clip.shape[1]):
            for joint in range(clip.shape[2]):
                for axis in range(3):
                    clip[body, frame, joint, axis] = (
                        clip[body, frame % num_distinct, joint, axis] if num_distinct else 0.0
                    )


@njit_cached
def _prepare_kinetics(points, people, clip):
    normalise_kinetics(borrowed(points), borrowed(people), borrowed(clip))


@njit_cached
def _prepare_nw_ucla(points, clip):
    normalise_nw_ucla(borrowed(points), points.shape[0], borrowed(clip))


def raw_frames(points: np.ndarray, dataset: Dataset, frames: int) -> np.ndarray:
    """The people that `prepare_frames` keeps, as they are, for engines that prepare clips themselves.

    Args:
        points: float64 (P, T, V, 3), see `prepare_frames`.
        dataset: NTU or Kinetics; frames: T of the clip.

    Returns:
        float32 (3, T, V, M); zeros after the last frame.

    Raises:
        ValueError: more frames than the clip has.
    """
    people, length, joints = points.shape[:3]
    if length > frames:
        raise ValueError(f"{length} frames are more than the {frames} of a clip: give a shorter window")
    clip = np.zeros((3, frames, joints, dataset.num_person), np.float32)
    data = points.transpose(3, 1, 2, 0)  # (3, T, V, P)
    if dataset.layout.name == "kinetics":
        kept = best_people(data)
    else:
        kept = data[..., np.array([spread(one) for one in points]).argsort()[::-1][: dataset.num_person]]
    clip[:, :length, :, : min(people, dataset.num_person)] = kept
    return clip


def prepare_frames(points: np.ndarray, dataset: Dataset, frames: int | None = None) -> np.ndarray:
    """People of a data set's skeleton as the joint clip that `one_file.read_clip` makes of a file with these frames.

    NTU keeps the two people of most motion, NW-UCLA the one, Kinetics the two of highest score in each frame.

    Args:
        points: float64 (P, T, V, 3), each place one person; zeros where a person, or in Kinetics a joint, is not seen.
        dataset: whose form the coordinates have.
        frames: T of the clip; None for the data set's, or the frames' own number for NW-UCLA.

    Returns:
        float32 (3, T, V, M).

    Raises:
        ValueError: more frames than the clip has.
    """
    length = points.shape[1]
    wanted = frames or dataset.max_frames or length
    if length > wanted:
        raise ValueError(f"{length} frames are more than the {wanted} of a clip: give a shorter window")
    layout = dataset.layout
    clip = np.empty((dataset.num_person, wanted, layout.num_joints, 3), np.float32)
    if layout.name == "ntu":
        bodies = np.zeros((length, max(len(points), KEPT), *points.shape[2:]))  # nobody is a body too
        bodies[:, : len(points)] = points.transpose(1, 0, 2, 3)
        scratch = ntu_scratch(bodies.shape[1], wanted)
        _prepare_ntu(bodies, clip, turned_joints(layout), scratch, np.zeros(KEPT, np.int64))
    elif layout.name == "kinetics":
        poses = np.zeros((wanted, max(len(points), clip.shape[0]), 3 * layout.num_joints))
        poses[:length, : len(points)] = points.transpose(1, 0, 2, 3).reshape(length, len(points), 3 * layout.num_joints)
        people = np.zeros(wanted, np.int64)
        people[:length] = poses.shape[1]
        _prepare_kinetics(poses, people, clip)
    else:
        best = (
            points[int(np.argmax([spread(one) for one in points]))] if len(points) else np.zeros((0, *clip.shape[2:]))
        )
        _prepare_nw_ucla(np.ascontiguousarray(best), clip)
    return np.ascontiguousarray(clip.transpose(3, 1, 2, 0))
