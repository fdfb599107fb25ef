"""Where the clips of one's own data lie, and what is known of them before they are read."""

import hashlib
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from native_prep.datasets.recordings import BadFile, files_below
from native_prep.io.archives import is_hidden
from native_prep.io.arrays import load_array
from native_prep.io.progress import first_names
from native_prep.poses.files import NUMPY, SOURCES, VIDEO, Kind, first_kind, kind_of_file, read_pose_file
from native_prep.poses.labels import (
    LABELS,
    MOST_CLASSES,
    SPLIT_NAMES,
    Label,
    Labels,
    is_label_file,
    number_classes,
    read_label_file,
    split_of,
)
from native_prep.poses.pyskl_pickle import PysklFile, read_annotation
from native_prep.poses.to_clip import Poses, checked_points
from native_prep.skeletons.layouts import Layout

# What poses may be written in; other files lie in peace beside them, and beside videos all but videos do.
_POSES = (".json", ".npy", ".csv")
# Of names, what no label file and no table can hold: line breaks and the like, bytes that are no UTF-8.
_NO_TEXT = re.compile("[\x00-\x1f\ud800-\udfff]")
# So many files of a folder are looked at for one that tells their kind.
_MOST_LOOKED_AT = 1000
# Of clips in folders of their classes that no folder assigns to a split, one in so many is for validation.
_ONE_IN = 5


@dataclass(frozen=True, slots=True)
class PoseClip:
    """A clip that was found.

    Attributes:
        name, path, place: its name, where it lies, and its place there.
        label, split: from 0; train or val.
        content: what who reads it needs, that is at hand already.
    """

    name: str
    path: str
    place: int
    label: int
    split: str
    content: Any = field(default=None, repr=False, compare=False)

    @property
    def what(self) -> str:
        """How messages name it within its file."""
        return f"clip {self.name}: " if self.place >= 0 else ""


@dataclass(frozen=True)
class PoseSource:
    """What was found, and how to read it.

    Attributes:
        clips: sorted by name.
        bad: what is wrong already.
        classes: their names.
        read: reads a clip; can be pickled.
        notes: what to say of the clips.
        before: the layout that clips have before `read` converts them; None where it does not.
        metadata: what `custom.json` says of them besides.
        key: what else decides about the numbers.
        whole_files: clips of a file are to be read one after the other.
        copy: where the copy lies that is read, which messages name by what it was made of; "" for none.
    """

    clips: list[PoseClip]
    bad: list[BadFile]
    classes: list[str]
    read: Callable[[PoseClip], Poses]
    notes: list[str] = field(default_factory=list)
    before: Layout | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""
    whole_files: bool = False
    copy: str = ""


def detect_kind(path: Path, source: str | None = None) -> Kind:
    """What a file or folder holds.

    Args:
        path: a pickle, an array, or a folder of clips.
        source: one of `SOURCES` that is wanted; None for any.

    Raises:
        ValueError: nothing is there, nothing that is known, or something else than what is wanted.
        OSError: it cannot be read.
    """
    if not path.exists():
        raise ValueError(f"{path}: no such file or folder: give --data-path your poses")
    if path.is_file():
        kind = _kind_of_file(path)
    else:
        files = list(islice(files_below(path), _MOST_LOOKED_AT))
        found = first_kind(files, source)
        if found is None:
            known = ", ".join(SOURCES)
            raise ValueError(f"{path}: holds no poses that are known, or nobody is in any: give poses of {known}")
        kind = found
        if source is None and kind != VIDEO and any(file.suffix.lower() in VIDEO.suffixes for file in files):
            raise ValueError(f"{path}: holds poses of {kind.source} and videos: give --source {kind.source} or video")
    if source not in (None, kind.source):
        raise ValueError(f"{path}: looks like {kind.source}, --source says {source}: leave it out or give other poses")
    return kind


def _kind_of_file(path: Path) -> Kind:
    if path.suffix in (".pkl", ".pickle"):
        return Kind("pyskl", (path.suffix,))
    if path.suffix in (*NUMPY.suffixes, ".npz"):
        return NUMPY
    kind = kind_of_file(path)
    what = f"one clip of {kind.source}" if kind is not None else "one clip"
    raise ValueError(f"{path}: is {what}: give --data-path the folder of all clips")


