"""Where the clips of one's own data lie, and what is known of them before they are read."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from native_prep.datasets.recordings import BadFile
from native_prep.io.arrays import load_array
from native_prep.poses.files import OPENPOSE_SUFFIX, is_alphapose, load_json, openpose_keypoints, read_pose_file
from native_prep.poses.labels import MOST_CLASSES, Labels, number_classes, read_label_file, split_of
from native_prep.poses.pyskl_pickle import PysklFile
from native_prep.poses.to_clip import Poses, checked_points
from native_prep.skeletons.layouts import LAYOUTS, Layout

SOURCES = ("pyskl", "numpy", "openpose", "alphapose", "mediapipe")
# The layouts of estimators that name their joints by their order; OpenPose's is told from the file.
_USUAL_LAYOUTS = {"alphapose": "coco17", "mediapipe": "mediapipe33"}
_SUFFIXES = {"numpy": (".npy",), "alphapose": (".json",), "mediapipe": (".json", ".csv")}


@dataclass(frozen=True, slots=True)
class PoseClip:
    """A clip that was found: its name, where it lies, its place there, its label from 0 and its split."""

    name: str
    path: str
    place: int
    label: int
    split: str

    @property
    def what(self) -> str:
        """How messages name it within its file."""
        return f"clip {self.name}: " if self.place >= 0 else ""


@dataclass(frozen=True)
class PoseSource:
    """Clips sorted by name, what is wrong already, the names of the classes, and how to read a clip."""

    clips: list[PoseClip]
    bad: list[BadFile]
    classes: list[str]
    read: Callable[[PoseClip], Poses]


def detect_source(path: Path) -> str:
    """Which of `SOURCES` a file or folder is.

    Raises:
        ValueError: nothing is there, or nothing that is known.
        OSError: it cannot be read.
    """
    if path.is_file():
        if path.suffix in (".pkl", ".pickle"):
            return "pyskl"
        if path.suffix in (".npy", ".npz"):
            return "numpy"
    elif path.is_dir():
        if next(path.glob(f"*/*{OPENPOSE_SUFFIX}"), None):
            return "openpose"
        for suffix, kind in ((".npy", "numpy"), (".csv", "mediapipe")):
            if any(file.name != "labels.csv" for file in path.glob(f"*{suffix}")):
                return kind
        first = min(path.glob("*.json"), default=None)
        if first is not None:
            return "alphapose" if is_alphapose(load_json(str(first))) else "mediapipe"
    else:
        raise ValueError(f"{path}: no such file or folder: give --data-path your poses")
    raise ValueError(f"{path}: holds no poses that are known: give --source one of {', '.join(SOURCES)}")


def default_layout(source: str, path: Path) -> str:
    """The layout of a source that has one.

    Raises:
        ValueError: it has none, or its files are damaged.
    """
    if source == "openpose":
        for file in sorted(path.glob(f"*/*{OPENPOSE_SUFFIX}")):
            sizes = [len(numbers) for numbers, _ in openpose_keypoints(str(file))]
            for name in ("openpose18", "openpose25"):
                if 3 * LAYOUTS[name].num_joints in sizes:
                    return name
    if source in _USUAL_LAYOUTS:
        return _USUAL_LAYOUTS[source]
    raise ValueError(
        f"{path}: does not say which joints it has: give --layout one of {', '.join(LAYOUTS)}, or a YAML file"
    )


def open_source(
    source: str, path: Path, layout: Layout, label_path: str | None, split: str | None, classes: list[str] | None
) -> PoseSource:
    """Finds the clips of a file or folder.

    Args:
        source: one of `SOURCES`.
        path, layout: the data and its skeleton.
        label_path: the label file; None where the data carries labels, or for `labels.csv` in its folder.
        split: of several splits in a pickle which one; without splits, that of all clips.
        classes: the names of the classes, None for those of the labels.

    Raises:
        ValueError: no such file, no clips, labels that do not meet them, two clips of one name.
        OSError: something cannot be read.
    """
    if source == "pyskl":
        found = _open_pyskl(path, layout, label_path, split, classes)
    elif path.is_file() and source == "numpy":
        found = _open_array(path, layout, label_path, split, classes)
    else:
        found = _open_folder(source, path, layout, label_path, split, classes)
    clips = sorted(found.clips, key=lambda clip: clip.name)
    for one, other in pairwise(clips):
        if one.name == other.name and one.split == other.split:
            raise ValueError(f"{other.path}: clip {one.name!r} appears twice: give every clip a name of its own")
    if not clips and not found.bad:
        raise ValueError(f"{path}: no clip is left to prepare: check --data-path and --label")
    return PoseSource(clips, found.bad, found.classes, found.read)


def _open_pyskl(
    path: Path, layout: Layout, label_path: str | None, split: str | None, classes: list[str] | None
) -> PoseSource:
    if label_path is not None:
        raise ValueError("--label: such a pickle holds its own labels: leave it out")
    file = PysklFile(path)
    clips, bad = [], []
    most = 0
    for place, name, label, assigned in file.clips(split):
        count = len(classes) if classes is not None else MOST_CLASSES
        if not 0 <= label < count:
            text = f"clip {name}: its label is not a whole number from 0 to {count - 1}: fix it or --class-list"
            bad.append(BadFile(str(path), 0, text))
            continue
        most = max(most, label)
        clips.append(PoseClip(name, str(path), place, label, assigned))
    bad += [BadFile(str(path), 0, f"clip {name}: is in a split, but has no annotation: fix it") for name in file.lost]
    return PoseSource(clips, bad, classes or number_classes(most + 1), lambda clip: file.read(clip.place, layout))


def _open_array(
    path: Path, layout: Layout, label_path: str | None, split: str | None, classes: list[str] | None
) -> PoseSource:
    """One array of all clips; the lines of the label file are its clips in order."""
    array = load_array(path, mapped=True, archive=True)
    last = _channels_last(array.shape, layout, path)
    labels = _read_labels(label_path, path.parent, classes)
    if len(labels.clips) != len(array):
        raise ValueError(f"{labels.path}: names {len(labels.clips)} clips, {path} holds {len(array)}: give its labels")
    clips = []
    for place, (name, label) in enumerate(labels.clips.items()):
        assigned = split_of(label.split, split, f"{labels.path}:{label.line}")
        clips.append(PoseClip(name, str(path), place, label.label, assigned))

    def read(clip: PoseClip) -> Poses:
        points = np.asarray(array[clip.place])
        points = points if last else points.transpose(3, 1, 2, 0)  # (M, T, V, C)
        checked = checked_points(points, layout, clip.path, clip.what)
        # Frames without anybody at the end are the padding of shorter clips.
        frames = np.flatnonzero(checked.any(axis=(0, 2, 3)))
        return Poses(checked[:, : frames[-1] + 1 if len(frames) else 1])

    return PoseSource(clips, [], labels.classes, read)


def _channels_last(shape: tuple[int, ...], layout: Layout, path: Path) -> bool:
    """Whether an array is (N, M, T, V, C) and not (N, C, T, V, M)."""
    if len(shape) != 5 or shape[3] != layout.num_joints:
        raise ValueError(
            f"{path}: is {shape}, neither (N, C, T, V, M) nor (N, M, T, V, C) of the {layout.num_joints} joints of "
            f"layout {layout.name}: reshape it or give another --layout"
        )
    for channels in (3, 2):
        ends = (shape[1] == channels, shape[4] == channels)
        if all(ends):
            raise ValueError(
                f"{path}: {shape} may be (N, C, T, V, M) or (N, M, T, V, C): write one .npy file (M, T, V, C) a clip"
            )
        if any(ends):
            return ends[1]
    raise ValueError(f"{path}: {shape} has no axis of 2 or 3 channels: give (N, C, T, V, M) or (N, M, T, V, C)")


def _read_labels(given: str | None, folder: Path, classes: list[str] | None) -> Labels:
    path = Path(given) if given is not None else folder / "labels.csv"
    if not path.is_file():
        raise ValueError(f"{path}: no such file: give --label a CSV file of name,label,split")
    labels = read_label_file(path, classes)
    splits = {label.split for label in labels.clips.values()}
    if classes is None and "" in splits and not all(name.isdigit() for name in labels.classes):
        raise ValueError(
            f"{path}: has names of classes and no column split: the file of the other split may name others, "
            "give both runs the same --class-list"
        )
    return labels


def _open_folder(
    source: str, path: Path, layout: Layout, label_path: str | None, split: str | None, classes: list[str] | None
) -> PoseSource:
    """A file or a folder for each clip, called as the label file calls it."""
    if not path.is_dir():
        raise ValueError(f"{path}: no such folder: --source {source} wants a folder of clips")
    labels = _read_labels(label_path, path, classes)
    files = _clip_files(source, path, Path(labels.path))
    clips, bad = [], []
    by_name = {_stem(source, name): label for name, label in labels.clips.items()}
    for name, file in files.items():
        if name not in by_name:
            bad.append(BadFile(str(file), 0, f"has no line in {labels.path}: add one or move the clip away"))
            continue
        assigned = split_of(by_name[name].split, split, f"{labels.path}:{by_name[name].line}")
        clips.append(PoseClip(name, str(file), -1, by_name[name].label, assigned))
    bad += _without_file(source, labels, files)
    return PoseSource(clips, bad, labels.classes, lambda clip: read_pose_file(clip.path, layout))


def _clip_files(source: str, folder: Path, label_file: Path) -> dict[str, Path]:
    if source == "openpose":
        return {inside.name: inside for inside in sorted(folder.iterdir()) if inside.is_dir()}
    files: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        if file.suffix not in _SUFFIXES[source] or file.resolve() == label_file.resolve():
            continue
        if file.stem in files:
            raise ValueError(f"{file}: is the same clip as {files[file.stem].name}: keep one of them")
        files[file.stem] = file
    return files


def _stem(source: str, name: str) -> str:
    """A clip's name without the suffix that label files may give it."""
    for suffix in _SUFFIXES.get(source, ()):
        name = name.removesuffix(suffix)
    return name


def _without_file(source: str, labels: Labels, files: dict[str, Path]) -> list[BadFile]:
    return [
        BadFile(labels.path, label.line, f"clip {name!r} is not among the data: add it or remove its line")
        for name, label in labels.clips.items()
        if _stem(source, name) not in files
    ]
