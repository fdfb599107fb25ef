"""MediaPipe's pose landmarks as JSON, in the forms in which people write what its Python calls return."""

from typing import Any

import numpy as np

from native_prep.datasets.recordings import BadClip
from native_prep.poses.readers.frames import Frames, Person, gather
from native_prep.poses.to_clip import Poses, check_joints
from native_prep.skeletons.layouts import Layout

# Names under which a frame has its landmarks: in metres, in shares of the picture, either.
_WORLD, _IMAGE = ("pose_world_landmarks", "world_landmarks"), ("pose_landmarks",)
_EITHER = ("landmarks", "landmark")


def fits(content: Any) -> bool:
    """Whether JSON is of this form, by the first frame in which somebody is."""
    frames = content.get("frames") if isinstance(content, dict) else content
    if not isinstance(frames, list):
        return False
    frame = next((one for one in frames if one not in (None, [], {})), None)
    if isinstance(frame, dict):
        return any(key in frame for key in (*_WORLD, *_IMAGE, *_EITHER))
    if not isinstance(frame, list):
        return False
    first = next((one for one in frame if one not in (None, [])), None)
    if isinstance(first, dict) and "landmark" in first:
        return True
    return _is_landmark(first) or (isinstance(first, list) and _is_landmark(first[0]))


def _is_landmark(one: Any) -> bool:
    if isinstance(one, dict):
        return isinstance(one.get("x"), int | float) and isinstance(one.get("y"), int | float)
    return isinstance(one, list) and 2 <= len(one) <= 5 and all(isinstance(number, int | float) for number in one)


def read(path: str, content: Any, layout: Layout) -> Poses:
    """A list of frames, or {"frames": [...]}; see `_frame_people` for the forms of a frame.

    Image layouts take x y visibility, world layouts x y z.
    """
    frames = content.get("frames") if isinstance(content, dict) else content
    if not isinstance(frames, list) or not frames:
        raise BadClip(path, "has no list of frames: write one list of landmarks for each frame")
    people: Frames = {}
    for number, frame in enumerate(frames):
        found = _frame_people(frame, layout, path, number)
        people[number] = [Person(_landmarks(one, layout, path, number), -1, layout.coordinates) for one in found]
    return gather(people, layout, path)


def _frame_people(frame: Any, layout: Layout, path: str, number: int) -> list[list[Any]]:
    """The people of a frame: null or [], V landmarks, a list of people of V landmarks, or these under a name."""
    if isinstance(frame, dict):
        names = _WORLD if layout.coordinates == "world" else _IMAGE
        keys = [key for key in (*names, *_EITHER) if key in frame]
        if not keys:
            raise BadClip(path, f"frame {number} has no {names[0]}: write them, or use a layout of other coordinates")
        return _frame_people(frame[keys[0]], layout, path, number)
    if frame is None or frame == []:
        return []
    if not isinstance(frame, list):
        raise BadClip(path, f"frame {number} is not a list of landmarks: write null where nobody is seen")
    several = isinstance(frame[0], list) and frame[0] and isinstance(frame[0][0], list | dict)
    if not several and isinstance(frame[0], dict) and "landmark" in frame[0]:
        several, frame = True, [one.get("landmark", []) if isinstance(one, dict) else one for one in frame]
    if not several:
        return [frame]
    if not all(isinstance(one, list) for one in frame):
        raise BadClip(path, f"frame {number} is not a list of people: write a list of landmarks for each")
    return [one for one in frame if one]


def _landmarks(landmarks: list[Any], layout: Layout, path: str, number: int) -> np.ndarray:
    """One person, float64 (V, 3): x y z, or x y visibility; what has no visibility is seen."""
    check_joints(len(landmarks), layout, path, f"frame {number} ")
    points = np.zeros((layout.num_joints, 3))
    try:
        for joint, one in enumerate(landmarks):
            x, y, z, sure = _landmark(one)
            points[joint] = (x, y, z if layout.coordinates == "world" else sure)
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        text = f"frame {number}, landmark {joint}: not x, y, z and visibility: write numbers"
        raise BadClip(path, text) from error
    return points


def _landmark(one: Any) -> tuple[float, float, float, float]:
    if isinstance(one, dict):
        sure = one.get("visibility")
        return float(one["x"]), float(one["y"]), float(one.get("z", 0.0)), 1.0 if sure is None else float(sure)
    numbers = [float(number) for number in one]
    if not 2 <= len(numbers) <= 5:  # a fifth is the presence, which says nothing about where
        raise ValueError(f"{len(numbers)} numbers")
    x, y, z, sure = (*numbers, *(0.0, 1.0)[max(0, len(numbers) - 2) :])[:4]
    return x, y, z, sure