def open_source(
    kind: Kind, path: Path, layout: Layout, label_path: str | None, split: str | None, classes: list[str] | None
) -> PoseSource:
    """Finds the clips of a file or folder.

    Args:
        kind: what `detect_kind` says of it.
        path, layout: the data and its skeleton.
        label_path: the label file; None where the data carries labels, for `labels.csv` in its folder, or where the
            clips lie in folders of their classes.
        split: of several splits in a pickle which one; without splits, that of all clips.
        classes: the names of the classes, None for those of the labels.

    Raises:
        ValueError: no such file, no clips, labels that do not meet them, two clips of one name.
        OSError: something cannot be read.
    """
    if kind.source == "pyskl":
        found = _open_pyskl(path, layout, label_path, split, classes)
    elif path.is_file():
        found = _open_array(path, layout, label_path, split, classes)
    else:
        found = _open_folder(kind, path, layout, label_path, split, classes)
    clips = sorted(found.clips, key=lambda clip: (clip.name, clip.split))
    for one, other in pairwise(clips):
        if one.name == other.name and one.split == other.split:
            raise ValueError(f"{other.path}: clip {one.name!r} appears twice: give every clip a name of its own")
    if not clips and not found.bad:
        raise ValueError(f"{path}: no clip is left to prepare: check --data-path and --label")
    return replace(found, clips=clips)


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
        clips.append(PoseClip(name, str(path), place, label, assigned, file.annotations[place]))
    bad += [BadFile(str(path), 0, f"clip {name}: is in a split, but has no annotation: fix it") for name in file.lost]
    return PoseSource(clips, bad, classes or number_classes(most + 1), partial(_read_annotation, layout))


def _read_annotation(layout: Layout, clip: PoseClip) -> Poses:
    return read_annotation(clip.content, layout, clip.path)


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

    return PoseSource(clips, [], labels.classes, partial(_read_row, layout, last))


@lru_cache(maxsize=1)
def _opened(path: str, size: int, changed: int) -> np.ndarray:
    """An array that was last `changed` then; one at a time, since an archive is in memory as a whole."""
    return load_array(path, mapped=True, archive=True)


def _read_row(layout: Layout, last: bool, clip: PoseClip) -> Poses:
    """A clip of an array of all, (N, M, T, V, C) if its channels are last, else (N, C, T, V, M)."""
    found = Path(clip.path).stat()
    points = np.asarray(_opened(clip.path, found.st_size, found.st_mtime_ns)[clip.place])
    points = points if last else points.transpose(3, 1, 2, 0)  # (M, T, V, C)
    checked = checked_points(points, layout, clip.path, clip.what)
    # Frames without anybody at the end are the padding of shorter clips.
    frames = np.flatnonzero(checked.any(axis=(0, 2, 3)))
    return Poses(checked[:, : frames[-1] + 1 if len(frames) else 1])


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
    path = Path(given) if given is not None else folder / LABELS
    if not path.is_file():
        raise ValueError(
            f"{path}: no such file: give --label a CSV file of name,label,split, or put the clips into folders that "
            "have the names of their classes"
        )
    labels = read_label_file(path, classes)
    splits = {label.split for label in labels.clips.values()}
    if classes is None and "" in splits and not all(name.isdigit() for name in labels.classes):
        raise ValueError(
            f"{path}: has names of classes and no column split: the file of the other split may name others, "
            "give both runs the same --class-list"
        )
    return labels


