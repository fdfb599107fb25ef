"""What a command has found, for eyes: a short table on a terminal, in the place of the JSON line of pipes and files."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from native_prep.io.progress import duration, percent

Result = Mapping[str, Any]
Row = tuple[str, str]
# Narrower terminals get one line for each value, which they may wrap.
NARROW = 60
# What the tables of `bench` need; narrower terminals get some lines for each of their rows.
WIDE = 80
# Of more variants than these their number is told.
_NAMED = 3


def size(count: int) -> str:
    """36400000 as 36 MB."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count} bytes"


def show(
    command: str, result: Result, given: str = "", console: Console | None = None, program: str = "python cli.py"
) -> None:
    """Prints what `command` has returned.

    Args:
        command: its name.
        result: what the JSON line would hold.
        given: options that the next command needs too, as " --dataset kinetics".
        console: where; standard output by default.
        program: how the next command begins.
    """
    console = console or Console(highlight=False)
    describe = _DESCRIBE.get(command, _plain)
    if command == "bench":
        _show_bench(result, console)
    rows, follows = describe(result)
    if result.get("passed") is False:
        failed = [str(gate) for gate in result.get("failed", ())] or ["a gate was not met"]
        rows = [*rows, *(("failed" if not place else "", gate) for place, gate in enumerate(failed))]
    if follows and result.get("passed") is not False:
        rows = [*rows, ("next", f"{program} {follows}{given if follows not in ('bench', 'report') else ''}")]
    if console.width < NARROW:
        for name, value in rows:
            console.print(f"{name}: {value}" if name else f"  {value}", soft_wrap=True, markup=False)
        return
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(Text(name), Text(value))
    console.print(table)


def _prep(result: Result) -> tuple[list[Row], str]:
    rows = [("clips", f"{result['clips']:,} of {result['frames']:,} frames")]
    for key, text in (
        ("bad_files", "bad files left out, see bad_files.csv"),
        ("ignored", "on the list of missing samples, passed over"),
        ("empty", "that nobody is seen in"),
    ):
        if result.get(key):
            rows.append(("", f"{result[key]:,} {text}"))
    rows += [("warning", text) for text in result.get("warnings", ())]
    for measure, text in (
        ("empty_frames", "of frames without anyone"), ("weak_joints", "of joints below a score of 0.3, or not seen"),
        ("jumps", "of steps longer than a body"),
    ):  # fmt: skip
        if found := result.get("quality", {}).get(measure):
            worst = f", most in {found['clip']}: {percent(found['worst'])}" if found["worst"] else ""
            rows.append(("quality" if measure == "empty_frames" else "", f"{percent(found['mean'])} {text}{worst}"))
    if poses := result.get("poses"):
        kept = f"{poses['estimated']:,} videos estimated, {poses['reused']:,} known already, kept in {poses['folder']}"
        rows.append(("poses", kept))
    if result["bytes_read"]:
        rows.append(("read", f"{size(result['bytes_read'])} in {duration(result['seconds'])}"))
    rows += _written(result["outputs"])
    return rows, _TRAINS[result["dataset"]]


_TRAINS = {
    "ntu60": "train --amp",
    "ntu120": "train --amp --dataset ntu120/xsub",
    "kinetics": "train --amp --dataset kinetics",
    "nw-ucla": "train --amp --dataset nw-ucla",
    "custom": "train --config custom-strong",
}


def _written(outputs: Iterable[str]) -> list[Row]:
    """The folders that files went to, and how large those are."""
    folders: dict[Path, list[Path]] = {}
    for path in map(Path, outputs):
        folders.setdefault(path if path.is_dir() else path.parent, []).append(path)
    rows: list[Row] = []
    for folder, paths in folders.items():
        files = [file for path in paths for file in (path.rglob("*") if path.is_dir() else (path,)) if file.is_file()]
        count = f"{len(files)} file{'s' if len(files) != 1 else ''}"
        rows.append(("written" if not rows else "", f"{folder}: {count}, {size(sum(f.stat().st_size for f in files))}"))
    return rows


def _synth(result: Result) -> tuple[list[Row], str]:
    made = f"{result['clips']:,} of {result['classes']} classes, {size(result['bytes'])}"
    return [("clips", made), ("written", result["folder"])], f"prep {result['dataset']}"


def _streams(result: Result) -> dict[str, Result]:
    return dict(result["streams"]) if "streams" in result else {result["stream"]: result}


