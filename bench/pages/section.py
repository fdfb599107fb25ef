"""What the report shows of one experiment: numbers, charts, clips and graphs, within a number of bytes."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from agcn.checkpoint import load_model
from agcn.data.clips import Clips, is_there, open_clips
from agcn.model.network import Model, build_model
from agcn.settings import Config, FeederArgs
from bench.pages import charts
from bench.pages.charts import TEXT, Chart
from bench.pages.clip_data import clip_for_page
from bench.pages.curves import read_curves
from bench.pages.graphs import graphs_for_page
from bench.pages.outcome import Outcome, confused_pairs, examples_of, fusion_changes, mistakes_in, outcome_of
from bench.pages.recordings import FPS, class_name
from bench.pages.runs import Experiment, Run, reason
from export.inputs import input_batches, recordings_of
from export.manifest import FILE_NAME, read_manifest
from native_prep.io.hashes import sha256
from native_prep.skeletons.padding import real_frames

PAIRS = 6
# Of a clip on the page; and what a number takes there, in base64.
_FEWEST_FRAMES, _MOST_FRAMES = 20, 120
_BASE64 = 4 / 3


@dataclass
class Section:
    """What the page shows of one experiment.

    Attributes:
        name: the experiment's.
        clips: of the test split, 0 where its labels are not at hand.
        classes: their names.
        outcomes: by stream, last that of all together.
        charts: "curves", "confusion" (a chart a stream, of all together first), "calibration", "fusion".
        table: a row a class.
        pairs: the most confused ones, with clips for the player.
        graphs: by stream, see `graphs_for_page`.
        parity: of its exported folder, where there is one.
        notes: what is not shown, and why.
    """

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

    @property
    def last(self) -> Outcome:
        """That of all streams together, or of the only one."""
        return list(self.outcomes.values())[-1]


def section_of(experiment: Experiment, most_bytes: int) -> Section:
    """The section of an experiment.

    Args:
        most_bytes: about what its confusions, clips and graphs may take together, a third each; a confusion and the
            graphs of two layers are always there.
    """
    run, third = experiment.first, most_bytes // 3
    section = Section(experiment.name, len(experiment.labels), notes=experiment.notes)
    curves = {}
    for stream, one in experiment.runs.items():
        if any((found := read_curves(one.folder)).values()):
            curves[stream] = found
        else:
            section.notes.append(f"the {stream} stream has no curves: TensorBoard's files hold none, or are not there")
    if curves:
        section.charts["curves"] = [charts.curves_chart(curves)]
    try:
        model = build_model(run.config.model, run.config.model_args)
        section.classes = _class_names(run.config, model)
    except (ValueError, OSError) as error:  # its skeleton lies with data that are not at hand
        section.notes.append(f"only its curves are shown: {reason(error)}")
        return section
    scores, labels = experiment.all_scores(), experiment.labels
    section.outcomes = {stream: outcome_of(one, labels) for stream, one in scores.items()}
    if section.outcomes:
        _add_confusion(section, third)
        _add_fusion(section, labels)
    clips = _joints_of_tests(section, run)
    if clips is not None and clips.names != experiment.names:
        section.notes.append(f"no clips and no graphs are shown: {clips.path} has other clips than the labels")
        clips = None
    if clips is not None:
        best = list(scores.values())[-1] if scores else None
        if best is not None:
            section.pairs = _pairs(section, best, labels, clips, model, third)
        _add_graphs(section, experiment, clips, _surest(best, labels), third)
    section.parity = _parity(section, experiment)
    return section


def _class_names(config: Config, model: Model) -> list[str]:
    _, names, _ = recordings_of(config, model)
    return [class_name(names, label) for label in range(model.num_class)]


def _joints_of_tests(section: Section, run: Run) -> Clips | None:
    """The test split as joints, whatever stream the run is of; None where they are not at hand."""
    args = run.config.test_feeder_args
    if run.stream != "joint" and not args.make_stream:
        path = Path(args.data_path)
        joints = path.with_name(path.name.replace(f"_{run.stream}.", "_joint."))
        if joints == path or not is_there(str(joints)):
            section.notes.append(f"no clips and no graphs are shown: the joints of {path} are not at hand")
            return None
        args = replace(args, data_path=str(joints))
    try:
        clips = open_clips(replace(args, use_mmap=True), "test_feeder_args")
    except (ValueError, OSError) as error:
        section.notes.append(f"no clips and no graphs are shown: {reason(error)}")
        return None
    return clips if len(clips) else None


def _add_confusion(section: Section, most_bytes: int) -> None:
    a_matrix = 2 * _BASE64 * len(section.classes) ** 2
    order = list(reversed(section.outcomes))[: max(1, int(most_bytes // a_matrix))]
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
        if fixed.any() or broke.any():
            section.charts["fusion"] = [charts.fusion_chart(section.classes, fixed, broke, TEXT[single])]
    confusion = section.last.confusion
    mistakes = mistakes_in(confusion)
    shares = [one.by_class for one in outcomes.values()]
    for label in np.flatnonzero(confusion.sum(axis=1)):
        taken = int(mistakes[label].argmax())
        count = int(mistakes[label, taken])
        section.table.append(
            {
                "name": section.classes[label],
                "clips": int(confusion[label].sum()),
                "shares": [float(share[label]) for share in shares],
                "fixed": None if fixed is None else int(fixed[label]),
                "broke": None if broke is None else int(broke[label]),
                "taken": f"{section.classes[taken]} ({count})" if count else "",
                "mistakes": count,
            }
        )


def _pairs(
    section: Section, scores: np.ndarray, labels: np.ndarray, clips: Clips, model: Model, most_bytes: int
) -> list[dict[str, Any]]:
    """The most confused pairs with their clips: fewer frames, then fewer pairs, where they would take too much."""
    a_frame = 2 * 3 * _BASE64 * model.num_point * model.num_person
    pairs = int(np.clip(most_bytes / (2 * a_frame * _FEWEST_FRAMES), 1, PAIRS))
    frames = int(np.clip(most_bytes / (2 * a_frame * pairs), _FEWEST_FRAMES, _MOST_FRAMES))
    names, found = section.classes, []
    for label, taken, count in confused_pairs(section.last.confusion, pairs):
        shown = []
        for place, title in zip(
            examples_of(scores, labels, label, taken),
            (f"{names[label]}, taken for {names[taken]}", f"{names[taken]}, recognised"),
            strict=True,
        ):
            if place is not None:
                joints = clips.batch(np.array([place]))[0]
                joints = joints[:, : real_frames(joints)]
                clip = clip_for_page(clips.names[place], {"joint": joints}, model.layout, FPS, most_frames=frames)
                shown.append({"title": title, "name": clips.names[place], "clip": clip})
        found.append({"label": names[label], "taken": names[taken], "count": count, "clips": shown})
    return found


def _surest(scores: np.ndarray | None, labels: np.ndarray) -> int:
    """The clip that is most surely right; the first where none is, or where there are no scores."""
    if scores is None:
        return 0
    ordered = np.sort(scores, axis=1)
    lead = ordered[:, -1] - ordered[:, -2] if scores.shape[1] > 1 else ordered[:, -1]
    return int(np.where(scores.argmax(axis=1) == labels, lead, -1.0).argmax())


def _add_graphs(section: Section, experiment: Experiment, clips: Clips, place: int, most_bytes: int) -> None:
    """A, B and C of each stream for one clip."""
    name = clips.names[place]
    joints = clips.batch(np.array([place]))[0]
    seen = np.flatnonzero(joints[..., 0].any(axis=(0, 2)))
    if not len(seen):
        section.notes.append(f"no learned graphs are shown: nobody is in {name}")
        return
    pose = joints[:, seen[len(seen) // 2], :, 0]
    for stream, run in experiment.runs.items():
        try:
            model, clip = _model_and_clip(run, name)
            found = graphs_for_page(model, clip, stream, pose, most_bytes // len(experiment.runs))
        except (ValueError, OSError) as error:
            section.notes.append(f"no learned graphs of the {stream} stream are shown: {reason(error)}")
        else:
            section.graphs.append({**found, "clip": name})


def _model_and_clip(run: Run, name: str) -> tuple[Model, np.ndarray]:
    """A run's best model, and one of its test clips as its feeder shows it to it, (C, T, V, M)."""
    if run.weights is None:
        raise ValueError(f"{run.folder}: no best.pt yet: train writes it after its first test")
    model = load_model(run.weights, run.config)
    args: FeederArgs = run.config.test_feeder_args
    clips = open_clips(replace(args, use_mmap=True), "test_feeder_args")
    if name not in clips.names:
        raise ValueError(f"{clips.path}: has no clip {name}")
    batch, _ = next(input_batches(clips, args, model.layout, np.array([clips.names.index(name)])))
    return model, batch[0]


def _parity(section: Section, experiment: Experiment) -> dict[str, Any] | None:
    """How far the experiment's engines are from eager PyTorch, where it was exported to the usual folder."""
    folder = experiment.first.engines
    if not (folder / FILE_NAME).is_file():
        return None
    try:
        manifest = read_manifest(folder)
    except ValueError as error:
        section.notes.append(str(error))
        return None
    for stream, run in experiment.runs.items():
        source = manifest.sources.get(stream)
        if source and run.weights is not None and source.get("sha256") != sha256(run.weights):
            section.notes.append(f"no parity is shown: {folder} was exported from other weights than {run.weights}")
            return None
    engines = [f"{engine.flavor} for {engine.target}" for engine in manifest.engines]
    return {"folder": str(folder), "precision": manifest.precision, "engines": engines, **manifest.parity}
