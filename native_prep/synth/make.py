"""Made raw files in the exact formats of NTU RGB+D, Kinetics-skeleton and NW-UCLA, and made prepared clips.

The same arguments give the same bytes. Every clip is drawn from (seed, its number), so a longer run begins with the
clips of a shorter one.
"""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from native_prep.datasets.catalog import DATASETS, get_dataset
from native_prep.datasets.names import parse_name
from native_prep.io.atomic import atomic_folder
from native_prep.io.progress import Progress
from native_prep.skeletons.layouts import NTU, Layout
from native_prep.synth import names
from native_prep.synth.json_files import write_kinetics_files, write_nw_ucla_files
from native_prep.synth.motion import (
    END_JOINTS,
    TWO_BODIES,
    YAWS,
    as_layout,
    before_camera,
    clip_length,
    in_picture,
    performance,
    place,
)

MEAN_FRAMES = {"ntu60": 90, "ntu120": 90, "kinetics": 290, "nw-ucla": 40}


def synth(
    dataset: str,
    folder: str | Path,
    clips: int = 1000,
    classes: int | None = None,
    seed: int = 0,
    frames: int | None = None,
) -> dict:
    """Write `clips` made raw files of `dataset` into `folder`, evenly over the first `classes` classes.

    Args:
        dataset: ntu60, ntu120, kinetics or nw-ucla.
        folder: where the files go; made if it is missing.
        clips: how many.
        classes: how many classes; by default all of the data set, or as many as there are clips.
        seed: other seeds, other performances of the same classes.
        frames: mean number of frames of a clip; by default about what the real ones have.

    Returns:
        dataset, clips, classes, folder, bytes, seconds.

    Raises:
        ValueError: the folder is not empty, or a number is out of range.
    """
    most = get_dataset(dataset).num_class
    classes = min(most, max(clips, 1)) if classes is None else classes
    frames = MEAN_FRAMES[dataset] if frames is None else frames
    _check_numbers(dataset, clips, classes, frames, seed)
    start = time.monotonic()
    with atomic_folder(folder) as part:
        if dataset == "kinetics":
            written = write_kinetics_files(part, clips, classes, seed, frames)
        elif dataset == "nw-ucla":
            written = write_nw_ucla_files(part, clips, classes, seed, frames)
        else:
            written = _write_ntu_files(dataset, part, clips, classes, seed, frames)
    return {
        "dataset": dataset,
        "clips": clips,
        "classes": classes,
        "folder": str(folder),
        "bytes": written,
        "seconds": time.monotonic() - start,
    }


def write_ntu(folder: str | Path, clips: int, classes: int = 10, seed: int = 0, frames: int = 90) -> dict:
    """`synth` for NTU RGB+D 60."""
    return synth("ntu60", folder, clips, classes, seed, frames)


def write_kinetics(folder: str | Path, clips: int, classes: int = 10, seed: int = 0, frames: int = 290) -> dict:
    """`synth` for Kinetics-skeleton."""
    return synth("kinetics", folder, clips, classes, seed, frames)


def _check_numbers(dataset: str, clips: int, classes: int, frames: int, seed: int) -> None:
    if clips < 1 or seed < 0:
        raise ValueError(f"synth: {clips} clips of seed {seed}: ask for at least one clip and a seed from 0")
    most = DATASETS[dataset].num_class
    if not 1 <= classes <= most:
        raise ValueError(f"synth: {dataset} has {most} classes, not {classes}: ask for 1 to {most}")
    if not 2 <= frames <= 300:
        raise ValueError(f"synth: a mean of {frames} frames: ask for 2 to 300")


def _write_ntu_files(dataset: str, folder: Path, clips: int, classes: int, seed: int, frames: int) -> int:
    written = 0
    with Progress(clips, "synth", "clip") as progress:
        for index, name in enumerate(names.ntu_names(dataset, clips, classes)):
            rng = np.random.default_rng([seed, index])
            text = _ntu_clip(name, clip_length(frames, rng), rng)
            written += (folder / f"{name}.skeleton").write_bytes(text)
            progress.update(1)
    return written


def _ntu_clip(name: str, length: int, rng: np.random.Generator) -> bytes:
    """One `.skeleton` file: bodies, and the frames of each, as the sensor might have reported them."""
    parts = parse_name("ntu120", name)
    size = names.body_size(parts.subject)
    bodies = 2 if rng.random() < TWO_BODIES else 1
    rows, present = [], np.ones((bodies, length), bool)
    for body in range(bodies):
        points, angles = performance(parts.action - 1, length, size if body == 0 else rng.uniform(0.85, 1.1), rng)
        yaw = YAWS[parts.camera - 1] + rng.normal(0.0, 0.2) + (np.pi / 2 if body else 0.0)
        rows.append(_sensor_rows(before_camera(points, yaw, place(rng, body == 1), rng), angles, rng))
    if bodies == 2 and rng.random() < 0.5:  # the second one comes later or leaves
        cut = rng.integers(length)
        present[1, :cut] = rng.random() < 0.5
        present[1, cut:] = not present[1, 0]
    _absences(present, rng)
    return _ntu_text(np.stack(rows), present, 72057594037927936 + int(rng.integers(10**6)), rng)


