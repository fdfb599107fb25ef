"""OpenPose: a folder of `NAME_000000000012_keypoints.json`, one file a frame (OpenPose, doc/02_output.md)."""

from typing import Any

from native_prep.datasets.recordings import BadClip
from native_prep.poses.readers.frames import MOST_FRAME, Person, load_json, person_number, triplets

SUFFIX = "_keypoints.json"


def people(file: str) -> list[Person]:
    """Everybody whose body was found in one file; a `person_id` of [-1] is somebody whom OpenPose did not track.

    Raises:
        BadClip: it is no such file.
        OSError: it cannot be read.
    """
    content = load_json(file, MOST_FRAME)
    found = content.get("people") if isinstance(content, dict) else None
    if not isinstance(found, list) or not all(isinstance(person, dict) for person in found):
        raise BadClip(file, "has no list of people: give files that OpenPose wrote with --write_json")
    return [
        Person(triplets(numbers, file), person_number(person.get("person_id", -1)))
        for person in found
        if (numbers := _body(person, file))  # empty: only a face or a hand was found
    ]


def _body(person: dict[str, Any], file: str) -> list[Any] | None:
    numbers = person.get("pose_keypoints_2d", person.get("pose_keypoints"))
    if not isinstance(numbers, list | None):
        raise BadClip(file, "keypoints are no list of numbers: write x, y, score for each joint")
    return numbers
