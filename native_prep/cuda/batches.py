"""Batches of files on their way through the GPU: memory on both sides, and the order of copies and kernels.

A batch works in a stream of its own, so that while one is copied or computed, the next is read from the disk.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from native_prep.cpu.reader import CODE, FIRST, FRAMES, LABEL, MAX_BYTES, SECOND, file_loop, load_file, write_report
from native_prep.cuda import clip_kernels, text_kernels
from native_prep.cuda.target import BLOCKS, THREADS, cuda
from native_prep.datasets.catalog import Dataset
from native_prep.kernels import status
from native_prep.kernels.jit import borrowed, njit, njit_cached
from native_prep.kernels.kinetics_json import MAX_PEOPLE, parse_kinetics
from native_prep.kernels.nw_ucla_json import parse_nw_ucla
from native_prep.kernels.skeleton_text import MAX_BODIES
from native_prep.kernels.swar import SLACK

# Text of a batch, at least that of the longest file. Line feeds and zeros make up the last block's stretch.
TEXT_BYTES = MAX_BYTES + (8 << 20)
# A batch whose lines are shorter on average is left to the CPU.
_SHORTEST_LINES = 16
_WIDE = (BLOCKS, THREADS)


def device_rows(shape: tuple[int, ...]) -> Any:
    """A float32 array on the GPU."""
    return cuda.device_array(shape, np.float32)


def host_rows(shape: tuple[int, ...]) -> np.ndarray:
    """A float32 array that the GPU can copy to on its own; an empty one needs no such memory."""
    return cuda.pinned_array(shape, np.float32) if np.prod(shape) else np.empty(shape, np.float32)


@njit_cached
def _read_texts(paths, reports, text, begins, ends):
    """Reads files one behind another, each from a multiple of eight on; (how many found room, bytes taken)."""
    at = 0
    for index in range(paths.shape[0]):
        room = min(text.size - at, MAX_BYTES + SLACK + 1)
        if index == begins.size or room <= SLACK:
            return index, at
        size = load_file(paths[index], text[at : at + room], reports[index])
        if reports[index, CODE] == status.TOO_BIG and room <= MAX_BYTES + SLACK:
            reports[index] = 0  # it is for the next batch to say
            return index, at
        begins[index] = at
        ends[index] = at + max(size, 0)
        if size > 0:
            stop = (at + size + SLACK + 7) // 8 * 8
            for place in range(at + size + SLACK, min(stop, text.size)):
                text[place] = 10
            at = stop
    return paths.shape[0], at


@njit
def _kinetics_file(text, size, index, report, given):
    points, people, poses, scores = given
    there = people[index]
    there[:] = 0
    write_report(report, text, parse_kinetics(text, size, borrowed(points)[index], there, poses, scores))


@njit
def _nw_ucla_file(text, size, index, report, given):
    points, classes = given
    write_report(report, text, parse_nw_ucla(text, size, borrowed(points)[index], classes))


_each_kinetics, _each_nw_ucla = file_loop(_kinetics_file), file_loop(_nw_ucla_file)


@njit_cached
def _read_kinetics(paths, reports, text, given):
    _each_kinetics(paths, reports, text, given)


@njit_cached
def _read_nw_ucla(paths, reports, text, given):
    _each_nw_ucla(paths, reports, text, given)


class _Batch:
    """What all batches have: a stream, clips on the GPU, and the way from clips to rows.

    Args:
        dataset: which kind of files.
        frames: T.
        files: how many there is room for.
    """

    def __init__(self, dataset: Dataset, frames: int, files: int) -> None:
        joints, bodies = dataset.layout.num_joints, dataset.num_person
        self.dataset, self.frames, self.files = dataset, frames, files
        self.stream = cuda.stream()
        self._parents = cuda.to_device(np.array(dataset.layout.bone_parents))
        self._clips = cuda.device_array((files, bodies, frames, joints, 3), np.float32)
        self._made = cuda.device_array(files, np.int64)

    def read(self, table: np.ndarray, reports: np.ndarray) -> int:
        """Reads as many files as there is room for; how many. `reports` tells of those that cannot be read."""
        raise NotImplementedError

    def _make_clips(self, count: int) -> None:
        raise NotImplementedError

    def finish(self, reports: np.ndarray) -> Sequence[int]:
        """Waits for the GPU and completes the reports; the places of files that are left to the CPU."""
        self.stream.synchronize()
        return ()

    def launch(self, count: int, streams: Any, rows: Any, host: np.ndarray | None) -> None:
        """Sets the GPU to work on the files that were read; returns at once.

        Args:
            streams: int64 (S,) on the GPU, which of `streams.STREAMS` to make.
            rows: float32 (count, S, 3, T, V, M) on the GPU, to fill.
            host: where to copy them, too.
        """
        self._make_clips(count)
        if not rows.size:
            return
        blocks = (-(-int(np.prod(rows.shape[2:])) // (8 * THREADS)), count * rows.shape[1])
        clips, made = self._clips[:count], self._made[:count]
        clip_kernels.write_rows[blocks, THREADS, self.stream](clips, made, self._parents, streams, rows)
        if host is not None:
            rows.copy_to_host(host, stream=self.stream)


class NtuBatch(_Batch):
    """`.skeleton` files: the text goes to the GPU as it is."""

    def __init__(self, dataset: Dataset, frames: int, files: int) -> None:
        super().__init__(dataset, frames, files)
        layout = dataset.layout
        assert layout.spine is not None and layout.shoulders is not None
        self._text = cuda.pinned_array(TEXT_BYTES, np.uint8)
        self._spans = cuda.pinned_array((2, files), np.int64)
        self._found = cuda.pinned_array((2, files), np.int64)
        self.size = 0
        lines = TEXT_BYTES // _SHORTEST_LINES + SLACK * files
        bodies = text_kernels.first_body.py_func(lines, files)
        self._on_device = cuda.device_array(TEXT_BYTES, np.uint8)
        self._spans_on_device = cuda.device_array((2, files), np.int64)
        self._found_on_device = cuda.device_array((2, files), np.int64)
        self._counts = cuda.device_array(-(-TEXT_BYTES // text_kernels.STRETCH), np.int64)
        self._lines = cuda.device_array(1, np.int64)
        self._starts = cuda.device_array(lines, np.int32)
        self._body_lines = cuda.device_array(bodies, np.int32)
        self._body_places = cuda.device_array(bodies, np.int32)
        self._raw = cuda.device_array((files, frames, MAX_BODIES, layout.num_joints, 3), np.float64)
        self._energies = cuda.device_array((files, MAX_BODIES), np.float64)
        self._sums = cuda.device_array((files, 2, frames), np.float64)
        self._joints = cuda.to_device(np.array((layout.centre, *layout.spine, *layout.shoulders)))

    def read(self, table: np.ndarray, reports: np.ndarray) -> int:
        """See `_Batch.read`; `size` then tells how much of the text is to be copied."""
        count, self.size = _read_texts(table, reports, self._text, *self._spans)
        return count

    def _make_clips(self, count: int) -> None:
        stream, size = self.stream, self.size
        if size:
            self._on_device[:size].copy_to_device(self._text[:size], stream=stream)
        self._spans_on_device.copy_to_device(self._spans, stream=stream)
        self._find_lines()
        self._read_lines(count)
        raw, energies, clips, made = (a[:count] for a in (self._raw, self._energies, self._clips, self._made))
        frames, for_cpu = self._found_on_device[0, :count], self._found_on_device[1, :count]
        clip_kernels.weigh_bodies[_WIDE[0], 32, stream](raw, frames, for_cpu, energies)
        after = (self._joints, clips, made, self._sums[:count])
        clip_kernels.make_ntu_clips[count, THREADS, stream](raw, frames, for_cpu, energies, *after)
        self._found_on_device.copy_to_host(self._found, stream=stream)

    def _find_lines(self) -> None:
        words, stop = self._on_device.view(np.uint64), self.size // 8
        blocks, stream = max(1, -(-self.size // text_kernels.STRETCH)), self.stream
        text_kernels.count_lines[blocks, THREADS, stream](words, stop, self._counts)
        text_kernels.sum_lines[1, THREADS, stream](self._counts, blocks, self._lines)
        text_kernels.start_lines[blocks, THREADS, stream](self._on_device, words, stop, self._counts, self._starts)

    def _read_lines(self, count: int) -> None:
        text, starts, lines, stream = self._on_device, self._starts, self._lines, self.stream
        begins, ends = self._spans_on_device[0, :count], self._spans_on_device[1, :count]
        frames, for_cpu = self._found_on_device[0, :count], self._found_on_device[1, :count]
        raw, bodies = self._raw[:count], (self._body_lines, self._body_places)
        text_kernels.clear[(*_WIDE, stream)](raw.reshape(raw.size), self._body_lines, for_cpu)
        each = -(-count // 32)
        text_kernels.walk_files[each, 32, stream](
            text, begins, ends, starts, lines, self.frames, frames, for_cpu, *bodies
        )
        text_kernels.read_bodies[(*_WIDE, stream)](text, starts, lines, *bodies, raw, for_cpu)

    def finish(self, reports: np.ndarray) -> Sequence[int]:
        """See `_Batch.finish`; a file in which the GPU found anything odd is left to the CPU."""
        self.stream.synchronize()
        left = []
        for place, report in enumerate(reports):
            if report[CODE] != status.OK:
                continue
            if self._found[1, place]:
                left.append(place)
            report[[FIRST, FRAMES]] = self._found[0, place]
            report[[SECOND, LABEL]] = -1
        return left


class KineticsBatch(_Batch):
    """JSON files, which the CPU reads: coordinates go to the GPU."""

    def __init__(self, dataset: Dataset, frames: int, files: int) -> None:
        super().__init__(dataset, frames, files)
        joints = dataset.layout.num_joints
        self._text = np.empty(MAX_BYTES + SLACK + 1, np.uint8)
        self._points = cuda.pinned_array((files, frames, MAX_PEOPLE, 3 * joints), np.float64)
        self._people = cuda.pinned_array((files, frames), np.int64)
        self._room = (np.empty((MAX_PEOPLE, 2 * joints)), np.empty((MAX_PEOPLE, joints)))
        self._points_on_device = cuda.device_array(self._points.shape, np.float64)
        self._people_on_device = cuda.device_array(self._people.shape, np.int64)

    def read(self, table: np.ndarray, reports: np.ndarray) -> int:
        """See `_Batch.read`."""
        count = min(len(table), self.files)
        _read_kinetics(table[:count], reports, self._text, (self._points, self._people, *self._room))
        return count

    def _make_clips(self, count: int) -> None:
        points, people = self._points_on_device[:count], self._people_on_device[:count]
        points.copy_to_device(self._points[:count], stream=self.stream)
        people.copy_to_device(self._people[:count], stream=self.stream)
        made = self._made[:count]
        clip_kernels.make_kinetics_clips[(*_WIDE, self.stream)](points, people, self._clips[:count], made)


class NwUclaBatch(_Batch):
    """JSON files, which the CPU reads: coordinates go to the GPU."""

    def __init__(self, dataset: Dataset, frames: int, files: int) -> None:
        super().__init__(dataset, frames, files)
        self._text = np.empty(MAX_BYTES + SLACK + 1, np.uint8)
        self._points = cuda.pinned_array((files, frames, dataset.layout.num_joints, 3), np.float64)
        self._lengths = cuda.pinned_array(files, np.int64)
        self._points_on_device = cuda.device_array(self._points.shape, np.float64)
        self._lengths_on_device = cuda.device_array(files, np.int64)

    def read(self, table: np.ndarray, reports: np.ndarray) -> int:
        """See `_Batch.read`."""
        count = min(len(table), self.files)
        _read_nw_ucla(table[:count], reports, self._text, (self._points, self.dataset.num_class))
        self._lengths[:count] = reports[:count, FRAMES]
        return count

    def _make_clips(self, count: int) -> None:
        points, lengths = self._points_on_device[:count], self._lengths_on_device[:count]
        points.copy_to_device(self._points[:count], stream=self.stream)
        lengths.copy_to_device(self._lengths[:count], stream=self.stream)
        made = self._made[:count]
        clip_kernels.make_nw_ucla_clips[(*_WIDE, self.stream)](points, lengths, self._clips[:count], made)


BATCHES: dict[str, type[_Batch]] = {"ntu": NtuBatch, "kinetics": KineticsBatch, "nw-ucla": NwUclaBatch}
