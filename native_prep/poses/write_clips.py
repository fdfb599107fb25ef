"""`write_clips`: poses of any format, read by a few lines of one's own, to what `prep custom` writes."""

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from native_prep.datasets.recordings import SPLITS, BadClip
from native_prep.io.atomic import check_writable, hidden, left_behind, missing_folders, remove_empty
from native_prep.pipeline.outputs import check_room
from native_prep.poses.custom import PoseOutput, parse_size, write_source
from native_prep.poses.labels import number_labels
from native_prep.poses.sources import PoseClip, PoseSource
from native_prep.poses.to_clip import Poses, PoseSettings, as_array, checked_points
from native_prep.skeletons.layouts import Layout, find_layout


@dataclass(frozen=True)
class Clip:
    """One clip.

    Attributes:
        name: as label and score files have it; no two clips share one.
        joints: float (M, T, V, C) or, of one person, (T, V, C); C is 3 (x y z, or x y score), or 2 (x y). Zeros, or
            NaN in any of its numbers, where a joint was not seen.
        label: the class, a name or a number from 0.
        split: train or val.
    """

    name: str
    joints: np.ndarray
    label: str | int | None = None
    split: str | None = None


def write_clips(
    clips: Iterable[Clip],
    out_folder: str | os.PathLike[str],
    layout: str = "coco17",
    *,
    classes: Sequence[str] | None = None,
    streams: Sequence[str] = ("joint", "bone"),
    formats: Sequence[str] = ("npy",),
    max_frames: int | None = None,
    max_bodies: int | None = None,
    image_size: str | None = None,
    align: str = "none",
    track: bool = False,
    unit: str = "m",
    keep_empty: bool = False,
    min_quality: float = 0.0,
    on_bad_file: str = "error",
    workers: int | None = None,
    cluster: str | None = None,
) -> dict[str, Any]:
    """Writes clips as `prep custom` does, with all of its checks.

    Examples:
        >>> write_clips((Clip(path.stem, read(path), "wave", "train") for path in paths), "data/custom", "coco17")

    Args:
        clips: taken one at a time; they wait in a hidden folder beside `out_folder`, not in memory.
        out_folder, layout: where the arrays go; the name of the skeleton, or a YAML file.
        classes: the names of the classes; None for those of the labels, sorted.
        streams, formats, max_frames, max_bodies, image_size, align, track, unit: as `prepare_custom`'s.
        keep_empty, min_quality, on_bad_file, workers, cluster: as there.

    Returns:
        What `prepare_custom` returns.

    Raises:
        ValueError: a clip is bad, has no label or no split, or appears twice; a setting that does not fit.
        OSError: a file cannot be written.
    """
    folder = Path(out_folder)
    check_writable(folder)
    output = PoseOutput(folder, streams, formats, max_frames, on_bad_file, workers, cluster)
    skeleton = find_layout(layout)
    settings = PoseSettings(max_bodies or 2, parse_size(image_size), align, track, unit, keep_empty, min_quality)
    settings.check(skeleton)
    check_room(max_frames, skeleton, settings.max_bodies, output.streams)
    with _temporary_folder(folder) as temporary:
        found = _take(clips, temporary, skeleton, list(classes) if classes is not None else None)
        return write_source(found, folder, skeleton, settings, output)


@contextmanager
def _temporary_folder(folder: Path) -> Iterator[Path]:
    made = missing_folders(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    for old in left_behind(folder, "clips"):
        shutil.rmtree(old, ignore_errors=True)
    temporary = hidden(folder, "clips")
    temporary.mkdir()
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        remove_empty(made)


def _take(clips: Iterable[Clip], temporary: Path, layout: Layout, classes: list[str] | None) -> PoseSource:
    """Puts the points of the clips into `temporary`, one file each."""
    rows, bad, files = [], [], {}
    for number, clip in enumerate(clips):
        where = f"clip {clip.name}"
        if clip.label is None or clip.split not in SPLITS:
            raise ValueError(
                f"{where}: has label {clip.label!r} and split {clip.split!r}: give a label, and train or val"
            )
        if clip.name in files:
            raise ValueError(f"{where}: appears twice: give every clip a name of its own")
        files[clip.name] = temporary / f"{number}.npy"
        rows.append((clip.name, str(clip.label), clip.split, 0))
        try:
            points = as_array(clip.joints, where)
            if points.dtype.kind == "f" and points.ndim > 2:  # a joint without one of its numbers was not seen
                points = np.where(np.isnan(points).any(axis=-1, keepdims=True), 0, points)
            np.save(files[clip.name], checked_points(points, layout, where))
        except BadClip as error:
            bad.append(error.bad)
            del files[clip.name]
    if not rows:
        raise ValueError("there is no clip to write: check what reads them")
    labels = number_labels(rows, "clips", classes)
    found = [
        PoseClip(name, f"clip {name}", -1, labels.clips[name].label, labels.clips[name].split, str(files[name]))
        for name in sorted(files)
    ]
    return PoseSource(found, bad, labels.classes, _read, key=secrets.token_hex(8))


def _read(clip: PoseClip) -> Poses:
    return Poses(np.load(clip.content))
