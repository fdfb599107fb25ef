"""Raw files to clips: the baselines first, since the kernels must give their numbers; then all side by side.

NTU's baseline is the original's data_gen (`original`), which writes `.npy` files; Kinetics' is the NumPy reference,
which writes nothing. Both are one process. Files are warm: they were read just before.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from bench.part import Check, Contenders, Limit, Part
from bench.prep.kernels import TextKernels
from bench.prep.original import prepare_original
from bench.prep.recordings import evenly, kinetics_files, megabytes, ntu_files
from bench.timer import Timing, Work, measure
from native_prep import reference
from native_prep.cpu.one_file import read_clip
from native_prep.pipeline.prepare import prepare
from native_prep.skeletons.layouts import KINETICS, NTU, Layout
from native_prep.skeletons.streams import STREAMS, bones, stream_of
from native_prep.store.reader import Store

ALLOWED = 2e-6
ORIGINAL, REFERENCE = "original's way", "NumPy reference"
KERNELS, PACKED, NPY = "kernels on text in memory", "prep --format packed", "prep --format npy"
MEMMAP, CAT, START = "NumPy memmaps", "cat FILES into wc -l", "start of prep, ten clips"
READ = "files into memory"
_NOTES = {
    ORIGINAL: "joint and bone of both benchmarks, as npy",
    REFERENCE: "joint and bone, nothing written",
    KERNELS: "one thread, nothing written",
    PACKED: "all streams and benchmarks",
    NPY: "joint and bone of all benchmarks",
    MEMMAP: "the same arrays from memory, clip by clip",
    CAT: "the same files",
    READ: "as many threads, text not looked at",
    START: "a new process, compiled code on disk",
}
_LABELS = {
    ORIGINAL: "original's way, .npy files, one process",
    REFERENCE: "NumPy reference, one process, nothing written",
    KERNELS: "kernels alone, one thread",
    PACKED: "packed store",
    NPY: ".npy files",
    MEMMAP: "NumPy memmaps, from memory",
    CAT: "cat into wc -l",
}
_CLI = Path(__file__).resolve().parent.parent.parent / "cli.py"


@dataclass(frozen=True)
class _Source:
    """Raw files of one data set, and the baseline function that prepares one of them."""

    dataset: str
    folder: Path
    paths: list[Path]
    layout: Layout
    plain: Callable[[Path], np.ndarray]


def run_prep(
    *,
    ntu_clips: int = 240,
    kinetics_clips: int = 40,
    frames: int = 90,
    sample: int = 6,
    ntu_megabytes: int = 600,
    npy_clips: int = 240,
    runs: int = 5,
    seconds: float = 60.0,
    seed: int = 0,
    ntu_data: str | Path | None = None,
    kinetics_data: str | Path | None = None,
    workers: int | None = None,
) -> Part:
    """Compare, then time, on made NTU and Kinetics files.

    Args:
        ntu_clips, kinetics_clips: files to make; frames: mean length of the NTU ones.
        sample: how many of them the slow baselines read.
        ntu_megabytes: NTU's files are copied until they have that size.
        npy_clips: how many NTU clips are written as arrays.
        runs, seconds: rounds, and after how long no further round begins, for each data set.
        ntu_data, kinetics_data: folders of raw files to measure on instead of made ones.
        workers: threads of whole commands; all processors by default.
    """
    threads = workers or os.cpu_count() or 1
    with tempfile.TemporaryDirectory(prefix="bench_prep_") as folder:
        work = Path(folder)
        ntu = ntu_files(work, ntu_data, ntu_clips, frames, seed, ntu_megabytes)
        kinetics_folder, kinetics = kinetics_files(work, kinetics_data, kinetics_clips, seed)
        sources = (
            _Source("ntu60", work / "ntu", ntu, NTU, reference.prepare_ntu_clip),
            _Source("kinetics", kinetics_folder, kinetics, KINETICS, reference.prepare_kinetics_clip),
        )
        part = Part("prep", {"NTU clips": len(ntu), "NTU MB": round(megabytes(ntu)), "Kinetics clips": len(kinetics)})
        part.sizes |= {"plain sample": sample, "workers": threads, "files": "warm"}
        part.sizes |= {"recordings": "given" if ntu_data or kinetics_data else "made"}
        agreeing = [source.dataset for source in sources if _compare(part, source, 2 * sample, work)]
        if "ntu60" in agreeing:
            _time_ntu(part, sources[0], work, sample, npy_clips, threads, runs, seconds)
        if "kinetics" in agreeing:
            _time_kinetics(part, sources[1], work, sample, threads, runs, seconds)
        if find_spec("numba.cuda") is None:
            part.left_out["prep on a GPU"] = "Numba has no CUDA target here: pip install 'numba-cuda[cu13]'"
        else:
            from bench.prep.on_gpu import add_cuda

            add_cuda(part, ntu, runs, seconds)
    return part


def _compare(part: Part, source: _Source, count: int, work: Path) -> bool:
    """Adds a check for each stream and for the packed store; whether all were met."""
    paths = evenly(source.paths, count)
    errors = {"joint": 0.0, "bone": 0.0}
    for path in paths:
        expected, got = source.plain(path), read_clip(path, source.dataset)
        pairs = {"joint": (got, expected), "bone": (bones(got, source.layout), bones(expected, source.layout))}
        for stream, (ours, theirs) in pairs.items():
            # Not max(): an error that is not a number must stay.
            errors[stream] = float(np.maximum(errors[stream], np.abs(ours - theirs).max()))
    what = f"largest difference in {len(paths)} clips"
    checks = [Check(f"{source.dataset} {stream}", error, ALLOWED, what) for stream, error in errors.items()]
    checks.append(_compare_store(source, paths, work / f"{source.dataset}_store"))
    part.checks += checks
    return all(check.passed for check in checks)


def _compare_store(source: _Source, paths: Sequence[Path], out: Path) -> Check:
    """Whether the packed store gives all streams to the bit."""
    _prepare(source, out, ("packed",))
    store = Store(out / "packed")
    paths = [path for path in paths if path.name in store.names]  # others are known to have no skeleton
    clips = np.array([store.names.index(path.name) for path in paths])
    rows = np.empty((len(clips), len(STREAMS), *store.clip_shape), np.float32)
    store.unpack(clips, STREAMS, rows)
    different = 0
    for path, row in zip(paths, rows, strict=True):
        clip = read_clip(path, source.dataset)
        expected = np.stack([stream_of(clip, stream, source.layout) for stream in STREAMS])
        different += row.tobytes() != expected.tobytes()
    shutil.rmtree(out)
    return Check(f"{source.dataset} packed", different, 0, f"clips that differ in a bit, of {len(paths)}")


def _prepare(source: _Source, out: Path, formats: tuple[str, ...], workers: int | None = None) -> dict[str, Any]:
    shutil.rmtree(out, ignore_errors=True)
    folder = source.folder
    return prepare(source.dataset, folder, out, ignored_samples="none", formats=formats, workers=workers)


def _time_ntu(
    part: Part, source: _Source, work: Path, sample: int, npy_clips: int, threads: int, runs: int, seconds: float
) -> None:
    few, some = evenly(source.paths, sample)[:sample], evenly(source.paths, npy_clips)[:npy_clips]
    small = _Source("ntu60", work / "ntu_npy", [], NTU, source.plain)
    small.folder.mkdir()
    for path in some:
        os.link(path, small.folder / path.name)
    (work / "plain").mkdir()
    kernels = TextKernels(evenly(source.paths, 200), "ntu")
    written = _prepare(small, work / "out_npy", ("npy",))["outputs"]
    arrays = [np.load(path) for path in written if path.endswith(".npy")]
    variants: dict[str, Work] = {
        ORIGINAL: lambda: prepare_original(few, work / "plain"),
        KERNELS: kernels.run,
        PACKED: lambda: _prepare(source, work / "out", ("packed",), threads),
        NPY: lambda: _prepare(small, work / "out_npy", ("npy",), threads),
        MEMMAP: lambda: _write_memmaps(arrays, work / "out_npy"),
        START: lambda: _start(source, work),
        READ: _reading(source.paths, threads),
    }
    if all(map(shutil.which, ("cat", "wc", "xargs"))):
        variants[CAT] = lambda: _cat(source.paths)
    timings = measure(variants, runs, seconds)
    clips = {ORIGINAL: len(few), PACKED: len(source.paths), NPY: len(some)}
    contenders = _limited(part, "NTU", timings[READ], source.paths)
    _add(part, "ntu60", timings, clips, "clips/s", ORIGINAL, "Raw NTU text to clips on disk", contenders)
    whole = megabytes(source.paths)
    text = {KERNELS: megabytes(evenly(source.paths, 200)), PACKED: whole, CAT: whole, READ: whole}
    plain = CAT if CAT in timings else READ
    _add(part, "ntu60", timings, text, "MB/s of text", plain, "NTU text, read or prepared")
    size = sum(array.nbytes for array in arrays) / 1e6
    arrays_written = {NPY: size, MEMMAP: size}
    _add(part, "ntu60", timings, arrays_written, "MB/s of arrays", MEMMAP, "NTU arrays to disk")
    _add(part, "ntu60", timings, {START: 10}, "clips/s", "", "Ten NTU clips by a new process")


def _time_kinetics(
    part: Part, source: _Source, work: Path, sample: int, threads: int, runs: int, seconds: float
) -> None:
    few = evenly(source.paths, sample)
    variants: dict[str, Work] = {
        REFERENCE: lambda: [bones(source.plain(path), source.layout) for path in few],
        KERNELS: TextKernels(source.paths, "kinetics").run,
        PACKED: lambda: _prepare(source, work / "out_kinetics", ("packed",), threads),
        NPY: lambda: _prepare(source, work / "out_kinetics", ("npy",), threads),
        READ: _reading(source.paths, threads),
    }
    timings = measure(variants, runs, seconds)
    clips = {REFERENCE: len(few), PACKED: len(source.paths), NPY: len(source.paths)}
    contenders = _limited(part, "Kinetics", timings[READ], source.paths)
    _add(part, "kinetics", timings, clips, "clips/s", REFERENCE, "Kinetics JSON to clips", contenders)
    text = {name: megabytes(few if name == REFERENCE else source.paths) for name in variants}
    _add(part, "kinetics", timings, text, "MB/s of text", REFERENCE, "Kinetics JSON, read or prepared")


def _limited(part: Part, dataset: str, read: Timing, paths: Sequence[Path]) -> Contenders:
    """The whole commands, bounded by how fast the same files are read and nothing else is done."""
    fastest = min(read.runs)
    part.limit[f"{dataset} {READ}, MB/s"] = megabytes(paths) / fastest
    limit = Limit("reading the files", len(paths) / fastest)
    return {PACKED: limit, NPY: limit}


def _add(
    part: Part,
    dataset: str,
    timings: Mapping[str, Timing],
    amounts: Mapping[str, float],
    unit: str,
    plain: str,
    title: str,
    contenders: Contenders | None = None,
) -> None:
    """Adds rates of the variants that have an amount in this unit, under the data set's name."""
    named = {name: f"{dataset} {name}" for name in timings if name in amounts}
    part.add_rates(
        {new: timings[name] for name, new in named.items()},
        {new: amounts[name] for name, new in named.items()},
        unit,
        named.get(plain, ""),
        {new: _NOTES[name] for name, new in named.items()},
        title=title,
        labels={new: _LABELS.get(name, name) for name, new in named.items()},
        contenders=[{named[name]: limit for name, limit in (contenders or {}).items()}],
    )


