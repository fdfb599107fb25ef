"""What `view` shows of a clip, and raw files beside what prep makes of them; of prepared data see `prepared_data`.

Letters: C channels, T frames, V joints, M bodies, P people as a file has them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from bench.pages.clip_data import Track
from export.raw_clips import RawClips
from native_prep.cpu.in_memory import prepare_frames
from native_prep.cpu.one_file import read_clip
from native_prep.datasets.catalog import class_names, get_dataset
from native_prep.datasets.names import parse_name
from native_prep.datasets.recordings import EmptyClip, files_below
from native_prep.poses.checks import MARGIN
from native_prep.poses.custom import custom_clip, default_metadata
from native_prep.poses.files import default_layout, kind_of_clip, read_pose_file
from native_prep.poses.people import dataset_of_file, read_people
from native_prep.poses.readers.frames import load_json
from native_prep.poses.to_clip import Poses
from native_prep.skeletons.layouts import Layout, find_layout
from native_prep.skeletons.streams import bones

# Frames a second of NTU, Kinetics and NW-UCLA, and of what does not say.
FPS = 30.0
# The people of a file without a data set that are kept, as prep custom keeps them.
_BODIES = 2
_NO_SIZE = "The file does not tell the size of its picture: the frame is as large as the poses."
_SORTED = "In each frame prep sorts people by score: raw and prepared may show the same person in different colours."
# Data sets whose files tell their label, and its key; NW-UCLA's counts from 1.
_LABELLED = {"kinetics": "label_index", "nw-ucla": "label"}


@dataclass(frozen=True)
class Recording:
    """One clip.

    Attributes:
        name: its name; path: the raw file, "" of prepared ones; source: the file that it was found in.
        layout: its skeleton.
        tracks: what can be seen of it, by name.
        prepared: float32 (3, T, V, M), its real frames alone.
        whole: float32 (3, T, V, M), the clip as prep wrote it; empty of raw files.
        people: float32 (P, T, V, 3), as the file has them; empty of prepared clips.
        action: the name of its class, "" where that is not known.
        notes: sentences on what is seen.
    """

    name: str
    path: str
    source: str
    layout: Layout
    tracks: dict[str, Track]
    prepared: np.ndarray
    whole: np.ndarray
    people: np.ndarray
    action: str
    notes: tuple[str, ...] = ()


def open_raw(path: str, raw: RawClips | None, layout: str | None, size: tuple[int, int] | None) -> Recording:
    """A raw file or folder, beside what prep makes of it.

    Args:
        path: anything that `predict` takes.
        raw: what reads it for a network, whose skeleton and data set the clip then has; None: as the file says.
        layout: the skeleton of files that do not say; size: of pictures whose files give pixels and no size; without
            it and a network, the picture is as large as the poses.

    Raises:
        ValueError: nobody is in it, it cannot be read or is of no form that is known, or it is a data set's and tells
            what `layout` or `size` would; names the file, and the line.
        OSError: it cannot be read.
    """
    Path(path).stat()
    own = dataset_of_file(path)
    dataset = raw.form.dataset if raw is not None else own
    if own and dataset != "custom":
        for option, value in (("--layout", layout), ("--image-size", size)):
            if value is not None:
                raise ValueError(f"{path}: is a clip of {own}, which needs no {option}: leave it out")
    notes: list[str] = []
    if raw is not None:
        poses, skeleton = raw.read_people(path), raw.layout
        custom = raw.form.custom | ({"image_size": list(size)} if size and raw.form.custom else {})
    elif dataset:
        poses, skeleton, custom = read_people(path, get_dataset(dataset)), get_dataset(dataset).layout, {}
    else:
        poses, skeleton = _read_poses(path, layout)
        if skeleton.coordinates == "image" and size is None and poses.size is None:
            size = _extent(poses.points)
            notes += [_NO_SIZE] * (size is not None)
        custom = default_metadata(skeleton, _BODIES, []) | {"image_size": list(size) if size else None}
    if not poses.points.any():
        raise EmptyClip(path, "nobody is seen in any of its frames: give another clip")
    frames = poses.points.shape[1]
    if custom:
        clip = custom_clip(poses, custom, None, path)
    elif own:
        clip = read_clip(path, dataset, frames)
    else:
        clip = prepare_frames(poses.points.astype(np.float64), get_dataset(dataset), frames)
    image = skeleton.coordinates == "image"
    picture = tuple(poses.size or custom.get("image_size") or (1.0, 1.0)) if image else None
    several = np.count_nonzero(poses.points.any(axis=(1, 2, 3))) > 1
    if image and several and (not custom or (poses.ids is not None and not custom["track"])):
        notes.append(_SORTED)
    people = poses.points if image else in_order_of(poses.points, clip, skeleton)
    return Recording(
        name=Path(path).name,
        path=path,
        source=path,
        layout=skeleton,
        tracks={
            "raw": Track(
                people.transpose(3, 1, 2, 0), y_down=image, picture=picture, up=None if custom or image else (1, 1)
            ),
            "prepared": as_prepared(clip, skeleton, "" if custom else dataset),
            "bone": Track(bones(clip, skeleton), vectors=True),
        },
        prepared=clip,
        whole=clip[:, :0],
        people=poses.points,
        action=_action_in(path, own) if own in _LABELLED else _action_of_name(dataset, Path(path).name),
        notes=tuple(notes),
    )


def _read_poses(path: str, layout: str | None) -> tuple[Poses, Layout]:
    place = Path(path)
    if place.is_dir() and any(dataset_of_file(str(file)) for file in islice(files_below(place), 9)):
        raise ValueError(f"{path}: is a folder of raw clips: give one of them, or the folder that prep makes of it")
    kind = kind_of_clip(place)
    if kind is None:
        raise EmptyClip(path, "nobody is in it: give another clip")
    skeleton = find_layout(layout or default_layout(kind, [place], place))
    return read_pose_file(path, skeleton, kind), skeleton


def _extent(points: np.ndarray) -> tuple[int, int] | None:
    """The size of a picture that holds poses in pixels, (P, T, V, 3); None of shares, and of nobody."""
    places = points[..., :2][points[..., 2] != 0]  # (n, 2)
    if not len(places) or np.abs(places).max() <= 1 + MARGIN:
        return None
    width, height = np.maximum(np.ceil(places.max(axis=0)), 1).astype(int).tolist()
    return width, height


def _action_in(path: str, dataset: str) -> str:
    """The class that a JSON file itself tells; "" where it does not."""
    content = load_json(path)
    label, name = content.get(_LABELLED[dataset]), content.get("label")
    if isinstance(label, int):
        return class_name(classes_of(dataset), label - (dataset == "nw-ucla"))
    return name if isinstance(name, str) else ""


def _action_of_name(dataset: str, name: str) -> str:
    """The class that the name of a data set's clip tells; "" of other names."""
    if not dataset or dataset == "custom":
        return ""
    try:
        label = parse_name(dataset, name).action - 1
    except ValueError:
        return ""
    return class_name(classes_of(dataset), label)


