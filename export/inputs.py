"""What an exported network is fed: the input's size, how a clip becomes it, and clips to compare on.

Letters: N clips, C channels, T frames, V joints, M bodies.
"""

import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agcn.config import input_settings
from agcn.data.augment import augment, numbers_per_clip
from agcn.data.augment_rng import middle
from agcn.data.clips import Clips, is_there, open_array, open_clips
from agcn.data.loader import BatchLoader, batches_in_order
from agcn.model.network import Model
from agcn.settings import Config, FeederArgs
from native_prep.cpu.one_file import read_raw_clip
from native_prep.datasets.catalog import DATASETS, Dataset, missing_samples
from native_prep.reference import prepare_raw_clip
from native_prep.skeletons.layouts import NTU, Layout
from native_prep.synth.make import joint_batch, synth

DEFAULT_FRAMES = 300


def input_shape(config: Config, model: Model) -> tuple[int, int, int, int]:
    """(C, T, V, M) that the test split of `config` has when `model` sees it.

    T is `window_size` where clips are resampled to it; else that of the test data, padded to `window_size`; else
    `window_size`, or 300 where none is set.

    Raises:
        ValueError: the test data is no such array.
    """
    args = config.test_feeder_args
    frames = args.window_size if args.window_size > 0 else DEFAULT_FRAMES
    if not (args.sample or args.random_choose) and (known := prepared_frames(config)):
        frames = max(known, args.window_size)
    return model.in_channels, frames, model.num_point, model.num_person


def prepared_frames(config: Config) -> int:
    """T of the test data as `prep` wrote it, 0 where it is not at hand.

    Raises:
        ValueError: the test data is no such array.
    """
    args = config.test_feeder_args
    if not is_there(args.data_path):
        return 0
    return int(open_array(replace(args, use_mmap=True), "test_feeder_args").shape[2])


def feeder_settings(config: Config) -> dict[str, Any]:
    """`input_settings`, for a graph that makes bones from joints.

    Raises:
        ValueError: bones cannot be made from the input, since each stream is changed in a way of its own.
    """
    args = config.test_feeder_args
    own = {key: getattr(args, key) for key in ("fit", "random_move", "reorder")} if not args.make_stream else {}
    for key, value in {"normalization": args.normalization, **own}.items():
        if value:
            raise ValueError(
                f"{config.config}: test_feeder_args.{key} is on, but the engine makes bones from joints, and then "
                "they would no longer be differences of joints: train without it"
                + (", or with make_stream, which changes joints and makes bones of them" if key in own else "")
            )
    return input_settings(config)


def feeder_from(settings: Mapping[str, Any]) -> FeederArgs:
    """The arguments that `feeder_settings` wrote, also after a detour over JSON.

    Raises:
        ValueError: they are of another version.
    """
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()
    }
    try:
        return FeederArgs(**values)
    except TypeError as error:
        raise ValueError(
            f"the manifest's feeder_args are of another version ({error}): run export-trt again"
        ) from error


def to_input(clip: np.ndarray, args: FeederArgs, layout: Layout) -> np.ndarray:
    """One prepared clip (C, T, V, M) as the network's input (1, C, W, V, M), as the test split's clips are changed."""
    uniform = torch.from_numpy(middle(1, numbers_per_clip(args)))
    return augment(torch.from_numpy(clip[None]), args, uniform, layout).numpy()


def dataset_of(layout: Layout, num_class: int) -> str:
    """The data set whose raw clips have this skeleton and at least so many classes, "" for a skeleton of one's own."""
    fitting = [one for one in DATASETS.values() if one.layout == layout and one.num_class >= num_class]
    return min(fitting, key=lambda one: one.num_class).name if fitting else ""


