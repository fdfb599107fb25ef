"""`bench`: the parts in turn, each with its parity first; what one part found stays when a later one fails."""

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.infer import run_infer
from bench.machine import describe
from bench.part import Part
from bench.prep.measure import run_prep
from bench.report import failures, read_results, summary, write_report
from bench.train import run_train
from native_prep.io.atomic import check_writable

PARTS: dict[str, Callable[..., Part]] = {"prep": run_prep, "train": run_train, "infer": run_infer}


def run(what: str = "all", out: str | Path = "bench_out", **sizes: Mapping[str, Any]) -> dict[str, Any]:
    """Compare and time; write `results.json`, `report.md` and plots into `out`.

    Parts that an earlier run left in `out` stay in the report.

    Args:
        what: prep, train, infer or all.
        out: folder, made if missing.
        sizes: part -> arguments of `run_prep`, `run_train` or `run_infer`.

    Returns:
        passed, failed (names of what was not met), rates (part -> variant -> rate), ratios (likewise, against
        the baseline), summary (see `bench.report.summary`), outputs, seconds.

    Raises:
        ValueError: no such part, or a folder with another program's results.
    """
    names = list(PARTS) if what == "all" else [what]
    unknown = [name for name in (*names, *sizes) if name not in PARTS]
    if unknown:
        raise ValueError(f"bench has no part {unknown[0]!r}: use one of {', '.join(PARTS)}, all")
    start = time.monotonic()
    check_writable(out)
    parts = read_results(out)
    outputs: list[str] = []
    for name in names:
        print(f"bench: {name}", file=sys.stderr, flush=True)
        machine = describe()
        parts[name] = _run_part(name, sizes.get(name, {})).as_dict() | {"machine": machine}
        outputs = write_report(out, parts)
    found = {name: parts[name] for name in names}
    return {
        "passed": all(part["passed"] for part in found.values()),
        "failed": [line for name, part in found.items() for line in failures(name, part)],
        "rates": {name: {_variant_name(rate): rate["rate"] for rate in part["rates"]} for name, part in found.items()},
        "ratios": {
            name: {_variant_name(rate): rate["ratio"] for rate in part["rates"]} for name, part in found.items()
        },
        "summary": summary(found),
        "left_out": {name: part["left_out"] for name, part in found.items() if part["left_out"]},
        "outputs": outputs,
        "seconds": time.monotonic() - start,
    }


def _run_part(name: str, sizes: Mapping[str, Any]) -> Part:
    """A part that breaks off says so in the results, so that the others' stay."""
    try:
        return PARTS[name](**sizes)
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        message = " ".join(str(error).split()) or type(error).__name__
        print(f"bench: {name} broke off: {message}", file=sys.stderr, flush=True)
        return Part(name, dict(sizes), error=message)


def _variant_name(rate: dict[str, Any]) -> str:
    """A variant may have a rate in clips and one in text; only the second needs its unit beside it."""
    return rate["name"] if rate["unit"] == "clips/s" else f"{rate['name']}, {rate['unit']}"
