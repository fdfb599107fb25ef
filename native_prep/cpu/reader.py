"""The CPU driver: files in, prepared clips out, in compiled code that holds no lock of Python's.

A whole run of files goes through one compiled call, reading included: threads then scale as processes would. Files are
opened and read by the C library, called from compiled code.
"""

import os
import stat
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numba import types

from native_prep.cpu.ntu_clip import normalise_ntu, ntu_scratch, turned_joints
from native_prep.datasets.catalog import Dataset
from native_prep.io.arrays import BINARY
from native_prep.kernels import status
from native_prep.kernels.jit import borrowed, c_function, njit, njit_cached, njit_inline
from native_prep.kernels.kinetics_json import MAX_PEOPLE, parse_kinetics
from native_prep.kernels.kinetics_ucla_steps import normalise_kinetics, normalise_nw_ucla
from native_prep.kernels.nw_ucla_json import parse_nw_ucla
from native_prep.kernels.packed_frames import bits_kept, pack, periods_kept
from native_prep.kernels.skeleton_text import MAX_BODIES, line_of, parse_skeleton
from native_prep.kernels.stream_rows import write_streams
from native_prep.kernels.swar import SLACK
from native_prep.skeletons.streams import STREAMS

MAX_MIB = 32  # the longest real clip has less than 8
MAX_BYTES = MAX_MIB << 20
# Frames that a clip of a data set without a fixed T may have.
LONGEST = 4096
# What a file reports: a status, its line, two numbers that go with it, bytes read, frames and label.
CODE, LINE, FIRST, SECOND, BYTES, FRAMES, LABEL = range(7)
_open = c_function("open", types.intc, types.voidptr, types.intc)
_read = c_function("read", types.int64, types.intc, types.voidptr, types.uintp)
_close = c_function("close", types.intc, types.intc)
# Windows has them by other names, which take the names of files in a code page.
HAS_C_FILES = os.name == "posix"
# A pipe that is named like a clip must not stop us for ever.
_READ_ONLY = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | BINARY


@njit
def _read_file(path, text):
    """(status, bytes) of a file whose name `path` ends with a zero byte; line feeds follow its text."""
    handle = _open(path.ctypes, _READ_ONLY)
    if handle < 0:
        return status.UNREADABLE, 0
    size = 0
    capacity = text.size - SLACK
    while True:
        got = _read(handle, text[size:].ctypes, capacity - size)
        if got <= 0:
            break
        size += got
        if size == capacity:
            break
    _close(handle)
    if got < 0:
        return status.UNREADABLE, 0
    if size == capacity:
        return status.TOO_BIG, 0
    for index in range(size, size + SLACK):
        text[index] = 10
    return status.OK, size


@njit
def _read_nothing(path, text):
    return status.UNREADABLE, 0


if not HAS_C_FILES:  # compiled code must not even name calls that are not there
    _read_file = _read_nothing


@njit
def load_file(path, text, report):
    """The size of a file, or -1 where it could not be read."""
    code, size = _read_file(path, text)
    report[BYTES] = size
    report[CODE], report[FIRST] = code, MAX_MIB
    report[LINE] = report[FRAMES] = 0
    return size if code == status.OK else -1


@njit
def write_report(report, text, result):
    """Notes what became of a file; its line is counted only where something is wrong. Whether all is well."""
    code, where, first, second = result
    report[CODE], report[FIRST], report[SECOND] = code, first, second
    report[FRAMES] = first if code == status.OK else 0
    report[LABEL] = second if code == status.OK else -1
    report[LINE] = 0 if code == status.OK or code == status.EMPTY else line_of(text, where)
    return code == status.OK


@njit
def _put(clip, num_distinct, lengths, sinks, index):
    """Writes a clip's streams where rows are asked for, and packs it where `lengths` holds something."""
    parents, places, rows, scratch, frames, at = sinks
    if rows.shape[1] > 0:
        write_streams(clip, num_distinct, parents, places, rows[index], scratch)
    if lengths.size > 0:
        at[0] = pack(borrowed(clip), lengths, borrowed(frames), at[0])


def file_loop(visit: Callable[..., None]) -> Any:
    """The compiled loop over files, compiled (paths, reports, text, given): the one loop of all readers.

    Args:
        visit: compiled (text, size, index, report, given): makes something of a file's text.
    """

    @njit_inline
    def each_file(paths, reports, text, given):
        for index in range(paths.shape[0]):
            size = load_file(paths[index], text, reports[index])
            if size >= 0:
                visit(text[: size + SLACK], size, index, reports[index], given)

    return each_file


@njit_inline
def _ntu_file(text, size, index, report, given):
    (bodies, body, scratch, joints, periods), clip, lengths, sinks = given
    result = parse_skeleton(text, size, bodies, body)
    if write_report(report, text, result[:4]) and clip.size > 0:
        num_distinct = normalise_ntu(bodies, result[4], result[2], clip, joints, scratch, periods)
        if lengths.shape[1] > 0:
            periods_kept(periods, clip.shape[1], lengths[index])
        _put(clip, num_distinct, lengths[index], sinks, index)


@njit_inline
def _kinetics_file(text, size, index, report, given):
    (points, people, poses, scores, bits), clip, lengths, sinks = given
    if write_report(report, text, parse_kinetics(text, size, points, people, poses, scores)) and clip.size > 0:
        normalise_kinetics(borrowed(points), borrowed(people), borrowed(clip))
        bits_kept(borrowed(bits), clip.shape[1], lengths[index])
        _put(clip, clip.shape[1], lengths[index], sinks, index)


