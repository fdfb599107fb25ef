"""What `export-trt` is asked for, checked before the long work starts."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from agcn.checkpoint import load_weights
from agcn.config import config_mismatches
from agcn.model.network import Model, build_model
from agcn.settings import Config
from export.engines.aotinductor import check_can_build
from export.engines.flavors import Flavor, choose_flavor, pick_targets, present_target
from export.engines.refit import refittable_engine
from export.graph.int8 import CALIBRATION_CLIPS, calibration_clips
from export.graph.preprocess import preprocess_for
from export.inputs import check_prepares, check_raw_shape, dataset_of, feeder_settings, input_shape, raw_clips
from export.manifest import EngineFile
from native_prep.datasets.catalog import class_names
from native_prep.io.hashes import sha256
from native_prep.poses.custom import check_layout, custom_metadata
from native_prep.skeletons.layouts import Layout
from native_prep.skeletons.streams import STREAMS

# Instead of targets: the ONNX graph alone.
NO_TARGET = "none"
# Keys in which a checkpoint's own configuration may differ: each stream has its own make_stream, and the first draw of
# a test, the one that a graph sees, does without the others.
_MAY_DIFFER = frozenset(["make_stream", "random_move", "random_rotate", "random_warp"])
PRECISIONS = ("fp32", "tf32", "fp16", "bf16", "int8")


@dataclass(frozen=True)
class Request:
    """One export.

    Attributes:
        models, sources: stream -> trained model; stream -> {"file": name, "sha256": hash} of its checkpoint.
        config: of the joint stream.
        shape: (C, T, V, M).
        precision, alpha, motion_alpha, max_batch, with_prep: as in the manifest.
        flavor, targets: which engines to build.
        refittable: whether their weights may be changed later.
        refit: an older engine that takes these weights, and where it is.
        dense: whether absent bodies are computed too.
        aot: "cpu" or "cuda", what a package of AOTInductor is for; None for none.
        config_warnings: where the configuration beside a checkpoint changes clips in another way.
    """

    models: dict[str, Model]
    sources: dict[str, dict[str, str]]
    config: Config
    shape: tuple[int, int, int, int]
    precision: str
    alpha: float
    motion_alpha: float
    max_batch: int
    with_prep: bool
    flavor: Flavor | None
    targets: list[str]
    refittable: bool
    refit: tuple[Path, EngineFile] | None
    dense: bool
    aot: str | None
    config_warnings: list[str]

    @cached_property
    def calibration(self) -> tuple[np.ndarray, str]:
        """Clips as the graph takes them that int8's ranges are measured on, and where they are from."""
        if self.with_prep:
            clips, _, source = raw_clips(self.joint.layout, self.shape, CALIBRATION_CLIPS)
            return clips, source
        return calibration_clips(self.config, self.joint, self.shape)

    @property
    def joint(self) -> Model:
        """The model of the joint stream, which all others are like."""
        return self.models["joint"]

    @property
    def compared(self) -> tuple[list[Model], list[float]]:
        """What the parity rule compares with: models and weights of the streams."""
        weights = [1.0, self.alpha, self.motion_alpha, self.motion_alpha]
        return list(self.models.values()), weights[: len(self.models)]

    @property
    def skips_absent(self) -> bool:
        """Whether the graph finds out which bodies are there."""
        return not self.dense and self.shape[3] > 1

    @property
    def engine_takes(self) -> str:
        """Engines pick no bodies: TensorRT-RTX has no operation for it. Before a preparation nobody else can."""
        return "rows" if self.skips_absent and not self.with_prep else "joints"


def make_request(
    config: Config,
    weights: dict[str, str | os.PathLike[str] | None],
    *,
    streams: int | None,
    precision: str,
    flavor: str,
    targets: Sequence[str],
    max_batch: int,
    alpha: float,
    motion_alpha: float | None,
    with_prep: bool,
    refittable: bool,
    refit: str | os.PathLike[str] | None,
    dense: bool,
    aot: str | None,
) -> Request:
    """Loads and checks; see `export.build.export_engines` for the arguments.

    Raises:
        ValueError: contradictions, checkpoints for another model, a flavour that is not installed.
    """
    given = {stream: path for stream in STREAMS if (path := weights.get(stream))}
    check_streams(list(given), streams)
    _check_precision(precision, aot, refittable or refit is not None)
    motion_alpha = alpha if motion_alpha is None else motion_alpha
    for name, value in (("alpha", alpha), ("motion alpha", motion_alpha)):
        if not math.isfinite(value):
            raise ValueError(f"{name} is {value}: give a finite number")
    if max_batch < 2:
        raise ValueError(f"max batch is {max_batch}: give at least 2")
    chosen, picked = _pick_engines(flavor, tuple(targets), precision, refittable or refit is not None)
    settings = feeder_settings(config)
    models = {stream: _load(config, path) for stream, path in given.items()}
    sources = {stream: {"file": Path(path).name, "sha256": sha256(path)} for stream, path in given.items()}
    shape = input_shape(config, models["joint"])
    if with_prep:
        _check_with_prep(config, settings, models["joint"].layout, shape)
    if aot:
        check_can_build(aot)
    request = Request(
        models, sources, config, shape, precision, float(alpha), float(motion_alpha), max_batch, with_prep, chosen,
        picked, refittable or refit is not None, None, dense, aot,
        [warning for stream, path in given.items() for warning in config_mismatches(config, path, stream, _MAY_DIFFER)],
    )  # fmt: skip
    return request if refit is None else replace(request, refit=_find_refittable(request, refit))


