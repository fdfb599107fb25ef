"""`report`: work folders as one HTML page that opens anywhere, without a network: what was learned, and how well."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from agcn.checkpoint import load_weights
from agcn.data.clips import Clips, open_clips
from agcn.model.network import Model, build_model
from agcn.streams import default_engine_folder
from bench.machine import describe
from bench.pages import charts
from bench.pages.charts import TEXT, Chart
from bench.pages.clip_data import clip_for_page
from bench.pages.curves import read_curves
from bench.pages.graphs import graphs_for_page
from bench.pages.outcome import Outcome, confused_pairs, examples_of, fusion_changes, outcome_of
from bench.pages.page import render
from bench.pages.runs import Experiment, Run, find_experiments, reason
from bench.report import RESULTS, TITLES, machine_line, read_results, summary
from export.inputs import input_batches, recordings_of
from export.manifest import FILE_NAME, read_manifest
from native_prep.io.atomic import atomic_file
from native_prep.io.progress import Progress, percent
from native_prep.skeletons.padding import real_frames

WORK, BENCH = "work_dir", "bench_out"
PAIRS = 6
# A page of at most 10 MB; plotly.js takes half of it.
_BYTES_OF_GRAPHS = 2_000_000
_MOST_FRAMES = 120
# With more classes, the last stream's confusion alone: a matrix of 400 classes takes 1.7 MB.
_CLASSES_OF_ALL_STREAMS = 150


@dataclass
class Section:
    """What the page shows of one experiment."""

    name: str
    clips: int
    classes: list[str] = field(default_factory=list)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    charts: dict[str, list[Chart]] = field(default_factory=dict)
    table: list[dict[str, Any]] = field(default_factory=list)
    pairs: list[dict[str, Any]] = field(default_factory=list)
    graphs: list[dict[str, Any]] = field(default_factory=list)
    parity: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def streams(self) -> list[str]:
        """Those that have an outcome, in the words of the page."""
        return [TEXT[stream] for stream in self.outcomes]


def report(
    folders: Sequence[str | os.PathLike[str]] = (),
    out: str | os.PathLike[str] = "report.html",
    bench: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Write the page.

    Args:
        folders: work folders, of a run or with runs below them; all of `work_dir` by default.
        out: the page.
        bench: a folder that `bench` wrote; `bench_out` by default, where that is there.

    Returns:
        experiments: name -> top1 by stream, and ece of the last of them; notes (what could not be shown and why),
        outputs, bytes.

    Raises:
        ValueError: no runs, or a folder with another program's results.
        OSError: the page cannot be written.
    """
    if not folders and not Path(WORK).is_dir():
        raise ValueError(f"{WORK}: no such folder: run train first, or name a work folder")
    experiments, unread = find_experiments(folders or (WORK,))
    measured = _bench_parts(bench)
    sections = []
    with Progress(len(experiments), "report", "experiment") as progress:
        for experiment in experiments:
            sections.append(_section(experiment, _BYTES_OF_GRAPHS // len(experiments)))
            progress.update(1)
    notes = unread + [f"{section.name}: {note}" for section in sections for note in section.notes]
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
    )
    out = Path(out)
    with atomic_file(out) as part:
        part.write_text(page, encoding="utf-8")
    return {
        "experiments": {section.name: _numbers(section) for section in sections},
        "notes": notes,
        "outputs": [str(out)],
        "bytes": out.stat().st_size,
    }


def _numbers(section: Section) -> dict[str, Any]:
    found: dict[str, Any] = {f"{stream}_top1": one.top1 for stream, one in section.outcomes.items()}
    last = list(section.outcomes.values())[-1:]
    return found | {"clips": section.clips, "ece": last[0].calibration.error if last else None}


def _overview(sections: Sequence[Section]) -> Chart | None:
    shown = [section for section in sections if section.outcomes]
    if not shown:
        return None
    top1 = [{stream: one.top1 for stream, one in section.outcomes.items()} for section in shown]
    return charts.accuracy_chart([section.name for section in shown], top1)


def _section(experiment: Experiment, most_bytes: int) -> Section:
    run = experiment.first
    section = Section(experiment.name, len(experiment.labels), notes=experiment.notes)
    curves = {stream: found for stream, one in experiment.runs.items() if (found := read_curves(one.folder))}
    if curves:
        section.charts["curves"] = [charts.curves_chart(curves)]
    try:
        model = build_model(run.config.model, run.config.model_args)
        section.classes = _class_names(run, model)
    except (ValueError, OSError) as error:  # its skeleton lies with data that are not at hand
        section.notes.append(f"only its curves are shown: {reason(error)}")
        return section
    scores, labels = experiment.all_scores(), experiment.labels
    section.outcomes = {stream: outcome_of(one, labels) for stream, one in scores.items()}
    if section.outcomes:
        _add_outcomes(section)
        _add_fusion(section, labels)
    clips = _test_clips(section, run)
    best = list(scores.values())[-1] if scores else None
    if clips is not None and best is not None and clips.names == experiment.names:
        section.pairs = _pairs(section, best, labels, clips, model)
    if clips is not None:
        _add_graphs(section, experiment, clips, best, labels, most_bytes)
    section.parity = _parity(section, run)
    return section


def _class_names(run: Run, model: Model) -> list[str]:
    _, names, _ = recordings_of(run.config, model)
    return [*names, *map(str, range(len(names), model.num_class))][: model.num_class]


def _test_clips(section: Section, run: Run) -> Clips | None:
    """The first stream's test split, None where it is not at hand."""
    try:
        clips = open_clips(run.config.test_feeder_args, "test_feeder_args")
        return clips if len(clips) else None
    except (ValueError, OSError) as error:
        section.notes.append(f"no clips and no graphs of a sample are shown: {reason(error)}")
        return None


def _add_outcomes(section: Section) -> None:
    order = list(reversed(section.outcomes))[: None if len(section.classes) <= _CLASSES_OF_ALL_STREAMS else 1]
    section.charts["confusion"] = [
        charts.confusion_chart(section.classes, section.outcomes[stream], stream) for stream in order
    ]
    section.charts["calibration"] = [charts.calibration_chart(section.outcomes)]


def _add_fusion(section: Section, labels: np.ndarray) -> None:
    """The table class by class, and with several streams what fusion changed against the better of them."""
    outcomes = section.outcomes
    fixed = broke = None
    if "fused" in outcomes:
        single = max((stream for stream in outcomes if stream != "fused"), key=lambda stream: outcomes[stream].top1)
        fixed, broke = fusion_changes(outcomes[single], outcomes["fused"], labels, len(section.classes))
        section.charts["fusion"] = [charts.fusion_chart(section.classes, fixed, broke, TEXT[single])]
    last = outcomes[list(outcomes)[-1]]
    counts = last.confusion.sum(axis=1)
    shares = {stream: one.by_class for stream, one in outcomes.items()}
    for label in np.flatnonzero(counts):
        mistakes = last.confusion[label] * (np.arange(len(counts)) != label)
        taken = int(mistakes.argmax())
        section.table.append(
            {
                "label": int(label),
                "name": section.classes[label],
                "clips": int(counts[label]),
                "shares": [float(share[label]) for share in shares.values()],
                "fixed": None if fixed is None else int(fixed[label]),
                "broke": None if broke is None else int(broke[label]),
                "taken": f"{section.classes[taken]} ({int(mistakes[taken])})" if mistakes[taken] else "",
                "mistakes": int(mistakes[taken]),
            }
        )


def _pairs(
    section: Section, scores: np.ndarray, labels: np.ndarray, clips: Clips, model: Model
) -> list[dict[str, Any]]:
    """The most confused pairs with their clips."""
    names, found = section.classes, []
    for label, taken, count in confused_pairs(list(section.outcomes.values())[-1].confusion, PAIRS):
        shown = []
        for place, what in zip(
            examples_of(scores, labels, label, taken),
            (f"{names[label]}, taken for {names[taken]}", f"{names[taken]}, recognised"),
            strict=True,
        ):
            if place is None:
                continue
            joints = clips.batch(np.array([place]))[0]
            joints = joints[:, : real_frames(joints)]
            name = clips.names[place]
            shown.append(
                {
                    "title": what,
                    "name": name,
                    "clip": clip_for_page(name, {"joint": joints}, model.layout, fps=30.0, most_frames=_MOST_FRAMES),
                }
            )
        found.append({"label": names[label], "taken": names[taken], "count": count, "clips": shown})
    return found


def _add_graphs(
    section: Section,
    experiment: Experiment,
    clips: Clips,
    scores: np.ndarray | None,
    labels: np.ndarray,
    most_bytes: int,
) -> None:
    """A, B and C of each stream for one clip: the one that is most surely right."""
    place = 0
    if scores is not None and len(scores) == len(clips) and (scores.argmax(axis=1) == labels).any():
        ordered = np.sort(scores, axis=1)
        lead = (ordered[:, -1] - ordered[:, -2]) * (scores.argmax(axis=1) == labels)
        place = int(lead.argmax())
    joints = clips.batch(np.array([place]))[0]
    seen = np.flatnonzero(joints[..., 0].any(axis=(0, 2)))
    if not len(seen):
        section.notes.append(f"no learned graphs are shown: nobody is in {clips.names[place]}")
        return
    pose = joints[:, seen[len(seen) // 2], :, 0]
    for stream, run in experiment.runs.items():
        try:
            if run.weights is None:
                raise ValueError(f"{run.folder}: no best.pt: run train first")
            model = build_model(run.config.model, run.config.model_args).eval()
            load_weights(model, run.weights)
            own = open_clips(run.config.test_feeder_args, "test_feeder_args")
            one = np.array([own.names.index(clips.names[place])])
            batch, _ = next(input_batches(own, run.config.test_feeder_args, model.layout, one))
            found = graphs_for_page(model, batch[0], stream, pose, most_bytes // len(experiment.runs))
        except (ValueError, OSError) as error:
            section.notes.append(f"no learned graphs of the {stream} stream are shown: {reason(error)}")
            continue
        section.graphs.append({**found, "clip": clips.names[place]})


def _parity(section: Section, run: Run) -> dict[str, Any] | None:
    """How far the experiment's engines are from eager PyTorch, where it was exported to the usual folder."""
    folder = default_engine_folder(run.config)
    if not (folder / FILE_NAME).is_file():
        return None
    try:
        manifest = read_manifest(folder)
    except ValueError as error:
        section.notes.append(str(error))
        return None
    engines = [f"{engine.flavor} for {engine.target}" for engine in manifest.engines]
    return {"folder": str(folder), "precision": manifest.precision, "engines": engines, **manifest.parity}


def _bench_parts(folder: str | os.PathLike[str] | None) -> list[dict[str, Any]]:
    """What `bench` measured: for each part its title, machine, checks and charts."""
    place = Path(BENCH if folder is None else folder)
    if folder is not None and not (place / RESULTS).is_file():
        raise ValueError(f"{place}: no {RESULTS} in it: give a folder that bench wrote")
    return [
        {
            "title": TITLES.get(name, name),
            "rows": summary({name: part}),
            "machine": machine_line(part["machine"]),
            "passed": part["passed"],
            "checks": part["checks"],
            "charts": charts.rate_charts(part),
            "left_out": part["left_out"],
        }
        for name, part in read_results(place).items()
    ]
