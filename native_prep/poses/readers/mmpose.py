"""MMPose: what its inferencer and its demo write, for a video or for each picture of a folder.

[{"frame_id": 0, "instances": [{"keypoints": [[x, y], ...], "keypoint_scores": [...]}, ...]}, ...]   inferencer, video
{"meta_info": {...}, "instance_info": [the same, counted from 1]}                                    demo, video
[{"keypoints": ..., "keypoint_scores": ...}, ...]                                                    one picture

Networks that lift poses to 3-D give [x, y, z].
"""

from typing import Any

import numpy as np

from native_prep.datasets.recordings import BadClip
from native_prep.poses.readers.frames import Frames, Person, frame_number, numbers_of, person_number, scored

# What `meta_info` calls the data sets whose joints are known, and the layouts of those.
DATASETS = {"coco": "coco17", "coco_wholebody": "coco133", "halpe26": "halpe26", "h36m": "h36m17"}


def dataset_name(content: Any) -> str | None:
    """What a file says its joints are those of; None where it does not."""
    metadata = content.get("meta_info") if isinstance(content, dict) else None
    name = metadata.get("dataset_name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) else None


def picture_size(content: Any) -> tuple[float, float] | None:
    """Width and height in pixels, which only the poses that `prep custom` keeps of videos have with them."""
    video = content.get("video") if isinstance(content, dict) else None
    size = video.get("size") if isinstance(video, dict) else None
    if not (isinstance(size, list) and len(size) == 2):
        return None
    width, height = size
    good = all(isinstance(one, int) and 0 < one < 1_000_000 for one in size)
    return (float(width), float(height)) if good else None


def fits(content: Any) -> bool:
    """Whether JSON is of this form."""
    if isinstance(content, dict):
        return "instance_info" in content
    return isinstance(content, list) and bool(content) and isinstance(content[0], dict) and "instances" in content[0]


def fits_frame(content: Any) -> bool:
    """Whether JSON is the people of one picture."""
    return isinstance(content, list) and bool(content) and isinstance(content[0], dict) and (
        "keypoint_scores" in content[0]
    )  # fmt: skip


def read(path: str, content: Any) -> Frames:
    """The people of each frame of a file.

    Raises:
        BadClip: a frame of another form.
    """
    entries = content.get("instance_info") if isinstance(content, dict) else content
    if not isinstance(entries, list):
        raise BadClip(path, "instance_info is no list of frames: give results of MMPose")
    frames: Frames = {}
    for place, entry in enumerate(entries):
        if not isinstance(entry, dict) or not isinstance(entry.get("instances"), list):
            raise BadClip(path, f"entry {place} has no list of instances: give results of MMPose")
        if ("frame_id" in entry) is not ("frame_id" in entries[0]):
            raise BadClip(path, f"entry {place} and the first differ in having a frame_id: number all frames or none")
        number = frame_number(entry.get("frame_id", place), path, f"entry {place}: frame_id")
        if number in frames:
            raise BadClip(path, f"frame {number} appears twice: write one entry a frame")
        frames[number] = people(path, entry["instances"], f"frame {number}")
    return frames


def people(path: str, content: Any, what: str = "") -> list[Person]:
    """The people of one frame; see `ultralytics.people`."""
    where = f"{what}: " if what else ""
    if not isinstance(content, list):
        raise BadClip(path, f"{where}expected a list of people: give results of MMPose")
    return [_person(one, path, f"{where}person {place}: ") for place, one in enumerate(content)]


def _person(one: Any, path: str, who: str) -> Person:
    if not isinstance(one, dict) or "keypoints" not in one:
        raise BadClip(path, f"{who}has no keypoints: give results of MMPose")
    number = person_number(one.get("track_id", -1))
    points = numbers_of(one["keypoints"], path, f"{who}keypoints", "x, y for each joint")
    if points.ndim == 2 and points.shape[1] == 3:
        return Person(points, number, "world")
    return Person(scored(np.asarray(points), one.get("keypoint_scores"), path, who), number)