def _train(result: Result) -> tuple[list[Row], str]:
    rows = []
    for stream, one in _streams(result).items():
        found = f"best {percent(one['best_top1'])}, last {percent(one['top1'])}"
        found += f", top-5 {percent(one['top5'])}" if one["top5"] is not None else ""
        rows.append((stream, found))
        loss = "" if one["loss"] is None else f"loss {one['loss']:.4f}, "
        rate = f"{one['clips_per_second']:.4g} clips/s" if one["clips_per_second"] else "finished before"
        rows.append(("", f"{one['epochs']} epochs, {loss}{rate}"))
        rows.append(("", str(Path(one["checkpoint"]).parent / "best.pt") if one["checkpoint"] else ""))
    return rows, "export-trt" if len(_streams(result)) > 1 else "fuse-eval"


def _test(result: Result) -> tuple[list[Row], str]:
    rows = []
    for stream, one in _streams(result).items():
        found = f"{percent(one['top1'])} of {one['clips']:,} clips"
        found += f", top-5 {percent(one['top5'])}" if one["top5"] is not None else ""
        found += f", mean class {percent(one['mean_class_accuracy'])}"
        rows += [(stream, f"{found}, loss {one['loss']:.4f}"), ("", one["scores"])]
        rows += [("warning", text) for text in one["warnings"]]
    return rows, "fuse-eval"


def _export(result: Result) -> tuple[list[Row], str]:
    measured = result["parity"]
    largest = f"{measured['max_rel']:.1e} of the largest score" if "max_rel" in measured else ""
    rows = [("parity", f"{'met' if measured['passed'] else 'not met'}{largest and ': ' + largest}")]
    rows.append(("precision", result["precision"]))
    files = [path for path in (result["onnx"], *result["engines"]) if path]
    rows += [("written" if not place else "", f"{path}, {_size_of(path)}") for place, path in enumerate(files)]
    rows += [("note", text) for text in result["notes"]]
    rows.append(("time", duration(result["seconds"])))
    folder = str(Path(result["onnx"]).parent) if result["onnx"] else ""
    return rows, f"predict --engine {folder} CLIP" if "pretrained" in result else f"fuse-eval --engine {folder}"


def _size_of(path: str) -> str:
    return size(Path(path).stat().st_size) if Path(path).is_file() else "is gone"


def _fuse(result: Result) -> tuple[list[Row], str]:
    rows = [("joint", percent(result["joint_top1"])), ("bone", percent(result["bone_top1"]))]
    further = result.get("streams", {})
    rows += [(name, f"{percent(one['top1'])} (weight {one['weight']:g})") for name, one in further.items()]
    fused = f"{percent(result['top1'])} of {result['clips']:,} clips"
    fused += f", top-5 {percent(result['top5'])}" if result["top5"] is not None else ""
    fused += f", mean class {percent(result['mean_class_accuracy'])}"
    rows.append(("fused", f"{fused} (alpha {result['alpha']:g})"))
    if "alpha_search" in result:
        rows.append(("note", result["alpha_search"]["note"]))
    if "runtime" in result:
        rows.append(("runtime", result["runtime"]))
    return rows, "" if "runtime" in result else "bench"


def _answer(best: Result) -> str:
    return f"{percent(best['score']):>8}  {best['class']}"


def _predict(result: Result) -> tuple[list[Row], str]:
    rows: list[Row] = []
    if "actions" in result:
        rows.append(("video", f"{result['video']}, {result['frames']:,} frames at {result['fps']:g} a second"))
        for one in result["actions"]:
            who = f", person {one['person']}" if one.get("person") else ""
            rows.append((f"{one['start']:.1f} to {one['end']:.1f} s", f"{_answer(one)}{who}"))
        if not result["actions"]:
            rows.append(("", "nobody is in it"))
        rows += [("written", path) for path in (result["timeline"], result["overlay"]) if path]
        return [*rows, ("runtime", result["runtime"])], ""
    if not isinstance(result.get("clips"), list):
        return _plain(result)
    for one in result["clips"]:
        rows.append(("clip", one["clip"]))
        rows += [("", _answer(best)) for best in one["top"]] or [("", "nobody is in it")]
        for person in one.get("persons", ()):
            first, last = person["frames"]
            rows.append((f"person {person['person']}", f"{_answer(person['top'][0])}, frames {first} to {last}"))
    return [*rows, ("runtime", result["runtime"])], ""


