"""What an exported network is fed: the input's size, how a clip becomes it, and which recordings are meant.

Letters: N clips, C channels, T frames, V joints, M bodies.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from agcn.config import input_settings
from agcn.data.augment import augment, numbers_per_clip
from agcn.data.augment_rng import middle
from agcn.data.clips import Clips, is_there, open_array
from agcn.data.loader import BatchLoader, batches_in_order
from agcn.data.pyskl import ONE_VIEW, View
from agcn.model.network import Model
from agcn.settings import JOINT_PAIRS, Config, FeederArgs
from native_prep.datasets.catalog import DATASETS, class_names
from native_prep.poses.custom import check_layout, custom_metadata, default_metadata
from native_prep.poses.labels import number_classes
from native_prep.skeletons.layouts import Layout

DEFAULT_FRAMES = 300


def input_shape(config: Config, model: Model, streams: int = 2) -> tuple[int, int, int, int]:
    """(C, T, V, M) that an engine of so many streams is given of the test split of `config`.

    T is `window_size` where clips are resampled to it; else that of the test data, padded to `window_size`; else
    `window_size`, or 300 where none is set. Four streams of `convention: pyskl` need each frame's next one, too.

    Raises:
        ValueError: the test data is no such array.
    """
    args = config.test_feeder_args
    frames = args.window_size if args.window_size > 0 else DEFAULT_FRAMES
    if not (args.sample or args.random_choose) and (known := prepared_frames(config)):
        frames = max(known, args.window_size)
    if _paired(args, streams):
        frames *= 2
    return model.in_channels, frames, model.num_point, model.num_person


def _paired(args: FeederArgs, streams: int) -> bool:
    return bool(args.convention) and streams > 2


def prepared_frames(config: Config) -> int:
    """T of the test data as `prep` wrote it, 0 where it is not at hand.

    Raises:
        ValueError: the test data is no such array.
    """
    args = config.test_feeder_args
    if not is_there(args.data_path):
        return 0
    return int(open_array(replace(args, use_mmap=True), "test_feeder_args").shape[2])


def feeder_settings(config: Config, streams: int = 2) -> dict[str, Any]:
    """`input_settings`, for a graph of so many streams that makes bones and motions from joints.

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
    return input_settings(config) | ({"make_stream": JOINT_PAIRS} if _paired(args, streams) else {})


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
    return augment(torch.from_numpy(clip[None]), args, uniform, layout, ONE_VIEW).numpy()


def dataset_of(layout: Layout, num_class: int) -> str:
    """The data set whose raw clips have this skeleton and at least so many classes, "" for a skeleton of one's own."""
    fitting = [one for one in DATASETS.values() if one.layout == layout and one.num_class >= num_class]
    return min(fitting, key=lambda one: one.num_class).name if fitting else ""


def recordings_of(config: Config, model: Model) -> tuple[str, list[str], dict[str, Any]]:
    """The data set whose raw clips a model is for, "custom" for poses of one's own, "" where none is known.

    Returns:
        That, the names of its classes, and what `prep custom` noted of the data, or would note (`config.classes`).

    Raises:
        ValueError: the data of the configuration were prepared with another skeleton.
    """
    path, num_class = config.test_feeder_args.data_path, model.num_class
    named = class_names(config.classes) if config.classes else []
    metadata = custom_metadata(path)
    if metadata:
        check_layout(path, model.layout)
        for what, theirs, ours in (
            ("bodies", metadata["max_bodies"], model.num_person), ("classes", len(metadata["classes"]), num_class),
        ):  # fmt: skip
            if theirs > ours:
                raise ValueError(f"{path}: was prepared with {theirs} {what}, the model has {ours}: give its own data")
        classes = [*metadata["classes"], *map(str, range(len(metadata["classes"]), num_class))]
        if named and classes == number_classes(num_class):  # as pickles have them
            classes = named
        return "custom", classes, metadata
    if named:
        return "custom", named, default_metadata(model.layout, model.num_person, named)
    dataset = "" if config.test_feeder_args.convention else dataset_of(model.layout, num_class)
    return dataset, class_names(dataset) if dataset else [], {}


def spread(clips: int, count: int) -> np.ndarray:
    """The numbers of at most `count` clips out of all, evenly spread, int64."""
    return np.unique(np.linspace(0, clips - 1, count).astype(np.int64))


def input_batches(
    clips: Clips,
    args: FeederArgs,
    layout: Layout,
    index: np.ndarray,
    size: int = 64,
    seed: int = 0,
    view: View = ONE_VIEW,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches of the clips at `index` as `test` shows them to the model: arrays (B, C, T, V, M) and labels (B,).

    Args:
        seed, view: with the configuration's `seed`, the views of a test (test_windows) are the same ones; in the
            first, 0, nothing is random.
    """
    loader = BatchLoader(clips, args, layout, torch.device("cpu"), seed)
    for batch, labels, _ in loader.test_batches(batches_in_order(index, size), view):
        yield batch.numpy(), labels.numpy()
