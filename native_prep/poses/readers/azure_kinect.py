"""Azure Kinect body tracking, as its offline processor writes it: millimetres, which become metres.

{"joint_names": [...], "frames": [{"frame_id": 0, "bodies": [{"body_id": 1, "joint_positions": [[x, y, z], ...]}]}]}
"""

from typing import Any

from native_prep.datasets.recordings import BadClip
from native_prep.poses.readers.frames import Frames, Person, frame_number, numbers_of, person_number

_METRES = 0.001
# What the body tracking calls the joints of layout azure32, NAVEL also NAVAL.
_ARM = ("CLAVICLE", "SHOULDER", "ELBOW", "WRIST", "HAND", "HANDTIP", "THUMB")
JOINTS = (
    "PELVIS", "SPINE_NAVEL", "SPINE_CHEST", "NECK",
    *(f"{joint}_{side}" for side in ("LEFT", "RIGHT") for joint in _ARM),
    *(f"{joint}_{side}" for side in ("LEFT", "RIGHT") for joint in ("HIP", "KNEE", "ANKLE", "FOOT")),
    "HEAD", "NOSE", "EYE_LEFT", "EAR_LEFT", "EYE_RIGHT", "EAR_RIGHT",
)  # fmt: skip


def fits(content: Any) -> bool:
    """Whether JSON is of this form."""
    frames = content.get("frames") if isinstance(content, dict) else None
    return isinstance(frames, list) and any(isinstance(frame, dict) and "bodies" in frame for frame in frames)


def read(path: str, content: dict[str, Any]) -> Frames:
    """The people of each frame, by their `body_id`.

    Raises:
        BadClip: a frame of another form, or joints in another order.
    """
    names = content.get("joint_names") or JOINTS
    if [str(name).replace("NAVAL", "NAVEL") for name in names] != list(JOINTS):
        raise BadClip(path, "its joint_names are not those of body tracking in their order: write all 32 joints")
    frames: Frames = {}
    for place, frame in enumerate(content["frames"]):
        if not isinstance(frame, dict) or not isinstance(frame.get("bodies"), list):
            raise BadClip(path, f"frame {place} has no list of bodies: give what the offline processor wrote")
        number = frame_number(frame.get("frame_id", place), path, f"frame {place}: frame_id")
        if number in frames:
            raise BadClip(path, f"frame {number} appears twice: write every frame once")
        frames[number] = [_body(one, path, f"frame {number}, body {at}: ") for at, one in enumerate(frame["bodies"])]
    return frames


def _body(one: Any, path: str, what: str) -> Person:
    if not isinstance(one, dict) or "joint_positions" not in one:
        raise BadClip(path, f"{what}has no joint_positions: give what the offline processor wrote")
    points = numbers_of(one["joint_positions"], path, f"{what}joint_positions", "x, y, z for each joint")
    if points.ndim != 2 or points.shape[1] != 3:
        raise BadClip(path, f"{what}joint_positions are {points.shape}, expected (joints, 3): write x, y, z for each")
    return Person(points * _METRES, person_number(one.get("body_id", -1)), "world")
