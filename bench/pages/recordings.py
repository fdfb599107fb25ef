"""What `view` is asked to show: a raw clip, prepared data or a packed store, as recordings with all there is to see.

Letters: C channels, T frames, V joints, M bodies, P people as a file has them.
"""

import difflib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from agcn.data.clips import is_there, open_clips
from agcn.settings import FeederArgs
from bench.pages.clip_data import Track
from export.inputs import spread
from export.raw_clips import RawClips
from native_prep.cpu.in_memory import prepare_frames
from native_prep.cpu.one_file import read_clip
from native_prep.datasets.catalog import DATASETS, class_names, get_dataset
from native_prep.datasets.names import parse_name
from native_prep.datasets.recordings import EmptyClip
from native_prep.io.progress import first_names
from native_prep.poses.custom import custom_clip, custom_metadata, default_metadata
from native_prep.poses.files import default_layout, kind_of_clip, read_pose_file
from native_prep.poses.people import read_people
from native_prep.poses.to_clip import Poses
from native_prep.skeletons.layouts import Layout, find_layout, layout_from_dict
from native_prep.skeletons.padding import real_frames
from native_prep.skeletons.streams import STREAMS, bones
from native_prep.store.format import STORE, read_store
from native_prep.store.reader import FOLDER, StreamArray

# Frames a second of NTU, Kinetics and NW-UCLA, and of what does not say.
FPS = 30.0
# The people of a file without a data set that are kept, as prep custom keeps them.
_BODIES = 2
# So many names of clips are compared with one that is not known.
_LOOKED_THROUGH = 10_000
_PREPARED = re.compile(rf"(?P<split>.+)_data_(?:{'|'.join(STREAMS)})\.npy")


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


def open_raw(path: str, raw: RawClips | None, form: Any, layout: str | None, size: tuple[int, int] | None) -> Recording:
    """A raw file or folder, beside what prep makes of it.

    Args:
        path: anything that `predict` takes.
        raw: what reads it for a network, whose skeleton and data set the clip then has; None: as the file says.
        form: the network's manifest, or what stands for one, where `raw` is given.
        layout: the skeleton of files that do not say; size: of pictures whose files give pixels and no size.

    Raises:
        ValueError: nobody is in it, or it cannot be read or is of no form that is known; names the file, and the line.
        OSError: it cannot be read.
    """
    Path(path).stat()
    dataset = form.dataset if raw is not None else _dataset_of(path)
    if raw is not None:
        poses, skeleton = raw.read_people(path), raw.layout
        custom = form.custom | ({"image_size": list(size)} if size and form.custom else {})
    elif dataset:
        poses, skeleton, custom = read_people(path, get_dataset(dataset)), get_dataset(dataset).layout, {}
    else:
        poses, skeleton = _read_poses(path, layout)
        custom = default_metadata(skeleton, _BODIES, []) | {"image_size": list(size) if size else None}
    if not poses.points.any():
        raise EmptyClip(path, "nobody is seen in any of its frames: give another clip")
    frames = poses.points.shape[1]
    if custom:
        clip = custom_clip(poses, custom, None, path)
    elif path.endswith(get_dataset(dataset).suffix) and _dataset_of(path):
        clip = read_clip(path, dataset, frames)
    else:
        clip = prepare_frames(poses.points.astype(np.float64), get_dataset(dataset), frames)
    image = skeleton.coordinates == "image"
    picture = tuple(poses.size or custom.get("image_size") or (1.0, 1.0)) if image else None
    people = poses.points if image else _in_order_of(poses.points, clip, skeleton)
    return Recording(
        name=Path(path).name,
        path=path,
        source=path,
        layout=skeleton,
        tracks={
            "raw": Track(
                people.transpose(3, 1, 2, 0), y_down=image, picture=picture, up=None if custom or image else (1, 1)
            ),
            "prepared": _as_prepared(clip, skeleton, "" if custom else dataset),
            "bone": Track(bones(clip, skeleton), vectors=True),
        },
        prepared=clip,
        whole=clip[:, :0],
        people=poses.points,
        action=_action_of_name(dataset, Path(path).name),
    )


def _dataset_of(path: str) -> str:
    """The data set that a raw file is of, "" for poses of one's own."""
    file = Path(path)
    if file.is_dir():
        return ""
    if file.name.endswith(".skeleton"):
        return "ntu60"
    if file.suffix != ".json":
        return ""
    with file.open("rb") as stream:
        content = stream.read()
    if b'"skeletons"' in content:
        return "nw-ucla"
    return "kinetics" if b'"skeleton"' in content or b'"label_index"' in content else ""


def _read_poses(path: str, layout: str | None) -> tuple[Poses, Layout]:
    place = Path(path)
    if place.is_dir() and any(_dataset_of(str(file)) for file in islice(sorted(place.iterdir()), 9)):
        raise ValueError(f"{path}: is a folder of raw clips: give one of them, or the folder that prep makes of it")
    kind = kind_of_clip(place)
    if kind is None:
        raise EmptyClip(path, "nobody is in it: give another clip")
    skeleton = find_layout(layout or default_layout(kind, [place], place))
    return read_pose_file(path, skeleton, kind), skeleton


def _action_of_name(dataset: str, name: str) -> str:
    """The class that the name of a data set's clip tells; "" of other names."""
    if not dataset or dataset == "custom":
        return ""
    try:
        label = parse_name(dataset, name).action - 1
    except ValueError:
        return ""
    return _named(_classes_of(dataset), label)


