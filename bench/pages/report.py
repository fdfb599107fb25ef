"""`report`: work folders as one HTML page that opens anywhere, without a network: what was learned, and how well."""

import os
import sys
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

from markupsafe import Markup
from plotly.offline import get_plotlyjs

from bench.machine import describe
from bench.pages import charts
from bench.pages.charts import TEXT, Chart
from bench.pages.page import check_output, render
from bench.pages.runs import find_experiments, reason
from bench.pages.section import Section, section_of
from bench.report import RESULTS, TITLES, load_results, machine_line, summary
from native_prep.io.atomic import atomic_file
from native_prep.io.progress import Progress, percent

WORK, BENCH, PAGE = "work_dir", "bench_out", "report.html"
# For confusions, clips and graphs of all experiments: a page stays below 10 MB, and plotly.js takes half of it.
_BYTES = 4_000_000
MOST_EXPERIMENTS = 12


def report(
    folders: Sequence[str | os.PathLike[str]] = (),
    out: str | os.PathLike[str] = PAGE,
    bench: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Write the page.

    Args:
        folders: work folders, of a run or with runs below them; all of `work_dir` by default.
        out: the page.
        bench: a folder that `bench` wrote; `bench_out` by default, where that is there.

    Returns:
        experiments: name -> top1 by stream, clips, and ece of all streams together; notes (what is not shown, and
        why), outputs, bytes.

    Raises:
        ValueError: no runs, more than `MOST_EXPERIMENTS`, or a folder with another program's results.
        OSError: the page cannot be written.
    """
    if not folders and not Path(WORK).is_dir():
        raise ValueError(f"{WORK}: no such folder: run train first, or name a work folder")
    check_output("--out", out, PAGE)
    experiments, notes = find_experiments(folders or (WORK,))
    if len(experiments) > MOST_EXPERIMENTS:
        raise ValueError(f"{len(experiments)} experiments are too many for a page: name at most {MOST_EXPERIMENTS}")
    measured = _bench_parts(bench, notes)
    sections = []
    with Progress(len(experiments), "report", "experiment") as progress:
        for experiment in experiments:
            sections.append(section_of(experiment, _BYTES // len(experiments)))
            progress.update(1)
    notes += [f"{section.name}: {note}" for section in sections for note in section.notes]
    for note in notes:
        print(note, file=sys.stderr)
    page = render(
        "report.html",
        sections=sections,
        notes=notes,
        overview=_overview(sections),
        bench=measured,
        machine=machine_line(describe()),
        plotly=Markup(get_plotlyjs()),
        percent=percent,
        text=TEXT,
        counter=count().__next__,
    )
    with atomic_file(Path(out)) as part:
        part.write_text(page, encoding="utf-8", errors="replace")
    return {
        "experiments": {section.name: _numbers(section) for section in sections},
        "notes": notes,
        "outputs": [str(out)],
        "bytes": Path(out).stat().st_size,
    }


def _numbers(section: Section) -> dict[str, Any]:
    found: dict[str, Any] = {f"{stream}_top1": one.top1 for stream, one in section.outcomes.items()}
    return found | {"clips": section.clips, "ece": section.last.calibration.error if section.outcomes else None}


def _overview(sections: Sequence[Section]) -> Chart | None:
    shown = [section for section in sections if section.outcomes]
    if not shown:
        return None
    top1 = [{stream: one.top1 for stream, one in section.outcomes.items()} for section in shown]
    return charts.accuracy_chart([section.name for section in shown], top1)


def _bench_parts(folder: str | os.PathLike[str] | None, notes: list[str]) -> list[dict[str, Any]]:
    """What `bench` measured, part by part; results in the usual folder that cannot be read are only noted."""
    path = Path(BENCH if folder is None else folder) / RESULTS
    if folder is not None and not path.is_file():
        raise ValueError(f"{folder}: no {RESULTS} in it: give a folder that bench wrote")
    if not path.is_file():
        return []
    try:
        parts = load_results(path, "give --bench another folder")
    except ValueError as error:
        if folder is not None:
            raise
        notes.append(reason(error))
        return []
    return [
        {
            **{key: part[key] for key in ("passed", "checks", "left_out", "error", "notes")},
            "title": TITLES.get(name, name),
            "rows": summary({name: part}),
            "machine": machine_line(part["machine"]),
            "charts": charts.rate_charts(part),
        }
        for name, part in parts.items()
    ]
