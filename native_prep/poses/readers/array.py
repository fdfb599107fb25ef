"""NumPy: one `.npy` file a clip, in one of the shapes that people keep clips in."""

import numpy as np

from native_prep.datasets.recordings import BadClip
from native_prep.io.arrays import load_array
from native_prep.io.whole import size_fault
from native_prep.poses.checks import HIGHEST_SCORE, score_fault
from native_prep.poses.readers.frames import MOST_CLIP
from native_prep.poses.to_clip import Poses, checked_points
from native_prep.skeletons.layouts import Layout

_FORMS = "(T, V, C), (M, T, V, C), (C, T, V, M) or (1, C, T, V, M)"


def read(path: str, layout: Layout) -> Poses:
    """A clip of one .npy file: (T, V, C), (M, T, V, C), (C, T, V, M) or (1, C, T, V, M).

    C is 3, or 2 for x y alone, but in (C, T, V, M). Which of them it is is told by V and C, and where the first and the
    last of four axes could be C, by the numbers: a reading in which no pose could be is not meant.

    Raises:
        BadClip: another shape or joint count, more than one reading, or none.
        OSError: it cannot be read.
    """
    if fault := size_fault(path, MOST_CLIP, "that a clip can have", "cut it, or move it away"):
        raise BadClip(path, fault)
    try:
        array = load_array(path)
    except ValueError as error:
        raise BadClip(path, "not an .npy array of numbers: write it again with numpy.save") from error
    if array.ndim == 5:
        if array.shape[0] != 1 or array.shape[1] not in (2, 3) or (array.shape[1] == 2 and array.shape[4] == 3):
            raise BadClip(path, f"is {array.shape}, expected {_FORMS}: write one clip a file")
        return Poses(checked_points(_channels_first(array[0]), layout, path))
    if array.ndim != 4 or array.shape[0] != 3 or array.shape[2] != layout.num_joints:
        return Poses(checked_points(array, layout, path))
    if array.shape[3] not in (2, 3):
        return Poses(checked_points(_channels_first(array), layout, path))
    both = (_possible(reading, layout, path) for reading in (_channels_first(array), array))
    readings = [points for points in both if points is not None]
    if len(readings) != 1:
        raise BadClip(
            path,
            f"{array.shape} may be (M, T, V, C) of 3 people or (C, T, V, M) of {array.shape[3]}: "
            "write (T, V, C), or (1, C, T, V, M)",
        )
    return Poses(readings[0])


def joint_count(path: str) -> int:
    """V of a clip, whichever of the shapes it has: the last axis but one; 0 where it has none.

    Raises:
        OSError: it cannot be read.
    """
    try:
        shape = load_array(path, mapped=True).shape
    except ValueError:
        return 0
    return shape[-2] if len(shape) > 2 else 0


def _channels_first(array: np.ndarray) -> np.ndarray:
    return array.transpose(3, 1, 2, 0)  # (C, T, V, M) to (M, T, V, C)


def _possible(array: np.ndarray, layout: Layout, path: str) -> np.ndarray | None:
    """The points of a reading, None where no poses have such numbers."""
    try:
        points = checked_points(array, layout, path)
    except BadClip:
        return None
    if layout.coordinates == "world":
        return points
    if score_fault(points[..., 2]) is not None or not points.any():
        return None
    seen = points[..., 2] != 0
    places = np.where(seen[..., None], points[..., :2], 0)
    # All of them on one edge of the picture, or somebody in one pixel of it beside others of usual size.
    largest = np.abs(places).max(axis=(1, 2, 3))  # (M,)
    flat = not places[..., 0].any() or not places[..., 1].any()
    tiny = (largest > 0) & (largest <= HIGHEST_SCORE)
    return None if flat or (tiny.any() and not tiny[largest > 0].all()) else points
