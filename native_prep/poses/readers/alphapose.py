"""AlphaPose: the people of one video in one list (AlphaPose, docs/output.md; COCO's results have the same form).

[{"image_id": "12.jpg", "keypoints": [x, y, score, ...], "idx": who}, ...]
"""

import re
from typing import Any

from native_prep.datasets.recordings import BadClip
from native_prep.poses.readers.frames import Frames, Person, person_number, triplets


def fits(content: Any) -> bool:
    """Whether JSON is of this form."""
    return isinstance(content, list) and bool(content) and isinstance(content[0], dict) and "image_id" in content[0]


def read(path: str, content: list[Any]) -> Frames:
    """The people of each frame; frames without anybody are not among them.

    Raises:
        BadClip: an entry of another form.
    """
    frames: Frames = {}
    for place, person in enumerate(content):
        if not isinstance(person, dict) or "image_id" not in person or "keypoints" not in person:
            raise BadClip(path, f"entry {place} has no image_id and keypoints: give results of AlphaPose")
        digits = re.search(r"(\d{1,15})(\.\w+)?$", str(person["image_id"]))
        if digits is None:
            raise BadClip(path, f"entry {place}: image_id {person['image_id']!r} has no number of a frame: number them")
        points = triplets(person["keypoints"], path, f"entry {place}: ")
        frames.setdefault(int(digits[1]), []).append(Person(points, person_number(person.get("idx", -1))))
    return frames
