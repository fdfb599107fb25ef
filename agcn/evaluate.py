"""Scores of a test split, and how many of them are right."""

import dataclasses
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from agcn.checkpoint import load_weights
from agcn.config import RUN_CONFIG, config_mismatches, hash_config, load_config, seen_stream
from agcn.data.clips import Clips, hash_clips, open_array, open_clips
from agcn.data.loader import BatchLoader, batches_in_order
from agcn.data.pyskl import View
from agcn.device import autocast, pick_device
from agcn.metrics import mean_class_accuracy, top5, top_k, write_outcome
from agcn.model.network import Model, build_model
from agcn.score_files import BEST_FILE, SCORE_FILE, best_checkpoint, read_note, stale_reason, write_scores
from agcn.settings import Config, FeederArgs
from native_prep.datasets.catalog import DATASETS, class_names
from native_prep.io.atomic import OutputSet, check_writable
from native_prep.io.hashes import sha256
from native_prep.io.pickles import load_pickle
from native_prep.io.progress import Progress
from native_prep.poses.custom import custom_metadata


def score_clips(
    model: nn.Module,
    loader: BatchLoader,
    batch_size: int,
    *,
    amp_dtype: str | None = None,
    index: np.ndarray | None = None,
    views: int = 1,
    quiet: bool = False,
) -> np.ndarray:
    """Raw logits of clips, float32 (len(index), num_class).

    Args:
        model: is put into evaluation mode.
        loader: the clips, on the model's device.
        batch_size: clips at a time.
        amp_dtype: "bf16" or "fp16" for mixed precision.
        index: which clips, one after the other; all of them by default.
        views: of each clip, the first of them without anything random; the logits are means over them.
        quiet: shows no progress.
    """
    model.eval()
    chosen = np.arange(len(loader.clips)) if index is None else index
    # Counted from the first clip of all, so that several processes draw what one would.
    chunks = batches_in_order(chosen, batch_size, int(chosen[0]) if len(chosen) else 0)
    total = np.zeros((len(chosen), 0), np.float32)
    with torch.inference_mode(), Progress(views * len(chosen), "test", "clip", quiet=quiet) as progress:
        for view in range(views):
            scores = []
            for clips, _, rows in loader.test_batches(chunks, View(view, views)):
                with autocast(loader.device, amp_dtype):
                    logits = model(clips, rows)  # (B, num_class)
                scores.append(logits.float().cpu().numpy())
                progress.update(len(clips))
            if scores:
                total = total + np.concatenate(scores) if total.size else np.concatenate(scores)
    return total / np.float32(views)


def mean_loss(scores: np.ndarray, labels: np.ndarray) -> float:
    """Mean cross entropy over clips."""
    return float(nn.functional.cross_entropy(torch.from_numpy(scores), torch.from_numpy(labels)))


