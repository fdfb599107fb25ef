"""One clip of one's own from its files: OpenPose, AlphaPose, MediaPipe, NumPy.

Every reader gives `Poses`; what is wrong raises `BadClip`, which names the file and the line or frame.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from native_prep.datasets.recordings import BadClip
from native_prep.io.arrays import load_array
from native_prep.poses.mediapipe_csv import read_mediapipe_csv
from native_prep.poses.to_clip import Poses, check_joints, checked_points, frame_span
from native_prep.skeletons.layouts import Layout

OPENPOSE_SUFFIX = "_keypoints.json"
# One person in a frame: (V, C) and a number, -1 where the file gives none.
Person = tuple[np.ndarray, int]


def read_pose_file(path: str, layout: Layout) -> Poses:
    """A clip of one file or folder, told apart by what it is.

    Raises:
        BadClip: it is none of the forms that are known, or damaged.
        OSError: it cannot be read.
    """
    if Path(path).is_dir():
        return read_openpose(path, layout)
    if path.endswith(".npy"):
        return read_array(path, layout)
    if path.endswith(".csv"):
        return Poses(checked_points(read_mediapipe_csv(path, layout), layout, path))
    if path.endswith(".json"):
        content = load_json(path)
        return read_alphapose(path, content, layout) if is_alphapose(content) else read_mediapipe(path, content, layout)
    raise BadClip(path, "is not a clip: give a folder of OpenPose files, or one .json, .csv or .npy file")


def load_json(path: str) -> Any:
    """What a JSON file holds.

    Raises:
        BadClip: it is not JSON.
        OSError: it cannot be read.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except json.JSONDecodeError as error:
        raise BadClip(path, f"not JSON ({error.msg}): write it again", error.lineno) from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise BadClip(path, "not JSON: write it again") from error


def read_array(path: str, layout: Layout) -> Poses:
    """A .npy file of one clip: (T, V, C), or (M, T, V, C) for several people, C being 2 or 3."""
    try:
        array = load_array(path)
    except ValueError as error:
        raise BadClip(path, "not an .npy array of numbers: write it again with numpy.save") from error
    if array.ndim == 4 and array.shape[0] == 3 and array.shape[3] in (2, 3):
        raise BadClip(
            path, f"{array.shape} may be (M, T, V, C) of three people or (C, T, V, M): write (T, V, C) or two"
        )
    return Poses(checked_points(array, layout, path))


def read_openpose(path: str, layout: Layout) -> Poses:
    """A folder of `NAME_000000000012_keypoints.json`, one file a frame; numbers that are left out are empty frames.

    Source: OpenPose, doc/02_output.md. A person's `person_id` is [-1] where OpenPose did not track.
    """
    numbered: dict[int, Path] = {}
    for file in sorted(Path(path).glob(f"*{OPENPOSE_SUFFIX}")):
        digits = re.search(r"(\d+)$", file.name.removesuffix(OPENPOSE_SUFFIX))
        if digits is None:
            raise BadClip(str(file), "its name has no number of a frame: it should look like x_000000000012_keypoints")
        if int(digits[1]) in numbered:
            raise BadClip(str(file), f"frame {int(digits[1])} appears twice: keep one clip in a folder")
        numbered[int(digits[1])] = file
    if not numbered:
        raise BadClip(path, f"holds no file *{OPENPOSE_SUFFIX}: give a folder that OpenPose wrote with --write_json")
    frames = {number: list(_openpose_people(str(file), layout)) for number, file in numbered.items()}
    return _gather(frames, layout, path)


def _openpose_people(file: str, layout: Layout) -> Iterable[Person]:
    for numbers, name in openpose_keypoints(file):
        yield _triplets(numbers, file, layout), _number(name)


