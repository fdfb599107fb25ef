"""Ultralytics' YOLO-pose: `to_json()` of each frame's results, or the label files that `save_txt` writes.

[[{"name": "person", "keypoints": {"x": [...], "y": [...], "visible": [...]}, "track_id": 1, ...}, ...], ...]

One file holds the frames of a clip, or a folder a file a frame. A line of a label file is a person, in shares of the
picture: class, centre and size of the box, x y visibility of each joint, the box's confidence where `save_conf` asked
for it, and the person's number where it was tracked (Ultralytics, `engine/results.py`). Pixels or shares: `prep custom`
tells them apart by their size.
"""

from pathlib import Path
from typing import Any

import numpy as np

from native_prep.datasets.recordings import BadClip
from native_prep.poses.readers.frames import MOST_FRAME, Frames, Person, numbers_of, person_number, read_text, scored

TEXT_SUFFIX = ".txt"
# Class, and the box's centre and size.
_BEFORE = 5


def fits(content: Any) -> bool:
    """Whether JSON is of this form: a list of frames, one of which holds people."""
    return isinstance(content, list) and any(map(fits_frame, content)) and all(isinstance(one, list) for one in content)


def fits_frame(content: Any) -> bool:
    """Whether JSON is the people of one frame."""
    return isinstance(content, list) and bool(content) and _is_person(content[0])


def _is_person(value: Any) -> bool:
    points = value.get("keypoints") if isinstance(value, dict) else None
    return isinstance(points, dict) and "x" in points and "y" in points


def read(path: str, content: list[Any]) -> Frames:
    """The people of each frame of a file.

    Raises:
        BadClip: a frame of another form.
    """
    return {number: people(path, frame, f"frame {number}") for number, frame in enumerate(content)}


def people(path: str, content: Any, what: str = "") -> list[Person]:
    """The people of one frame.

    Args:
        path, what: the file, and the frame within it, for messages.

    Raises:
        BadClip: another form.
    """
    where = f"{what}: " if what else ""
    if not isinstance(content, list):
        raise BadClip(path, f"{where}expected a list of people: write to_json() of each frame's results")
    found = []
    for place, person in enumerate(content):
        who = f"{where}person {place}: "
        if not _is_person(person):
            raise BadClip(path, f"{who}has no keypoints with x and y: write results of a pose model")
        points = person["keypoints"]
        x, y = (numbers_of(points[axis], path, f"{who}{axis}", "one number for each joint") for axis in "xy")
        if x.ndim != 1 or x.shape != y.shape:
            raise BadClip(path, f"{who}has x {x.shape} and y {y.shape}: write one number for each joint")
        joints = scored(np.stack([x, y], axis=1), points.get("visible"), path, who)
        found.append(Person(joints, person_number(person.get("track_id", -1))))
    return found


def text_fits(file: Path) -> bool:
    """Whether a text file is a label file of COCO's 17 joints; an empty one, as for a frame without anybody, is not.

    Raises:
        OSError: it cannot be read.
    """
    with file.open("rb") as opened:
        cells = opened.readline(100_000).split()
    try:
        first, *box = map(float, cells[:_BEFORE])
    except ValueError:
        return False
    counts = {_BEFORE + joint * 17 + extra for joint in (2, 3) for extra in (0, 1, 2)}
    return len(cells) in counts and first.is_integer() and all(0 <= share <= 1 for share in box)


def text_people(file: str) -> list[Person]:
    """The people of one label file.

    Raises:
        BadClip: another form; it names the line.
        OSError: it cannot be read.
    """
    try:
        lines = read_text(file, MOST_FRAME).decode("ascii").splitlines()
    except UnicodeDecodeError as error:
        raise BadClip(file, "not text: give label files that save_txt wrote") from error
    return [_text_person(line, file, number) for number, line in enumerate(lines, 1) if line.strip()]


def _text_person(line: str, file: str, number: int) -> Person:
    try:
        cells = np.array(line.split(), dtype=np.float64)
    except ValueError as error:
        raise BadClip(file, "holds what is no number: give label files that save_txt wrote", number) from error
    count = len(cells) - _BEFORE
    # x y visibility or x y, and up to two numbers behind: the first that fits, of 17 joints if one does.
    extras = range(3)
    forms = [(width, extra) for width in (3, 2) for extra in extras if count > extra and (count - extra) % width == 0]
    forms.sort(key=lambda form: (count - form[1]) != form[0] * 17)
    if not forms:
        raise BadClip(file, f"has {len(cells)} numbers: expected class, box, and x y visibility of each joint", number)
    width, extra = forms[0]
    joints = cells[_BEFORE : len(cells) - extra].reshape(-1, width)
    # A confidence is a share, a number counts from 1.
    who = person_number(float(cells[-1])) if extra and cells[-1] >= 1 and float(cells[-1]).is_integer() else -1
    return Person(scored(joints[:, :2], joints[:, 2] if width == 3 else None, file, ""), who)
