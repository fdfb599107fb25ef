"""The runs in work folders, gathered by experiment: the streams that were trained alike, and what each has left."""

import dataclasses
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from agcn.config import RUN_CONFIG, load_config
from agcn.score_files import BEST_FILE, SCORE_FILE, stale_reason
from agcn.settings import Config
from agcn.streams import default_engine_folder
from export.fusion import read_scores, read_unique_labels
from native_prep.skeletons.streams import STREAMS

# How far below a folder runs are looked for: work_dir/ntu/xsub/agcn_joint.
_DEPTH = 3


@dataclass(frozen=True)
class Run:
    """One stream's run.

    Attributes:
        folder: its work folder.
        config: the configuration that training left there, with its files where the run was made.
        engines: where `export-trt` puts its engines.
    """

    folder: Path
    config: Config
    engines: Path

    @property
    def stream(self) -> str:
        """joint, bone, joint_motion or bone_motion."""
        return self.config.stream

    @property
    def weights(self) -> Path | None:
        """Its best checkpoint, where there is one."""
        path = self.folder / BEST_FILE
        return path if path.is_file() else None


@dataclass
class Experiment:
    """Runs of several streams that belong together.

    Attributes:
        name: where they lie, `ntu/xsub`.
        runs: by stream, in the order of `STREAMS`.
        names, labels: of the test split, (N,); empty where it is not at hand.
        scores: stream -> logits (N, K), those of its best checkpoint.
        notes: what could not be read, and why.
    """

    name: str
    runs: dict[str, Run]
    names: list[str] = field(default_factory=list)
    labels: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    scores: dict[str, np.ndarray] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def first(self) -> Run:
        """The joint stream's run, or the first that there is."""
        return next(iter(self.runs.values()))

    def all_scores(self) -> dict[str, np.ndarray]:
        """The streams' logits, and `fused`, their sum, where there are several."""
        fused = {"fused": np.sum(list(self.scores.values()), axis=0)} if len(self.scores) > 1 else {}
        return self.scores | fused


def find_experiments(folders: Iterable[str | os.PathLike[str]]) -> tuple[list[Experiment], list[str]]:
    """The experiments whose runs lie in `folders`, or up to three folders below; and what could not be read, and why.

    Raises:
        ValueError: a folder that is not there, or that holds no run that can be read.
    """
    found: dict[tuple[Path, str], dict[str, Run]] = {}
    notes: list[str] = []
    for folder in map(Path, folders):
        if not folder.is_dir():
            what = "is no folder" if folder.exists() else "no such folder"
            raise ValueError(f"{folder}: {what}: give a work folder that `train` wrote, or run train first")
        places = sorted(_run_folders(folder, _DEPTH))
        if not places:
            raise ValueError(f"{folder}: no run is in it (no {RUN_CONFIG}): give a work folder that `train` wrote")
        for place in places:
            try:
                run = _run_in(place)
            except (ValueError, OSError) as error:
                notes.append(reason(error))
                continue
            name = place.resolve().name
            kind = name.removesuffix(run.stream).rstrip("_-") if name.endswith(run.stream) else name
            found.setdefault((place.resolve().parent, kind), {})[run.stream] = run
    if not found:
        raise ValueError(notes[0])
    experiments = [_gather(key, runs) for key, runs in found.items()]
    names = [one.name for one in experiments]
    for experiment, (parent, kind) in zip(experiments, found, strict=True):
        if names.count(experiment.name) > 1:
            experiment.name = str(parent / kind)
    return experiments, notes


def _run_in(folder: Path) -> Run:
    """The run of a work folder, which may lie below another folder than the current one, as may its data."""
    config = load_config(folder / RUN_CONFIG)
    work, place = Path(config.work_dir), folder.resolve()
    if work.is_absolute() or place.parts[-len(work.parts) :] != work.parts:  # it was moved
        return Run(folder, config, default_engine_folder(config))
    home = Path(os.path.relpath(place.parents[len(work.parts) - 1]))
    args, graph = config.test_feeder_args, str(config.model_args.get("graph", ""))
    data, labels = (str(home / path) if path else "" for path in (args.data_path, args.label_path))
    model_args = {**config.model_args, "graph": str(home / graph)} if (home / graph).is_file() else config.model_args
    feeder = dataclasses.replace(args, data_path=data, label_path=labels)
    config_there = dataclasses.replace(config, test_feeder_args=feeder, model_args=model_args)
    return Run(folder, config_there, home / default_engine_folder(config))


def reason(error: Exception) -> str:
    """What an error says, in words."""
    return f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)


def _run_folders(folder: Path, depth: int) -> Iterable[Path]:
    if (folder / RUN_CONFIG).is_file():
        yield folder
    elif depth:
        for inside in sorted(folder.iterdir()):
            if inside.is_dir() and not inside.name.startswith("."):
                yield from _run_folders(inside, depth - 1)


def _gather(key: tuple[Path, str], runs: dict[str, Run]) -> Experiment:
    parent, kind = key
    parts = Path(os.path.relpath(parent)).parts
    place = "/".join(part for part in parts if part not in ("work_dir", "..", ".")) or parent.name
    experiment = Experiment(
        place if kind in ("agcn", "") else f"{place} {kind}", {one: runs[one] for one in STREAMS if one in runs}
    )
    _read_labels(experiment)
    for stream, run in experiment.runs.items():
        try:
            _read_scores(experiment, stream, run)
        except (ValueError, OSError) as error:
            experiment.notes.append(f"the {stream} stream has no accuracy here: {reason(error)}")
    if len({scores.shape[1] for scores in experiment.scores.values()}) > 1:
        experiment.notes.append("its streams have other numbers of classes: they are not fused, nor shown")
        experiment.scores = {}
    return experiment


def _read_labels(experiment: Experiment) -> None:
    path = experiment.first.config.test_feeder_args.label_path
    try:
        experiment.names, experiment.labels = read_unique_labels(path)
    except (ValueError, OSError) as error:
        experiment.notes.append(f"no accuracy, confusion and calibration: the labels are not at hand ({reason(error)})")


def _read_scores(experiment: Experiment, stream: str, run: Run) -> None:
    path = run.folder / SCORE_FILE
    if not experiment.names:
        return
    if not path.is_file():
        raise ValueError(f"{path}: no such file yet: train writes it after its first test, test at any time")
    if stale := stale_reason(path):
        raise ValueError(f"{path}: {stale}: run test again")
    rows = read_scores(path)
    if lacking := set(experiment.names) - rows.keys():
        raise ValueError(f"{path}: lacks {len(lacking)} clips of the test split, {min(lacking)} first: run test again")
    scores = np.stack([rows[name] for name in experiment.names]).astype(np.float64)
    if experiment.labels.min() < 0 or experiment.labels.max() >= scores.shape[1]:
        raise ValueError(f"{path}: scores of {scores.shape[1]} classes, labels reach {experiment.labels.max()}")
    experiment.scores[stream] = scores
