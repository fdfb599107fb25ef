"""results.json, report.md and a plot for each part, all of them whole or none."""

import json
import math
from collections.abc import Callable, Mapping
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
    "gpu graph convolution": "The graph convolution alone",
    "gpu nw-ucla": "NW-UCLA from raw files to accuracy",
    "gpu compile train": "Compiling a training step",
    "gpu compile fused train": "Compiling a training step, fused graph convolution",
    "gpu compile infer": "Compiling inference",
    "gpu compile fused infer": "Compiling inference, fused graph convolution",
    "gpu compile one clip": "Compiling inference of one clip",
    "gpu compile package": "Building AOTInductor's package",
    "gpu engines": "Exporting for ONNX Runtime and TensorRT",
}


def read_results(out: str | Path) -> dict[str, Any]:
    """The parts that an earlier run left in `out`; none where there is no such file.

    Raises:
        ValueError: the file is there and is not ours, or is damaged.
    """
    path = Path(out) / RESULTS
    return load_results(path, "give another folder") if path.exists() else {}


def load_results(path: Path, advice: str) -> dict[str, Any]:
    """The parts of a `results.json`, also of one that an older version wrote, which knew no groups and no limits.

    Raises:
        ValueError: the file is not ours, or is damaged; `advice` says what to do.
    """
    try:
        parts = json.loads(path.read_text(encoding="utf-8"))["parts"]
        return {name: _complete(name, part) for name, part in parts.items()}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"{path}: not results of bench: {advice}") from error


def _complete(name: str, part: dict[str, Any]) -> dict[str, Any]:
    """The part with what an older version did not know; refused where what follows could not use it."""
    rates = [{"group": "", "label": rate["name"], **rate} for rate in part["rates"]]
    part = {"notes": [], "groups": [], "limit": {}, **part, "rates": rates}
    part["machine"] = {"load": None, **part["machine"]}
    if Path(name).name != name or not _fits(part, _PART):  # a plot is named after the part
        raise ValueError(name)
    for group in part["groups"]:
        compared = {*group["best"], group["baseline"]} if group["best"] else {group["baseline"]} - {""}
        if not compared <= {rate["name"] for rate in rates if rate["group"] == group["title"]}:
            raise ValueError(group["title"])
    return part


def _fits(value: Any, kind: Any) -> bool:
    """Whether what JSON held is of that kind: a table of kinds, a list of one kind, or what a function says."""
    if isinstance(kind, dict):
        return isinstance(value, dict) and all(key in value and _fits(value[key], one) for key, one in kind.items())
    if isinstance(kind, list):
        return isinstance(value, list) and all(_fits(one, kind[0]) for one in value)
    return bool(kind(value))


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _truth(value: Any) -> bool:
    return isinstance(value, bool)


def _any_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    return _any_number(value) and math.isfinite(value)


def _above_zero(value: Any) -> bool:
    return _number(value) and value > 0


def _or_none(kind: Any) -> Callable[[Any], bool]:
    return lambda value: value is None or _fits(value, kind)


def _table_of(kind: Any) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, dict) and all(_fits(one, kind) for one in value.values())


_PART = {
    "sizes": _table_of(lambda value: True),
    "checks": [{"name": _text, "what": _text, "error": _any_number, "tolerance": _any_number, "passed": _truth}],
    "rates": [
        {
            "name": _text, "group": _text, "label": _text, "unit": _text, "note": _text, "rate": _above_zero,
            "seconds": _above_zero, "runs": _above_zero, "spread": _number, "ratio": _or_none(_above_zero),
        }
    ],
    "groups": [
        {
            "title": _text, "unit": _text, "baseline": _text,
            "best": _table_of(_or_none({"name": _text, "rate": _above_zero})),
        }
    ],
    "limit": _table_of(_number),
    "left_out": _table_of(_text),
    "notes": [_text],
    "error": _text,
    "passed": _truth,
    "machine": {
        "processor": _text, "vectors": _text, "python": _text, "date": _text, "gpu": _or_none(_text),
        "cores": _or_none(_above_zero), "load": _or_none(_number), "versions": _table_of(_text),
    },
}  # fmt: skip


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
        outputs.temporary(out / RESULTS).write_text(json.dumps({"parts": parts}, indent=2) + "\n", encoding="utf-8")
        outputs.temporary(out / "report.md").write_text(as_markdown(parts), encoding="utf-8")
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
        verdict = "NOT PASSED" if not part["passed"] else "passed" if was_run(part) else "not run"
        lines += ["", f"## {title} (`{name}`): {verdict}", ""]
        lines += [f"On {machine_line(part['machine'])}.", ""]
        lines += ["Sizes: " + ", ".join(f"{key} {value}" for key, value in part["sizes"].items()) + "."]
        if part["error"]:
            lines += ["", f"Broke off: {part['error']}"]
        lines += _check_table(part["checks"])
        for group, _, rates, baseline in panels(part):
            lines += ["", f"### {group}"] if group else []
            lines += ["", f"Baseline: {baseline['label']}."] if baseline else []
            lines += _rate_table(rates)
        if part["limit"]:
            lines += ["", "Limits: " + "; ".join(f"{what} {value:.4g}" for what, value in part["limit"].items()) + "."]
        lines += [""]
        lines += [f"- {note}" for note in part.get("notes", ())]
        lines += [f"- Not run: {what}: {why}" for what, why in part["left_out"].items()]
    return "\n".join(lines) + "\n"


def was_run(part: Mapping[str, Any]) -> bool:
    """Whether a part has found anything, or failed: not where all that it was for is left out."""
    return bool(part["rates"] or part["checks"] or part["notes"] or part["error"]) or not part["left_out"]


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
