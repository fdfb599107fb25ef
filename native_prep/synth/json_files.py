"""Made raw files of the data sets that are JSON: Kinetics-skeleton (poses of OpenPose) and NW-UCLA (Kinect v1)."""

import json
from pathlib import Path

import numpy as np

from native_prep.datasets.catalog import class_names
from native_prep.io.progress import Progress
from native_prep.skeletons.layouts import KINETICS, NW_UCLA
from native_prep.synth import names
from native_prep.synth.motion import (
    TWO_BODIES,
    YAWS,
    as_layout,
    before_camera,
    clip_length,
    in_picture,
    performance,
    place,
)


def write_kinetics_files(folder: Path, clips: int, classes: int, seed: int, frames: int) -> int:
    """Clips and the two label files; returns the bytes written."""
    tables: dict[str, dict] = {"train": {}, "val": {}}
    written = 0
    titles = class_names("kinetics")
    with Progress(clips, "synth", "clip") as progress:
        for part in tables:
            (folder / f"kinetics_{part}").mkdir()
        for index in range(clips):
            rng = np.random.default_rng([seed, index])
            label = index % classes
            part = "val" if (index // classes) % 4 == 1 else "train"
            name = names.video_id(seed, index)
            # frame_index counts from 1 in a table of 300 frames: the longest real clips have 299.
            people = _kinetics_people(label, min(clip_length(frames, rng), 299), rng)
            text = _kinetics_text(people, titles[label], label)
            written += (folder / f"kinetics_{part}" / f"{name}.json").write_bytes(text)
            tables[part][name] = {"has_skeleton": len(people) > 0, "label": titles[label], "label_index": label}
            progress.update(1)
        for part, table in tables.items():
            text = json.dumps(table, indent=4, sort_keys=True).encode()
            written += (folder / f"kinetics_{part}_label.json").write_bytes(text)
    return written


def _kinetics_people(label: int, length: int, rng: np.random.Generator) -> np.ndarray:
    """(T, people, V, 3) of x, y, score; no people at all in about one clip of fifty."""
    if rng.random() < 0.02:
        return np.zeros((0, 0, KINETICS.num_joints, 3))
    people = []
    for person in range(1 + int(rng.random() < TWO_BODIES) + int(rng.random() < 0.05)):
        body = as_layout(performance(label, length, rng.uniform(0.85, 1.1), rng)[0], KINETICS)
        points = in_picture(before_camera(body, rng.normal(0.0, 0.5), place(rng, person > 0), rng))
        score = np.clip(rng.normal(0.6, 0.1, KINETICS.num_joints) + rng.normal(0, 0.08, points.shape[:2]), 0.05, 0.95)
        seen = rng.random(points.shape[:2]) > rng.uniform(0.0, 0.15, KINETICS.num_joints)
        people.append(np.concatenate((points, score[..., None]), -1) * seen[..., None])
    return np.stack(people, 1)


_PERSON_TEXT = (
    '{"pose": [' + ", ".join(["%.3f"] * 36) + '], "score": [' + ", ".join(["%.3f"] * KINETICS.num_joints) + "]}"
)


def _kinetics_text(people: np.ndarray, title: str, label: int) -> bytes:
    length, count = people.shape[:2]
    poses = people[..., :2].reshape(length, count, -1)
    numbers = np.concatenate((poses, people[..., 2]), -1).tolist()
    frames = (
        f'{{"frame_index": {index + 1}, "skeleton": [' + ", ".join(_PERSON_TEXT % tuple(one) for one in frame) + "]}"
        for index, frame in enumerate(numbers)
    )
    tail = f'], "label": {json.dumps(title)}, "label_index": {label}}}'
    return ('{"data": [' + ", ".join(frames) + tail).encode()


def write_nw_ucla_files(folder: Path, clips: int, classes: int, seed: int, frames: int) -> int:
    """Clips; returns the bytes written."""
    written = 0
    with Progress(clips, "synth", "clip") as progress:
        for index, name in enumerate(names.nw_ucla_names(clips, classes)):
            rng = np.random.default_rng([seed, index])
            label, view = index % classes, int(name[-1]) - 1
            size = names.body_size(int(name[5:7]))
            body = as_layout(performance(label, clip_length(frames, rng), size, rng)[0], NW_UCLA)
            points = before_camera(body, YAWS[view] / 2 + rng.normal(0.0, 0.2), place(rng), rng)
            rounded = [[[float(f"{value:.6g}") for value in joint] for joint in frame] for frame in points.tolist()]
            text = json.dumps({"file_name": name, "skeletons": rounded, "label": label + 1}).encode()
            written += (folder / f"{name}.json").write_bytes(text)
            progress.update(1)
    return written
