"""Runs an exported folder: ONNX Runtime anywhere, a TensorRT engine where one fits the GPU at hand."""

import os

from export.engines.flavors import is_installed, present_target
from export.manifest import EngineFile, Manifest, read_manifest
from export.runtime.aotinductor import AotEngine
from export.runtime.base import Engine
from export.runtime.onnx import ONNX_TENSORRT, OnnxEngine
from export.runtime.tensorrt import TensorRtEngine

RUNTIMES = ("auto", "onnxruntime", ONNX_TENSORRT, "aotinductor", "tensorrt", "tensorrt-rtx")


def open_engine(folder: str | os.PathLike[str], prefer: str = "auto", threads: int | None = None) -> Engine:
    """Open an exported folder.

    Args:
        folder: what `export-trt` wrote.
        prefer: "auto": an engine for the GPU at hand, else ONNX Runtime; or one of `RUNTIMES`.
        threads: of ONNX Runtime on the CPU; as many as PyTorch uses where not given.

    Raises:
        ValueError: not an exported folder, files that are not the manifest's, or no engine that fits `prefer`.
    """
    if prefer not in RUNTIMES:
        raise ValueError(f"runtime {prefer!r} is not known: use one of {', '.join(RUNTIMES)}")
    manifest = read_manifest(folder)
    # Not packages of AOTInductor: on a CPU ONNX Runtime is faster, on a GPU TensorRT.
    flavors = ("tensorrt", "tensorrt-rtx") if prefer == "auto" else (prefer,)
    for engine in manifest.engines:
        if engine.flavor in flavors and runs_here(engine):
            return open_file(folder, manifest, engine)
    if prefer in ("auto", "onnxruntime", ONNX_TENSORRT):
        return OnnxEngine(folder, manifest, threads, tensorrt=prefer == ONNX_TENSORRT)
    built = ", ".join(f"{engine.flavor} {engine.target}" for engine in manifest.engines) or "none"
    raise ValueError(f"{folder}: no {prefer} engine for {present_target() or 'the CPU'} (it has: {built}): export one")


def runs_here(engine: EngineFile) -> bool:
    """Whether this machine has what the engine is for."""
    if engine.flavor == "aotinductor":
        return engine.target in ("cpu", present_target())
    return engine.target == present_target() and is_installed(engine.flavor)


def open_file(folder: str | os.PathLike[str], manifest: Manifest, engine: EngineFile) -> Engine:
    """One of the engines of an exported folder.

    Raises:
        ValueError: another file than the manifest's, or of another version.
    """
    if engine.flavor == "aotinductor":
        return AotEngine(folder, manifest, engine)
    return TensorRtEngine(folder, manifest, engine)
