"""`export-trt`: two checkpoints to one ONNX graph, its engines, and the proof that they compute the same."""

import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from agcn.checkpoint import load_weights
from agcn.device import AMP_DTYPES
from agcn.model import Model, build_model
from agcn.settings import Config
from export import parity
from export.engines import build_engine
from export.inference import TwoStream
from export.inputs import comparison_clips, dataset_of, feeder_settings, input_shape
from export.manifest import FILE_NAME, EngineFile, Manifest, sha256, write_manifest
from export.onnx_graph import export_graph
from export.runtime import OnnxEngine, TensorRtEngine
from export.triton import write_repository
from export.trt_flavors import Flavor, choose_flavor, pick_targets, present_target
from native_prep.catalog import class_names
from native_prep.custom import check_layout, read_about
from native_prep.files import Withheld, whole_folder
from native_prep.progress import Progress

GRAPH = "two_stream.onnx"
PRECISIONS = ("fp32", "fp16", "bf16")
PARITY_CLIPS = 8


@dataclass(frozen=True)
class _Request:
    """What is to be exported, checked before the long work starts."""

    joint: Model
    bone: Model
    config: Config
    sources: dict[str, dict[str, str]]
    shape: tuple[int, int, int, int]
    precision: str
    alpha: float
    max_batch: int
    flavor: Flavor | None
    targets: list[str]

    @property
    def pair(self) -> tuple[Model, Model, tuple[int, ...], float]:
        """What the parity rule compares with."""
        return self.joint, self.bone, self.joint.layout.bone_parents, self.alpha


