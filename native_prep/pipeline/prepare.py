"""Raw recordings to arrays or to a packed store: one pass over the files, whatever is asked for."""

import math
import os
import queue
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from native_prep.cpu.reader import FRAMES, LONGEST, Reader
from native_prep.datasets.catalog import Dataset, get_dataset
from native_prep.datasets.names import check_benchmarks
from native_prep.datasets.recordings import Recording, Recordings, find_recordings
from native_prep.io.folders import open_folder
from native_prep.io.hashes import sources_digest
from native_prep.io.locks import sole_run
from native_prep.io.progress import Progress
from native_prep.pipeline.outputs import (
    CUSTOM,
    Outputs,
    Place,
    check_formats,
    output_folder,
    threads_that_fit,
    write_clips,
)
from native_prep.pipeline.packing import PackJob
from native_prep.pipeline.reading import raw_place, read_recordings, stamps_of
from native_prep.pipeline.statistics import Statistics
from native_prep.pipeline.store_run import StoreRun, write_store
from native_prep.pipeline.threads import in_order, runs
from native_prep.skeletons.streams import check_streams
from native_prep.store.format import DTYPES, StoreHead
from native_prep.store.reader import FOLDER
from native_prep.store.shards import plan_shards

# Files a thread takes at a time: their rows then still lie in the processor's cache when they are written.
_FILES_AT_ONCE = 8


@dataclass(frozen=True)
class _Request:
    """A checked request; see `prepare`."""

    dataset: Dataset
    source: Path | str
    folder: Path
    benchmarks: tuple[str, ...]
    streams: tuple[str, ...]
    formats: tuple[str, ...]
    max_frames: int | None
    workers: int
    skip_bad: bool
    packed_dtype: str
    device: str
    cluster: str | None


def prepare(
    dataset: str,
    data_path: str | os.PathLike[str] | None = None,
    out_folder: str | os.PathLike[str] | None = None,
    *,
    ignored_samples: str | os.PathLike[str] | None = None,
    benchmarks: Sequence[str] | None = None,
    streams: Sequence[str] = ("joint", "bone"),
    formats: Sequence[str] = ("npy",),
    max_frames: int | None = None,
    device: str = "cpu",
    workers: int | None = None,
    on_bad_file: str = "error",
    packed_dtype: str = "float32",
    cluster: str | None = None,
) -> dict[str, Any]:
    """Prepares a data set: float32 (N, 3, T, V, M) for each benchmark, split and stream, and label files.

    Args:
        dataset: ntu60, ntu120, kinetics or nw-ucla.
        data_path, out_folder: None for the data set's usual folders; the first may also be an archive (zip, tar), or
            the URL of a folder or an archive.
        ignored_samples: None for the shipped list, "none" for none, or a file of names.
        benchmarks: None for all of the data set's; the packed store holds all whatever is asked for.
        streams: of `streams.STREAMS`; the packed store yields all whatever is asked for.
        formats: npy, packed or both.
        max_frames: T; None for the data set's, which is the longest clip's for nw-ucla.
        device: cpu, or cuda: NTU text is read on a GPU, and all clips are made there.
        workers: threads; None for one a processor.
        on_bad_file: "error" reads everything, lists every bad file on stderr and writes nothing; "skip" leaves bad
            files out and lists them in `bad_files.csv`.
        packed_dtype: float32, or float16 for a store of half the size whose frames are rounded.
        cluster: where shards of 1,024 clips are made, see `cluster.cluster`; None for threads of this process. With
            one, and for the packed store, a killed run is resumed from the shards that it finished.

    Returns:
        dataset, clips, frames, bytes_read (in this run), seconds, bad_files (how many), ignored (clips that the list of
        missing samples leaves out), empty (clips in which nobody is seen; they stay), outputs (paths); of a packed
        store also shards, and resumed (how many of them were there already).

    Raises:
        ValueError: something that was asked for does not exist, or a file is bad; it names file and line; another run
            works in the same folder.
        OSError: a file or folder cannot be read or written.
    """
    start = time.perf_counter()
    known = get_dataset(dataset)
    _check_choices(formats, device, on_bad_file, packed_dtype, cluster)
    request = _Request(
        dataset=known,
        source=raw_place(data_path, known.data_path),
        folder=output_folder(out_folder, known.out_folder),
        benchmarks=check_benchmarks(dataset, tuple(benchmarks or ())),
        streams=check_streams(tuple(streams)),
        formats=tuple(formats),
        max_frames=max_frames or known.max_frames,
        workers=workers or os.cpu_count() or 1,
        skip_bad=on_bad_file == "skip",
        packed_dtype=packed_dtype,
        device=device,
        cluster=cluster,
    )
    make = _make_store if "packed" in request.formats or cluster else _make_arrays
    needed = check_benchmarks(dataset, None) if make is _make_store else request.benchmarks
    with open_folder(request.source, request.folder) as source:
        recordings = find_recordings(known, source, needed, ignored_samples)
        statistics = Statistics(bad=list(recordings.bad), ignored=recordings.ignored)
        with sole_run(request.folder / FOLDER, request.folder):
            outcome = make(request, recordings, statistics)
    return {"dataset": dataset, **statistics.result(time.perf_counter() - start), **outcome}


