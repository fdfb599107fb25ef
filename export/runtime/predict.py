"""An exported folder at work: the actions in raw recordings, and the accuracy on a test split."""

import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from agcn.data.clips import Clips
from agcn.data.pyskl import View
from agcn.evaluate import open_test_clips
from agcn.model.network import build_model
from agcn.settings import Config
from export.fusion import fuse_arrays
from export.inputs import feeder_from, feeder_settings, input_batches, input_shape
from export.manifest import Manifest
from export.raw_clips import RawClips
from export.runtime.base import Engine, score_recordings, softmax
from export.runtime.open import open_engine
from native_prep.datasets.recordings import NOBODY
from native_prep.io.progress import Progress
from native_prep.poses.custom import parse_size
from native_prep.skeletons.layouts import Layout


def predict(
    folder: str | os.PathLike[str],
    clips: Sequence[str | os.PathLike[str]],
    top: int = 5,
    runtime: str = "auto",
    image_size: str | None = None,
    per_person: bool = False,
) -> dict[str, Any]:
    """The likeliest actions in raw recordings.

    Args:
        folder: what `export-trt` wrote.
        clips: raw files of the data set that the engine is for, or a pose file or folder for each clip, as `prep
            custom` takes them; other joints than the engine's become its own where a conversion is known.
        top: how many actions of each.
        runtime: see `open_engine`.
        image_size: WIDTHxHEIGHT of the pictures of pose files in pixels; None for the training data's.
        per_person: answers for each person alone too.

    Returns:
        clips: for each {"clip": path, "top": [{"class": name, "label": number from 0, "score": probability}]}, the
        probability being the softmax of the fused scores; where nobody is in the clip `top` is empty, and `nobody` is
        there and True; per person also
        "persons": [{"person": id, or a number from 0, "frames": [first, last], "top": the same}]; runtime: what ran.

    Raises:
        ValueError: a recording that cannot be read (file and line), no recording at all, an engine for a skeleton
            without raw files.
    """
    if top < 1:
        raise ValueError(f"top is {top}: ask for at least 1")
    engine = open_engine(folder, runtime)
    paths = [os.fspath(clip) for clip in clips]
    raw = RawClips(engine.manifest, engine.folder, parse_size(image_size))
    found = score_recordings(engine, paths, raw)
    for path, scores in zip(paths, found, strict=True):
        if scores is None:
            print(f"{path}: {NOBODY}", file=sys.stderr)
    answers = [[] if scores is None else best_classes(scores, engine.manifest, top) for scores in found]
    clips_found: list[dict[str, Any]] = [
        {"clip": path, "top": answer} if answer else {"clip": path, "top": [], "nobody": True}
        for path, answer in zip(paths, answers, strict=True)
    ]
    if per_person:
        for one, path in zip(clips_found, paths, strict=True):
            one["persons"] = _people(engine, raw, path, top) if one["top"] else []
    return {
        "clips": clips_found,
        "runtime": f"{engine.runtime} on {engine.device}",
    }


def _people(engine: Engine, raw: RawClips, path: str, top: int) -> list[dict[str, Any]]:
    """The likeliest actions of each person of a recording."""
    return [
        {"person": name, "frames": list(frames), "top": likeliest(engine, clip, top)}
        for name, (frames, clip) in raw.people(path).items()
    ]


def fuse_engine(folder: str | os.PathLike[str], config: Config, runtime: str = "auto") -> dict[str, Any]:
    """The engine's accuracy on the test split of `config`, which must be that of the joint stream.

    Clips are seen in as many views as `test` sees them in (test_windows).

    Returns:
        clips, joint_top1, bone_top1, top1, top5, mean_class_accuracy, alpha, runtime.

    Raises:
        ValueError: an engine for another shape, class count or feeding than the configuration's, no test data.
    """
    engine = open_engine(folder, runtime)
    manifest = engine.manifest
    if manifest.with_prep:
        raise ValueError(f"{folder}: takes raw joints, a test split holds prepared ones: export without --with-prep")
    model = build_model(config.model, config.model_args)
    streams = len(manifest.streams)
    manifest.check_shape(input_shape(config, model, streams), "the config", folder)
    if model.num_class != manifest.num_class:
        raise ValueError(
            f"{folder}: engine for {manifest.num_class} classes, the config asks for {model.num_class}: "
            "give the configuration that it was exported with"
        )
    if feeder_from(feeder_settings(config, streams)) != feeder_from(manifest.feeder_args):
        raise ValueError(f"{folder}: was exported for other test_feeder_args than {config.config} has: export it again")
    clips = open_test_clips(config)
    clips.check(model)
    logits = _mean_logits(engine, clips, config, model.layout)
    weights = dict.fromkeys(manifest.streams[2:], manifest.motion_alpha)
    result = fuse_arrays(
        dict(zip(manifest.streams, logits, strict=True)), clips.labels, manifest.alpha, weights=weights
    )
    return result | {"runtime": f"{engine.runtime} on {engine.device}"}


def _mean_logits(engine: Engine, clips: Clips, config: Config, layout: Layout) -> list[np.ndarray]:
    """Each stream's logits (N, num_class), means over the views of a clip."""
    size, index = min(64, engine.manifest.max_batch), np.arange(len(clips))
    args = feeder_from(engine.manifest.feeder_args)
    total: list[np.ndarray] = []
    with Progress(config.test_windows * len(clips), "fuse-eval", "clip") as progress:
        for number in range(config.test_windows):
            answers, view = [], View(number, config.test_windows)
            for batch, _ in input_batches(clips, args, layout, index, size, config.seed, view):
                answers.append(engine.run(batch)[:-1])
                progress.update(len(batch))
            logits = [np.concatenate(part) for part in zip(*answers, strict=True)]
            total = [old + new for old, new in zip(total, logits, strict=True)] if number else logits
    return [part / np.float32(config.test_windows) for part in total]


def likeliest(engine: Engine, clip: np.ndarray, top: int) -> list[dict[str, Any]]:
    """The `top` likeliest classes of one clip (1, C, T, V, M)."""
    return best_classes(softmax(engine.run(clip)[-1][0]), engine.manifest, top)


def best_classes(probabilities: np.ndarray, manifest: Manifest, top: int) -> list[dict[str, Any]]:
    """The `top` likeliest classes of (num_class,) probabilities: class, label and score."""
    order = np.argsort(-probabilities, kind="stable")[:top]
    names = manifest.class_names or [f"class {label}" for label in range(manifest.num_class)]
    return [{"class": names[label], "label": int(label), "score": float(probabilities[label])} for label in order]
