"""`bench gpu`: the numbers that the project aims at on a GPU, beside what was measured."""

from collections.abc import Sequence
from typing import Any

Rate = dict[str, Any]


def agreeing_rates(part: dict[str, Any]) -> list[Rate]:
    """The rates of a part without those whose answers failed a check."""
    failed = {check["name"] for check in part["checks"] if not check["passed"]}
    return [rate for rate in part["rates"] if rate["name"] not in failed]


def targets(name: str, part: dict[str, Any]) -> list[str]:
    """A line for each target of the part `name` (as `Part.as_dict` has it): met or missed."""
    rates = agreeing_rates(part)
    ours = [rate for rate in rates if rate["ratio"] is not None and not rate["name"].startswith("original")]
    if name == "gpu prep":
        # `bench.prep.on_gpu.TEXT`, whose import wants Numba's CUDA.
        text = [rate for rate in rates if rate["name"] == "CUDA, text in pinned memory" and rate["unit"] == "GB/s"]
        return [_at_least("text from pinned memory to clips, GB/s", 10, text, "rate")]
    if name == "gpu train":
        return [_at_least("a training step, times the original in float32", 8, ours, "ratio")]
    if name == "gpu infer":
        batches = [rate for rate in ours if "batch of" in rate["group"]]
        return [
            _at_least("inference, times eager float32", 10, batches, "ratio"),
            _at_least("two-stream clips a second", 6000, batches, "rate"),
            _at_most("one clip, median seconds", 0.0015, [rate for rate in ours if rate not in batches]),
        ]
    return []


def _at_least(what: str, wanted: float, rates: Sequence[Rate], key: str) -> str:
    best = max(rates, key=lambda rate: rate[key], default=None)
    return _line(f"{what}, at least {wanted:g}", best, key, best is not None and best[key] >= wanted)


def _at_most(what: str, wanted: float, rates: Sequence[Rate]) -> str:
    best = min(rates, key=lambda rate: rate["seconds"], default=None)
    return _line(f"{what}, at most {wanted:g}", best, "seconds", best is not None and best["seconds"] <= wanted)


def _line(what: str, best: Rate | None, key: str, met: bool) -> str:
    if best is None:
        return f"target: {what}: not measured"
    note = f"; {best['note']}" if best["note"] else ""
    return f"target: {what}: {best[key]:.4g}, {'met' if met else 'missed'} ({best['name']}{note})"