def _open_folder(
    kind: Kind, path: Path, layout: Layout, label_path: str | None, split: str | None, classes: list[str] | None
) -> PoseSource:
    """A file or a folder for each clip, labelled by a file that names them, or by the folders that they lie in."""
    if not path.is_dir():
        raise ValueError(f"{path}: no such folder: --source {kind.source} wants a folder of clips")
    notes: list[str] = []
    given, path = path, _folder_of_clips(kind, path, label_path is not None)
    if path != given:
        notes.append(f"clips are taken from {path}")
    by_class = _clips_by_class(kind, path) if label_path is None and not (path / LABELS).is_file() else {}
    if by_class:
        labels, files = _labels_of_folders(path, by_class, split, classes, notes)
        empty = [str(one.relative_to(path)) for part, one in _class_folders(path) if (part, one.name) not in by_class]
        if empty:
            notes.append(f"no clip of {kind.source} is in {len(empty)} of the folders ({first_names(empty)})")
    else:
        if label_path is None and not (path / LABELS).is_file():
            _check_depth(kind, path)
        labels = _read_labels(label_path, path, classes)
        files = _clip_files(kind, path, Path(labels.path))
    clips, bad = [], (_left_over(kind, path, set(files.values())) if by_class else [])
    by_name = {_stem(kind, name): label for name, label in labels.clips.items()}
    for name, file in files.items():
        if _NO_TEXT.search(name):
            bad.append(BadFile(str(file), 0, "has a name that is no text: rename it"))
            continue
        if name not in by_name:
            bad.append(BadFile(str(file), 0, f"has no line in {labels.path}: add one or move the clip away"))
            continue
        assigned = split_of(by_name[name].split, split, f"{labels.path}:{by_name[name].line}")
        clips.append(PoseClip(name, str(file), -1, by_name[name].label, assigned))
    bad += _without_file(kind, labels, files)
    return PoseSource(clips, bad, labels.classes, partial(_read_file, layout, kind), notes, key=kind.source)


def _read_file(layout: Layout, kind: Kind, clip: PoseClip) -> Poses:
    return read_pose_file(clip.path, layout, kind)


def _folder_of_clips(kind: Kind, path: Path, labelled: bool) -> Path:
    """The folder of all clips: `path`, or the only one in it, however deep, that holds them, or holds their classes.

    Args:
        labelled: whether a label file is given, so that a folder's name is no class.
    """
    place = path
    while not _clip_files(kind, place) and not (place / LABELS).is_file():
        only, *others = _folders(place) or [place]
        if not labelled and _clips_by_class(kind, place) and (others or not (only / LABELS).is_file()):
            return place
        if others or only == place:
            return path
        place = only
    return place


def _check_depth(kind: Kind, path: Path) -> None:
    """Raises ValueError where clips lie deeper in a folder than in it, or in folders of classes; it says where."""
    if _clip_files(kind, path):
        return
    deeper = next((file for file in files_below(path) if file.name.lower().endswith(kind.suffixes)), None)
    if deeper is not None:
        raise ValueError(
            f"{path}: has no clip of {kind.source} itself, the first lies in {deeper.parent}: give --data-path the "
            "folder of the clips, or of [train|val/]CLASS/CLIP"
        )


def clips_below(kind: Kind, path: Path) -> Iterator[Path]:
    """The files or folders of clips, wherever in a folder they lie; none in a file of many."""
    if not path.is_dir():
        return
    path = _folder_of_clips(kind, path, labelled=False)
    if direct := _clip_files(kind, path):
        yield from direct.values()
    else:
        for files in _clips_by_class(kind, path).values():
            yield from files.values()


def _clips_by_class(kind: Kind, folder: Path) -> dict[tuple[str, str], dict[str, Path]]:
    """The clips in `[SPLIT/]CLASS/CLIP`, by split ("" for none) and class; {} where clips lie in the folder itself.

    Raises:
        ValueError: folders of splits beside others, or clips beside folders of clips.
    """
    inside = _folders(folder)
    if direct := _clip_files(kind, folder):
        if any(_clip_files(kind, one) for one in inside):
            stray = next(iter(direct.values()))
            raise ValueError(f"{stray}: lies beside folders of classes: move it into one, or give --label")
        return {}
    found: dict[tuple[str, str], dict[str, Path]] = {}
    for split, label in _class_folders(folder):
        for file in _clip_files(kind, label).values():
            name = file.relative_to(folder) if kind.a_file_a_frame else file.relative_to(folder).with_suffix("")
            found.setdefault((split, label.name), {})[name.as_posix()] = file
    return found