def _absences(present: np.ndarray, rng: np.random.Generator) -> None:
    """Late starts, gaps and early ends, in about one clip of thirty each; `present` is (M, T)."""
    length = present.shape[1]
    some = 1 + int(rng.integers(max(length // 8, 1)))
    draw = rng.random()
    if length <= 2 * some:
        return
    if draw < 0.03:
        present[:, :some] = False
    elif draw < 0.06:
        start = int(rng.integers(1, length - some))
        present[:, start : start + some] = False
    elif draw < 0.09:
        present[:, length - some :] = False


def _sensor_rows(points: np.ndarray, angles: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The twelve numbers of each joint: (T, V, 12): x y z, depth x y, colour x y, quaternion, tracking state."""
    x, y, z = np.moveaxis(points, -1, 0)
    half = np.sqrt((angles * angles).sum(-1)) / 2
    quaternion = np.concatenate((np.cos(half)[..., None], angles / 2 * np.sinc(half / np.pi)[..., None]), -1)
    quaternion[:, END_JOINTS] = 0.0
    state = np.where(rng.random(x.shape) < 0.03, 1, 2)
    picture = (256 + 366 * x / z, 208 - 366 * y / z, 960 + 1060 * x / z, 540 - 1060 * y / z)
    return np.concatenate((points, np.stack(picture, -1), quaternion, state[..., None]), -1)


_JOINT_LINES = ("%.7g " * 11 + "%d\n") * NTU.num_joints
_BODY_TEXT = "%d 0 %d %d %d %d 0 %.7g %.7g 2\n25\n" + _JOINT_LINES


def _ntu_text(rows: np.ndarray, present: np.ndarray, first_id: int, rng: np.random.Generator) -> bytes:
    """The file of rows (M, T, V, 12) where `present` (M, T) says who is there."""
    bodies, length = present.shape
    hands = rng.integers(0, 2, (bodies, 4)).tolist()
    lean = (0.05 * rng.standard_normal((bodies, length, 2))).tolist()
    numbers = rows.reshape(bodies, length, -1).tolist()
    lines = [f"{length}\n"]
    for frame in range(length):
        there = [body for body in range(bodies) if present[body, frame]]
        lines.append(f"{len(there)}\n")
        for body in there:
            head = (first_id + 91 * body, *hands[body], *lean[body][frame])
            lines.append(_BODY_TEXT % (*head, *numbers[body][frame]))
    return "".join(lines).replace("e-", "E-").encode("ascii")  # the recordings write 8.1E-05


def joint_batch(
    layout: Layout, clips: int, frames: int, persons: int, seed: int, one_body_share: float = 0.8
) -> np.ndarray:
    """Made clips as `prep` would leave them, float32 (N, 3, T, V, M), without a detour over files.

    NTU: metres, centred on the spine, spine along z, shoulders along x. Kinetics: x, y about 0, and a score. NW-UCLA:
    camera space in metres. Short clips repeat to T; the absent second bodies of `one_body_share` of the clips are zero.

    Raises:
        ValueError: there are no made people for this layout.
    """
    rng = np.random.default_rng([seed, clips, frames])
    batch = np.zeros((clips, 3, frames, layout.num_joints, persons), np.float32)
    alone = rng.permutation(clips) < round(one_body_share * clips)
    prepared = {"kinetics": _prepared_kinetics, "nw-ucla": _prepared_nw_ucla}.get(layout.name, _prepared_ntu)
    for clip in range(clips):
        length = max(2, int(frames * rng.uniform(0.2, 1.0)))
        label = int(rng.integers(60))
        bodies = [prepared(layout, label, length, rng, body) for body in range(1 if alone[clip] else persons)]
        points = np.stack(bodies, -1)  # (t, V, 3, M)
        batch[clip, ..., : len(bodies)] = points[np.arange(frames) % length].transpose(2, 0, 1, 3)
    return batch


Prepared = Callable[[Layout, int, int, np.random.Generator, int], np.ndarray]


def _prepared_ntu(layout: Layout, label: int, length: int, rng: np.random.Generator, body: int) -> np.ndarray:
    points = as_layout(performance(label, length, rng.uniform(0.85, 1.1), rng)[0], layout)
    points = points - points[:, layout.centre : layout.centre + 1] + (0.9 * body, 0.0, 0.0)
    points += 0.006 * rng.standard_normal(points.shape)
    return np.stack((points[..., 0], points[..., 2], points[..., 1]), -1)


def _prepared_nw_ucla(layout: Layout, label: int, length: int, rng: np.random.Generator, body: int) -> np.ndarray:
    points = as_layout(performance(label, length, rng.uniform(0.85, 1.1), rng)[0], layout)
    return before_camera(points, rng.normal(0.0, 0.4), place(rng, body > 0), rng)


def _prepared_kinetics(layout: Layout, label: int, length: int, rng: np.random.Generator, body: int) -> np.ndarray:
    picture = in_picture(_prepared_nw_ucla(layout, label, length, rng, body))
    score = rng.uniform(0.3, 0.9, picture.shape[:2])
    points = np.stack((picture[..., 0] - 0.5, 0.5 - picture[..., 1], score), -1)
    return points * (rng.random(score.shape) > 0.05)[..., None]
