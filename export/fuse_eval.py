"""`fuse-eval`: which of its three ways is meant: score files, the usual folders, or an engine."""

from collections.abc import Sequence
from typing import Any


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
        dataset: one of the usual folders.
        engine, config, runtime: an exported folder, the configuration whose test split it runs over, what runs it.
        alpha, search_alpha: weight of the streams; None for 1.0.
        joint_scores, bone_scores, more, label: score files, more of them as NAME=PKL[:WEIGHT], label file.
        allow_stale: see `fusion.fuse_scores`.

    Raises:
        ValueError: the options are of several ways, or of none.
        OSError: a file cannot be read.
    """
    files = (joint_scores, bone_scores, more, label)
    if [any(files), bool(dataset), bool(engine or config)].count(True) != 1:
        raise ValueError("give scores and --label, or --dataset, or --engine and --config: see --help")
    if engine or config:
        if allow_stale:
            raise ValueError("--allow-stale is for score files: leave it out")
        return _fuse_engine(engine, config, runtime, weighs=alpha is not None or search_alpha)
    if runtime != "auto":
        raise ValueError("--runtime goes with --engine: see --help")
    if not dataset and not (joint_scores and bone_scores and label):
        raise ValueError("--joint-scores, --bone-scores and --label go together: see --help")
    from export import fusion

    how: dict[str, Any] = {"search_alpha": search_alpha, "allow_stale": allow_stale}
    how["alpha"] = 1.0 if alpha is None else alpha
    if dataset:
        return fusion.fuse_dataset(dataset, **how)
    assert joint_scores and bone_scores and label, "checked above"
    others, weights = fusion.parse_streams(more)
    streams = {"joint": joint_scores, "bone": bone_scores, **others}
    return fusion.fuse_scores(streams, label, weights=weights, **how)


def _fuse_engine(engine: str | None, config: str | None, runtime: str, weighs: bool) -> dict[str, Any]:
    if weighs:
        raise ValueError("--alpha and --search-alpha are for scores: the engine carries its own alpha: leave them out")
    if not (engine and config):
        raise ValueError("--engine and --config go together: see --help")
    from agcn.config import load_config
    from export.predict import fuse_engine

    return fuse_engine(engine, load_config(config, stream="joint"), runtime)