def _classes_of(dataset: str) -> list[str]:
    """Names of the classes; NTU 60's are the first of NTU 120's."""
    return class_names("ntu120" if dataset == "ntu60" else dataset)


def _named(names: Sequence[str], label: int) -> str:
    return names[label] if 0 <= label < len(names) else f"class {label}" if label >= 0 else ""


def _as_prepared(clip: np.ndarray, layout: Layout, dataset: str) -> Track:
    """Joints as prep made them; of NTU it turns z upwards, and of people in pictures y."""
    if layout.coordinates == "image":
        return Track(clip, picture=(1.0, 1.0))
    return Track(clip, up={"ntu": (2, 1), "nw-": (1, 1)}.get(dataset[:3]))


def _in_order_of(people: np.ndarray, clip: np.ndarray, layout: Layout) -> np.ndarray:
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


def prepared_data(path: str) -> tuple[str, str] | None:
    """The paths of the joints and the labels that `prep` wrote to a place; None where it did not.

    Args:
        path: a prepared array, a packed store, or the folder of either, also the one above the benchmarks' folders.
    """
    place = Path(path)
    joints: Path | None = None
    if (usual := _PREPARED.fullmatch(place.name)) and not place.is_dir():
        joints = place.with_name(f"{usual['split']}_data_joint.npy")
        joints = joints if is_there(str(joints)) else None
    elif place.is_dir():
        joints = _joints_in(place)
    if joints is None:
        return None
    return str(joints), str(joints.with_name(joints.name.replace("_data_joint.npy", "_label.pkl")))


def _joints_in(place: Path) -> Path | None:
    for folder in (place, *sorted(one for one in place.iterdir() if one.is_dir() and one.name != FOLDER)):
        splits = sorted(folder.glob("*_data_joint.npy"))
        if splits:
            return next((file for file in splits if file.name.startswith("val_")), splits[0])
    for store in (place, place / FOLDER):
        if (store / STORE).is_file():
            parts = read_store(store / STORE)[0].parts
            part = next((name for name in parts if name.split("/")[-1] == "val"), parts[0])
            return store / f"{part}_data_joint.npy"
    return None


def open_prepared(
    path: str, labels: str, wanted: Sequence[str], most: int, layout: str | None = None, spread_out: bool = False
) -> list[Recording]:
    """Clips of prepared data.

    Args:
        path, labels: what `prepared_data` gives.
        wanted: their names, with suffix or not; () for the first `most`, or so many from everywhere in the data.
        layout: the skeleton of arrays that do not tell.

    Raises:
        ValueError: no clip of such a name, data that are damaged or of a skeleton that cannot be told.
        OSError: a file cannot be read.
    """
    clips = open_clips(FeederArgs(path, labels, use_mmap=True))
    if not len(clips):
        raise ValueError(f"{path}: holds no clip: name another part, as {path.replace('val_', 'train_')}")
    skeleton, dataset, actions = _skeleton_of(path, clips.data, layout)
    places = _places(path, clips.names, wanted)
    if not wanted:
        places = spread(len(clips), most).tolist() if spread_out else list(range(min(most, len(clips))))
    found = []
    for place in places:
        whole = np.array(clips.data[place], np.float32)
        clip = whole[:, : real_frames(whole)]
        found.append(
            Recording(
                name=clips.names[place],
                path="",
                source=path,
                layout=skeleton,
                tracks={
                    "joint": _as_prepared(clip, skeleton, dataset),
                    "bone": Track(bones(clip, skeleton), vectors=True),
                },
                prepared=clip,
                whole=whole,
                people=np.zeros((0, 0, skeleton.num_joints, 3), np.float32),
                action=_named(actions, int(clips.labels[place])),
            )
        )
    return found


def _skeleton_of(path: str, data: np.ndarray | StreamArray, layout: str | None) -> tuple[Layout, str, list[str]]:
    """The skeleton of prepared data, the data set, "" of one's own data, and the names of its classes."""
    metadata = custom_metadata(path)
    if metadata:
        return layout_from_dict(metadata["layout"]), "", metadata["classes"]
    if isinstance(data, StreamArray):
        head = data.store.head
        return head.layout, head.dataset, _classes_of(head.dataset) if head.dataset in DATASETS else []
    joints = data.shape[3]
    if layout is not None:
        found = find_layout(layout)
        if found.num_joints != joints:
            raise ValueError(f"{path}: has {joints} joints, layout {found.name} {found.num_joints}: give its own")
        return found, "", []
    fitting = [one for one in DATASETS.values() if one.layout.num_joints == joints]
    if not fitting:
        raise ValueError(f"{path}: has {joints} joints and does not say which: give --layout NAME or FILE.yaml")
    return fitting[0].layout, fitting[0].name, _classes_of(fitting[0].name)


def _places(path: str, names: list[str], wanted: Sequence[str]) -> list[int]:
    known = {name: place for place, name in reversed(list(enumerate(names)))}
    for place, name in enumerate(names):
        known.setdefault(os.path.splitext(name)[0], place)  # noqa: PTH122 (a name, no path)
    for name in wanted:
        if name not in known:
            close = difflib.get_close_matches(name, names[:_LOOKED_THROUGH], n=1, cutoff=0.5)
            advice = f"did you mean {close[0]!r}?" if close else f"its clips are {first_names(names)}"
            raise ValueError(f"{path}: has no clip {name!r}: {advice}")
    return [known[name] for name in dict.fromkeys(wanted)]
