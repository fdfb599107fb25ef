"""results.json, report.md and a plot for each part, all of them whole or none."""

import json
from pathlib import Path
from typing import Any

from agcn.plots import draw_rates
from native_prep.io.atomic import OutputSet

RESULTS = "results.json"


def read_results(out: str | Path) -> dict[str, Any]:
    """The parts that an earlier run left in `out`; none where there is no such file.

    Raises:
        ValueError: the file is there and is not ours.
    """
    path = Path(out) / RESULTS
    if not path.exists():
        return {}
    try:
        parts = json.loads(path.read_text())["parts"]
        return {name: dict(part) for name, part in parts.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: not results of bench: give --out another folder") from error


def write_report(out: str | Path, parts: dict[str, Any], plots: bool = True) -> list[str]:
    """Write what was found so far; returns the paths.

    Args:
        out: folder, made if missing.
        parts: name -> `Part.as_dict()` with the `machine` that it ran on.
        plots: with a plot of each part's rates.
    """
    out = Path(out)
    written = [out / RESULTS, out / "report.md"]
    with OutputSet() as outputs:
        outputs.temporary(out / RESULTS).write_text(json.dumps({"parts": parts}, indent=2) + "\n")
        outputs.temporary(out / "report.md").write_text(as_markdown(parts))
        for name, part in parts.items():
            if plots and part["rates"]:
                written.append(out / f"{name}.png")
                draw_rates(outputs.temporary(written[-1]), name, part["rates"])
    return [str(path) for path in written]


def as_markdown(parts: dict[str, Any]) -> str:
    """The report as text with tables."""
    lines = ["# Measurements", "", "Each part first shows that the fast variants give the baseline's answers."]
    for name, part in parts.items():
        lines += ["", f"## {name}: {'passed' if part['passed'] else 'NOT PASSED'}", ""]
        lines += [f"On {machine_line(part['machine'])}.", ""]
        lines += ["Sizes: " + ", ".join(f"{key} {value}" for key, value in part["sizes"].items()) + "."]
        if part["error"]:
            lines += ["", f"Broke off: {part['error']}"]
        lines += _check_table(part["checks"]) + _rate_table(part["rates"])
        lines += [f"- {note}" for note in part.get("notes", ())]
        lines += [f"- Not run: {what}: {why}" for what, why in part["left_out"].items()]
    return "\n".join(lines) + "\n"


def machine_line(machine: dict[str, Any]) -> str:
    """What `bench.machine.describe` found, in one line."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    gpu = f", {machine['gpu']}" if machine["gpu"] else ", no GPU"
    return (
        f"{machine['processor']} ({machine['cores']} cores, {machine['vectors']}){gpu}, "
        f"Python {machine['python']}, {versions}, {machine['date']}"
    )


def _check_table(checks: list[dict[str, Any]]) -> list[str]:
    if not checks:
        return []
    rows = [
        f"| {check['name']} | {check['what']} | {check['error']:.2e} | {check['tolerance']:.2e} | "
        f"{'yes' if check['passed'] else 'NO'} |"
        for check in checks
    ]
    return ["", "| parity of | measure | error | allowed | met |", "|---|---|---|---|---|", *rows]


def _rate_table(rates: list[dict[str, Any]]) -> list[str]:
    if not rates:
        return []
    rows = []
    for rate in rates:
        ratio = "" if rate["ratio"] is None else f"{rate['ratio']:.2f}"
        rows.append(
            f"| {rate['name']} | {rate['rate']:.4g} {rate['unit']} | {ratio} | {rate['seconds']:.4g} s | "
            f"{rate['runs']} | {rate['spread']:.0%} | {rate['note']} |"
        )
    head = "| variant | rate | times the baseline | median | runs | spread | |"
    return ["", head, "|---|---|---|---|---|---|---|", *rows, ""]


def failures(name: str, part: dict[str, Any]) -> list[str]:
    """What a part did not meet, a line each."""
    lines = [
        f"{name}, {check['name']}: {check['what']} {check['error']:.2e} > {check['tolerance']:.2e}"
        for check in part["checks"]
        if not check["passed"]
    ]
    return lines + ([f"{name}: {part['error']}"] if part["error"] else [])