def _check_precision(precision: str, aot: str | None, refittable: bool) -> None:
    if precision not in PRECISIONS:
        raise ValueError(f"precision {precision!r} is not known: use one of {', '.join(PRECISIONS)}")
    if precision == "int8" and aot:
        raise ValueError("--precision int8: packages of AOTInductor compute in floating point: leave --aot out")
    if precision == "tf32" and aot:
        raise ValueError("--precision tf32: is for engines, packages of AOTInductor compute in fp32: leave --aot out")
    if precision == "int8" and refittable:
        raise ValueError("--precision int8: new weights have other ranges, such engines are not refitted: build them")


def _pick_engines(
    flavor: str, targets: tuple[str, ...], precision: str, refittable: bool
) -> tuple[Flavor | None, list[str]]:
    """What to build engines with, and for which GPUs."""
    if NO_TARGET in targets:
        if refittable or len(targets) > 1:
            raise ValueError(f"--target {NO_TARGET}: builds no engine: leave other targets, --refittable, --refit out")
        return None, []
    chosen = choose_flavor(flavor)
    if chosen is None:
        if targets or refittable:
            raise ValueError(
                "--target, --refittable and --refit are for TensorRT: install the extra tensorrt-rtx "
                "(pip install '.[tensorrt-rtx]'), or leave them out"
            )
        return None, []
    picked = pick_targets(chosen, targets, precision)
    if refittable and picked != [present_target()]:
        raise ValueError("--refittable, --refit: such engines are built on the one GPU that they are for: see --target")
    return chosen, picked


def _check_with_prep(
    config: Config, settings: dict[str, Any], layout: Layout, shape: tuple[int, int, int, int]
) -> None:
    if custom_metadata(config.test_feeder_args.data_path):
        raise ValueError("--with-prep: clips that prep custom made are prepared by it: leave it out")
    check_prepares(config, settings)
    preprocess_for(layout)
    check_raw_shape(config, layout, shape)


def _find_refittable(request: Request, folder: str | os.PathLike[str]) -> tuple[Path, EngineFile]:
    same = ("precision", "shape", "max_batch", "with_prep", "alpha", "motion_alpha")
    wanted = {name: getattr(request, name) for name in same}
    wanted |= {"streams": tuple(request.models), "takes": request.engine_takes}
    wanted |= {"layout": request.joint.layout.name, "num_class": request.joint.num_class}
    assert request.flavor is not None, "asked for above"
    engine = refittable_engine(folder, request.flavor, wanted)
    return Path(folder) / engine.file, engine


def check_streams(given: list[str], streams: int | None) -> None:
    """Raises ValueError where checkpoints are given for other streams than two or four."""
    wanted = streams or (2 if len(given) < 3 else 4)
    if wanted not in (2, 4):
        raise ValueError(f"--streams {wanted}: a graph has 2 or 4 streams: give one of them")
    for stream in STREAMS[:wanted]:
        if stream not in given:
            option = f"--{stream.replace('_', '-')}-weights"
            raise ValueError(f"{wanted} streams, and no checkpoint of {stream}: give {option}")
    if len(given) > wanted:
        raise ValueError(f"--streams {wanted}, and a checkpoint of {given[wanted]}: leave it out or ask for 4")


def _load(config: Config, weights: str | os.PathLike[str]) -> Model:
    model = build_model(config.model, config.model_args).eval()
    load_weights(model, Path(weights))
    return model


def request_notes(request: Request, targets: Sequence[str]) -> list[str]:
    """What a user might miss in the result; `targets` are those asked for."""
    notes = list(request.config_warnings)
    if request.flavor is None:
        asked = NO_TARGET not in targets
        why = "neither tensorrt (with a GPU) nor tensorrt-rtx is installed" if asked else "none were asked for"
        notes.append(f"no engines: {why}; the ONNX graph runs")
    elif present_target() not in request.targets:
        notes.append("no engine is for a GPU at hand: parity was measured on the ONNX graph")
    if request.config.test_windows > 1:
        notes.append(
            f"`predict` sees one view of a clip, `test` and `fuse-eval` {request.config.test_windows} (test_windows)"
        )
    hashes = [source["sha256"] for source in request.sources.values()]
    if len(set(hashes)) < len(hashes):
        notes.append("the checkpoints of two streams are the same file")
    return notes


def raw_data(request: Request) -> tuple[str, list[str], dict[str, Any]]:
    """The data set whose raw clips the engine is for, the names of its classes, and what `prep custom` noted of it."""
    metadata = custom_metadata(request.config.test_feeder_args.data_path)
    num_class = request.joint.num_class
    if metadata:
        check_layout(request.config.test_feeder_args.data_path, request.joint.layout)
        classes = [*metadata["classes"], *map(str, range(len(metadata["classes"]), num_class))]
        return "custom", classes, metadata
    dataset = dataset_of(request.joint.layout, num_class)
    return dataset, class_names(dataset) if dataset else [], {}
