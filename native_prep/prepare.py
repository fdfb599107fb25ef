"""Raw recordings to arrays: one pass over the files, whatever benchmarks and streams are asked for."""

import math
import os
import queue
import sys
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from native_prep import status
from native_prep.catalog import Dataset, get_dataset
from native_prep.cpu import BYTES, CODE, FRAMES, LABEL, LINE, Reader, reason
from native_prep.outputs import Outputs, Place, write_clip
from native_prep.progress import Progress
from native_prep.recordings import BadFile, Recording, Recordings, find_recordings
from native_prep.splits import check_benchmarks
from native_prep.streams import check_streams

# Files a thread takes at a time: their rows then still lie in the processor's cache when they are written.
_CHUNK = 8
# Frames that a clip of a data set without a fixed T may have.
LONGEST = 4096
# Bytes that the threads' rows and texts may take together.
_MEMORY = 512 << 20


@dataclass
class _Tally:
    """What the run has seen so far."""

    clips: int = 0
    frames: int = 0
    bytes_read: int = 0
    bad: list[BadFile] = field(default_factory=list)


def prepare(
    dataset: str,
    data_path: str | os.PathLike[str] | None = None,
    out_folder: str | os.PathLike[str] | None = None,
    *,
    ignored_samples: str | os.PathLike[str] | None = None,
    benchmarks: tuple[str, ...] | list[str] | None = None,
    streams: tuple[str, ...] | list[str] = ("joint", "bone"),
    formats: tuple[str, ...] | list[str] = ("npy",),
    max_frames: int | None = None,
    device: str = "cpu",
    workers: int | None = None,
    on_bad_file: str = "error",
) -> dict[str, Any]:
    """Prepares a data set: float32 (N, 3, T, V, M) for each benchmark, side and stream, and label files.

    Args:
        dataset: ntu60, ntu120, kinetics or nw-ucla.
        data_path, out_folder: None for the data set's usual folders.
        ignored_samples: None for the shipped list, "none" for none, or a file of names.
        benchmarks: None for all of the data set's.
        streams: of `streams.STREAMS`.
        formats: npy.
        max_frames: T; None for the data set's, which is the longest clip's for nw-ucla.
        device: cpu, or cuda: NTU text is read on a GPU, and all clips are made there.
        workers: threads; None for one a processor.
        on_bad_file: "error" reads everything, lists every bad file on stderr and writes nothing; "skip" leaves bad
            files out and lists them in `bad_files.csv`.

    Returns:
        dataset, clips, frames, bytes_read, seconds, bad_files (how many), outputs (paths).

    Raises:
        ValueError: something that was asked for does not exist, or a file is bad; it names file and line.
        OSError: a file or folder cannot be read or written.
    """
    start = time.perf_counter()
    found = get_dataset(dataset)
    asked = check_streams(streams)
    divisions = check_benchmarks(dataset, benchmarks)
    _check_ways(formats, device, on_bad_file)
    source = _folder(data_path, found.data_path, "--data-path")
    folder = _folder(out_folder, found.out_folder, "--out-folder")
    recordings = find_recordings(found, source, divisions, ignored_samples)
    workers = workers or os.cpu_count() or 1
    frames = max_frames or found.max_frames or _longest(found, recordings, workers)
    shape = (3, frames, found.layout.num_joints, found.num_person)
    with Outputs(folder, recordings.parts, asked, shape) as outputs:
        workers = _affordable(workers, len(asked), shape)
        readers = _make_readers(device, found, asked, shape, workers)
        tally = _run(recordings, readers, workers, outputs, on_bad_file == "skip", dataset)
        _settle_bad(tally, on_bad_file, source)
        outputs.write_labels()
        if on_bad_file == "skip":
            outputs.write_bad_files(tally.bad)
    return {
        "dataset": dataset,
        "clips": tally.clips,
        "frames": tally.frames,
        "bytes_read": tally.bytes_read,
        "seconds": time.perf_counter() - start,
        "bad_files": len(tally.bad),
        "outputs": [str(path) for path in outputs.paths],
    }


def _folder(given: str | os.PathLike[str] | None, usual: str, option: str) -> Path:
    """A folder's path; an empty one, as from an unset variable in a script, is not taken for the usual folder."""
    if given is not None and not os.fspath(given):
        raise ValueError(f"{option} is empty: name a folder, or leave it out for {usual}")
    return Path(usual if given is None else given)


