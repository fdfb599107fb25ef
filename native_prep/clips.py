"""One raw file to one prepared clip, by the same kernels as whole data sets."""

import os
import threading

import numpy as np

from native_prep import status
from native_prep.catalog import get_dataset
from native_prep.cpu import CODE, FRAMES, LINE, Reader, reason
from native_prep.prepare import LONGEST
from native_prep.recordings import BadFile

_readers = threading.local()


def read_clip(path: str | os.PathLike[str], dataset: str, max_frames: int | None = None) -> np.ndarray:
    """A raw file as the joint clip that a network of that data set sees.

    Args:
        path: a `.skeleton` file (ntu60, ntu120) or a JSON file (kinetics, nw-ucla).
        dataset: whose form the file has.
        max_frames: T; None for the data set's, or the clip's own length for nw-ucla.

    Returns:
        float32 (3, T, V, M).

    Raises:
        ValueError: the file is bad, or cannot be read; it names the file and the line.
    """
    found = get_dataset(dataset)
    frames = max_frames or found.max_frames
    key = (dataset, frames)
    readers = _readers.__dict__.setdefault("by_key", {})
    if key not in readers:
        readers[key] = Reader(found, ("joint",), frames or LONGEST, 1)
    reader = readers[key]
    report = reader.run([str(path)])[0]
    if report[CODE] != status.OK:
        raise ValueError(str(BadFile(str(path), int(report[LINE]), reason(str(path), report))))
    return reader.rows[0, 0][:, : frames or report[FRAMES]].copy()
