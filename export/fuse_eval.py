"""`fuse-eval`: which of its three ways is meant: score files, the usual folders, or an engine."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agcn.score_files import SCORE_FILE
from agcn.usual import DATASET, command, usual_config


def fuse_eval(
    dataset: str | None,
    engine: str | None,
    config: str | None,
    alpha: float | None,
    search_alpha: bool,
    *,
    joint_scores: str | None,
    bone_scores: str | None,
    more: Sequence[str],
    label: str | None,
    allow_stale: bool = False,
    runtime: str = "auto",
) -> dict[str, Any]:
    """The fused accuracy.

    Args:
        dataset: one of the usual folders; None for `usual.DATASET`.
        config: whose runs' scores are fused, or over whose test split an engine runs, instead of the data set's.
        engine, runtime: an exported folder, and what runs it.
        alpha, search_alpha: weight of the streams; None for 1.0.
        joint_scores, bone_scores, more, label: score files, more of them as NAME=PKL[:WEIGHT], label file.
        allow_stale: see `fusion.fuse_scores`.

    Raises:
        ValueError: the options are of several ways, or of none.
        OSError: a file cannot be read.
    """
    files = (joint_scores, bone_scores, more, label)
    if any(files) and (dataset or engine or config):
        raise ValueError("give scores and --label, or --dataset or --config, or --engine: see --help")
    if engine is not None:
        if allow_stale:
            raise ValueError("--allow-stale is for score files: leave it out")
        return _fuse_engine(engine, usual_config(dataset, config), runtime, weighs=alpha is not None or search_alpha)
    if runtime != "auto":
        raise ValueError("--runtime goes with --engine: see --help")
    from export import fusion

    how: dict[str, Any] = {"search_alpha": search_alpha, "allow_stale": allow_stale}
    how["alpha"] = 1.0 if alpha is None else alpha
    if not any(files):
        usual_config(dataset, config)
        return _fuse_runs(config, how) if config else fusion.fuse_dataset(dataset or DATASET, **how)
    if not (joint_scores and bone_scores and label):
        raise ValueError("--joint-scores, --bone-scores and --label go together: see --help")
    others, weights = fusion.parse_streams(more)
    streams = {"joint": joint_scores, "bone": bone_scores, **others}
    return fusion.fuse_scores(streams, label, weights=weights, **how)


def _fuse_runs(config: str, how: dict[str, Any]) -> dict[str, Any]:
    """The scores that the runs of a configuration have left, in their work folders."""
    from agcn.streams import BOTH, load_streams
    from export.fusion import fuse_scores

    runs = load_streams(config, BOTH)
    files = {run.stream: Path(run.work_dir) / SCORE_FILE for run in runs}
    for stream, path in files.items():
        if not path.is_file():
            raise ValueError(f"{path}: no such file: run {command('train', config, stream)} first")
    return fuse_scores(files, runs[0].test_feeder_args.label_path, **how)


def _fuse_engine(engine: str, config: str, runtime: str, weighs: bool) -> dict[str, Any]:
    if weighs:
        raise ValueError("--alpha and --search-alpha are for scores: the engine carries its own alpha: leave them out")
    from agcn.config import load_config
    from export.predict import fuse_engine

    return fuse_engine(engine, load_config(config, stream="joint"), runtime)
