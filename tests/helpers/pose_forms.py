"""Clips in the forms that programs write: each function takes people of frames and writes one clip under a name."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

# The people of each frame, (V, 3) each; who they are is their place, counted from 5.
People = list[list[np.ndarray]]
FIRST = 5


def _yolo(person: np.ndarray, number: int) -> dict:
    x, y, visible = person.T.tolist()
    box = {"x1": 1.0, "y1": 2.0, "x2": 3.0, "y2": 4.0}
    return {"name": "person", "class": 0, "confidence": 0.9, "box": box, "track_id": number,
            "keypoints": {"x": x, "y": y, "visible": visible}}  # fmt: skip


def _numbered(frame: list[np.ndarray], make: Callable) -> list[dict]:
    return [make(person, FIRST + place) for place, person in enumerate(frame)]


def _instance(person: np.ndarray, number: int) -> dict:
    xy, score = person[:, :2].tolist(), person[:, 2].tolist()
    return {"keypoints": xy, "keypoint_scores": score, "bbox": [[0, 0, 1, 1]], "bbox_score": 0.9, "track_id": number}


def _dump(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def ultralytics_json(folder: Path, frames: People) -> Path:
    return _dump(folder / "clip.json", [_numbered(frame, _yolo) for frame in frames])


def _a_file_a_frame(folder: Path, frames: People, name: str, make: Callable) -> Path:
    clip = folder / "clip"
    clip.mkdir()
    for number, frame in enumerate(frames):
        _dump(clip / name.format(number), _numbered(frame, make))
    return clip


def ultralytics_json_per_frame(folder: Path, frames: People) -> Path:
    return _a_file_a_frame(folder, frames, "clip_{:06d}.json", _yolo)


def ultralytics_txt(folder: Path, frames: People) -> Path:
    """Shares of the picture, counted from 1."""
    clip = folder / "clip"
    clip.mkdir()
    for number, frame in enumerate(frames, 1):
        lines = [
            " ".join(map(str, [0, 0.5, 0.5, 0.2, 0.4, *person.ravel().tolist(), FIRST + place]))
            for place, person in enumerate(frame)
        ]
        (clip / f"clip_{number}.txt").write_text("".join(line + "\n" for line in lines))
    return clip


def mmpose_inferencer(folder: Path, frames: People) -> Path:
    entries = [{"frame_id": number, "instances": _numbered(frame, _instance)} for number, frame in enumerate(frames)]
    return _dump(folder / "clip.json", entries)


def mmpose_demo(folder: Path, frames: People) -> Path:
    entries = [{"frame_id": number, "instances": _numbered(frame, _instance)} for number, frame in enumerate(frames, 1)]
    return _dump(folder / "clip.json", {"meta_info": {"dataset_name": "coco"}, "instance_info": entries})


def mmpose_pictures(folder: Path, frames: People) -> Path:
    return _a_file_a_frame(folder, frames, "{:06d}.json", _instance)


def alphapose(folder: Path, frames: People) -> Path:
    people = [
        {"image_id": f"{number}.jpg", "category_id": 1, "keypoints": person.ravel().tolist(), "score": 2.0,
         "idx": FIRST + place}
        for number, frame in enumerate(frames)
        for place, person in enumerate(frame)
    ]  # fmt: skip
    return _dump(folder / "clip.json", people)


def openpose(folder: Path, frames: People) -> Path:
    clip = folder / "clip"
    clip.mkdir()
    for number, frame in enumerate(frames):
        people = [
            {"person_id": [FIRST + place], "pose_keypoints_2d": one.ravel().tolist()} for place, one in enumerate(frame)
        ]
        _dump(clip / f"clip_{number:012d}_keypoints.json", {"version": 1.3, "people": people})
    return clip


def azure_kinect(folder: Path, frames: People) -> Path:
    """Metres as millimetres."""
    entries = [
        {"frame_id": number, "timestamp_usec": number * 33333, "num_bodies": len(frame), "bodies": _numbered(
            frame, lambda body, name: {"body_id": name, "joint_positions": (1000 * body).tolist()}
        )}
        for number, frame in enumerate(frames)
    ]  # fmt: skip
    return _dump(folder / "clip.json", {"k4abt_sdk_version": "1.1.2", "joint_names": [], "frames": entries})


# By form: the source that it must be told as, what writes it, the layouts that it may have.
FORMS: dict[str, tuple[str, Callable[[Path, People], Path], tuple[str, ...]]] = {
    "ultralytics_json": ("ultralytics", ultralytics_json, ("coco17",)),
    "ultralytics_json_per_frame": ("ultralytics", ultralytics_json_per_frame, ("coco17",)),
    "ultralytics_txt": ("ultralytics", ultralytics_txt, ("coco17",)),
    "mmpose_inferencer": ("mmpose", mmpose_inferencer, ("coco17", "halpe26", "coco133")),
    "mmpose_demo": ("mmpose", mmpose_demo, ("coco17",)),
    "mmpose_pictures": ("mmpose", mmpose_pictures, ("coco17",)),
    "alphapose": ("alphapose", alphapose, ("coco17", "halpe26", "halpe136", "coco133")),
    "openpose": ("openpose", openpose, ("openpose18", "openpose25")),
    "azure_kinect": ("azure-kinect", azure_kinect, ("azure32",)),
}


def some_people(num_joints: int, world: bool = False, seed: int = 0) -> People:
    """Six frames: one person, nobody in the third, two from the fourth on; x y in shares of the picture, or x y z."""
    rng = np.random.default_rng(seed)
    low = 0.1 if world else 0.2

    def one() -> np.ndarray:
        return rng.uniform(low, 0.9, (num_joints, 3)).round(4)

    return [[one()], [one()], [], *([one(), one()] for _ in range(3))]


def as_points(frames: People) -> tuple[np.ndarray, np.ndarray]:
    """The same as arrays: float32 (P, T, V, 3) and int64 (P, T)."""
    num_joints = frames[0][0].shape[0]
    points = np.zeros((2, len(frames), num_joints, 3), np.float32)
    ids = np.full(points.shape[:2], -1, np.int64)
    for number, frame in enumerate(frames):
        for place, person in enumerate(frame):
            points[place, number], ids[place, number] = person, FIRST + place
    return points, ids