def test(
    config: Config,
    weights: str | Path | None = None,
    *,
    device: str = "auto",
    work_dir: str | Path | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Score the test split of `config`.

    Writes WORK_DIR/epoch1_test_score.pkl, {sample name: float32[num_class]} of raw logits, and beside it a note of what
    they are of (see `agcn.score_files`), per_class.csv, confusion.csv and confusion.png.

    Args:
        weights: a checkpoint; the configuration's `weights` by default.
        device: see `agcn.device.pick_device`.
        work_dir: replaces the configuration's.
        overwrite: scores of other clips in a run's folder may go.

    Returns:
        top1, top5 (None for five classes or fewer), mean_class_accuracy (see `metrics`), clips, loss, scores (the
        file), weights, stream, device, warnings.

    Raises:
        ValueError: no weights given, weights and data that do not fit the model, scores of other clips in the way.
    """
    chosen = weights or config.weights
    if not chosen:
        raise ValueError(f"{config.config}: no weights to test: give --weights FILE.pt, or set weights")
    if work_dir is not None:
        config = dataclasses.replace(config, work_dir=str(work_dir))
    check_writable(config.work_dir)
    place = pick_device(device, config.device[0] if config.device else 0)
    model = build_model(config.model, config.model_args)
    load_weights(model, chosen)
    clips = open_test_clips(config)
    clips.check(model)
    path, data_hash = Path(config.work_dir) / SCORE_FILE, hash_clips(clips)
    if not overwrite:
        _check_scores_in_the_way(path, clips, data_hash)
    warnings = config_mismatches(config, chosen, config.stream)
    for key, text in training_mismatches(config, chosen, clips.shape[2]).items():
        if not any(f"test_feeder_args.{key}=" in told for told in warnings):
            warnings.append(text)
    loader = BatchLoader(clips, config.test_feeder_args, model.layout, place, config.seed, config.share_absent)
    scores = score_clips(model.to(place), loader, config.test_batch_size, views=config.test_windows)
    with OutputSet() as outputs:
        metadata = score_note(config, Path(chosen), Path(chosen).name, clips, data_hash)
        write_scores(outputs, path, zip(clips.names, scores, strict=True), metadata)
    write_outcome(Path(config.work_dir), scores, clips.labels, class_names_of(model, clips))
    if stale := stale_reason(path):
        warnings.append(f"{path}: {stale}: fuse-eval refuses it without --allow-stale")
    for warning in warnings:
        print(warning, file=sys.stderr)
    return {
        "top1": top_k(scores, clips.labels, 1),
        "top5": top5(scores, clips.labels),
        "mean_class_accuracy": mean_class_accuracy(scores, clips.labels),
        "clips": len(clips),
        "loss": mean_loss(scores, clips.labels),
        "scores": str(path),
        "weights": str(chosen),
        "stream": config.stream,
        "device": str(place),
        "warnings": warnings,
    }


# What a feeder changes in the same way in training and in a test; the rest is random, and no test has it.
_FIXED_KEYS = ("normalization", "reorder", "align", "fit", "convention")


def training_mismatches(config: Config, weights: str | Path, frames: int) -> dict[str, str]:
    """What a checkpoint's training has shown it otherwise than a test does, where its configuration lies beside it.

    Args:
        config: of the test.
        weights: the checkpoint.
        frames: T of the test's data.

    Returns:
        The feeder's key -> a warning.
    """
    file = Path(weights).with_name(RUN_CONFIG)
    try:
        run = load_config(file)
    except (ValueError, OSError):  # there is none, or `config_mismatches` tells what is wrong with it
        return {}
    trained, tested = run.train_feeder_args, config.test_feeder_args
    pairs: dict[str, tuple[Any, ...]] = {key: (getattr(trained, key), getattr(tested, key)) for key in _FIXED_KEYS}
    # A crop is a random part of what linear shows.
    pairs["sample"] = tuple("linear" if one.sample == "crop" else one.sample for one in (trained, tested))
    pairs["make_stream"] = seen_stream(trained, run.stream), seen_stream(tested, config.stream)
    if pairs["make_stream"] == ("joint", "joint"):  # differences are the same wherever the joints are
        pairs["centre"] = trained.centre, tested.centre
    told = {
        key: f"{weights}: was trained with train_feeder_args.{key}={ours!r}, here test_feeder_args.{key} is {theirs!r}"
        for key, (ours, theirs) in pairs.items()
        if ours != theirs
    }
    before, now = _seen_frames(trained), _seen_frames(tested, frames)
    if before and now and before != now:
        told["window_size"] = (
            f"{weights}: was trained on {before} frames (train_feeder_args.window_size={trained.window_size}), here "
            f"clips have {now} (test_feeder_args.window_size={tested.window_size})"
        )
    return {key: f"{text}: check its accuracy" for key, text in told.items()}


def _seen_frames(args: FeederArgs, frames: int = 0) -> int:
    """T of what a feeder shows, of data of `frames` or its own; 0 where that is not known: a random part, no data."""
    if args.sample:
        return args.window_size
    if args.random_choose:
        return 0
    with suppress(ValueError, OSError):
        return max(args.window_size, frames or open_array(dataclasses.replace(args, use_mmap=True)).shape[2])
    return 0


def score_note(
    config: Config, weights: Path, name: str, clips: Clips, data_hash: str, amp_dtype: str | None = None
) -> dict[str, Any]:
    """What a score file's note says of one stream's scores; `name` is what the file `weights` is called."""
    return {
        "weights": {config.stream: {"file": name, "sha256": sha256(weights)}},
        "config_sha256": hash_config(config, amp_dtype),
        "data": {"path": clips.path, "clips": len(clips), "sha256": data_hash},
    }


def _check_scores_in_the_way(path: Path, clips: Clips, data_hash: str) -> None:
    """Raises ValueError where a run's scores are, or have to be, of other clips than those that are to be tested."""
    if best_checkpoint(path) != path.with_name(BEST_FILE):
        return
    if path.is_file():
        note = read_note(path)
        same = note["data"].get("sha256") == data_hash if note else _names_in(path) == set(clips.names)
        if not same:
            raise ValueError(f"{path}: holds scores of other clips: name another --work-dir, or give --overwrite")
    elif (own := _tested_on(path.parent)) and Path(own).exists() and Path(own).resolve() != Path(clips.path).resolve():
        text = f"is for the scores of {own}, these are of {clips.path}"
        raise ValueError(f"{path}: {text}: name another --work-dir, or give --overwrite")


def _tested_on(run: Path) -> str:
    """The data that a run is tested on; "" where its configuration does not tell."""
    try:
        return load_config(run / RUN_CONFIG).test_feeder_args.data_path
    except (ValueError, OSError):
        return ""


def _names_in(path: Path) -> set[str]:
    try:
        return {str(name) for name in load_pickle(path)}
    except (ValueError, TypeError):
        return set()


def open_test_clips(config: Config) -> Clips:
    """The test split; raises ValueError where it has no clips."""
    clips = open_clips(config.test_feeder_args, "test_feeder_args")
    if not len(clips):
        raise ValueError(f"{clips.path}: has no clips: run prep on a folder with some of the test split")
    return clips


def class_names_of(model: Model, clips: Clips) -> list[str]:
    """The names of the classes: those of one's own data, or where skeleton and number of classes tell the data set."""
    if own := custom_metadata(clips.path).get("classes"):
        return list(own)
    fitting = [one for one in DATASETS.values() if (one.layout, one.num_class) == (model.layout, model.num_class)]
    return class_names(fitting[0].name) if len(fitting) == 1 else []