def _reading(paths: Sequence[Path], threads: int) -> Work:
    """Work that reads whole files into a buffer of each thread, one after the other, and does nothing else."""
    largest = max(path.stat().st_size for path in paths)
    buffers = [bytearray(largest) for _ in range(threads)]

    def read(thread: int) -> None:
        for path in paths[thread::threads]:
            with path.open("rb", buffering=0) as file:
                file.readinto(buffers[thread])

    def run() -> None:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(read, range(threads)))

    return run


def _write_memmaps(arrays: Sequence[np.ndarray], folder: Path) -> None:
    for number, array in enumerate(arrays):
        target = np.lib.format.open_memmap(folder / f"{number}.npy", mode="w+", dtype=np.float32, shape=array.shape)
        for row, clip in zip(target, array, strict=True):
            row[:] = clip


def _cat(paths: Sequence[Path]) -> None:
    names = b"\0".join(os.fsencode(path) for path in paths)
    with subprocess.Popen(("wc", "-l"), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as count:
        subprocess.run(("xargs", "-0", "cat"), input=names, stdout=count.stdin, check=True)
        assert count.stdin is not None
        count.stdin.close()


def _start(source: _Source, work: Path) -> None:
    few = work / "ntu_ten"
    if not few.exists():
        few.mkdir()
        for path in evenly(source.paths, 10)[:10]:
            os.link(path, few / path.name)
    given = ("--data-path", str(few), "--out-folder", str(work / "out_ten"), "--ignored-sample-path", "none")
    subprocess.run((sys.executable, str(_CLI), "prep", *given), check=True, capture_output=True)
