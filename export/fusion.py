"""Fused accuracy from score files: streams joined by sample name, weighted, added.

Scores are raw logits, S streams of N clips and C classes: (S, N, C). Fused = joint + alpha * bone + further streams,
each times its weight (2s-AGCN, ensemble.py, which joins by position instead).
"""

import math
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from agcn.defaults import CONFIGS, command, prep_command
from agcn.metrics import mean_class_accuracy, top5, top_k
from agcn.score_files import SCORE_FILE, stale_reason
from native_prep.io.pickles import load_pickle
from native_prep.store.labels import read_labels
from native_prep.store.reader import find_part

SEARCH_GRID = tuple(round(0.05 * step, 2) for step in range(41))
# The run's own scores first, then those of a test that the original's configurations keep apart.
SCORE_FOLDERS = ("agcn_{stream}", "agcn_test_{stream}")


def fuse_scores(
    score_files: Mapping[str, str | os.PathLike[str]],
    label: str | os.PathLike[str],
    alpha: float = 1.0,
    search_alpha: bool = False,
    weights: Mapping[str, float | None] | None = None,
    allow_stale: bool = False,
) -> dict[str, Any]:
    """Fuse the score files of `joint`, `bone` and any further streams, and count hits.

    Args:
        score_files: stream name -> pickle {sample name: (C,) scores}; `joint` and `bone` must be among them.
        label: pickle (sample names, class numbers from 0).
        alpha: weight of the bone stream, and of each further one that `weights` does not name.
        search_alpha: try the alphas of `SEARCH_GRID` and report the best. They are chosen on these very
            labels, so the accuracy found is an optimistic one; the result says so.
        weights: weights of further streams, by name; None means alpha.
        allow_stale: take scores that are not those of their run's best checkpoint, and say so on stderr.

    Returns:
        clips, joint_top1, bone_top1, top1, top5 (None for five classes or fewer), mean_class_accuracy (of the fused
        scores), alpha; accuracies are fractions of 1. Further streams add `streams`, a search adds `alpha_search`.

    Raises:
        ValueError: not score files, names or class counts that differ, labels beyond the classes, a weight that is
            no finite number, stale scores (see `agcn.score_files`).
        OSError: a file cannot be read.
    """
    own = {name: weight for name, weight in (weights or {}).items() if weight is not None}
    _check_streams(score_files, own, alpha)
    _check_fresh(score_files, allow_stale)
    names, labels = read_unique_labels(label)
    scores = _join(score_files, names, label)
    _check_classes(scores, score_files, labels, label)
    return fuse_arrays(scores, labels, alpha, search_alpha, own)