def _show_bench(result: Result, console: Console) -> None:
    """The short table of what was measured, or of what moved; some lines for each row where the terminal is narrow."""
    if "moved" in result:
        head: tuple[str, ...] = ("moved", "old", "new", "ratio", "", "to baseline")
        found = [_moved_lines(one) for one in result["moved"]]
    else:
        head = ("measured", "baseline", "ours", "ratio", "limit")
        found = [_summary_lines(row) for row in result["summary"]]
    if not found:
        return
    if console.width < WIDE:
        for cells, lines in found:
            console.print(Text("\n  ".join((f"{head[0]}: {cells[0]}", *lines))), soft_wrap=True)
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="none" if console.no_color else "bold")
    for name in head:
        numbers, bounds = name == "ratio", name == "limit"
        table.add_column(name, justify="right" if numbers else "left", max_width=18 if bounds else None)
    for cells, _ in found:
        table.add_row(*map(Text, cells))
    console.print(table)
    console.print()


def _summary_lines(row: Result) -> tuple[tuple[str, ...], list[str]]:
    """The cells of a wide table, and what follows the first of them on a narrow terminal."""
    rates = [(one["name"], f"{_rate(one['rate'])} {row['unit']}") for one in (row["baseline"], row["ours"])]
    plain, ours = ("\n".join(pair) for pair in rates)
    limit, ratio = row["limit"], f"{_rate(row['ratio'])} x"
    bound = f"{100 * limit['share']:.0f} % of {limit['name']}" if limit else ""
    told = [f"{name}: {', '.join(pair)}" for name, pair in zip(("baseline", "ours"), rates, strict=True)]
    told[1] += f", {ratio}"
    return (row["what"], plain, ours, ratio, bound), told + ([f"limit: {bound}"] if bound else [])


def _moved_lines(one: Result) -> tuple[tuple[str, ...], list[str]]:
    beside = "" if one["beside_baseline"] is None else f"{one['beside_baseline']:.2f} x"
    old, new = (f"{_rate(one[key])} {one['unit']}" for key in ("old", "new"))
    ratio, way = f"{one['ratio']:.2f} x", "faster" if one["faster"] else "SLOWER"
    told = [f"{old}, now {new}", f"{ratio}, {way}" + (f"; to baseline {beside}" if beside else "")]
    return (f"{one['part']}: {one['name']}", old, new, ratio, way, beside), told


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _bench(result: Result) -> tuple[list[Row], str]:
    if "moved" in result:
        return _compared(result), ""
    rows = []
    shown = {row["part"] for row in result["summary"]}
    for part, rates in result["rates"].items():
        rows += [(f"{part}: {name}", f"{rate:.4g}") for name, rate in rates.items() if part not in shown]
    rows += [("written", path) for path in result["outputs"] if path.endswith(".md")]
    return [*rows, ("time", duration(result["seconds"]))], "report"


def _compared(result: Result) -> list[Row]:
    rows: list[Row] = [] if result["moved"] else [("moved", "nothing")]
    rows.append(("did not move", str(result["unmoved"])))
    for key, name in (("only_old", "only in OLD"), ("only_new", "only in NEW")):
        parts: dict[str, list[str]] = {}
        for one in result[key]:
            parts.setdefault(one["part"], []).append(one["name"])
        for place, (part, names) in enumerate(parts.items()):
            told = ", ".join(names) if len(names) <= _NAMED else f"{len(names)} variants"
            rows.append((name if not place else "", f"{part}: {told}"))
    for one in result["checks_changed"]:
        about = ", ".join(filter(None, (one["part"], one["name"], one["what"])))
        rows.append(("check", f"{about}: {'NOT met any more' if one['old'] else 'is met now'}"))
    for key, name in (("machine_differs", "machine differs"), ("sizes_differ", "sizes differ")):
        rows += [(name if not place else "", line) for place, line in enumerate(result[key])]
    rows += [("busy" if not place else "", line) for place, line in enumerate(result["busy"])]
    if result["machine_differs"] or result["sizes_differ"]:
        rows.append(("warning", "speeds of different machines, versions or sizes are not comparable"))
    return rows


def _demo(result: Result) -> tuple[list[Row], str]:
    rows, _ = _fuse({**result, "alpha": 1.0})
    rows.append(("chance", percent(result["chance"])))
    rows += [(duration(seconds), step) for step, seconds in result["steps"].items()]
    return [*rows, ("written", result["out"]), ("time", duration(result["seconds"]))], ""


