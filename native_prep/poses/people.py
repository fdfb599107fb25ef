"""Raw recordings of any length: of which data set, and the people in them, over whom a window slides."""

from pathlib import Path
from typing import Any

import numpy as np

from native_prep.datasets.catalog import Dataset
from native_prep.datasets.recordings import BadClip
from native_prep.kernels import status
from native_prep.kernels.kinetics_json import MAX_PEOPLE
from native_prep.poses.files import load_json
from native_prep.poses.ntu_tracked import read_ntu_bodies
from native_prep.poses.to_clip import MOST_FRAMES, Poses, checked_points
from native_prep.poses.tracking import present, tells_apart

# Clips of Kinetics and NW-UCLA have at most a few megabytes.
_LARGEST_JSON = 1 << 26


def read_people(path: str, dataset: Dataset) -> Poses:
    """The people of a raw file: NTU's by their ids where those tell them apart, else by their place in a frame.

    Unlike `one_file.read_clip`, it takes recordings of any length; it is plain Python.

    Raises:
        BadClip: the file is damaged, or of another form.
        OSError: it cannot be read.
    """
    if dataset.layout.name == "ntu":
        poses = read_ntu_bodies(path)
        apart = poses.ids is not None and tells_apart(poses.ids, present(poses.points))
        return poses if apart else Poses(poses.points)
    content = load_json(path)
    try:
        points = _kinetics(path, content, dataset) if dataset.layout.name == "kinetics" else content["skeletons"]
    except (KeyError, TypeError, IndexError, ValueError, OverflowError) as error:
        if isinstance(error, BadClip):
            raise
        raise BadClip(path, f"not a {dataset.name} clip ({error!r}): fetch it again") from error
    if isinstance(points, list) and not points:
        raise BadClip(path, status.explain(status.NO_FRAMES), 1)
    return Poses(checked_points(points, dataset.layout, path))


def _kinetics(path: str, content: Any, dataset: Dataset) -> np.ndarray:
    """x, y, score of the first five people of each frame, as the original looks at them: float32 (5, T, V, 3)."""
    frames = [(int(frame["frame_index"]), frame["skeleton"]) for frame in content["data"]]
    last = max((place for place, _ in frames), default=0)
    if not 0 <= min((place for place, _ in frames), default=0) <= last < MOST_FRAMES:
        raise BadClip(path, f"a frame_index is not in 0...{MOST_FRAMES - 1}: number frames from 0")
    points = np.zeros((MAX_PEOPLE, last + 1, dataset.layout.num_joints, 3), np.float32)
    for place, people in frames:
        for person, one in enumerate(people[:MAX_PEOPLE]):
            points[person, place, :, :2] = np.array(one["pose"], np.float32).reshape(-1, 2)
            points[person, place, :, 2] = one["score"]
    return points


def dataset_of_file(path: str) -> str:
    """The data set in whose form a raw file is: ntu60 (also for ntu120), kinetics or nw-ucla; "" for any other clip.

    A `.skeleton` file is told by its name, JSON by its keys.

    Raises:
        OSError: it cannot be read.
    """
    file = Path(path)
    if file.is_dir():
        return ""
    if file.name.endswith(".skeleton"):
        return "ntu60"
    if file.suffix != ".json" or file.stat().st_size > _LARGEST_JSON:
        return ""
    try:
        content = load_json(path)
    except BadClip:
        return ""
    if not isinstance(content, dict):
        return ""
    if _first_is(content.get("skeletons"), list):
        return "nw-ucla"
    frames = content.get("data")
    if not _first_is(frames, dict):
        return ""
    return "kinetics" if "label_index" in content or (frames and "skeleton" in frames[0]) else ""


def _first_is(values: Any, kind: type) -> bool:
    """Whether something is a list, and the first in it, if any, of a kind."""
    return isinstance(values, list) and all(isinstance(one, kind) for one in values[:1])
