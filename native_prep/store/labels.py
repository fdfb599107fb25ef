"""Label files: the names of clips and their classes, as `prep` writes them."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from native_prep.io.pickles import load_pickle
from native_prep.store.reader import find_part


def read_labels(path: str | os.PathLike[str]) -> tuple[list[str], np.ndarray]:
    """The names of clips and their labels, int64 (N,) from 0, of a label file or the packed store that it leads into.

    Raises:
        ValueError: the file holds something else.
        OSError: it cannot be read.
    """
    part = None if Path(path).is_file() else find_part(path)
    value = load_pickle(path) if part is None else part.store.names_and_labels(part.name)
    if isinstance(value, Mapping):
        raise ValueError(f"{path}: is a score file, labels were asked for: give the label file that prep wrote")
    if not isinstance(value, tuple | list) or len(value) != 2 or not isinstance(value[0], tuple | list):
        raise ValueError(f"{path}: holds no (names, labels): give a label file that prep wrote")
    names = [str(name) for name in value[0]]
    labels = _whole(value[1], path)
    if len(names) != len(labels):
        raise ValueError(f"{path}: has {len(names)} names and {len(labels)} labels: run prep again")
    if labels.size and labels.min() < 0:
        worst = int(labels.argmin())
        raise ValueError(f"{path}: clip {names[worst]} has label {labels[worst]}: labels count from 0")
    return names, labels


def _whole(values: Any, path: str | os.PathLike[str]) -> np.ndarray:
    wrong = f"{path}: has a label that is not a whole number: run prep again"
    try:
        found = np.asarray(values).reshape(-1)
        with np.errstate(invalid="ignore"):
            labels = found.astype(np.int64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(wrong) from error
    if not np.array_equal(labels, found):
        raise ValueError(wrong)
    return labels