@njit_inline
def _nw_ucla_file(text, size, index, report, given):
    (points, classes, bits), clip, lengths, sinks = given
    result = parse_nw_ucla(text, size, points, classes)
    if write_report(report, text, result) and clip.size > 0:
        normalise_nw_ucla(borrowed(points), result[2], borrowed(clip))
        bits_kept(borrowed(bits), result[2], lengths[index])
        _put(clip, clip.shape[1], lengths[index], sinks, index)


_each_ntu, _each_kinetics, _each_nw_ucla = map(file_loop, (_ntu_file, _kinetics_file, _nw_ucla_file))


@njit_cached
def _read_ntu(paths, reports, text, given):
    _each_ntu(paths, reports, text, given)


@njit_cached
def _read_kinetics(paths, reports, text, given):
    _each_kinetics(paths, reports, text, given)


@njit_cached
def _read_nw_ucla(paths, reports, text, given):
    _each_nw_ucla(paths, reports, text, given)


_READ = {"ntu": _read_ntu, "kinetics": _read_kinetics, "nw-ucla": _read_nw_ucla}


def path_table(paths: list[str]) -> np.ndarray:
    """The names of files as compiled code takes them: uint8 (N, longest + 1), each ends with a zero byte."""
    names = [os.fsencode(path) + b"\0" for path in paths]
    return np.array(names, dtype=f"S{max(map(len, names))}").view(np.uint8).reshape(len(names), -1)


class Reader:
    """Reads raw files of one data set in one thread; several readers work in as many threads at once.

    Args:
        dataset: which kind of files.
        streams: which of `streams.STREAMS` to make, in that order.
        frames: T; longer clips are bad.
        capacity: how many files `run` can take.
        packs: whether to make the packed store's frames. Neither streams nor these: files are only checked.

    Attributes:
        rows: float32 (capacity, S, 3, T, V, M), what `run` made last.
        packed: float32 (F, V, 3), the kept frames of all clips, file after file, body after body.
        lengths: int64 (capacity, M), how many of them are whose.
    """

    def __init__(
        self, dataset: Dataset, streams: tuple[str, ...], frames: int, capacity: int, packs: bool = False
    ) -> None:
        self.dataset = dataset
        layout, bodies = dataset.layout, dataset.num_person
        dense = (3, frames, layout.num_joints, bodies)
        self.rows = np.empty((capacity, len(streams), *dense), np.float32)
        kept = capacity * bodies * frames if packs else 0
        self.packed = np.empty((kept, layout.num_joints, 3), np.float32)
        self.lengths = np.zeros((capacity, bodies if packs else 0), np.int64)
        self._clip = np.empty((bodies, frames if streams or packs else 0, layout.num_joints, 3), np.float32)
        self._text = np.empty(MAX_BYTES + SLACK + 1, np.uint8)  # the system gives memory only as far as it is used
        places = np.array([streams.index(name) if name in streams else -1 for name in STREAMS])
        flat = self.rows.reshape(capacity, len(streams), 3, int(np.prod(dense[1:])))
        scratch = np.empty(flat.shape[2:] if streams else (3, 0), np.float32)
        self._at = np.zeros(1, np.int64)
        sinks = (np.array(layout.bone_parents), places, flat, scratch, self.packed, self._at)
        self._given = (self._raw(frames), self._clip, self.lengths, sinks)

    def _raw(self, frames: int) -> tuple[Any, ...]:
        """Room for what a file holds, and what else its kind of reader wants."""
        layout, joints = self.dataset.layout, self.dataset.layout.num_joints
        if layout.name == "ntu":
            bodies = np.empty((frames, MAX_BODIES, joints, 3))
            scratch = ntu_scratch(MAX_BODIES, frames)
            return bodies, np.empty((joints, 3)), scratch, turned_joints(layout), np.zeros(2, np.int64)
        bits = self._clip.view(np.int32)
        if layout.name == "kinetics":
            points, people = np.empty((frames, MAX_PEOPLE, 3 * joints)), np.zeros(frames, np.int64)
            return points, people, np.empty((MAX_PEOPLE, 2 * joints)), np.empty((MAX_PEOPLE, joints)), bits
        return np.empty((frames, joints, 3)), self.dataset.num_class, bits

    def run(self, paths: list[str]) -> np.ndarray:
        """Prepares files; whatever the bytes, it raises nothing.

        Returns:
            int64 (len(paths), 7): for each file its status, line, two numbers that go with the status, bytes, frames
            and label (-1 where the file has none). `rows`, `packed` and `lengths` hold the clips of status 0.
        """
        table = path_table(paths)
        reports = np.zeros((len(paths), 7), np.int64)
        self._at[0] = 0
        self.lengths[:] = 0
        _READ[self.dataset.layout.name](table, reports, self._text, self._given)
        return reports


def reason(path: str, report: Sequence[int] | np.ndarray) -> str:
    """What is wrong with a file that `Reader.run` reported on."""
    code = int(report[CODE])
    if code != status.UNREADABLE:
        return status.explain(code, int(report[FIRST]), int(report[SECOND]))
    try:
        handle = os.open(path, _READ_ONLY)
        try:
            mode = os.fstat(handle).st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # of a folder the system says so itself
                return "is not a file: move it away"
            os.read(handle, 1)
        finally:
            os.close(handle)
    except OSError as error:
        return f"{error.strerror or error}: give a file that can be read"
    return "could not be read to its end: try again"
