"""The CPU driver: files in, prepared clips out, in compiled code that holds no lock of Python's.

A whole run of files goes through one compiled call, reading included: threads then scale as processes would. Files are
opened and read by the C library, called from compiled code.
"""

import os

import numpy as np
from numba import types

from native_prep import status
from native_prep.catalog import Dataset
from native_prep.dense import write_streams
from native_prep.jit import borrowed, c_function, entry, scalar
from native_prep.kinetics_json import MAX_PEOPLE, parse_kinetics
from native_prep.normalise import normalise_ntu
from native_prep.normalise_plain import normalise_kinetics, normalise_nw_ucla
from native_prep.nw_ucla_json import parse_nw_ucla
from native_prep.skeleton_text import MAX_BODIES, line_of, parse_skeleton
from native_prep.streams import STREAMS
from native_prep.words import SLACK

MAX_MIB = 32  # the longest real clip has less than 8
MAX_BYTES = MAX_MIB << 20
# What a file reports: a status, its line, two numbers that go with it, bytes read, frames and label.
CODE, LINE, FIRST, SECOND, BYTES, FRAMES, LABEL = range(7)

_open = c_function("open", types.intc, types.voidptr, types.intc)
_read = c_function("read", types.int64, types.intc, types.voidptr, types.uintp)
_close = c_function("close", types.intc, types.intc)
# A pipe that is named like a clip must not stop us for ever.
_READ_ONLY = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


@scalar
def _read_file(path, text):
    """(status, bytes) of a file whose name `path` ends with a zero byte; line feeds follow its text."""
    handle = _open(path.ctypes, _READ_ONLY)
    if handle < 0:
        return status.UNREADABLE, 0
    size = 0
    room = text.size - SLACK
    while True:
        got = _read(handle, text[size:].ctypes, room - size)
        if got <= 0:
            break
        size += got
        if size == room:
            break
    _close(handle)
    if got < 0:
        return status.UNREADABLE, 0
    if size == room:
        return status.TOO_BIG, 0
    for index in range(size, size + SLACK):
        text[index] = 10
    return status.OK, size


@scalar
def note(report, text, result):
    """Notes what became of a file; its line is counted only where something is wrong."""
    code, where, first, second = result
    report[CODE], report[FIRST], report[SECOND] = code, first, second
    report[FRAMES] = first if code == status.OK else 0
    report[LABEL] = second if code == status.OK else -1
    report[LINE] = 0 if code == status.OK or code == status.EMPTY else line_of(text, where)


@scalar
def load_file(path, text, report):
    """The size of a file, or -1 where it could not be read."""
    code, size = _read_file(path, text)
    report[BYTES] = size
    report[CODE], report[FIRST] = code, MAX_MIB
    report[LINE] = report[FRAMES] = 0
    return size if code == status.OK else -1


@entry
def _run_ntu(paths, reports, text, raw, room, joints, clip, places, rows, spare):
    bodies, body = raw
    centre, spine, shoulders, parents = joints
    for index in range(paths.shape[0]):
        size = load_file(paths[index], text, reports[index])
        if size < 0:
            continue
        result = parse_skeleton(text[: size + SLACK], size, bodies, body)
        note(reports[index], text, result)
        if result[0] == status.OK and rows.shape[1] > 0:
            made = normalise_ntu(bodies, result[2], clip, (centre, spine, shoulders), room)
            write_streams(clip, made, parents, places, rows[index], spare)


@entry
def _run_kinetics(paths, reports, text, raw, parents, clip, places, rows, spare):
    points, people, poses, scores = raw
    for index in range(paths.shape[0]):
        size = load_file(paths[index], text, reports[index])
        if size < 0:
            continue
        result = parse_kinetics(text[: size + SLACK], size, points, people, poses, scores)
        note(reports[index], text, result)
        if result[0] == status.OK and rows.shape[1] > 0:
            normalise_kinetics(borrowed(points), borrowed(people), borrowed(clip))
            write_streams(clip, clip.shape[1], parents, places, rows[index], spare)


