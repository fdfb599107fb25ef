"""Small files of poses for the tests of `prep custom`, in the forms in which estimators write them."""

import json
import pickle
from pathlib import Path

import numpy as np

from native_prep.poses.to_clip import Poses, PoseSettings, keep_bodies, place_bodies
from native_prep.skeletons.layouts import Layout

SIZE = (640, 480)


def walker(frames: int, joints: int = 17, seed: int = 0, start: float = 100.0, step: float = 3.0) -> np.ndarray:
    """A person taller than wide who walks to the right: pixels and score, (T, V, 3)."""
    rng = np.random.default_rng(seed)
    rest = rng.uniform((0, 0), (30, 120), (joints, 2)) + np.array((start, 150.0))
    moved = rest + np.arange(frames)[:, None, None] * (step, 0.0) + rng.normal(0, 0.5, (frames, joints, 2))
    score = rng.uniform(0.4, 1.0, (frames, joints, 1))
    return np.concatenate([moved, score], axis=2).astype(np.float32)


def annotation(name: str, label: int, people: np.ndarray, scores: bool = True) -> dict:
    """One clip of a PYSKL pickle; `people` is (M, T, V, 3)."""
    clip = {"frame_dir": name, "label": label, "total_frames": people.shape[1], "img_shape": SIZE[::-1]}
    if scores:
        return clip | {"keypoint": people[..., :2].astype(np.float16), "keypoint_score": people[..., 2]}
    return clip | {"keypoint": people}


def write_pyskl(path: Path, annotations: list[dict], split: dict[str, list[str]] | None = None) -> Path:
    """A pickle as PYSKL has it, or the older list alone."""
    content = annotations if split is None else {"split": split, "annotations": annotations}
    path.write_bytes(pickle.dumps(content))
    return path


def write_openpose(folder: Path, frames: dict[int, list[np.ndarray]], ids: dict[int, list[int]] | None = None) -> Path:
    """One file a frame; a person is (V, 3)."""
    folder.mkdir(parents=True)
    for number, people in frames.items():
        names = (ids or {}).get(number, [-1] * len(people))
        content = [
            {"person_id": [name], "pose_keypoints_2d": person.ravel().tolist(), "face_keypoints_2d": []}
            for name, person in zip(names, people, strict=True)
        ]
        file = folder / f"{folder.name}_{number:012d}_keypoints.json"
        file.write_text(json.dumps({"version": 1.3, "people": content}))
    return folder


def write_labels(path: Path, rows: list[tuple[str, object, str]], header: str = "name,label,split") -> Path:
    """A label file."""
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def write_array_folder(folder: Path, clips: int = 8, joints: int = 17, frames: int = 20) -> Path:
    """One .npy of one or two people a clip and labels.csv: two classes told apart by the way people walk."""
    folder.mkdir(parents=True)
    rows = []
    for clip in range(clips):
        label = clip % 2
        people = [
            walker(frames + clip, joints, 10 * clip + one, 100 + 150 * one, 4 - 8 * label) for one in range(1 + label)
        ]
        np.save(folder / f"clip{clip}.npy", np.stack(people) if label else people[0])
        rows.append((f"clip{clip}", ("wave", "fall")[label], "val" if clip % 4 > 1 else "train"))
    write_labels(folder / "labels.csv", rows)
    return folder


def make_clip(poses: Poses, layout: Layout, settings: PoseSettings, path: str) -> np.ndarray:
    """The bodies of a clip as a network sees them, (M, T, V, 3)."""
    return place_bodies(keep_bodies(poses, layout, settings, path), poses, layout, settings)
