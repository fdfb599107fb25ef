"""Raw files to clips: a plain NumPy reference is the plain way; the kernels must give its numbers."""

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.part import Check, Part
from bench.prep_cuda import add_cuda
from bench.timer import Timing, measure
from native_prep import reference
from native_prep.clips import read_clip
from native_prep.layouts import KINETICS, NTU, Layout
from native_prep.prepare import prepare
from native_prep.streams import bones
from native_prep.synth import write_kinetics, write_ntu

ALLOWED = 2e-6
_CLASSES = 10
REFERENCE, KERNEL, COMMAND = "NumPy reference", "kernels, one thread", "whole command"
_NOTES = {
    REFERENCE: "joint and bone, one benchmark, nothing written",
    KERNEL: "joint and bone, nothing written",
    COMMAND: "joint and bone of all benchmarks, written as npy",
}


def run_prep(
    *,
    ntu_clips: int = 240,
    kinetics_clips: int = 40,
    frames: int = 90,
    sample: int = 6,
    runs: int = 5,
    seconds: float = 20.0,
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
    threads = workers or os.cpu_count() or 1
    part = Part("prep", {"ntu_clips": ntu_clips, "ntu_frames": frames, "kinetics_clips": kinetics_clips})
    part.sizes |= {"reference_sample": sample, "workers": threads, "files": "warm"}
    with tempfile.TemporaryDirectory(prefix="bench_prep_") as folder:
        work = Path(folder)
        ntu = Path(data) if data else work / "ntu"
        if data is None:
            write_ntu(ntu, ntu_clips, _CLASSES, seed, frames)
        write_kinetics(work / "kinetics", kinetics_clips, _CLASSES, seed)
        sources = (
            _Source("ntu60", ntu, "*.skeleton", NTU, reference.prepare_ntu_clip),
            _Source("kinetics", work / "kinetics", "kinetics_*/*.json", KINETICS, reference.prepare_kinetics_clip),
        )
        agreeing = [source for source in sources if _compare(part, source, 2 * sample)]
        for source in agreeing:
            timings = measure(_ways(source, sample, work / "out" / source.dataset, threads), runs, seconds)
            _add_rates(part, source, sample, timings)
        add_cuda(part, sources[0].paths(), runs, seconds)
    return part


@dataclass(frozen=True)
class _Source:
    """Raw files of one data set, and the plain way to prepare one of them."""

    dataset: str
    folder: Path
    pattern: str
    layout: Layout
    plain: Callable[[Path], np.ndarray]

    def paths(self, count: int | None = None) -> list[Path]:
        """All files, or at least `count` of them, evenly: every class and number of bodies has its share."""
        found = sorted(self.folder.glob(self.pattern))
        if not found:
            raise ValueError(f"{self.folder}: no {self.pattern} in it: give a folder of raw clips")
        return found[:: max(1, len(found) // (count or len(found)))]


def _compare(part: Part, source: _Source, count: int) -> bool:
    """Adds a check for each stream; whether all were met."""
    paths = source.paths(count)
    errors = {"joint": 0.0, "bone": 0.0}
    for path in paths:
        expected, got = source.plain(path), read_clip(path, source.dataset)
        pairs = {"joint": (got, expected), "bone": (bones(got, source.layout), bones(expected, source.layout))}
        for stream, (ours, theirs) in pairs.items():
            # Not max(): an error that is not a number must stay.
            errors[stream] = float(np.maximum(errors[stream], np.abs(ours - theirs).max()))
    what = f"largest difference in {len(paths)} clips"
    checks = [Check(f"{source.dataset} {stream}", error, ALLOWED, what) for stream, error in errors.items()]
    part.checks += checks
    return all(check.passed for check in checks)


def _ways(source: _Source, sample: int, out: Path, threads: int) -> dict[str, Callable[[], object]]:
    """The reference on a sample, the kernels in one thread on a larger one, the whole command on everything."""
    few, more = source.paths(sample), source.paths(8 * sample)
    return {
        REFERENCE: lambda: [bones(source.plain(path), source.layout) for path in few],
        KERNEL: lambda: [bones(read_clip(path, source.dataset), source.layout) for path in more],
        COMMAND: lambda: prepare(source.dataset, source.folder, out, ignored_samples="none", workers=threads),
    }


def _add_rates(part: Part, source: _Source, sample: int, timings: Mapping[str, Timing]) -> None:
    """Clips and text a second, under the data set's name."""
    taken = {REFERENCE: source.paths(sample), KERNEL: source.paths(8 * sample), COMMAND: source.paths()}
    named = {name: f"{source.dataset} {name}" for name in timings}
    clips = {named[name]: float(len(paths)) for name, paths in taken.items()}
    text = {named[name]: sum(path.stat().st_size for path in paths) / 1e6 for name, paths in taken.items()}
    renamed = {named[name]: timing for name, timing in timings.items()}
    notes = {named[name]: note for name, note in _NOTES.items()}
    part.add_rates(renamed, clips, "clips/s", named[REFERENCE], notes)
    part.add_rates(renamed, text, "MB/s of text", named[REFERENCE])
