"""Raw files to clips: a plain NumPy reference is the plain way; the kernels must give its numbers."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench.part import Check, Part
from bench.timer import measure
from native_prep import reference
from native_prep.clips import read_clip
from native_prep.layouts import KINETICS, NTU, Layout
from native_prep.prepare import prepare
from native_prep.streams import bones
from native_prep.synth import write_kinetics, write_ntu

ALLOWED = 2e-6
_CLASSES = 10
REFERENCE, KERNEL, COMMAND = "NumPy reference", "kernels, one thread", "whole command"


def run_prep(
    *,
    ntu_clips: int = 240,
    kinetics_clips: int = 60,
    frames: int = 90,
    sample: int = 8,
    runs: int = 5,
    seconds: float = 30.0,
    seed: int = 0,
    data: str | Path | None = None,
    workers: int | None = None,
) -> Part:
    """Compare, then time, on made NTU and Kinetics files.

    Args:
        ntu_clips, kinetics_clips: files to make; frames: mean length of the NTU ones.
        sample: how many of them the slow reference reads.
        runs, seconds: rounds, and after how long no further round begins.
        data: folder of `.skeleton` files to time instead of made ones.
        workers: threads of the whole command; all processors by default.
    """
    cores = workers or os.cpu_count() or 1
    part = Part("prep", {"ntu_clips": ntu_clips, "ntu_frames": frames, "kinetics_clips": kinetics_clips})
    part.sizes |= {"reference_sample": sample, "workers": cores, "files": "warm"}
    with tempfile.TemporaryDirectory(prefix="bench_prep_") as folder:
        work = Path(folder)
        ntu = Path(data) if data else work / "ntu"
        if data is None:
            write_ntu(ntu, ntu_clips, _CLASSES, seed, frames)
        write_kinetics(work / "kinetics", kinetics_clips, _CLASSES, seed)
        files = {"ntu60": sorted(ntu.glob("*.skeleton")), "kinetics": sorted(work.glob("kinetics/kinetics_*/*.json"))}
        if not files["ntu60"]:
            raise ValueError(f"{ntu}: no .skeleton file in it: give a folder of NTU clips")
        _compare(part, "ntu60", NTU, reference.prepare_ntu_clip, _spread(files["ntu60"], 2 * sample))
        _compare(part, "kinetics", KINETICS, reference.prepare_kinetics_clip, _spread(files["kinetics"], 2 * sample))
        for dataset, source, layout, plain in (
            ("ntu60", ntu, NTU, reference.prepare_ntu_clip),
            ("kinetics", work / "kinetics", KINETICS, reference.prepare_kinetics_clip),
        ):
            _time(part, dataset, source, files[dataset], layout, plain, work, (sample, runs, seconds, cores))
    return part


Plain = Callable[[Path], np.ndarray]


def _spread(paths: list[Path], count: int) -> list[Path]:
    """About `count` of them, evenly, so that every class and number of bodies has its share."""
    return paths[:: max(1, len(paths) // count)]


def _compare(part: Part, dataset: str, layout: Layout, plain: Plain, paths: list[Path]) -> None:
    joint_error = bone_error = 0.0
    for path in paths:
        expected, got = plain(path), read_clip(path, dataset)
        joint_error = max(joint_error, float(np.abs(got - expected).max()))
        expected_bones = reference.bones(expected, layout)
        bone_error = max(bone_error, float(np.abs(bones(got, layout) - expected_bones).max()))
    what = f"largest difference in {len(paths)} clips"
    part.checks.append(Check(f"{dataset} joint", joint_error, ALLOWED, what))
    part.checks.append(Check(f"{dataset} bone", bone_error, ALLOWED, what))


def _time(
    part: Part,
    dataset: str,
    source: Path,
    paths: list[Path],
    layout: Layout,
    plain: Plain,
    work: Path,
    sizes: tuple[int, int, float, int],
) -> None:
    """Clips and text of the reference, of the kernels in one thread, and of the command (joint and bone, npy)."""
    sample, runs, seconds, workers = sizes
    chosen, more = _spread(paths, sample), _spread(paths, 8 * sample)
    ways = {
        REFERENCE: lambda: [reference.bones(plain(path), layout) for path in chosen],
        KERNEL: lambda: [bones(read_clip(path, dataset), layout) for path in more],
        COMMAND: lambda: prepare(dataset, source, work / "out" / dataset, ignored_samples="none", workers=workers),
    }
    timings = measure(ways, runs, seconds)
    amounts = {REFERENCE: len(chosen), KERNEL: len(more), COMMAND: len(paths)}
    notes = {
        REFERENCE: "joint and bone, one benchmark, nothing written",
        KERNEL: "joint and bone, nothing written",
        COMMAND: "joint and bone of all benchmarks, written as npy",
    }
    named = {name: f"{dataset} {name}" for name in ways}
    timings = {named[name]: timing for name, timing in timings.items()}
    part.add_rates(
        timings,
        {named[name]: amount for name, amount in amounts.items()},
        "clips/s",
        named[REFERENCE],
        {named[name]: note for name, note in notes.items()},
    )
    text = {REFERENCE: _bytes(chosen), KERNEL: _bytes(more), COMMAND: _bytes(paths)}
    megabytes = {named[name]: size / 1e6 for name, size in text.items()}
    part.add_rates(timings, megabytes, "MB/s of text", named[REFERENCE])


def _bytes(paths: list[Path]) -> int:
    return sum(path.stat().st_size for path in paths)