def _affordable(workers: int, streams: int, shape: tuple[int, ...]) -> int:
    """As many threads as `_MEMORY` has room for, at least one."""
    row = 4 * math.prod(shape)
    # Rows, a clip at work in three forms, and the text of a long file.
    reader = row * (_CHUNK * streams + 8) + (8 << 20)
    return max(1, min(workers, _MEMORY // reader - 2))


def _make_readers(
    device: str, dataset: Dataset, streams: tuple[str, ...], shape: tuple[int, ...], workers: int
) -> list[Any]:
    """More readers than threads, so that rows can be written meanwhile; a GPU takes more files at a time."""
    if device == "cpu":
        return [Reader(dataset, streams, shape[1], _CHUNK) for _ in range(workers + 2)]
    from native_prep import cuda_driver

    files = cuda_driver.files_at_once(4 * math.prod(shape) * len(streams))
    return [cuda_driver.Reader(dataset, streams, shape[1], files) for _ in range(3)]


def _check_ways(formats: tuple[str, ...] | list[str], device: str, on_bad_file: str) -> None:
    for name in formats or ("",):
        if name != "npy":
            raise ValueError(f"format {name!r} cannot be written: use npy")
    if device not in ("cpu", "cuda"):
        raise ValueError(f"device {device!r} cannot prepare clips: use cpu or cuda")
    if device == "cuda":
        from native_prep.cuda_target import check_device

        check_device()
    if on_bad_file not in ("error", "skip"):
        raise ValueError(f"on_bad_file is {on_bad_file!r}: use error or skip")


def _chunks(recordings: list[Recording], size: int = _CHUNK) -> Iterator[list[Recording]]:
    for start in range(0, len(recordings), size):
        yield recordings[start : start + size]


def _longest(dataset: Dataset, recordings: Recordings, workers: int) -> int:
    """T where the data set does not say: the longest clip's, found in a pass of its own that keeps nothing."""

    def longest_of(chunk: list[Recording]) -> int:
        reader = free.get()
        try:
            reports = reader.run([recording.path for recording in chunk])
        finally:
            free.put(reader)
        return int(reports[:, FRAMES].max())

    free: queue.SimpleQueue[Reader] = queue.SimpleQueue()
    for _ in range(workers):
        free.put(Reader(dataset, (), LONGEST, 0))
    with ThreadPoolExecutor(workers) as pool:
        return max(1, max(pool.map(longest_of, _chunks(recordings.found)), default=1))


def _run(
    recordings: Recordings, readers: list[Reader], workers: int, outputs: Outputs, skip: bool, what: str
) -> _Tally:
    """Reads everything in `workers` threads; a chunk's rows are placed in order, then written while others are read."""
    tally = _Tally(bad=list(recordings.bad))
    free: queue.SimpleQueue[Reader] = queue.SimpleQueue()
    for reader in readers:
        free.put(reader)
    reading: deque[tuple[Future[np.ndarray], Reader, list[Recording]]] = deque()
    writing: deque[Future[None]] = deque()
    with ThreadPoolExecutor(workers) as pool, Progress(len(recordings.found), f"prep {what}", "clip") as progress:

        def settle() -> None:
            future, reader, chunk = reading.popleft()
            places = _place(chunk, future.result(), outputs, tally, skip)
            writing.append(pool.submit(_write, reader, places, free))
            progress.update(len(chunk))
            while writing and (writing[0].done() or len(writing) > len(readers)):
                writing.popleft().result()

        try:
            for chunk in _chunks(recordings.found, len(readers[0].rows)):
                while reading and (reading[0][0].done() or len(reading) == len(readers)):
                    settle()
                reader = free.get()
                paths = [recording.path for recording in chunk]
                reading.append((pool.submit(reader.run, paths), reader, chunk))
            while reading:
                settle()
            for future in writing:
                future.result()
        except BaseException:  # an interruption too: what waits is not begun
            pool.shutdown(cancel_futures=True)
            raise
    return tally


def _place(
    chunk: list[Recording], reports: np.ndarray, outputs: Outputs, tally: _Tally, skip: bool
) -> list[list[Place]]:
    """Notes what was read; the places of the clips that are to be written, none for the others."""
    places: list[list[Place]] = []
    for recording, report in zip(chunk, reports, strict=True):
        tally.bytes_read += int(report[BYTES])
        problem = _problem(recording, report)
        if problem is not None:
            tally.bad.append(problem)
        if problem is not None or (tally.bad and not skip):
            places.append([])
            continue
        tally.clips += 1
        tally.frames += int(report[FRAMES])
        places.append(outputs.place(recording, int(report[LABEL]) if recording.label < 0 else recording.label))
    return places


def _problem(recording: Recording, report: np.ndarray) -> BadFile | None:
    if report[CODE] != status.OK:
        return BadFile(recording.path, int(report[LINE]), reason(recording.path, report))
    if report[LABEL] < 0 and recording.path.endswith(".json"):
        return BadFile(recording.path, 0, status.explain(status.NO_LABEL))
    if report[LABEL] >= 0 and recording.label >= 0 and report[LABEL] != recording.label:
        says = f"has label_index {report[LABEL]}, the label file says {recording.label}: mend one of them"
        return BadFile(recording.path, 0, says)
    return None


def _write(reader: Reader, places: list[list[Place]], free: "queue.SimpleQueue[Reader]") -> None:
    try:
        for row, where in enumerate(places):
            write_clip(where, reader.rows[row])
    finally:
        free.put(reader)


def _settle_bad(tally: _Tally, on_bad_file: str, source: Path) -> None:
    """Lists bad files on stderr; raises where they are not to be left out, or nothing else is left."""
    tally.bad.sort(key=lambda one: one.path)
    for one in tally.bad:
        print(one, file=sys.stderr)
    if not tally.bad:
        return
    count = f"{len(tally.bad)} bad file{'s' if len(tally.bad) > 1 else ''}"
    if on_bad_file == "error":
        raise ValueError(f"{tally.bad[0]} ({count}, nothing is written; --on-bad-file skip leaves them out)")
    if tally.clips == 0:
        raise ValueError(f"{tally.bad[0]} ({count}, no good one in {source}, nothing is written)")
    print(f"left out {count}, listed in bad_files.csv", file=sys.stderr)