def classes_of(dataset: str) -> list[str]:
    """Names of the classes; NTU 60's are the first of NTU 120's."""
    return class_names("ntu120" if dataset == "ntu60" else dataset)


def class_name(names: Sequence[str], label: int) -> str:
    """The name of a class, "class 5" where it has none, and "" of a clip without a label, which is negative."""
    return names[label] if 0 <= label < len(names) else f"class {label}" if label >= 0 else ""


def as_prepared(clip: np.ndarray, layout: Layout, dataset: str) -> Track:
    """Joints as prep made them; of NTU it turns z upwards, and of people in pictures y."""
    if layout.coordinates == "image":
        return Track(clip, picture=(1.0, 1.0))
    return Track(clip, up={"ntu": (2, 1), "nw-": (1, 1)}.get(dataset[:3]))


def in_order_of(people: np.ndarray, clip: np.ndarray, layout: Layout) -> np.ndarray:
    """People (P, T, V, 3) in the order of a clip's bodies, told by how long their bones are; the others follow."""
    ours, theirs = _bone_lengths(people.transpose(3, 1, 2, 0), layout), _bone_lengths(clip, layout)
    left, order = list(range(len(people))), []
    for body in theirs:
        if np.isfinite(body).any() and left:
            distances = [np.nanmean(np.abs(ours[one] - body)) if np.isfinite(ours[one]).any() else 1e9 for one in left]
            order.append(left.pop(int(np.argmin(distances))))
    return people[order + left]


def _bone_lengths(clip: np.ndarray, layout: Layout) -> np.ndarray:
    """The mean length of each bone of each body of (3, T, V, M): (M, V), NaN where it was never seen."""
    lengths = np.linalg.norm(bones(clip, layout), axis=0)  # (T, V, M)
    there = np.asarray(clip.any(axis=(0, 2)))[:, None]  # (T, 1, M)
    frames = there.sum(axis=0)  # (1, M)
    return np.where(frames > 0, (lengths * there).sum(axis=0) / np.maximum(frames, 1), np.nan).T