def _class_folders(folder: Path) -> list[tuple[str, Path]]:
    """The folders `[SPLIT/]CLASS`, each with its split, "" for none.

    Raises:
        ValueError: folders of splits beside others.
    """
    inside = _folders(folder)
    splits = [one for one in inside if one.name.lower() in SPLIT_NAMES]
    if splits and len(splits) < len(inside):
        other = next(one for one in inside if one not in splits)
        raise ValueError(f"{other}: lies beside {splits[0].name}: move it into a folder of a split, or away")
    if splits:
        return [(SPLIT_NAMES[one.name.lower()], label) for one in inside for label in _folders(one)]
    return [("", label) for label in inside]


def _left_over(kind: Kind, folder: Path, taken: Collection[Path]) -> list[BadFile]:
    """Poses in a folder of clips in folders that are none of the clips: of another form, or in the wrong place."""
    text = f"is no clip of {kind.source} like the others ({kind.suffixes[0]}), or not in the folder of a class: move it"
    suffixes = VIDEO.suffixes if kind == VIDEO else _POSES
    return [
        BadFile(str(one), 0, text)
        for one in files_below(folder, {folder, *taken})
        if one.suffix.lower() in suffixes and one not in taken
    ]


def _folders(folder: Path) -> list[Path]:
    return sorted(one for one in folder.iterdir() if one.is_dir() and not is_hidden(one.name))


def _labels_of_folders(
    folder: Path,
    by_class: dict[tuple[str, str], dict[str, Path]],
    asked: str | None,
    classes: list[str] | None,
    notes: list[str],
) -> tuple[Labels, dict[str, Path]]:
    """Labels and splits as the folders' names have them, and the clips' files.

    Without folders of splits, and without `asked`, a share of each class is for validation, chosen by the clips' names
    so that it stays the same; `notes` says so.
    """
    names = classes or sorted({label for _, label in by_class})
    clips: dict[str, Label] = {}
    for (split, label), files in by_class.items():
        if label not in names:
            raise ValueError(f"{folder}: has a folder {label!r}, which the list of classes has not: add it there")
        held_out: set[str] = set()
        if not split and asked is None:
            in_order = sorted(files, key=lambda name: hashlib.sha256(os.fsencode(name)).digest())
            held_out = set(in_order[: len(files) // _ONE_IN or int(len(files) > 1)])
        for name in files:
            own = split or (asked or ("val" if name in held_out else "train"))
            clips[name] = Label(names.index(label), own, 0)
    if asked is None and any(not split for split, _ in by_class):
        count = sum(label.split == "val" for label in clips.values())
        if count:
            text = (
                f"{count} of {len(clips)} clips are for validation, chosen by their names: to choose them, make folders"
            )
            notes.append(f"{text} train/CLASS and val/CLASS")
        else:
            notes.append(
                "no clip is for validation, without which train does not begin: add clips, two a class at least"
            )
    every = {name: file for files in by_class.values() for name, file in files.items()}
    return Labels(str(folder), clips, names), every


def _clip_files(kind: Kind, folder: Path, label_file: Path | None = None) -> dict[str, Path]:
    """The clips that lie in a folder itself, by name."""
    if kind.a_file_a_frame:
        pattern = f"*{kind.suffixes[0]}"
        return {
            one.name: one for one in _folders(folder) if not all(is_hidden(file.name) for file in one.glob(pattern))
        }
    files: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() not in kind.suffixes or is_hidden(file.name):
            continue
        if _holds_labels(file) or (label_file is not None and file.resolve() == label_file.resolve()):
            continue
        if file.stem in files:
            raise ValueError(f"{file}: is the same clip as {files[file.stem].name}: keep one of them")
        files[file.stem] = file
    return files


def _holds_labels(file: Path) -> bool:
    """Whether a file is one of labels, whatever its name; that it cannot be read is said when it is read as a clip."""
    try:
        return file.suffix.lower() == ".csv" and is_label_file(file)
    except OSError:
        return False


def _stem(kind: Kind, name: str) -> str:
    """A clip's name without the suffix that label files may give it."""
    if not kind.a_file_a_frame and name.lower().endswith(kind.suffixes):
        return name[: name.rindex(".")]
    return name


def _without_file(kind: Kind, labels: Labels, files: dict[str, Path]) -> list[BadFile]:
    return [
        BadFile(labels.path, label.line, f"clip {name!r} is not among the data: add it or remove its line")
        for name, label in labels.clips.items()
        if _stem(kind, name) not in files
    ]
