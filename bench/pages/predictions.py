"""What a network says of a recording, of the whole and as time goes by.

Letters: T frames, W frames of a window.
"""

from typing import Any

import numpy as np

from agcn.model.layer_graphs import LayerGraphs, all_layer_graphs
from agcn.model.network import Model
from bench.pages.recordings import Recording, class_name
from export.inputs import feeder_from, to_input
from export.raw_clips import RawClips, one_thread
from export.runtime.base import Engine, softmax
from export.runtime.predict import best_classes
from native_prep.skeletons.layouts import NTU

# How many classes are followed, and how many answers are asked for of a clip at most.
_CLASSES, _ANSWERS = 5, 30
# Fewer frames than these are not asked about.
_FEWEST = 8
_BATCH = 8


def predictions_over_time(engine: Engine, raw: RawClips, recording: Recording) -> dict[str, Any]:
    """The answer for a recording, and those for a window that slides over it and grows at its start.

    Args:
        engine: what answers.
        raw: what reads recordings for it.

    Returns:
        window: W; ends: the last frame of each window, from 0; classes: the likeliest in all of them;
        probabilities: a list for each class, one for each window; whole: the likeliest classes of the whole recording,
        and followed: the probabilities of `classes` there; cut: whether windows are cut out of the prepared clip.

    Raises:
        ValueError: the recording does not fit the engine.
    """
    manifest = engine.manifest
    frames = recording.people.shape[1] if recording.path else recording.prepared.shape[1]
    window = min(raw.default_window, frames)
    whole = softmax(engine.run(_whole(engine, raw, recording))[-1][0])
    ends = np.unique(np.linspace(min(_FEWEST, frames), frames, _ANSWERS).astype(int)) - 1
    answers: list[np.ndarray] = []
    told: list[int] = []
    asked: list[np.ndarray] = []
    for end in ends.tolist():
        clip = _window(engine, raw, recording, max(0, end + 1 - window), end + 1)
        if clip is not None:
            told.append(end)
            asked.append(clip)
        if asked and (len(asked) == _BATCH or end == ends[-1]):
            answers += [softmax(scores) for scores in engine.run(np.concatenate(asked))[-1]]
            asked = []
    probabilities = np.array(answers or [whole])  # (windows, num_class)
    likely = np.argsort(-(probabilities.mean(axis=0) + whole), kind="stable")[:_CLASSES]
    return {
        "window": window,
        "cut": not recording.path,
        "ends": told or [frames - 1],
        "classes": [class_name(manifest.class_names, int(label)) for label in likely],
        "probabilities": [[round(float(share), 4) for share in probabilities[:, label]] for label in likely],
        "whole": best_classes(whole, manifest, 1),
        "followed": [round(float(whole[label]), 4) for label in likely],
    }


def _whole(engine: Engine, raw: RawClips, recording: Recording) -> np.ndarray:
    if recording.path:
        return raw.read(recording.path)
    if engine.manifest.with_prep:
        raise ValueError(f"{engine.folder}: takes raw joints, prepared clips have none: give a raw clip")
    return to_input(recording.whole, feeder_from(engine.manifest.feeder_args), recording.layout)


def _window(engine: Engine, raw: RawClips, recording: Recording, start: int, end: int) -> np.ndarray | None:
    """The frames from `start` to `end` as the network's input (1, C, T, V, M); None where nobody is in them."""
    if recording.path:
        part = recording.people[:, start:end]
        return raw.prepare(part.astype(np.float64), recording.name) if part.any() else None
    clip = recording.prepared[:, start:end]
    if not clip.any():
        return None
    return to_input(padded(clip, raw), feeder_from(engine.manifest.feeder_args), raw.layout)


def padded(clip: np.ndarray, raw: RawClips) -> np.ndarray:
    """Some frames of a prepared clip, padded as prep does for a network: NTU's repeat, zeros follow others."""
    length = clip.shape[1]
    frames = max(raw.form.prepared_frames or raw.frames or length, length)
    if raw.layout == NTU and not raw.form.custom:
        return clip[:, np.arange(frames) % length]
    made = np.zeros((clip.shape[0], frames, *clip.shape[2:]), np.float32)
    made[:, :length] = clip
    return made


def joint_weights(model: Model, clip: np.ndarray) -> list[list[float]]:
    """How much the other joints take from each joint, in each layer of a model; a list a layer, from 0 to 1 in each.

    Args:
        model: in eval mode.
        clip: (C, T, V, M) as its feeder makes it.

    Raises:
        ValueError: the model's graph is not learned.
    """
    found = []
    with one_thread():  # of a clip of 300 frames: 0.13 s; with two threads 0.07 s on two free cores, 1.5 s on busy ones
        graphs = all_layer_graphs(model, clip)
    for one in graphs.values():
        taken = taken_from(one, model.variant)
        found.append(np.round((taken - taken.min()) / (np.ptp(taken) or 1.0), 3).tolist())
    return found


def taken_from(graphs: LayerGraphs, variant: str) -> np.ndarray:
    """What all other joints take from each joint, over the subsets of the graph that a layer uses: float (V,).

    Args:
        variant: in "aagcn" the learned graph stands for the fixed one, too.
    """
    used = graphs.learned + graphs.data_dependent + (0 if variant == "aagcn" else graphs.fixed)
    strength = np.abs(used).sum(axis=0)  # (V, V): row gives, column takes
    np.fill_diagonal(strength, 0)
    return strength.sum(axis=1)
