"""`bench compare`: what moved between two folders of results, beyond the noise of both.

A variant moved where it is faster, or slower, by a factor above 1 + the larger of 5 % and the noise of both runs (the
root of the sum of their squares). The noise of a run is its spread over the square root of its rounds; of a single
round it is 20 %.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.report import RESULTS, load_results

LEAST = 0.05
OF_ONE_ROUND = 0.2
# Load of each core beyond which there was other work; a part leaves about 1 to the next.
BUSY = 1.5
_MACHINE = ("processor", "cores", "threads", "vectors", "gpu", "system", "python")
# A part's variants and their rates, its checks: what is compared, by name.
Key = tuple[str, str]


def compare(old: str | Path, new: str | Path) -> dict[str, Any]:
    """Compare two runs of `bench`, variant by variant.

    Args:
        old, new: folders that bench wrote, or their `results.json`.

    Returns:
        moved (part, name, unit, old, new, ratio, noise, faster, and beside_baseline: how the ratio to the group's
        baseline changed, or None), unmoved (how many), only_old and only_new (part, name), checks_changed (part, name,
        what, old and new: whether it was met), machine_differs and sizes_differ (lines that name what), busy (lines
        that tell of much other work on the machine).

    Raises:
        ValueError: a file is missing or not ours.
    """
    before, after = _read(old), _read(new)
    olds, news = _rates(before), _rates(after)
    both = [_change(key, olds[key], news[key]) for key in olds if key in news]
    moved = [change for change in both if max(change["ratio"], 1 / change["ratio"]) - 1 > change["noise"]]
    return {
        "moved": moved,
        "unmoved": len(both) - len(moved),
        "only_old": [_named(key) for key in olds if key not in news],
        "only_new": [_named(key) for key in news if key not in olds],
        "checks_changed": _changed_checks(_checks(before), _checks(after)),
        "machine_differs": list(_machine_differs(before, after)),
        "sizes_differ": list(_sizes_differ(before, after)),
        "busy": [*_busy("OLD", before), *_busy("NEW", after)],
    }


def _read(path: str | Path) -> dict[str, Any]:
    file = Path(path)
    file = file / RESULTS if file.is_dir() else file
    if not file.is_file():
        raise ValueError(f"{file}: no such file: give a folder that bench wrote")
    return load_results(file, "give a folder that bench wrote")


def _rates(parts: dict[str, Any]) -> dict[Key, dict[str, Any]]:
    """Rates by part and name: of those of one timing in several units, the first."""
    found: dict[Key, dict[str, Any]] = {}
    for name, part in parts.items():
        for rate in part["rates"]:
            found.setdefault((name, rate["name"]), rate)
    return found


def _change(key: Key, old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    # In seconds of the same work where the unit is another one.
    ratio = new["rate"] / old["rate"] if old["unit"] == new["unit"] else old["seconds"] / new["seconds"]
    beside = new["ratio"] / old["ratio"] if old["ratio"] and new["ratio"] else None
    return {
        **_named(key),
        "unit": new["unit"],
        "old": old["rate"],
        "new": new["rate"],
        "ratio": ratio,
        "noise": max(LEAST, math.hypot(_noise(old), _noise(new))),
        "faster": ratio > 1,
        "beside_baseline": beside,
    }


def _noise(rate: dict[str, Any]) -> float:
    return float(rate["spread"]) / math.sqrt(rate["runs"]) if rate["runs"] > 1 else OF_ONE_ROUND


def _named(key: Key) -> dict[str, str]:
    return {"part": key[0], "name": key[1]}


def _checks(parts: dict[str, Any]) -> dict[tuple[str, str, int], dict[str, Any]]:
    """Checks by part, name and place among those of that name; whether a part ran to its end is one too."""
    found: dict[tuple[str, str, int], dict[str, Any]] = {}
    for name, part in parts.items():
        for check in part["checks"]:
            place = sum(key[:2] == (name, check["name"]) for key in found)
            found[name, check["name"], place] = check
        found[name, "", 0] = {"what": "ran to its end", "passed": not part["error"]}
    return found


def _changed_checks(old: dict[tuple[str, str, int], Any], new: dict[tuple[str, str, int], Any]) -> list[dict[str, Any]]:
    return [
        {**_named(key[:2]), "what": check["what"], "old": check["passed"], "new": new[key]["passed"]}
        for key, check in old.items()
        if key in new and check["passed"] != new[key]["passed"]
    ]


def _machine_differs(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    """What differs; a line that does not hold for all parts ends with those that it holds for."""
    both = [name for name in before if name in after]
    found: dict[str, list[str]] = {}
    for name in both:
        old, new = (
            {key: machine.get(key) for key in _MACHINE} | machine["versions"]
            for machine in (before[name]["machine"], after[name]["machine"])
        )
        for line in _differences(old, new):
            found.setdefault(line, []).append(name)
    for line, names in found.items():
        yield line if names == both else f"{line} ({', '.join(names)})"


def _sizes_differ(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    for name in before:
        if name in after:
            yield from (f"{name}, {line}" for line in _differences(before[name]["sizes"], after[name]["sizes"]))


def _busy(run: str, parts: dict[str, Any]) -> Iterator[str]:
    for name, part in parts.items():
        load, cores = part["machine"].get("load") or 0.0, part["machine"].get("cores") or 1
        if load > BUSY * cores:
            yield f"{run}, {name}: load {load:g} on {cores} cores when it began"


def _differences(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    for key in dict.fromkeys((*old, *new)):
        if old.get(key) != new.get(key):
            yield f"{key}: {_told(old.get(key))}, now {_told(new.get(key))}"


def _told(value: Any) -> str:
    return "none" if value is None else str(value)
