"""`export-trt`: two or four checkpoints to one ONNX graph, its engines, and the proof that they compute the same."""

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import nn

from agcn.data.pyskl import bone_parents
from agcn.device import AMP_DTYPES
from agcn.settings import Config
from export.comparison import comparison_clips, raw_comparison_clips
from export.engines.aotinductor import build_package, package_notes
from export.engines.flavors import Flavor
from export.engines.refit import refit_engine
from export.engines.tensorrt import build_engine
from export.engines.triton import write_repository
from export.graph import parity
from export.graph.int8 import labelled_clips, logits_in_float32, quantise
from export.graph.network import TwoStream
from export.graph.onnx_graph import export_graph, numpy_inputs, output_names
from export.graph.preprocess import PysklPreprocess, preprocess_for
from export.inputs import feeder_settings, prepared_frames, recordings_of
from export.manifest import FILE_NAME, EngineFile, Manifest, write_manifest
from export.request import Request, make_request, request_notes
from export.runtime.onnx import OnnxEngine, open_session
from export.runtime.open import open_file, runs_here
from native_prep.io.atomic import DiscardFolder, atomic_folder
from native_prep.io.hashes import sha256
from native_prep.io.progress import Progress
from native_prep.skeletons.streams import STREAMS

GRAPH = "two_stream.onnx"
PARITY_CLIPS = 8


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
    *,
    streams: int | None = None,
    joint_motion_weights: str | os.PathLike[str] | None = None,
    bone_motion_weights: str | os.PathLike[str] | None = None,
    motion_alpha: float | None = None,
    with_prep: bool = False,
    refittable: bool = False,
    refit: str | os.PathLike[str] | None = None,
    dense: bool = False,
    aot: str | None = None,
    triton: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Export both streams, or all four, into the folder `out`, whole or not at all.

    Nothing is published where the graph or an engine fails the parity rule: an older export at `out` stays.

    Args:
        joint_weights, bone_weights, config: checkpoints, and the configuration of the joint stream.
        precision: what the network computes in: fp32, tf32 (engines only; the graph is float32), fp16, bf16 or int8.
        flavor: auto, tensorrt or tensorrt-rtx; auto without either of them installed makes ONNX alone.
        targets: GPU generations, "sm_86" say, or "none" for no engines; see `pick_targets` for what () means.
        max_batch, alpha: largest batch of the engines, weight of the bone stream.
        streams: 2 or 4; None: as many as there are checkpoints.
        joint_motion_weights, bone_motion_weights, motion_alpha: of four streams; None weighs them as the bones.
        with_prep: the graph takes raw joints and prepares them.
        refittable: engines whose weights can be changed without a rebuild; they may be slower.
        refit: an older export with such an engine for the GPU at hand, which takes the new weights.
        dense: the graph and the engines compute absent bodies too. Every TensorRT takes such a graph, and such engines
            take `joints`; else TensorRT-RTX would not know how to find the bodies, and engines take only present ones.
        aot: "cpu" or "cuda": also a package of AOTInductor, which `agcn_run` runs without Python.
        triton: where to write a model repository too, see `export.engines.triton`.

    Returns:
        onnx, engines, precision, parity, passed, manifest, seconds, notes; triton where it was asked for.

    Raises:
        ValueError: checkpoints for another model, an unknown precision or target, a flavour that is not installed,
            a folder with other files.
    """
    start = time.monotonic()
    weights = dict(zip(STREAMS, (joint_weights, bone_weights, joint_motion_weights, bone_motion_weights), strict=True))
    request = make_request(
        config, weights, streams=streams, precision=precision, flavor=flavor, targets=targets, max_batch=max_batch,
        alpha=alpha, motion_alpha=motion_alpha, with_prep=with_prep, refittable=refittable, refit=refit,
        dense=dense, aot=aot,
    )  # fmt: skip
    notes = request_notes(request, targets)
    for warning in request.config_warnings:
        print(warning, file=sys.stderr)
    with atomic_folder(out, FILE_NAME, stays=_is_foreign) as folder:
        manifest = _export(request, folder)
        if not manifest.parity["passed"]:
            notes.append("parity failed: nothing was written")
            raise DiscardFolder
    result = _result(manifest, Path(out)) | {"seconds": round(time.monotonic() - start, 3), "notes": notes}
    if triton is not None:
        result["triton"] = write_repository(out, triton) if result["passed"] else {}
    return result


def _is_foreign(path: Path) -> bool:
    """Whether a file in an older export is none of its own."""
    return path.suffix not in (".onnx", ".engine", ".pt2") and path.name != FILE_NAME


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


def _export(request: Request, folder: Path) -> Manifest:
    """Everything into `folder`; engines only where the graph passed."""
    graph = folder / GRAPH
    with Progress(2 + len(request.targets) + (request.aot is not None), "export", "step") as progress:
        write_graph(request, graph, "joints", request.dense)
        progress.update(1, "graph")
        clips, prepared, source = _clips(request)
        session = OnnxEngine(folder, _manifest(request, graph, [], {}))
        precision = "fp32" if request.precision == "int8" else request.precision
        answers = session.run(clips)
        measured = parity.check(answers, *request.compared, prepared, precision, request.convention)
        measured |= {"source": source, "runtime": f"onnxruntime on {session.device}"}
        if request.precision == "int8" and measured["passed"]:
            measured = _to_int8(request, graph, session) | {"float": measured}
        progress.update(1, "parity")
        engines: list[EngineFile] = []
        others: dict[str, parity.Logits] = {}
        if measured["passed"] and request.targets:
            engines, others = _write_engines(request, graph, clips, progress)
        if measured["passed"] and request.aot is not None:
            engines.append(_write_package(request, _manifest(request, graph, [], measured), folder))
            progress.update(1, "package")
    manifest = _manifest(request, graph, engines, measured)
    others |= {one.file: open_file(folder, manifest, one).run(clips) for one in engines if runs_here(one)}
    for name, got in others.items():
        found = _check_engine(request, got, answers, prepared)
        manifest.parity.setdefault("engines", {})[name] = found
        manifest.parity["passed"] = manifest.parity["passed"] and found["passed"]
    write_manifest(folder, manifest)
    return manifest


def _to_int8(request: Request, graph: Path, floats: OnnxEngine) -> dict[str, Any]:
    """Quantises the float32 graph in its place, and what `parity.compare_int8` says of it."""
    ranged, ranged_on = request.calibration
    labelled = None if request.with_prep else labelled_clips(request.config, request.joint, len(request.models))
    clips, labels, source = labelled or (ranged, None, ranged_on)
    exact = floats.run(clips)
    quantise(graph, graph, ranged)
    got = OnnxEngine(graph.parent, _manifest(request, graph, [], {})).run(clips)
    calibration = {"clips": len(ranged), "source": ranged_on}
    return parity.compare_int8(got, exact, labels) | {
        "source": source, "runtime": f"onnxruntime on {floats.device}", "calibration": calibration,
    }  # fmt: skip


def _check_engine(request: Request, got: parity.Logits, floats: parity.Logits, clips: np.ndarray) -> dict[str, Any]:
    if request.precision == "int8":
        return parity.compare_int8(got, floats)
    return parity.check(got, *request.compared, clips, request.precision, request.convention)


def _clips(request: Request) -> tuple[np.ndarray, np.ndarray, str]:
    """What the graph is given, the same clips prepared, and where they are from."""
    if request.with_prep:
        return raw_comparison_clips(request.config, request.joint, request.shape, PARITY_CLIPS, len(request.models))
    compared = (request.config, request.joint, request.shape, PARITY_CLIPS, len(request.models))
    clips, source = comparison_clips(*compared)
    return clips, clips, source


def write_graph(request: Request, path: Path, takes: str, dense: bool) -> None:
    """The request's network as ONNX; see `export_graph`."""
    notes = {"precision": request.precision, "alpha": str(request.alpha), "layout": request.joint.layout.name}
    export_graph(_network(request, dense), request.shape, path, notes, takes)


