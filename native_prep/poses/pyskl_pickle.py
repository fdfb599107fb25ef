"""Pickles of skeletons as PYSKL and MMAction2 have them (PYSKL, tools/data/README.md).

    {"split": {"xsub_train": [name, ...], "xsub_val": [...]},
     "annotations": [{"frame_dir": name, "label": 3, "total_frames": T, "img_shape": (height, width),
                      "keypoint": (M, T, V, C), "keypoint_score": (M, T, V)}, ...]}

or, older, the list of annotations alone, one file for each side. The pickle is in memory as a whole.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from native_prep.datasets.recordings import BadClip
from native_prep.io.pickles import load_pickle
from native_prep.poses.labels import is_row, split_of
from native_prep.poses.to_clip import Poses, checked_points
from native_prep.skeletons.layouts import Layout


class PysklFile:
    """An open pickle.

    Attributes:
        annotations: as the file has them.
        lost: names that a split lists and no annotation has, known after `clips` ran to its end.

    Raises:
        ValueError: the file holds something else, or objects that could run code.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        content = load_pickle(path)
        self._splits: dict[str, Any] = {}
        if isinstance(content, dict) and "annotations" in content:
            self._splits = _checked_splits(content.get("split"), path)
            content = content["annotations"]
        if not isinstance(content, list) or not all(isinstance(one, dict) for one in content) or not content:
            raise ValueError(f"{path}: holds no list of annotations: give a pickle as PYSKL and MMAction2 have it")
        self.annotations: list[dict[str, Any]] = content
        self.lost: list[str] = []

    def clips(self, split: str | None) -> Iterator[tuple[int, str, int, str]]:
        """Place, name, label (-1 for none) and train or val of each clip of the split.

        Raises:
            ValueError: no such split, or several and none is named; a clip without a name.
        """
        splits: dict[str, set[str]] = {}
        if self._splits:
            splits = self._names_by_split(split)
        known = set()
        for place, one in enumerate(self.annotations):
            name = one.get("frame_dir", one.get("filename"))
            if not isinstance(name, str):
                raise ValueError(f"{self._path}: annotation {place} has no frame_dir: give every clip a name")
            known.add(name)
            number = _number(one.get("label"))
            label = int(number) if number.is_integer() else -1
            if not self._splits:
                yield place, name, label, split_of("", split, str(self._path))
            for assigned, names in splits.items():
                if name in names:
                    yield place, name, label, assigned
        self.lost = sorted(set().union(*splits.values()) - known) if splits else []

    def _names_by_split(self, split: str | None) -> dict[str, set[str]]:
        """The names of train and val of a split: `xsub_train` and `xsub_val`, or `train1` and `test1`."""
        found: dict[str, dict[str, set[str]]] = {}
        for key, names in self._splits.items():
            for word, assigned in (("train", "train"), ("val", "val"), ("test", "val")):
                if word in str(key):
                    name = str(key).replace(word, "").strip("_-")
                    found.setdefault(name, {}).setdefault(assigned, {str(one) for one in names})
                    break
        if split is None and len(found) == 1:
            return next(iter(found.values()))
        if split not in found:
            asked = "has several splits" if split is None else f"has no split {split!r}"
            raise ValueError(f"{self._path}: {asked}: give --split one of {', '.join(sorted(found)) or 'its own'}")
        return found[split]


def read_annotation(one: dict[str, Any], layout: Layout, path: str) -> Poses:
    """The people of a clip of a pickle.

    Raises:
        BadClip: no keypoints, or of another form than the layout's.
    """
    what = f"clip {one.get('frame_dir', one.get('filename'))}: "
    if "keypoint" not in one:
        text = f"{what}has no keypoint: pickles whose poses lie in other files (raw_file) cannot be read"
        raise BadClip(path, text)
    points = checked_points(one["keypoint"], layout, path, what, one.get("keypoint_score"))
    if "total_frames" in one and _number(one["total_frames"]) != points.shape[1]:
        text = f"{what}has {points.shape[1]} frames, total_frames says {_short(one['total_frames'])}: fix one"
        raise BadClip(path, text)
    shape = one.get("img_shape")
    if layout.coordinates != "image" or not isinstance(shape, tuple | list) or len(shape) != 2:
        return Poses(points)
    height, width = _number(shape[0]), _number(shape[1])
    if not (0 <= height < np.inf and 0 <= width < np.inf):
        text = f"{what}img_shape is {_short(shape)}: give height and width in pixels"
        raise BadClip(path, text)
    return Poses(points, None, (width, height) if height and width else None)


def _checked_splits(splits: Any, path: Path) -> dict[str, Any]:
    splits = splits if splits is not None else {}
    if not isinstance(splits, dict) or not all(map(is_row, splits.values())):
        raise ValueError(f"{path}: its split is not a dictionary of lists of names: write {{'train': [NAME, ...]}}")
    return splits


def _number(value: Any) -> float:
    """A number of Python's or NumPy's; NaN for anything else."""
    try:
        return float(value) if np.ndim(value) == 0 and not isinstance(value, str | bytes) else np.nan
    except (TypeError, ValueError, OverflowError):
        return np.nan


def _short(value: Any) -> str:
    return " ".join(repr(value).split())[:40]