def export_engines(
    joint_weights: str | os.PathLike[str],
    bone_weights: str | os.PathLike[str],
    config: Config,
    out: str | os.PathLike[str],
    precision: str = "fp32",
    flavor: str = "auto",
    targets: Sequence[str] = (),
    max_batch: int = 64,
    alpha: float = 1.0,
    triton: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Export both streams into the folder `out`, whole or not at all.

    Nothing is published where the graph or an engine fails the parity rule: an older export at `out` stays.

    Args:
        joint_weights, bone_weights, config: checkpoints, and the configuration of the joint stream.
        precision: what the network computes in: fp32, fp16 or bf16.
        flavor: auto, tensorrt or tensorrt-rtx; auto without either of them installed makes ONNX alone.
        targets: GPU generations, "sm_86" say; see `pick_targets` for what none means.
        max_batch, alpha: largest batch of the engines, weight of the bone stream.
        triton: where to write a model repository too, see `export.triton`.

    Returns:
        onnx, engines, precision, parity, passed, manifest, seconds, notes; triton where it was asked for.

    Raises:
        ValueError: checkpoints for another model, an unknown precision or target, a flavour that is not installed,
            a folder with other files.
    """
    start = time.monotonic()
    request = _request(joint_weights, bone_weights, config, precision, flavor, tuple(targets), max_batch, alpha)
    notes = _notes(request)
    with whole_folder(out, FILE_NAME, stays=_is_foreign) as folder:
        manifest = _export(request, folder)
        if not manifest.parity["passed"]:
            notes.append("parity failed: nothing was written")
            raise Withheld
    result = _result(manifest, Path(out)) | {"seconds": round(time.monotonic() - start, 3), "notes": notes}
    if triton is not None:
        result["triton"] = write_repository(out, triton) if result["passed"] else {}
    return result


def _is_foreign(path: Path) -> bool:
    """Whether a file in an older export is none of its own."""
    return path.suffix not in (".onnx", ".engine") and path.name != FILE_NAME


def _result(manifest: Manifest, out: Path) -> dict[str, Any]:
    passed = manifest.parity["passed"]
    return {
        "onnx": str(out / GRAPH) if passed else None,
        "engines": [str(out / engine.file) for engine in manifest.engines] if passed else [],
        "precision": manifest.precision,
        "parity": manifest.parity,
        "passed": passed,
        "manifest": str(out / FILE_NAME) if passed else None,
    }


def _request(
    joint_weights: str | os.PathLike[str],
    bone_weights: str | os.PathLike[str],
    config: Config,
    precision: str,
    flavor: str,
    targets: tuple[str, ...],
    max_batch: int,
    alpha: float,
) -> _Request:
    if precision not in PRECISIONS:
        raise ValueError(f"precision {precision!r} is not known: use one of {', '.join(PRECISIONS)}")
    if not math.isfinite(alpha):
        raise ValueError(f"alpha is {alpha}: give a finite number")
    if max_batch < 1:
        raise ValueError(f"max batch is {max_batch}: give at least 1")
    feeder_settings(config)
    chosen = choose_flavor(flavor)
    if chosen is None and targets:
        raise ValueError("--target needs TensorRT: install the extra tensorrt-rtx (pip install '.[tensorrt-rtx]')")
    picked = pick_targets(chosen, targets, precision) if chosen else []
    joint, bone = _load(config, joint_weights), _load(config, bone_weights)
    sources = {
        stream: {"file": Path(path).name, "sha256": sha256(path)}
        for stream, path in (("joint", joint_weights), ("bone", bone_weights))
    }
    shape = input_shape(config, joint)
    return _Request(joint, bone, config, sources, shape, precision, float(alpha), max_batch, chosen, picked)


def _load(config: Config, weights: str | os.PathLike[str]) -> Model:
    model = build_model(config.model, config.model_args).eval()
    load_weights(model, Path(weights))
    return model


def _notes(request: _Request) -> list[str]:
    """What a user might miss in the result."""
    notes = []
    if request.flavor is None:
        notes.append("no engines: neither tensorrt (with a GPU) nor tensorrt-rtx is installed; the ONNX graph runs")
    elif present_target() not in request.targets:
        notes.append("no engine is for a GPU at hand: parity was measured on the graph they were built from")
    if request.sources["joint"]["sha256"] == request.sources["bone"]["sha256"]:
        notes.append("the joint and the bone checkpoint are the same file")
    return notes


def _export(request: _Request, folder: Path) -> Manifest:
    """Everything into `folder`; engines only where the graph passed."""
    graph = folder / GRAPH
    steps = 2 + len(request.targets)
    with Progress(steps, "export", "step") as progress:
        _write_graph(request, graph)
        progress.update(1, "graph")
        clips, source = comparison_clips(request.config, request.joint, request.shape, PARITY_CLIPS)
        session = OnnxEngine(folder, _manifest(request, graph, [], {}))
        measured = parity.check(session.run(clips), *request.pair, clips, request.precision)
        measured |= {"source": source, "runtime": f"onnxruntime on {session.device}"}
        progress.update(1, "parity")
        engines = []
        for target in request.targets if measured["passed"] else []:
            engines.append(_write_engine(request, graph, target))
            progress.update(1, target)
    manifest = _manifest(request, graph, engines, measured)
    _check_engines(request, folder, manifest, clips)
    write_manifest(folder, manifest)
    return manifest


def _write_graph(request: _Request, path: Path) -> None:
    network = TwoStream(
        *request.pair,
        frames=request.shape[1],
        dtype=AMP_DTYPES.get(request.precision, torch.float32),
    )
    notes = {"precision": request.precision, "alpha": str(request.alpha), "layout": request.joint.layout.name}
    export_graph(network, request.shape, path, notes)


def _write_engine(request: _Request, graph: Path, target: str) -> EngineFile:
    flavor = request.flavor
    assert flavor is not None, "targets are picked for a flavour"
    engine, layers = build_engine(flavor, graph, request.shape, request.max_batch, request.precision, target)
    path = graph.with_name(f"two_stream_{target}.engine")
    path.write_bytes(engine)
    return EngineFile(path.name, flavor.name, flavor.version, target, len(engine), sha256(path), layers)


def _check_engines(request: _Request, folder: Path, manifest: Manifest, clips: np.ndarray) -> None:
    """Adds to the manifest's parity what an engine for the GPU at hand computes."""
    for engine in manifest.engines:
        if engine.target == present_target():
            got = TensorRtEngine(folder, manifest, engine).run(clips)
            measured = parity.check(got, *request.pair, clips, request.precision)
            manifest.parity.setdefault("engines", {})[engine.file] = measured
            manifest.parity["passed"] = manifest.parity["passed"] and measured["passed"]


def _manifest(request: _Request, graph: Path, engines: list[EngineFile], measured: dict[str, Any]) -> Manifest:
    channels, frames, joints, bodies = request.shape
    num_class = request.joint.num_class
    dataset, classes, custom = _raw_data(request)
    versions = {"torch": torch.__version__, "onnx": version("onnx"), "onnxruntime": onnxruntime.__version__}
    if request.flavor is not None:
        versions[request.flavor.name] = request.flavor.version
    return Manifest(
        frames=frames,
        joints=joints,
        bodies=bodies,
        channels=channels,
        layout=request.joint.layout.name,
        dataset=dataset,
        num_class=num_class,
        class_names=classes[:num_class],
        precision=request.precision,
        alpha=request.alpha,
        max_batch=request.max_batch,
        feeder_args=feeder_settings(request.config),
        onnx=graph.name,
        onnx_sha256=sha256(graph),
        sources=request.sources,
        engines=engines,
        parity=measured,
        versions=versions,
        custom=custom,
    )


def _raw_data(request: _Request) -> tuple[str, list[str], dict[str, Any]]:
    """The data set whose raw clips the engine is for, the names of its classes, and what `prep custom` noted of it."""
    about = read_about(request.config.test_feeder_args.data_path)
    num_class = request.joint.num_class
    if about:
        check_layout(request.config.test_feeder_args.data_path, request.joint.layout)
        classes = [*about["classes"], *map(str, range(len(about["classes"]), num_class))]
        return "custom", classes, about
    dataset = dataset_of(request.joint.layout, num_class)
    return dataset, class_names(dataset) if dataset else [], {}