def openpose_keypoints(file: str) -> list[tuple[list[Any], Any]]:
    """The flat list of x y score, and the `person_id`, of everybody whose body was found in one file of OpenPose.

    Raises:
        BadClip: it is no such file.
        OSError: it cannot be read.
    """
    content = load_json(file)
    people = content.get("people") if isinstance(content, dict) else None
    if not isinstance(people, list) or not all(isinstance(person, dict) for person in people):
        raise BadClip(file, "has no list of people: give files that OpenPose wrote with --write_json")
    found = [
        (person.get("pose_keypoints_2d", person.get("pose_keypoints")), person.get("person_id", -1))
        for person in people
    ]
    if not all(isinstance(numbers, list | None) for numbers, _ in found):
        raise BadClip(file, "keypoints are no list of numbers: write x, y, score for each joint")
    return [(numbers, name) for numbers, name in found if numbers]  # empty: only a face or a hand was found


def is_alphapose(content: Any) -> bool:
    """Whether JSON is a list of people of frames, as AlphaPose and COCO have it."""
    return isinstance(content, list) and bool(content) and isinstance(content[0], dict) and "image_id" in content[0]


def read_alphapose(path: str, content: Any, layout: Layout) -> Poses:
    """The results of one video: [{"image_id": "12.jpg", "keypoints": [x, y, score, ...], "idx": who}, ...].

    Source: AlphaPose, docs/output.md; COCO's results have the same form. Numbers that are left out are empty frames.
    """
    frames: dict[int, list[Person]] = {}
    for place, person in enumerate(content):
        if not isinstance(person, dict) or "image_id" not in person or "keypoints" not in person:
            raise BadClip(path, f"entry {place} has no image_id and keypoints: give results of AlphaPose")
        digits = re.search(r"(\d+)(\.\w+)?$", str(person["image_id"]))
        if digits is None:
            raise BadClip(path, f"entry {place}: image_id {person['image_id']!r} has no number of a frame: number them")
        points = _triplets(person["keypoints"], path, layout, f"entry {place}: ")
        frames.setdefault(int(digits[1]), []).append((points, _number(person.get("idx", -1))))
    return _gather(frames, layout, path)


def read_mediapipe(path: str, content: Any, layout: Layout) -> Poses:
    """A list of frames, or {"frames": [...]}; see `_frame_people` for the forms of a frame.

    Image layouts take x y visibility, world layouts x y z.
    """
    frames = content.get("frames") if isinstance(content, dict) else content
    if not isinstance(frames, list) or not frames:
        raise BadClip(path, "has no list of frames: write one list of landmarks for each frame")
    people: dict[int, list[Person]] = {}
    for number, frame in enumerate(frames):
        found = _frame_people(frame, layout, path, number)
        people[number] = [(_landmarks(one, layout, path, number), -1) for one in found]
    return _gather(people, layout, path)


def _frame_people(frame: Any, layout: Layout, path: str, number: int) -> list[list[Any]]:
    """The people of a frame: null or [], V landmarks, a list of people of V landmarks, or these under a name."""
    if isinstance(frame, dict):
        names = ("pose_world_landmarks", "world_landmarks") if layout.coordinates == "world" else ("pose_landmarks",)
        keys = [key for key in (*names, "landmarks", "landmark") if key in frame]
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


def _triplets(numbers: Any, path: str, layout: Layout, what: str = "") -> np.ndarray:
    try:
        array = np.array(numbers, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadClip(path, f"{what}keypoints are no list of numbers: write x, y, score for each joint") from error
    if array.ndim != 1 or array.size % 3:
        raise BadClip(path, f"{what}keypoints are not x, y, score for each joint: give a flat list of them")
    check_joints(array.size // 3, layout, path, what)
    return array.reshape(-1, 3)


def _number(value: Any) -> int:
    """A person's number, out of the lists that AlphaPose and OpenPose wrap it in."""
    while isinstance(value, list) and value:
        value = value[0]
    return int(value) if isinstance(value, int | float) and 0 <= value < 2**53 else -1


def _gather(frames: dict[int, list[Person]], layout: Layout, path: str) -> Poses:
    """People by frame number as arrays; a clip begins with its first number."""
    first, last = frame_span(frames, path)
    most = max(len(people) for people in frames.values())
    points = np.zeros((most, last - first + 1, layout.num_joints, 3))
    ids = np.full(points.shape[:2], -1, np.int64)
    for number, people in frames.items():
        for place, (one, name) in enumerate(people):
            points[place, number - first] = one
            ids[place, number - first] = name
    return Poses(checked_points(points, layout, path), ids)