def _network(request: Request, dense: bool) -> TwoStream:
    layout = request.joint.layout
    joint, bone, *motion = request.models.values()
    prepare: nn.Module | None = None
    if request.with_prep and request.convention:
        prepare = PysklPreprocess(layout, request.shape[1], request.network_frames, bool(motion))
    elif request.with_prep:
        prepare = preprocess_for(layout)
    return TwoStream(
        joint,
        bone,
        bone_parents(layout, request.convention),
        request.alpha,
        motion_models=(motion[0], motion[1]) if motion else None,
        motion_alpha=request.motion_alpha,
        frames=request.network_frames,
        dtype=AMP_DTYPES.get(request.precision, torch.float32),
        prepare=prepare,
        skip_absent=not dense,
        convention=request.convention,
    )


def _write_package(request: Request, manifest: Manifest, folder: Path) -> EngineFile:
    assert request.aot is not None
    # A CUDA graph has no number of rows that data decide.
    network = _network(request, dense=request.dense or request.aot == "cuda")
    path = folder / f"two_stream.{request.aot}.pt2"
    return build_package(network, request.shape, path, request.aot, request.max_batch, package_notes(manifest))


def _write_engines(
    request: Request, graph: Path, clips: np.ndarray, progress: Progress
) -> tuple[list[EngineFile], dict[str, parity.Logits]]:
    """The engines beside the graph; where they are built from another graph, the answers of that for `clips` too."""
    flavor = request.flavor
    assert flavor is not None, "there are no targets without one"
    engines, answers = [], {}
    with tempfile.TemporaryDirectory(prefix="agcn_graph_") as other:
        source = graph
        if request.skips_absent or request.precision == "int8":
            source = Path(other) / GRAPH
            answers["their graph"] = _write_graph_of_engines(request, source, clips)
        for target in request.targets:
            engine, layers = _build(request, flavor, source, target)
            path = graph.with_name(f"two_stream_{target}.engine")
            path.write_bytes(engine)
            fields = (path.name, flavor.name, flavor.version, target, len(engine), sha256(path), layers)
            engines.append(EngineFile(*fields, takes=request.engine_takes, refittable=request.refittable))
            progress.update(1, target)
    return engines, answers


