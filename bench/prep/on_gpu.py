"""NTU text to clips on a GPU: against the CPU's kernels, the speed of the copy, and what the GPU's memory can give.

On a machine with a GPU, run `python3 -m pytest tests/kernels/test_cuda.py` first, then `python cli.py bench prep`. The
first use of the kernels compiles them, which takes about half a minute and is not timed.
"""

from collections.abc import Callable, Sequence
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from bench.part import Check, Limit, Part
from bench.timer import Timing, measure
from native_prep.cpu import reader as cpu
from native_prep.cpu.reader import BYTES, CODE, path_table
from native_prep.cuda.batches import NtuBatch, device_rows, host_rows
from native_prep.cuda.reader import Reader
from native_prep.cuda.target import check_device, cuda
from native_prep.datasets.catalog import get_dataset
from native_prep.kernels import status
from native_prep.kernels.skeleton_text import MAX_BODIES

ALLOWED = 1e-6
_STREAMS = ("joint", "bone")
_FILES = 256
Shape = tuple[int, ...]
CPU, READER, TEXT, TO_HOST, COPY, MEMORY = (
    "CPU reader, one thread",
    "CUDA reader",
    "CUDA, text in pinned memory",
    "CUDA, text in pinned memory, clips back on the host",
    "copy of the text to the GPU",
    "copy within the GPU",
)
_NOTES = {
    CPU: "joint and bone, files read, nothing written",
    READER: "joint and bone, files read, clips on the host",
    TEXT: "joint and bone, clips stay on the GPU",
    TO_HOST: "joint and bone",
    COPY: "what no kernel can beat",
    MEMORY: "bytes read and written",
}


def add_cuda(
    part: Part, paths: Sequence[Path], runs: int, seconds: float, count: int = _FILES, frames: int = 300
) -> None:
    """Adds a check and rates of the CUDA driver to `part`, or says why they are left out.

    Args:
        paths: `.skeleton` files, used again and again until a batch is full.
        runs, seconds: see `measure`.
        count: files at a time, of which a batch takes as many as it has room for.
        frames: T.
    """
    try:
        check_device()
    except ValueError as error:
        part.left_out["prep on a GPU"] = str(error)
        return
    files = [str(path) for path in islice(cycle(paths), count)]
    dataset = get_dataset("ntu60")
    ours, plain = Reader(dataset, _STREAMS, frames, count), cpu.Reader(dataset, _STREAMS, frames, count)
    if not _compare(part, ours, plain, files):
        return
    variants, clips, moved = _variants(NtuBatch(dataset, frames, count), ours, plain, files)
    timings = measure(variants, runs, seconds, cuda.synchronize)
    limit = _limit(part, timings, moved, int(clips[TEXT]), ours.rows.shape[1:])
    title, timed = "NTU text to clips on a GPU", {name: timings[name] for name in clips}
    part.add_rates(timed, clips, "clips/s", CPU, _NOTES, title=title, contenders=[{READER: limit}])
    part.add_rates(
        timings, {name: amount / 1e9 for name, amount in moved.items()}, "GB/s", COPY, _NOTES,
        title="What copies and kernels take in",
    )  # fmt: skip


def _compare(part: Part, ours: Reader, plain: cpu.Reader, files: list[str]) -> bool:
    given, expected = ours.run(files), plain.run(files)
    good = expected[:, CODE] == status.OK
    error = float(np.abs(ours.rows[good] - plain.rows[good]).max(initial=0.0))
    different = float((given != expected).any(1).sum())
    name = "ntu60 on a GPU"
    part.checks += [
        Check(name, error, ALLOWED, f"largest difference from the CPU in {len(files)} clips"),
        Check(name, different, 0.0, "reports that differ from the CPU's"),
    ]
    return part.agrees(name)


def _variants(
    batch: NtuBatch, ours: Reader, plain: cpu.Reader, files: list[str]
) -> tuple[dict[str, Callable[[], object]], dict[str, float], dict[str, float]]:
    """Variants, the clips that some of them make, and the bytes that each takes in, or moves."""
    reports = np.zeros((len(files), 7), np.int64)
    count = batch.read(path_table(files), reports)
    rows, host = device_rows((count, *ours.rows.shape[1:])), host_rows((count, *ours.rows.shape[1:]))
    streams = cuda.to_device(np.arange(len(_STREAMS)))
    source, target = cuda.pinned_array(batch.size, np.uint8), cuda.device_array(batch.size, np.uint8)
    source[:] = 0
    other = device_rows(rows.shape)

    def launch(back: np.ndarray | None) -> None:
        batch.launch(count, streams, rows, back)
        batch.stream.synchronize()

    variants: dict[str, Callable[[], object]] = {
        CPU: lambda: plain.run(files),
        READER: lambda: ours.run(files),
        TEXT: lambda: launch(None),
        TO_HOST: lambda: launch(host),
        COPY: lambda: target.copy_to_device(source),
        MEMORY: lambda: other.copy_to_device(rows),
    }
    all_bytes, some_bytes = (float(plain.run(files[:stop])[:, BYTES].sum()) for stop in (len(files), count))
    clips = {CPU: float(len(files)), READER: float(len(files)), TEXT: float(count), TO_HOST: float(count)}
    text = {CPU: all_bytes, READER: all_bytes, TEXT: some_bytes, TO_HOST: some_bytes}
    return variants, clips, {**text, COPY: float(batch.size), MEMORY: 8.0 * rows.size}


def _limit(part: Part, timings: dict[str, Timing], text: dict[str, float], count: int, shape: Shape) -> Limit:
    """How near the copy and the GPU's memory, at their measured speeds, let the kernels come to no time at all."""
    streams, channels, frames, joints, bodies = shape
    clips = 4.0 * count * channels * frames * joints * bodies
    coordinates = 8.0 * count * channels * frames * joints * MAX_BODIES
    # Text is looked through for lines twice and read once; coordinates are cleared, clips written and read.
    moved = 3 * text[COPY] + coordinates + 2 * clips + streams * clips
    least = timings[COPY].median + moved * timings[MEMORY].median / text[MEMORY]
    share = least / timings[TEXT].median
    part.notes.append(
        f"{TEXT}: {share:.0%} of the limit, which is the copy, then {moved / 1e9:.2f} GB through the GPU's memory"
    )
    part.limit["copy of the text to the GPU, GB/s"] = text[COPY] / timings[COPY].median / 1e9
    part.limit["copy within the GPU, GB/s"] = text[MEMORY] / timings[MEMORY].median / 1e9
    return Limit("the copy and the GPU's memory", count / least)