@entry
def _run_nw_ucla(paths, reports, text, points, classes, parents, clip, places, rows, spare):
    for index in range(paths.shape[0]):
        size = load_file(paths[index], text, reports[index])
        if size < 0:
            continue
        result = parse_nw_ucla(text[: size + SLACK], size, points, classes)
        note(reports[index], text, result)
        if result[0] == status.OK and rows.shape[1] > 0:
            normalise_nw_ucla(borrowed(points), result[2], borrowed(clip))
            write_streams(clip, clip.shape[1], parents, places, rows[index], spare)


def path_table(paths: list[str]) -> np.ndarray:
    """The names of files as compiled code takes them: uint8 (N, longest + 1), each ends with a zero byte."""
    names = [os.fsencode(path) + b"\0" for path in paths]
    return np.array(names, dtype=f"S{max(map(len, names))}").view(np.uint8).reshape(len(names), -1)


class Reader:
    """Reads raw files of one data set in one thread; several readers work in as many threads at once.

    Args:
        dataset: which kind of files.
        streams: which of `streams.STREAMS` to make, in that order; none to read and check only.
        frames: T; longer clips are bad.
        capacity: how many files `run` can take.

    Attributes:
        rows: float32 (capacity, S, 3, T, V, M), what `run` made last.
    """

    def __init__(self, dataset: Dataset, streams: tuple[str, ...], frames: int, capacity: int) -> None:
        self.dataset = dataset
        layout = dataset.layout
        dense = (3, frames, layout.num_joints, dataset.num_person)
        self.rows = np.empty((capacity, len(streams), *dense), np.float32)
        self._flat = self.rows.reshape(capacity, len(streams), 3, int(np.prod(dense[1:])))
        self._spare = np.empty(self._flat.shape[2:], np.float32)
        self._clip = np.empty((dataset.num_person, frames, layout.num_joints, 3), np.float32)
        self._text = np.empty(MAX_BYTES + SLACK + 1, np.uint8)  # the system gives memory only as far as it is used
        self._places = np.array([streams.index(name) if name in streams else -1 for name in STREAMS])
        self._parents = np.array(layout.bone_parents)
        self._make_raw(frames)

    def _make_raw(self, frames: int) -> None:
        layout, joints = self.dataset.layout, self.dataset.layout.num_joints
        if layout.name == "ntu":
            spine, shoulders = np.array(layout.spine), np.array(layout.shoulders)
            self._joints = (layout.centre, spine, shoulders, self._parents)
            self._ntu = (np.empty((frames, MAX_BODIES, joints, 3)), np.empty((joints, 3)))
            sums = (np.empty(MAX_BODIES), np.empty((2, frames)), np.empty((3, 3)))
            self._room = (np.empty(joints), np.empty(joints, np.float32), *sums)
        elif layout.name == "kinetics":
            points, people = np.empty((frames, MAX_PEOPLE, 3 * joints)), np.zeros(frames, np.int64)
            self._kinetics = (points, people, np.empty((MAX_PEOPLE, 2 * joints)), np.empty((MAX_PEOPLE, joints)))
        else:
            self._nw_ucla = np.empty((frames, joints, 3))

    def run(self, paths: list[str]) -> np.ndarray:
        """Prepares files; whatever the bytes, it raises nothing.

        Returns:
            int64 (len(paths), 7): for each file its status, line, two numbers that go with the status, bytes, frames
            and label (-1 where the file has none). `rows` holds the clips of those with status 0.
        """
        table = path_table(paths)
        reports = np.zeros((len(paths), 7), np.int64)
        after = (self._clip, self._places, self._flat, self._spare)
        kind = self.dataset.layout.name
        if kind == "ntu":
            _run_ntu(table, reports, self._text, self._ntu, self._room, self._joints, *after)
        elif kind == "kinetics":
            _run_kinetics(table, reports, self._text, self._kinetics, self._parents, *after)
        else:
            classes = self.dataset.num_class
            _run_nw_ucla(table, reports, self._text, self._nw_ucla, classes, self._parents, *after)
        return reports


def reason(path: str, report: np.ndarray) -> str:
    """What is wrong with a file that `Reader.run` reported on."""
    code = int(report[CODE])
    if code != status.UNREADABLE:
        return status.explain(code, int(report[FIRST]), int(report[SECOND]))
    try:
        with open(path, "rb") as file:  # noqa: PTH123 (only to learn what the system says)
            file.read(1)
    except OSError as error:
        return f"{error.strerror or error}: give a file that can be read"
    return "could not be read to its end: try again"
