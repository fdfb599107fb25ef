"""results.json, report.md and a plot for each part, all of them whole or none."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agcn.plots import RatePanel, draw_rates
from native_prep.io.atomic import OutputSet

RESULTS = "results.json"
TITLES = {
    "prep": "Raw recordings to clips",
    "train": "Training",
    "infer": "Two-stream inference",
    "gpu machine": "What the device can do at most",
    "gpu kernels": "Tests of the CUDA kernels",
    "gpu prep": "Raw recordings to clips on a GPU",
    "gpu train": "Training on a GPU",
    "gpu infer": "Two-stream inference on a GPU",
    "gpu feed": "Feeding clips to the model",
    "gpu nw-ucla": "NW-UCLA from raw files to accuracy",
}


def read_results(out: str | Path) -> dict[str, Any]:
    """The parts that an earlier run left in `out`; none where there is no such file.

    Raises:
        ValueError: the file is there and is not ours.
    """
    path = Path(out) / RESULTS
    return load_results(path, "give --out another folder") if path.exists() else {}


def load_results(path: Path, advice: str) -> dict[str, Any]:
    """The parts of a `results.json`, also of one that an older version wrote, which knew no groups and no limits.

    Raises:
        ValueError: the file is not ours; `advice` says what to do.
    """
    try:
        parts = json.loads(path.read_text(encoding="utf-8"))["parts"]
        return {name: _complete(part) for name, part in parts.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: not results of bench: {advice}") from error


def _complete(part: dict[str, Any]) -> dict[str, Any]:
    for key in ("sizes", "checks", "left_out", "error", "passed"):
        part[key]
    part["machine"]["versions"].items()
    rates = [{"group": "", "label": rate["name"], **rate} for rate in part["rates"]]
    return {"notes": [], "groups": [], "limit": {}, **part, "rates": rates}


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
                draw_rates(outputs.temporary(written[-1]), TITLES.get(name, name), panels(part))
    return [str(path) for path in written]


def as_markdown(parts: dict[str, Any]) -> str:
    """The report as text with tables."""
    lines = ["# Measurements", "", "Each part first shows that the fast variants give the baseline's answers."]
    lines += _summary_table(summary(parts))
    for name, part in parts.items():
        title = TITLES.get(name, name)
        lines += ["", f"## {title} (`{name}`): {'passed' if part['passed'] else 'NOT PASSED'}", ""]
        lines += [f"On {machine_line(part['machine'])}.", ""]
        lines += ["Sizes: " + ", ".join(f"{key} {value}" for key, value in part["sizes"].items()) + "."]
        if part["error"]:
            lines += ["", f"Broke off: {part['error']}"]
        lines += _check_table(part["checks"])
        for title, _, rates, baseline in panels(part):
            lines += ["", f"### {title}"] if title else []
            lines += ["", f"Baseline: {baseline['label']}."] if baseline else []
            lines += _rate_table(rates)
        if part["limit"]:
            lines += ["", "Limits: " + "; ".join(f"{what} {value:.4g}" for what, value in part["limit"].items()) + "."]
        lines += [""]
        lines += [f"- {note}" for note in part.get("notes", ())]
        lines += [f"- Not run: {what}: {why}" for what, why in part["left_out"].items()]
    return "\n".join(lines) + "\n"


def panels(part: Mapping[str, Any]) -> list[RatePanel]:
    """The rates that belong side by side: those of one group and unit, in order, with their baseline or None."""
    baselines = {group["title"]: group["baseline"] for group in part["groups"]}
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for rate in part["rates"]:
        found.setdefault((rate["group"], rate["unit"]), []).append(rate)
    return [
        (title, unit, rates, next((rate for rate in rates if rate["name"] == baselines.get(title)), None))
        for (title, unit), rates in found.items()
    ]


def summary(parts: dict[str, Any]) -> list[dict[str, Any]]:
    """What people ask for first: of each group, the fastest variants that give the baseline's answers, beside it.

    Returns:
        part, what (is measured), unit, baseline and ours (name, rate), ratio, and limit (name, rate, the share of it
        that ours reaches) or None.
    """
    rows = []
    for name, part in parts.items():
        rates = {(rate["group"], rate["name"]): rate for rate in part["rates"]}
        for group in part["groups"]:
            for best, limit in group["best"].items():
                ours = rates[group["title"], best]
                plain = rates[group["title"], group["baseline"]]
                rows.append(
                    {
                        "part": name,
                        "what": group["title"],
                        "unit": group["unit"],
                        "baseline": {key: plain[text] for key, text in (("name", "label"), ("rate", "rate"))},
                        "ours": {key: ours[text] for key, text in (("name", "label"), ("rate", "rate"))},
                        "ratio": ours["rate"] / plain["rate"],
                        "limit": limit and {**limit, "share": ours["rate"] / limit["rate"]},
                    }
                )
    return rows


def _summary_table(rows: list[dict[str, Any]]) -> list[str]:
    if not rows:
        return []
    lines = ["", "| | baseline | ours | ratio | limit |", "|---|---|---|---|---|"]
    for row in rows:
        plain, ours = (f"{one['name']}, {one['rate']:.4g} {row['unit']}" for one in (row["baseline"], row["ours"]))
        limit = row["limit"]
        bound = "" if limit is None else f"{limit['share']:.0%} of {limit['name']} ({limit['rate']:.4g} {row['unit']})"
        lines.append(f"| {row['what']} | {plain} | {ours} | {row['ratio']:.3g} | {bound} |")
    return lines


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
    rows = []
    for rate in rates:
        ratio = "" if rate["ratio"] is None else f"{rate['ratio']:.2f}"
        rows.append(
            f"| {rate['label']} | {rate['rate']:.4g} {rate['unit']} | {ratio} | {rate['seconds']:.4g} s | "
            f"{rate['runs']} | {rate['spread']:.0%} | {rate['note']} |"
        )
    head = "| variant | rate | times the baseline | median | runs | spread | |"
    return ["", head, "|---|---|---|---|---|---|---|", *rows]


def failures(name: str, part: dict[str, Any]) -> list[str]:
    """What a part did not meet, a line each."""
    lines = [
        f"{name}, {check['name']}: {check['what']} {check['error']:.2e} > {check['tolerance']:.2e}"
        for check in part["checks"]
        if not check["passed"]
    ]
    return lines + ([f"{name}: {part['error']}"] if part["error"] else [])