def _write_graph_of_engines(request: Request, path: Path, clips: np.ndarray) -> parity.Logits:
    """What engines are built from where that is not the graph itself, and what it says of `clips`."""
    takes = request.engine_takes
    write_graph(request, path, takes, dense=True)
    if request.precision == "int8":
        quantise(path, path, request.calibration[0], takes, for_engines=True)
        return logits_in_float32(path, clips, takes)
    outputs = list(output_names(len(request.models)))
    return tuple(open_session(path).run(outputs, numpy_inputs(clips, takes)))


def _build(request: Request, flavor: Flavor, source: Path, target: str) -> tuple[bytes, dict[str, Any]]:
    if request.refit is None:
        sizes = (request.shape, request.max_batch, request.precision, target)
        return build_engine(flavor, source, *sizes, refittable=request.refittable)
    path, old = request.refit
    return refit_engine(flavor, path, source), old.layers


def _manifest(request: Request, graph: Path, engines: list[EngineFile], measured: dict[str, Any]) -> Manifest:
    channels, frames, joints, bodies = request.shape
    num_class = request.joint.num_class
    dataset, classes, custom = recordings_of(request.config, request.joint)
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
        feeder_args=feeder_settings(request.config, len(request.models)),
        onnx=graph.name,
        onnx_sha256=sha256(graph),
        sources=request.sources,
        engines=engines,
        parity=measured,
        versions=versions,
        custom=custom,
        motion_alpha=request.motion_alpha,
        streams=tuple(request.models),
        with_prep=request.with_prep,
        prepared_frames=prepared_frames(request.config),
    )
