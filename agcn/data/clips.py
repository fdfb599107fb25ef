"""Clips on disk: what prep wrote, arrays or a packed store, checked and read a batch at a time.

Letters: N clips, C channels, T frames, V joints, M bodies.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agcn.defaults import prep_command
from agcn.model.network import Model
from agcn.settings import FeederArgs
from native_prep.io.arrays import load_array
from native_prep.io.progress import first_names
from native_prep.poses.custom import check_layout, custom_metadata
from native_prep.store.labels import read_labels
from native_prep.store.reader import StreamArray, find_part

DEBUG_CLIPS = 100
# How many clips are read at a time by who looks at all of them.
_CHUNK = 64


@dataclass(frozen=True)
class Clips:
    """Clips, their labels and names.

    Attributes:
        path: the file, for messages.
        data: (N, C, T, V, M), mapped from disk, in memory, or made from a packed store as it is read.
        labels: int64 (N,).
        names: N sample names.
    """

    path: str
    data: np.ndarray | StreamArray
    labels: np.ndarray
    names: list[str]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, C, T, V, M)."""
        return self.data.shape

    def batch(self, index: np.ndarray) -> np.ndarray:
        """The clips at `index`, float32 (B, C, T, V, M)."""
        return np.asarray(self.data[index], dtype=np.float32)

    def check(self, model: Model) -> None:
        """Raises ValueError where these clips do not fit `model`."""
        _, channels, _, joints, persons = self.shape
        for what, theirs, ours in (
            ("joints", joints, model.num_point),
            ("bodies", persons, model.num_person),
            ("channels", channels, model.in_channels),
        ):
            if theirs != ours:
                key = {"joints": "num_point and graph", "bodies": "num_person", "channels": "in_channels"}[what]
                raise ValueError(f"{self.path}: has {theirs} {what}, the model {ours}: set model_args.{key}")
        check_layout(self.path, model.layout)
        own = custom_metadata(self.path).get("classes", [])
        if own and len(own) != model.num_class:
            raise ValueError(
                f"{self.path}: was prepared with {len(own)} classes ({first_names(own)}), "
                f"the model has {model.num_class}: leave model_args.num_class out, or set it to {len(own)}"
            )
        if self.labels.size and int(self.labels.max()) >= model.num_class:
            worst = int(self.labels.argmax())
            raise ValueError(
                f"{self.path}: clip {self.names[worst]} has label {self.labels[worst]}, the model "
                f"{model.num_class} classes (labels count from 0): set model_args.num_class"
            )


def open_clips(args: FeederArgs, key: str = "feeder_args") -> Clips:
    """Open what `args` names; `key` is what the configuration calls them.

    Raises:
        ValueError: no path given, a file missing, damaged or of another kind, data and labels that disagree.
    """
    data = open_array(args, key)
    names, labels = open_labels(args.label_path, f"{key}.label_path")
    if len(labels) != len(data):
        raise ValueError(
            f"{args.label_path}: has {len(labels)} labels, {args.data_path} has {len(data)} clips: run prep again"
        )
    if isinstance(data, StreamArray) and names != data.names:
        raise ValueError(f"{args.label_path}: names other clips than the packed store of {args.data_path}: remove it")
    if args.debug:
        data, labels, names = data[:DEBUG_CLIPS], labels[:DEBUG_CLIPS], names[:DEBUG_CLIPS]
    return Clips(args.data_path, data, labels, names)


def open_array(args: FeederArgs, key: str = "feeder_args") -> np.ndarray | StreamArray:
    """The clips that `args` names, (N, C, T, V, M), mapped from disk or in memory.

    Where there is no such file, the path may lead into a packed store (`data/ntu/packed/xsub/train_data_joint.npy`), or
    lie beside one (`data/ntu/xsub/train_data_joint.npy`).

    Raises:
        ValueError: no path given, the file or store missing, damaged or of another kind.
    """
    if args.data_path and not Path(args.data_path).is_file():
        part = find_part(args.data_path, args.use_mmap)
        if part is not None and part.stream:
            return part.store.array(part.name, part.stream)
    path = _existing(args.data_path, f"{key}.data_path")
    data = load_array(path, args.use_mmap, remedy="run prep again")
    if data.ndim != 5 or data.dtype.kind != "f":
        raise ValueError(f"{path}: holds {data.dtype} {data.shape}, not float32 (N, C, T, V, M): give what prep wrote")
    return data


def open_labels(path: str | Path, key: str = "label_path") -> tuple[list[str], np.ndarray]:
    """Sample names and labels int64 (N,) of a label file, a pickled (names, labels), or of the store that it is in.

    Raises:
        ValueError: the file is missing, or holds something else.
    """
    if not is_there(str(path)):
        path = _existing(path, key)
    return read_labels(path)


def _existing(path: str | Path, key: str) -> Path:
    if not str(path):
        raise ValueError(f"{key} is not set: name the file that prep wrote")
    if not Path(path).is_file():
        raise ValueError(f"{path}: no such file: run {prep_command(path)} first, or set {key}")
    return Path(path)


def is_there(path: str) -> bool:
    """Whether there is a file of that path, or a packed store that stands for it."""
    return bool(path) and (Path(path).is_file() or find_part(path) is not None)


def hash_clips(clips: Clips) -> str:
    """SHA-256 over the names, labels and coordinates of clips: the same for arrays and packed stores of the same."""
    digest = hashlib.sha256(json.dumps([clips.names, clips.labels.tolist(), clips.shape]).encode())
    for start in range(0, len(clips), _CHUNK):
        digest.update(clips.batch(np.arange(start, min(start + _CHUNK, len(clips)))).tobytes())
    return digest.hexdigest()


def normalisation(clips: Clips) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each coordinate of each joint, float32 (C, 1, V, 1), over clips, frames, bodies.

    A coordinate that never changes gets a deviation of 1. Source: `get_mean_map` of the original's feeder.
    """
    _, channels, frames, joints, persons = clips.shape
    total = np.zeros((channels, joints))
    squares = np.zeros((channels, joints))
    for start in range(0, len(clips), _CHUNK):
        part = clips.data[start : start + _CHUNK].astype(np.float64)
        total += part.sum(axis=(0, 2, 4))
        squares += (part * part).sum(axis=(0, 2, 4))
    count = max(1, len(clips) * frames * persons)
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - mean * mean, 0.0))
    deviation[deviation == 0] = 1.0
    shape = (channels, 1, joints, 1)
    return mean.reshape(shape).astype(np.float32), deviation.reshape(shape).astype(np.float32)
