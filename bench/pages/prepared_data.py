"""Clips of prepared data and packed stores, as `view` shows them."""

import difflib
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from agcn.data.clips import is_there, open_clips
from agcn.settings import FeederArgs
from bench.pages.clip_data import Track
from bench.pages.recordings import Recording, as_prepared, class_name, classes_of
from export.inputs import spread
from native_prep.datasets.catalog import DATASETS
from native_prep.datasets.recordings import SPLITS
from native_prep.io.archives import is_hidden
from native_prep.io.progress import first_names
from native_prep.poses.custom import custom_metadata
from native_prep.skeletons.layouts import Layout, find_layout, layout_from_dict
from native_prep.skeletons.padding import real_frames
from native_prep.skeletons.streams import STREAMS, bones
from native_prep.store.format import STORE, read_store
from native_prep.store.labels import read_labels
from native_prep.store.reader import FOLDER, StreamArray

# So many names of clips are compared with one that is not known.
_LOOKED_THROUGH = 10_000
_PREPARED = re.compile(rf"(?P<split>.+)_data_(?:{'|'.join(STREAMS)})\.npy")


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
    return str(joints), _labels_of(joints)


def _labels_of(joints: Path) -> str:
    return str(joints.with_name(joints.name.replace("_data_joint.npy", "_label.pkl")))


def _joints_in(place: Path) -> Path | None:
    inside = (one for one in place.iterdir() if one.is_dir() and one.name != FOLDER and not is_hidden(one.name))
    for folder in (place, *sorted(inside)):
        splits = sorted(file for file in folder.glob("*_data_joint.npy") if not is_hidden(file.name))
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
                    "joint": as_prepared(clip, skeleton, dataset),
                    "bone": Track(bones(clip, skeleton), vectors=True),
                },
                prepared=clip,
                whole=whole,
                people=np.zeros((0, 0, skeleton.num_joints, 3), np.float32),
                action=class_name(actions, int(clips.labels[place])),
            )
        )
    return found


def _skeleton_of(path: str, data: np.ndarray | StreamArray, layout: str | None) -> tuple[Layout, str, list[str]]:
    """The skeleton of prepared data, the data set, "" of one's own data, and the names of its classes."""
    metadata = custom_metadata(path)
    if layout is not None and (metadata or isinstance(data, StreamArray)):
        raise ValueError(f"{path}: tells its skeleton: leave --layout out")
    if metadata:
        return layout_from_dict(metadata["layout"]), "", metadata["classes"]
    if isinstance(data, StreamArray):
        head = data.store.head
        return head.layout, head.dataset, classes_of(head.dataset) if head.dataset in DATASETS else []
    joints = data.shape[3]
    if layout is not None:
        found = find_layout(layout)
        if found.num_joints != joints:
            raise ValueError(f"{path}: has {joints} joints, layout {found.name} {found.num_joints}: give its own")
        return found, "", []
    fitting = [one for one in DATASETS.values() if one.layout.num_joints == joints]
    if not fitting:
        raise ValueError(f"{path}: has {joints} joints and does not say which: give --layout NAME or FILE.yaml")
    return fitting[0].layout, fitting[0].name, classes_of(fitting[0].name)


def _places(path: str, names: list[str], wanted: Sequence[str]) -> list[int]:
    """The places of clips by their names, each once."""
    known = _by_name(names)
    for name in wanted:
        if name not in known:
            if (other := _in_other_split(path, name)) is not None:
                raise ValueError(f"{path}: has no clip {name!r}, it is in {other[0]}: view {other[1]}")
            close = difflib.get_close_matches(name, names[:_LOOKED_THROUGH], n=1, cutoff=0.5)
            advice = f"did you mean {close[0]!r}?" if close else f"its clips are {first_names(names)}"
            raise ValueError(f"{path}: has no clip {name!r}: {advice}")
    return list(dict.fromkeys(known[name] for name in wanted))


def _by_name(names: list[str]) -> dict[str, int]:
    """The places of names, also without their suffix."""
    known = {name: place for place, name in reversed(list(enumerate(names)))}
    for place, name in enumerate(names):
        known.setdefault(os.path.splitext(name)[0], place)  # noqa: PTH122 (a name, no path)
    return known


def _in_other_split(path: str, name: str) -> tuple[str, str] | None:
    """The other split and its joints, where a clip of this name is in it."""
    for split in SPLITS:
        other = Path(path).with_name(f"{split}_data_joint.npy")
        if str(other) != path and is_there(str(other)):
            with suppress(ValueError, OSError):  # what is wrong with it was not asked
                if name in _by_name(read_labels(_labels_of(other))[0]):
                    return split, str(other)
    return None
