"""What readers share: JSON, the people of each frame, and the arrays that are made of them."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from native_prep.datasets.recordings import BadClip, EmptyClip
from native_prep.io.archives import is_hidden
from native_prep.io.whole import MIB, size_fault
from native_prep.poses.to_clip import Poses, check_joints, checked_points, frame_span
from native_prep.skeletons.layouts import Layout

# What a frame's three numbers of a joint are, as `Layout.coordinates` has it, for messages.
_CHANNELS = {"image": "x y score", "world": "x y z"}


class Person(NamedTuple):
    """One person in one frame: points (V, 3), and the number that the file follows them by, -1 for none."""

    points: np.ndarray
    number: int
    coordinates: str = "image"


# The people of each frame, by the frame's number.
Frames = dict[int, list[Person]]


# Bytes: the longest clip that is taken, of several people with hands and faces, has less, and a frame of hundreds.
MOST_CLIP, MOST_FRAME = 1024 * MIB, 16 * MIB


def read_text(path: str, most: int = MOST_CLIP) -> bytes:
    """The bytes of a clip's file, or of a frame's (`MOST_FRAME`).

    Raises:
        BadClip: it is larger than such a file can be, a pipe or a device.
        OSError: it cannot be read.
    """
    what = "a frame" if most == MOST_FRAME else "a clip"
    if fault := size_fault(path, most, f"that {what} can have", "cut it, or move it away"):
        raise BadClip(path, fault)
    return Path(path).read_bytes()


def load_json(path: str, most: int = MOST_CLIP) -> Any:
    """What a JSON file holds.

    Raises:
        BadClip: it is not JSON, or see `read_text`.
        OSError: it cannot be read.
    """
    import orjson

    text = read_text(path, most)
    try:
        return orjson.loads(text)  # in a quarter of the standard library's time
    except orjson.JSONDecodeError:
        pass  # NaN, say, which that takes; or what it has a line for
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise BadClip(path, f"not JSON ({error.msg}): write it again", error.lineno) from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise BadClip(path, "not JSON: write it again") from error


def triplets(numbers: Any, path: str, what: str = "") -> np.ndarray:
    """A flat list of x y score as float64 (V, 3)."""
    array = numbers_of(numbers, path, f"{what}keypoints", "x, y, score for each joint")
    if array.ndim != 1 or array.size % 3:
        raise BadClip(path, f"{what}keypoints are not x, y, score for each joint: give a flat list of them")
    return array.reshape(-1, 3)


def numbers_of(values: Any, path: str, what: str, expected: str) -> np.ndarray:
    """Nested lists of numbers as float64; text, which NumPy would turn into numbers, is none."""
    try:
        array = np.array(values)
        if array.dtype.kind not in "iuf" and array.size:
            raise TypeError(f"{array.dtype}")
        return array.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadClip(path, f"{what} are no list of numbers: write {expected}") from error


def scored(places: Any, scores: Any, path: str, what: str) -> np.ndarray:
    """X y of joints, (V, 2), and their scores, (V,), as float64 (V, 3); without scores, what is not 0 0 is seen."""
    points = numbers_of(places, path, f"{what}keypoints", "x, y for each joint")
    if points.ndim != 2 or points.shape[1] != 2:
        raise BadClip(path, f"{what}keypoints are {points.shape}, not (joints, 2): write x, y for each joint")
    if scores is None:
        score: np.ndarray = np.any(points, axis=1, keepdims=True)[:, 0].astype(np.float64)
    else:
        score = numbers_of(scores, path, f"{what}scores", "one for each joint")
    if score.shape != points.shape[:1]:
        raise BadClip(path, f"{what}has {len(points)} keypoints and scores {score.shape}: write one for each")
    return np.concatenate([points, score[:, None]], axis=1)


def person_number(value: Any) -> int:
    """A person's number, out of the lists that AlphaPose and OpenPose wrap it in; -1 for anything else."""
    while isinstance(value, list) and value:
        value = value[0]
    return int(value) if isinstance(value, int | float) and 0 <= value < 2**53 else -1


def frame_number(value: Any, path: str, what: str) -> int:
    """A frame's number as JSON has it."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53 or value != int(value):
        raise BadClip(path, f"{what} is {value!r:.40}, expected a whole number from 0: number the frames")
    return int(value)


def gather(frames: Mapping[int, list[Person]], layout: Layout, path: str) -> Poses:
    """People by frame number as arrays; a clip begins with its first number, and numbers left out are empty frames.

    Raises:
        EmptyClip: there is no frame.
        BadClip: people of other joints or coordinates than the layout's, or what is no coordinate.
    """
    if not frames:
        raise EmptyClip(path, "holds no frame, nobody is in it: leave it out")
    first, last = frame_span(frames, path)
    most = max(len(people) for people in frames.values())
    points = np.zeros((most, last - first + 1, layout.num_joints, 3))
    ids = np.full(points.shape[:2], -1, np.int64)
    for number, people in frames.items():
        for place, person in enumerate(people):
            if person.coordinates != layout.coordinates:
                raise BadClip(
                    path,
                    f"frame {number} holds {_CHANNELS[person.coordinates]}, layout {layout.name} is of "
                    f"{_CHANNELS[layout.coordinates]}: give another --layout",
                )
            check_joints(len(person.points), layout, path, f"frame {number} ")
            points[place, number - first] = person.points
            ids[place, number - first] = person.number
    return Poses(checked_points(points, layout, path), ids)


def numbered_files(folder: str, suffix: str) -> dict[int, Path]:
    """The files of a clip, one a frame, by the number that ends their names.

    Raises:
        BadClip: a name without a number, a number twice, no file.
        OSError: the folder cannot be read.
    """
    numbered: dict[int, Path] = {}
    for file in sorted(file for file in Path(folder).glob(f"*{suffix}") if not is_hidden(file.name)):
        digits = re.search(r"(\d{1,15})$", file.name.removesuffix(suffix))
        if digits is None:
            raise BadClip(str(file), f"its name has no number of a frame: it should look like x_000000000012{suffix}")
        if int(digits[1]) in numbered:
            raise BadClip(str(file), f"frame {int(digits[1])} appears twice: keep one clip in a folder")
        numbered[int(digits[1])] = file
    if not numbered:
        raise BadClip(folder, f"holds no file *{suffix}: give a folder of one file a frame")
    return numbered


def describe(value: Any, depth: int = 4) -> str:
    """What JSON holds, for a message: `a list of 30: a list of 1: an object with "box", "keypoints"`."""
    if isinstance(value, dict):
        names = [json.dumps(name)[:30] for name in value][:6]
        more = ", ..." if len(value) > 6 else ""
        return f"an object with {', '.join(names)}{more}" if names else "an empty object"
    if isinstance(value, list):
        if not value:
            return "an empty list"
        first = next((one for one in value if one not in (None, [], {})), value[0])
        return f"a list of {len(value)}" + (f": {describe(first, depth - 1)}" if depth else "")
    if value is None:
        return "null"
    return "a text" if isinstance(value, str) else "a number"
