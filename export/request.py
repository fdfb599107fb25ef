"""What `export-trt` is asked for, checked before the long work starts."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from agcn.checkpoint import load_weights
from agcn.config import config_mismatches
from agcn.model.network import Model, build_model
from agcn.settings import Config, FeederArgs
from export.comparison import raw_comparison_clips
from export.engines.aotinductor import check_can_build
from export.engines.flavors import Flavor, choose_flavor, pick_targets, present_target
from export.engines.refit import refittable_engine
from export.graph.int8 import CALIBRATION_CLIPS, calibration_clips, calibration_config
from export.graph.preprocess import preprocess_for
from export.inputs import DEFAULT_FRAMES, dataset_of, feeder_settings, input_shape, prepared_frames
from export.manifest import EngineFile
from native_prep.datasets.catalog import DATASETS
from native_prep.io.hashes import sha256
from native_prep.poses.custom import custom_metadata
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
            config = calibration_config(self.config)
            clips, _, source = raw_comparison_clips(config, self.joint, self.shape, CALIBRATION_CLIPS, len(self.models))
            return clips, source
        return calibration_clips(self.config, self.joint, self.shape, len(self.models))

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
    def convention(self) -> str:
        """How clips are made, see `FeederArgs`."""
        return self.config.test_feeder_args.convention

    @property
    def network_frames(self) -> int:
        """T of what the networks see."""
        return self.config.test_feeder_args.window_size if self.convention else self.shape[1]

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
    settings = feeder_settings(config, len(given))
    models = {stream: _load(config, path) for stream, path in given.items()}
    sources = {stream: {"file": Path(path).name, "sha256": sha256(path)} for stream, path in given.items()}
    shape = input_shape(config, models["joint"], len(given))
    if with_prep:
        shape = _raw_shape(config, settings, models["joint"].layout, shape)
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


def _raw_shape(
    config: Config, settings: dict[str, Any], layout: Layout, shape: tuple[int, int, int, int]
) -> tuple[int, int, int, int]:
    """(C, T, V, M) of raw clips, which the graph is to prepare, for a network that sees (C, T, V, M).

    Raises:
        ValueError: it cannot.
    """
    metadata = custom_metadata(config.test_feeder_args.data_path)
    if config.test_feeder_args.convention:
        if metadata and metadata["align"] != "none":
            raise ValueError(f"--with-prep: prep custom aligned the clips ({metadata['align']}): leave it out")
        _check_prepares(config, settings, ("convention", "sample", "make_stream"))
        channels, _, joints, bodies = shape
        return channels, max(prepared_frames(config), DEFAULT_FRAMES), joints, bodies
    if metadata:
        raise ValueError("--with-prep: clips that prep custom made are prepared by it: leave it out")
    _check_prepares(config, settings)
    preprocess_for(layout)
    _check_raw_shape(config, layout, shape)
    return shape


def _check_prepares(config: Config, settings: Mapping[str, Any], follows: Sequence[str] = ()) -> None:
    """Raises ValueError where the feeder changes prepared clips: an engine that takes raw ones could not follow.

    Args:
        follows: keys that it does follow.
    """
    usual, follows = asdict(FeederArgs()), ("window_size", *follows)
    changed = [key for key, value in settings.items() if usual[key] != value and key not in follows]
    changed = [key for key in changed if not (key == "make_stream" and settings[key] == "joint")]
    if changed:
        raise ValueError(
            f"{config.config}: test_feeder_args.{changed[0]} changes clips after their preparation, which --with-prep "
            "puts into the engine: export without --with-prep"
        )


def _check_raw_shape(config: Config, layout: Layout, shape: tuple[int, int, int, int]) -> None:
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