def fuse_arrays(
    scores: Mapping[str, np.ndarray],
    labels: np.ndarray,
    alpha: float = 1.0,
    search_alpha: bool = False,
    weights: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """What `fuse_scores` does, from arrays: `scores` stream -> (N, C), `labels` (N,) in the same order."""
    weights = weights or {}
    moving = sum(value for name, value in scores.items() if name != "joint" and name not in weights)
    fixed = sum((weights[name] * scores[name] for name in scores if name in weights), scores["joint"])

    def fuse(alpha: float) -> np.ndarray:
        return fixed + alpha * moving

    result: dict[str, Any] = {"clips": len(labels)}
    result |= {f"{name}_top1": top_k(scores[name], labels, 1) for name in ("joint", "bone")}
    if search_alpha:
        given, alpha = alpha, _best_alpha(fuse, labels)
        result["alpha_search"] = {
            "tried": [SEARCH_GRID[0], SEARCH_GRID[-1], len(SEARCH_GRID)],
            "given_alpha": given,
            "given_alpha_top1": top_k(fuse(given), labels, 1),
            "note": "alpha was chosen on these very labels: its top1 is optimistic, confirm it on other clips",
        }
    fused = fuse(alpha)
    result |= {"top1": top_k(fused, labels, 1), "top5": top5(fused, labels)}
    result |= {"mean_class_accuracy": mean_class_accuracy(fused, labels), "alpha": alpha}
    extra = [name for name in scores if name not in ("joint", "bone")]
    if extra:
        result["streams"] = {
            name: {"weight": weights.get(name, alpha), "top1": top_k(scores[name], labels, 1)} for name in extra
        }
    return result


def fuse_dataset(
    name: str,
    work_dir: str | os.PathLike[str] = "work_dir",
    data: str | os.PathLike[str] = "data",
    alpha: float = 1.0,
    search_alpha: bool = False,
    allow_stale: bool = False,
) -> dict[str, Any]:
    """`fuse_scores` on the usual places of a data set ("ntu/xsub", "kinetics", ...).

    Raises:
        ValueError: a score or label file is not there, and whatever `fuse_scores` raises.
    """
    folder = Path(work_dir) / name
    config = CONFIGS.get(name, name)
    files = {stream: _usual_score_file(folder, stream, config) for stream in ("joint", "bone")}
    label = Path(data) / name / "val_label.pkl"
    if not label.is_file() and find_part(label) is None:
        raise ValueError(f"{label}: no such label file: run {prep_command(label)} first, or give --label")
    return fuse_scores(files, label, alpha, search_alpha, allow_stale=allow_stale)


def _check_fresh(score_files: Mapping[str, str | os.PathLike[str]], allow_stale: bool) -> None:
    for stream, path in score_files.items():
        reason = stale_reason(path) if Path(path).is_file() else ""
        if reason and not allow_stale:
            raise ValueError(f"{path}: {reason}: test the {stream} stream again, or give --allow-stale")
        if reason:
            print(f"{path}: {reason}: taken all the same", file=sys.stderr)


def parse_streams(texts: Iterable[str]) -> tuple[dict[str, str], dict[str, float | None]]:
    """Paths and weights by stream of what `parse_stream` reads.

    Raises:
        ValueError: one is given twice, and whatever `parse_stream` raises.
    """
    paths: dict[str, str] = {}
    weights: dict[str, float | None] = {}
    for name, path, weight in map(parse_stream, texts):
        if name in paths:
            raise ValueError(f"--scores {name}: is given twice: give it once")
        paths[name], weights[name] = path, weight
    return paths, weights


def parse_stream(text: str) -> tuple[str, str, float | None]:
    """(name, path, weight) from `NAME=PKL` or `NAME=PKL:WEIGHT`; the weight is None where none is given.

    A colon may be part of the path: of a file that is there, or as in `C:/a.pkl` and `12:30/a.pkl`.

    Raises:
        ValueError: no name, no path, a weight that is no number, or one of the two streams that have options of their
            own.
    """
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise ValueError(f"--scores {text}: not NAME=PKL: give a stream's name, =, its score file, and maybe :WEIGHT")
    if name in ("joint", "bone"):
        raise ValueError(f"--scores {text}: {name} has an option of its own: use --{name}-scores")
    head, colon, tail = path.rpartition(":")
    if not (colon and head) or Path(path).is_file():
        return name, path, None
    try:
        return name, head, float(tail)
    except ValueError:
        # Behind the name of a file comes its weight; behind `C` or `runs/12`, the rest of the path.
        if Path(head).is_file() or (Path(head).suffix and not {"/", "\\"} & set(tail)):
            raise ValueError(
                f"--scores {text}: weight {tail!r} is not a number: give NAME=PKL:WEIGHT, as {name}={head}:0.5"
            ) from None
        return name, path, None


def read_scores(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """A score file: {sample name: (C,) finite numbers}, every clip with the same C.

    Raises:
        ValueError: the file holds something else.
    """
    scores = load_pickle(path)
    if _looks_like_labels(scores):
        raise ValueError(f"{path}: is a label file, scores were asked for: give the pickle that `test` wrote")
    if not isinstance(scores, dict):
        raise ValueError(
            f"{path}: not a score file but a {type(scores).__name__}: give {{sample name: scores}} as `test` writes it"
        )
    if not scores:
        raise ValueError(f"{path}: no clip in it: run `test` again")
    rows = {str(name): _score_row(row, name, path) for name, row in scores.items()}
    counts = {len(row) for row in rows.values()}
    if len(counts) > 1:
        raise ValueError(f"{path}: clips with {' and '.join(map(str, sorted(counts)))} classes: run `test` again")
    return rows


def read_unique_labels(path: str | os.PathLike[str]) -> tuple[list[str], np.ndarray]:
    """(sample names, class numbers from 0 as (N,) int64) of a label file, or of the packed store that it is in.

    Raises:
        ValueError: the file holds something else, no clip, or one name twice.
    """
    names, labels = read_labels(path)
    if not names:
        raise ValueError(f"{path}: no clip in it: run `prep` again")
    twice = len(names) - len(set(names))
    if twice:
        first = next(name for place, name in enumerate(names) if name in names[:place])
        raise ValueError(
            f"{path}: {twice} names appear twice, {first} first: scores are joined by name: run prep again"
        )
    return names, labels


def _looks_like_labels(value: Any) -> bool:
    if not isinstance(value, tuple | list) or len(value) != 2:
        return False
    names, labels = value
    same = isinstance(names, list | tuple) and hasattr(labels, "__len__") and len(names) == len(labels)
    return same and all(isinstance(name, str) for name in names)


def _score_row(row: Any, name: Any, path: str | os.PathLike[str]) -> np.ndarray:
    try:
        array = np.asarray(row)
        good = array.ndim == 1 and len(array) > 0 and bool(np.isfinite(array).all())
    except (TypeError, ValueError):
        good = False
    if not good:
        raise ValueError(f"{path}: the scores of {name} are not a row of finite numbers: run `test` again")
    return array if np.issubdtype(array.dtype, np.floating) else array.astype(np.float64)


def _check_streams(score_files: Mapping[str, Any], weights: Mapping[str, float], alpha: float) -> None:
    for stream in ("joint", "bone"):
        if stream not in score_files:
            raise ValueError(f"no {stream} scores: give --{stream}-scores")
    for name, value in {"alpha": alpha, **{f"the weight of {name}": value for name, value in weights.items()}}.items():
        if not math.isfinite(value):
            raise ValueError(f"{name} is {value}: give a finite number")


def _join(
    score_files: Mapping[str, str | os.PathLike[str]], names: list[str], label: str | os.PathLike[str]
) -> dict[str, np.ndarray]:
    """Each stream's scores in the order of `names`, (N, C)."""
    wanted = set(names)
    joined = {}
    for stream, path in score_files.items():
        rows = read_scores(path)
        _check_names(wanted - rows.keys(), label, path)
        _check_names(rows.keys() - wanted, path, label)
        joined[stream] = np.stack([rows[name] for name in names])
    return joined


def _check_names(missing: set[str], there: str | os.PathLike[str], absent: str | os.PathLike[str]) -> None:
    if missing:
        raise ValueError(
            f"{absent}: lacks {len(missing)} names that are in {there}, {min(missing)} first: "
            "give files of the same split"
        )


def _check_classes(
    scores: Mapping[str, np.ndarray],
    files: Mapping[str, str | os.PathLike[str]],
    labels: np.ndarray,
    label: str | os.PathLike[str],
) -> None:
    count = scores["joint"].shape[1]
    for stream, rows in scores.items():
        if rows.shape[1] != count:
            raise ValueError(
                f"{files[stream]}: scores of {rows.shape[1]} classes, {files['joint']} has {count}: "
                "give streams of one data set"
            )
    if labels.min() < 0 or labels.max() >= count:
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise ValueError(
            f"{label}: label {wrong} is outside the {count} classes of {files['joint']} (counted from 0): "
            "give labels and scores of one data set"
        )


def _best_alpha(fuse: Callable[[float], np.ndarray], labels: np.ndarray) -> float:
    """The alpha of the grid with the highest top1; of equal ones the nearest to 1, the published weight."""
    hits = [top_k(fuse(alpha), labels, 1) for alpha in SEARCH_GRID]
    best = max(hits)
    return min((alpha for alpha, hit in zip(SEARCH_GRID, hits, strict=True) if hit == best), key=lambda a: abs(a - 1))


def _usual_score_file(folder: Path, stream: str, config: str) -> Path:
    places = [folder / part.format(stream=stream) / SCORE_FILE for part in SCORE_FOLDERS]
    there = [place for place in places if place.is_file()]
    if not there:
        trains = command("train", config, stream)
        raise ValueError(f"{places[0]}: no such score file, nor {places[1]}: run {trains} first")
    return next((place for place in there if not stale_reason(place)), there[0])