def _check_choices(
    formats: Sequence[str], device: str, on_bad_file: str, packed_dtype: str, cluster: str | None
) -> None:
    check_formats(formats)
    if device not in ("cpu", "cuda"):
        raise ValueError(f"device {device!r} cannot prepare clips: use cpu or cuda")
    if device == "cuda" and cluster is None:  # the machines of a cluster have GPUs of their own
        from native_prep.cuda.target import check_device

        check_device()
    if on_bad_file not in ("error", "skip"):
        raise ValueError(f"on_bad_file is {on_bad_file!r}: use error or skip")
    if packed_dtype not in DTYPES:
        raise ValueError(f"packed_dtype is {packed_dtype!r}: use {' or '.join(DTYPES)}")
    if "packed" not in formats and packed_dtype != "float32":
        raise ValueError("--packed-dtype is for the packed store: add --format packed")


def _make_arrays(request: _Request, recordings: Recordings, statistics: Statistics) -> dict[str, Any]:
    """`.npy` files straight from the recordings."""
    frames = request.max_frames or _longest_clip(request, recordings.found)
    shape = (3, frames, request.dataset.layout.num_joints, request.dataset.num_person)
    with Outputs(request.folder, recordings.parts, request.streams, shape) as outputs:
        workers = threads_that_fit(request.workers, 4 * math.prod(shape), _FILES_AT_ONCE * len(request.streams))
        _read_and_write(request, recordings.found, _make_readers(request, shape, workers), workers, outputs, statistics)
        statistics.raise_if_bad(request.skip_bad, request.source)
        outputs.write_labels()
        outputs.remove(CUSTOM)
        if request.skip_bad:
            outputs.write_bad_files(statistics.bad)
    return {"outputs": [str(path) for path in outputs.paths]}


def _make_readers(request: _Request, shape: tuple[int, ...], workers: int) -> list[Any]:
    """More readers than threads, so that rows can be written meanwhile; a GPU takes more files at a time."""
    if request.device == "cpu":
        return [Reader(request.dataset, request.streams, shape[1], _FILES_AT_ONCE) for _ in range(workers + 2)]
    from native_prep.cuda import reader as cuda_driver

    files = cuda_driver.files_at_once(4 * math.prod(shape) * len(request.streams))
    return [cuda_driver.Reader(request.dataset, request.streams, shape[1], files) for _ in range(3)]


def _longest_clip(request: _Request, recordings: Sequence[Recording]) -> int:
    """T where the data set does not say: the longest clip's, found in a pass of its own that keeps nothing."""
    free: queue.SimpleQueue[Reader] = queue.SimpleQueue()
    for _ in range(request.workers):
        free.put(Reader(request.dataset, (), LONGEST, 0))

    def longest_of(chunk: Sequence[Recording]) -> int:
        reader = free.get()
        try:
            reports = read_recordings(reader, chunk)
        finally:
            free.put(reader)
        return int(reports[:, FRAMES].max())

    with ThreadPoolExecutor(request.workers) as pool:
        return max(1, max(pool.map(longest_of, runs(recordings, _FILES_AT_ONCE)), default=1))


def _read_and_write(
    request: _Request,
    recordings: Sequence[Recording],
    readers: list[Reader],
    workers: int,
    outputs: Outputs,
    statistics: Statistics,
) -> None:
    """Reads everything; a chunk's rows are placed in order, then written while others are read."""

    def place(reader: Reader, chunk: Sequence[Recording], reports: np.ndarray) -> list[list[Place]]:
        progress.update(len(chunk))
        places: list[list[Place]] = [[] for _ in chunk]
        for row, label, _ in statistics.note(chunk, reports):
            # Of motions alone nobody can tell: they are zeros for somebody who stands still, too.
            statistics.empty += not (request.streams[0].endswith("motion") or reader.rows[row, 0].any())
            if request.skip_bad or not statistics.bad:
                places[row] = outputs.place(chunk[row].name, label, chunk[row].parts)
        return places

    def write(reader: Reader, places: list[list[Place]]) -> None:
        write_clips(reader.rows, places)

    with Progress(len(recordings), f"prep {request.dataset.name}", "clip") as progress:
        in_order(runs(recordings, len(readers[0].rows)), readers, workers, read_recordings, place, write)


def _make_store(request: _Request, recordings: Recordings, statistics: Statistics) -> dict[str, Any]:
    """The packed store, and the `.npy` files from it where they are asked for."""
    dataset, parts = request.dataset, recordings.parts
    padding = "repeat" if dataset.layout.name == "ntu" else "zero"
    head = StoreHead(
        dataset.name, dataset.layout, dataset.num_person, request.max_frames, parts, padding, request.packed_dtype
    )
    max_frames = request.max_frames or LONGEST
    benchmarks = request.benchmarks if "npy" in request.formats else ()
    size = 4 * head.bodies * max_frames * dataset.layout.num_joints * 3
    run = StoreRun(
        dataset=dataset.name,
        source=request.source,
        folder=request.folder,
        head=head,
        parts=tuple(part for part in parts if part.rpartition("/")[0] in benchmarks),
        streams=request.streams,
        packed="packed" in request.formats,
        skip_bad=request.skip_bad,
        workers=threads_that_fit(request.workers, size, 4),  # most clips fill a small part of their room
        cluster=request.cluster,
    )
    plan = plan_shards(head, f"{sources_digest()} {request.device}", recordings.found, stamps_of(recordings.found))
    job = PackJob(head, run.final, max_frames, request.skip_bad, request.device)
    return write_store(run, job, plan, statistics)