def _doctor(result: Result) -> tuple[list[Row], str]:
    rows: list[Row] = []
    for key in ("software", "processor", "gpu", "folders", "data"):
        rows += [(name, str(value)) for name, value in (result[key] or {"GPU": "none"}).items()]
    usable = [name for name, there in result["needs"].items() if there]
    rows.append(("usable", ", ".join(usable) or "nothing of what is optional"))
    rows += [("missing" if not place else "", line) for place, line in enumerate(result["advice"])]
    return rows, ""


def _weights(result: Result) -> tuple[list[Row], str]:
    rows: list[Row] = []
    for one in result["weights"]:
        here = ", is here" if one["here"] else ""
        rows.append((one["name"], f"{one['data']} ({one['skeleton']}); {one['classes']} classes{here}"))
        top1 = one["top1"]
        singles = ", ".join(f"{name} {percent(top1[name])}" for name in ("joint", "bone"))
        fused = f"{singles}, both {percent(top1['two_streams'])}, all four {percent(top1['four_streams'])}"
        rows.append(("", fused))
        rows.append(("", ", ".join(url.rsplit("/", 1)[1] for url in one["files"].values())))
    sources = {
        one["source"]: f"{one['source']} ({one['licence']}), about {size(one['bytes'])} a stream"
        for one in result["weights"]
    }
    rows += [("sources" if not place else "", text) for place, text in enumerate(sources.values())]
    rows.append(("accuracy", "top-1 as published there"))
    return rows, "predict --pretrained NAME CLIP, or --video FILE"


def _view(result: Result) -> tuple[list[Row], str]:
    shown, more = result["names"][:3], len(result["names"]) - 3
    rows = [("clips", ", ".join(shown) + (f" and {more} more" if more > 0 else ""))]
    rows += [
        ("written" if not place else "", f"{file}, {_size_of(file)}") for place, file in enumerate(result["outputs"])
    ]
    if page := next((file for file in result["outputs"] if not file.lower().endswith((".gif", ".png"))), None):
        rows.append(("open", Path(page).resolve().as_uri()))
    return rows, ""


def _fetched(result: Result) -> tuple[list[Row], str]:
    rows: list[Row] = []
    for one in result["weights"]:
        rows += [(one["name"] if not place else "", path) for place, path in enumerate(one["files"].values())]
    return rows, f"predict --pretrained {result['weights'][0]['pretrained']} CLIP, or --video FILE"


def _pack(result: Result) -> tuple[list[Row], str]:
    rows = [(stream, f"{percent(one['top1'])}, {one['file']}") for stream, one in result["streams"].items()]
    rows += [
        (text, percent(result[key]))
        for text, key in (("joint + bone", "two_streams"), ("all four", "four_streams"))
        if result[key] is not None
    ]
    rows.append(("written", result["folder"]))
    return rows, f"predict --pretrained {result['folder']} CLIP"


def _report(result: Result) -> tuple[list[Row], str]:
    rows: list[Row] = []
    for name, one in result["experiments"].items():
        found = [
            f"{key[: -len('_top1')].replace('_', ' ')} {percent(one[key])}" for key in one if key.endswith("_top1")
        ]
        rows.append((name, ", ".join(found) or "no accuracy, see the notes"))
    rows += [("note" if not place else "", note) for place, note in enumerate(result["notes"])]
    page = result["outputs"][0]
    return [*rows, ("written", f"{page}, {size(result['bytes'])}"), ("open", Path(page).resolve().as_uri())], ""


def _plain(result: Result) -> tuple[list[Row], str]:
    """Any other result: its values as they are, those of tables within it named by both."""
    rows: list[Row] = []
    for key, value in result.items():
        name = key.replace("_", " ")
        if isinstance(value, Mapping):
            rows += [(f"{name}: {inner}", _short(one)) for inner, one in value.items()]
        elif value is not None:
            rows.append((name, _short(value)))
    return rows, ""


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


_DESCRIBE: dict[str, Callable[[Result], tuple[list[Row], str]]] = {
    "prep": _prep, "synth": _synth, "train": _train, "test": _test, "export-trt": _export, "fuse-eval": _fuse,
    "predict": _predict, "bench": _bench, "demo": _demo, "doctor": _doctor, "view": _view, "weights": _weights,
    "weights get": _fetched, "weights pack": _pack, "report": _report,
}  # fmt: skip