def check_prepares(config: Config, settings: Mapping[str, Any]) -> None:
    """Raises ValueError where the feeder changes prepared clips: an engine that takes raw ones could not follow."""
    usual = asdict(FeederArgs())
    changed = [key for key, value in settings.items() if usual[key] != value and key != "window_size"]
    changed = [key for key in changed if not (key == "make_stream" and settings[key] == "joint")]
    if changed:
        raise ValueError(
            f"{config.config}: test_feeder_args.{changed[0]} changes clips after their preparation, which --with-prep "
            "puts into the engine: export without --with-prep"
        )


def check_raw_shape(config: Config, layout: Layout, shape: tuple[int, int, int, int]) -> None:
    """Raises ValueError where raw clips of the data set do not have (C, T, V, M)."""
    known = prepared_frames(config)
    if known and known != shape[1]:
        raise ValueError(
            f"--with-prep: the test data has T={known}, padded to the {shape[1]} that the model sees, which an engine "
            "does not do: export without --with-prep"
        )
    dataset = DATASETS[dataset_of(layout, 1)]
    if shape[1] > (dataset.max_frames or 0) or shape[3] != dataset.num_person:
        raise ValueError(
            f"--with-prep: raw clips of {dataset.name} have up to {dataset.max_frames} frames and "
            f"{dataset.num_person} bodies, the model takes {shape[1]} and {shape[3]}: export without --with-prep"
        )


def raw_clips(layout: Layout, shape: tuple[int, int, int, int], count: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Raw clips (N, C, T, V, M), the same clips prepared, and where they are from.

    They are from the data set's usual folder where that is at hand, else made ones.
    """
    dataset = DATASETS[dataset_of(layout, 1)]
    longest = dataset.max_frames
    assert longest is not None, "only data sets whose clips are prepared have raw ones"
    with tempfile.TemporaryDirectory(prefix="agcn_raw_") as made:
        files, where = _raw_files(Path(dataset.data_path), dataset), str(dataset.data_path)
        if not files:
            synth(dataset.name, Path(made), clips=count)
            files, where = _raw_files(Path(made), dataset), "made clips"
        raw = []
        for index in np.unique(np.linspace(0, len(files) - 1, count).astype(int)):
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
    found = (path for path in place.rglob(f"*{dataset.suffix}") if "label" not in path.name)
    return sorted(path for path in found if path.stem not in unusable)


def comparison_clips(
    config: Config, model: Model, shape: tuple[int, int, int, int], count: int
) -> tuple[np.ndarray, str]:
    """Clips (N, C, T, V, M) float32 to compare on, and where they are from.

    They are of the test data where that is at hand, spread over all of it, else made ones.

    Raises:
        ValueError: the test data does not fit the model.
    """
    args = config.test_feeder_args
    if is_there(args.data_path) and is_there(args.label_path):
        clips = open_clips(args, "test_feeder_args")
        clips.check(model)
        if len(clips):
            index = np.unique(np.linspace(0, len(clips) - 1, count).astype(np.int64))
            batches = input_batches(clips, args, model.layout, index)
            return np.concatenate([batch for batch, _ in batches]), clips.path
    channels, frames, joints, bodies = shape
    layout = model.layout if dataset_of(model.layout, 1) else NTU
    made = joint_batch(layout, count, frames, bodies, seed=0)  # (N, 3, T, V, M)
    # A skeleton of one's own moves like some of NTU's joints.
    made = made[:, :, :, np.arange(joints) % layout.num_joints][:, np.arange(channels) % made.shape[1]]
    return np.ascontiguousarray(made), "made clips"


def input_batches(
    clips: Clips, args: FeederArgs, layout: Layout, index: np.ndarray, size: int = 64, seed: int = 0, view: int = 0
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches of the clips at `index` as `test` shows them to the model: arrays (B, C, T, V, M) and labels (B,).

    Args:
        seed, view: with the configuration's `seed`, the views of a test (test_windows) are the same ones; in the
            first, 0, nothing is random.
    """
    loader = BatchLoader(clips, args, layout, torch.device("cpu"), seed)
    for batch, labels, _ in loader.test_batches(batches_in_order(index, size), view):
        yield batch.numpy(), labels.numpy()
