"""One raw file to one prepared clip, by the same kernels as whole data sets."""

import os
import threading

import numpy as np

from native_prep.cpu.reader import CODE, FRAMES, LINE, LONGEST, Reader, reason
from native_prep.datasets.catalog import get_dataset
from native_prep.datasets.recordings import BadFile
from native_prep.kernels import status
from native_prep.reference import raw_kinetics_clip, raw_ntu_clip
from native_prep.skeletons.layouts import KINETICS

_readers = threading.local()


def read_raw_clip(path: str | os.PathLike[str], dataset: str, max_frames: int) -> np.ndarray:
    """The coordinates of a clip's chosen bodies as recorded, for engines that prepare clips themselves.

    Args:
        path: a `.skeleton` file (ntu60, ntu120) or a JSON file (kinetics).
        max_frames: T; zeros follow the clip's own frames.

    Returns:
        float32 (3, T, V, M).

    Raises:
        ValueError: the file is bad, or cannot be read; it names the file and the line.
    """
    read_clip(path, dataset, max_frames)  # says what is wrong with a bad file
    read = raw_kinetics_clip if get_dataset(dataset).layout == KINETICS else raw_ntu_clip
    return read(path, max_frames)


def read_clip(
    path: str | os.PathLike[str], dataset: str, max_frames: int | None = None, filled: int | None = None
) -> np.ndarray:
    """A raw file as the joint clip that `prep` makes of it.

    A model sees what `test_feeder_args` makes of that: sampled, centred, ...; `export.raw_clips.read_input` gives it.

    Args:
        path: a `.skeleton` file (ntu60, ntu120) or a JSON file (kinetics, nw-ucla).
        dataset: whose form the file has.
        max_frames: T; None for the data set's, or the clip's own length for nw-ucla.
        filled: T is this instead, or the clip's own length where that is more.

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
    if filled is not None:
        frames = max(filled, report[FRAMES])
    return reader.rows[0, 0][:, : frames or report[FRAMES]].copy()
