"""Clips to compare an export on, and to measure ranges on: real ones where they are at hand, else made ones.

Letters: N clips, C channels, T frames, V joints, M bodies.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from agcn.data.clips import is_there, open_clips
from agcn.model.network import Model
from agcn.settings import Config
from export.inputs import DEFAULT_FRAMES, dataset_of, feeder_from, feeder_settings, input_batches, spread, to_input
from native_prep.cpu.one_file import read_raw_clip
from native_prep.datasets.catalog import DATASETS, Dataset, missing_samples
from native_prep.datasets.recordings import files_below
from native_prep.reference import prepare_raw_clip
from native_prep.skeletons.layouts import NTU, Layout
from native_prep.synth.make import joint_batch, synth

MADE = "made clips"


def raw_comparison_clips(
    config: Config, model: Model, shape: tuple[int, int, int, int], count: int, streams: int
) -> tuple[np.ndarray, np.ndarray, str]:
    """Raw clips (N, C, T, V, M), the same clips prepared, and where they are from.

    They are from the data set's usual folder, or of the test data, where that is at hand, else made ones.
    """
    if config.test_feeder_args.convention:
        return _raw_poses(config, model, shape, count, streams)
    layout = model.layout
    dataset = DATASETS[dataset_of(layout, 1)]
    longest = dataset.max_frames
    assert longest is not None, "only data sets whose clips are prepared have raw ones"
    with tempfile.TemporaryDirectory(prefix="agcn_raw_") as made:
        files, where = _raw_files(Path(dataset.data_path), dataset), str(dataset.data_path)
        if not files:
            synth(dataset.name, Path(made), clips=count)
            files, where = _raw_files(Path(made), dataset), MADE
        raw = []
        for index in spread(len(files), count):
            try:
                raw.append(read_raw_clip(files[index], dataset.name, longest)[:, : shape[1]])
            except ValueError as error:
                print(f"{error}: left out of the comparison", file=sys.stderr)
        if not raw:
            raise ValueError(f"{where}: no clip of it can be read: look at what prep says of it")
    prepared = [prepare_raw_clip(clip, layout) for clip in raw]
    return np.stack(raw), np.stack(prepared), where


def _raw_files(place: Path, dataset: Dataset) -> list[Path]:
    unusable = missing_samples(dataset.name)
    found = (path for path in files_below(place) if path.suffix == dataset.suffix and "label" not in path.name)
    return sorted(path for path in found if path.stem not in unusable)


def _raw_poses(
    config: Config, model: Model, shape: tuple[int, int, int, int], count: int, streams: int
) -> tuple[np.ndarray, np.ndarray, str]:
    """`raw_comparison_clips` of poses, which `prep custom` only puts elsewhere."""
    args, layout = feeder_from(feeder_settings(config, streams)), model.layout
    placed, source = _poses(config, model, shape[1], shape[3], count)
    raw = placed
    if layout.coordinates == "image":  # what `to_clip.place_bodies` did to shares of the picture is undone
        seen = placed[:, 2] != 0
        raw = np.stack([(placed[:, 0] + 0.5) * seen, (0.5 - placed[:, 1]) * seen, placed[:, 2]], axis=1)
    return raw, np.concatenate([to_input(clip, args, layout) for clip in placed]), source


def _poses(config: Config, model: Model, frames: int, bodies: int, count: int) -> tuple[np.ndarray, str]:
    """Clips (N, 3, T, V, M) as `prep custom` writes them, zeros behind their last frame, and where they are from."""
    args = config.test_feeder_args
    if is_there(args.data_path) and is_there(args.label_path):
        clips = open_clips(args, "test_feeder_args")
        clips.check(model)
        if len(clips):
            found = clips.batch(spread(len(clips), count))[:, :, :frames]
            return np.pad(found, ((0, 0), (0, 0), (0, frames - found.shape[2]), (0, 0), (0, 0))), clips.path
    made = _made(model.layout, count, frames, bodies)
    if model.layout.coordinates == "image":
        # People of many sizes all over the picture, and a score for a depth.
        seen, rng = made.any(axis=1, keepdims=True), np.random.default_rng(0)
        sizes, places = rng.uniform(0.1, 0.3, (count, 1, 1, 1, 1)), rng.uniform(-0.2, 0.2, (count, 2, 1, 1, 1))
        image = np.concatenate([made[:, :2] * sizes + places, np.clip(made[:, 2:] / 5 + 0.6, 0.1, 1)], axis=1)
        made = image * seen
    for clip, length in zip(made, np.linspace(frames // 6, frames, count).astype(int), strict=True):
        clip[:, max(length, 1) :] = 0
    return made.astype(np.float32), MADE


def _made(layout: Layout, count: int, frames: int, bodies: int) -> np.ndarray:
    """Made joints (N, 3, T, V, M) in metres; a skeleton of one's own moves like some of NTU's joints."""
    known = layout if dataset_of(layout, 1) else NTU
    made = joint_batch(known, count, frames, bodies, seed=0)
    return made[:, :, :, np.arange(layout.num_joints) % known.num_joints]


def comparison_clips(
    config: Config, model: Model, shape: tuple[int, int, int, int], count: int, streams: int = 2
) -> tuple[np.ndarray, str]:
    """Clips (N, C, T, V, M) float32 to compare an engine of so many streams on, and where they are from.

    They are of the test data where that is at hand, spread over all of it, else made ones.

    Raises:
        ValueError: the test data does not fit the model.
    """
    args = feeder_from(feeder_settings(config, streams))
    args = replace(args, data_path=config.test_feeder_args.data_path, label_path=config.test_feeder_args.label_path)
    if is_there(args.data_path) and is_there(args.label_path):
        clips = open_clips(args, "test_feeder_args")
        clips.check(model)
        if len(clips):
            batches = input_batches(clips, args, model.layout, spread(len(clips), count))
            return np.concatenate([batch for batch, _ in batches]), clips.path
    channels, frames, _, bodies = shape
    if args.convention:
        made, source = _poses(config, model, DEFAULT_FRAMES, bodies, count)
        return np.concatenate([to_input(clip, args, model.layout) for clip in made]), source
    made = _made(model.layout, count, frames, bodies)
    return np.ascontiguousarray(made[:, np.arange(channels) % made.shape[1]]), MADE
