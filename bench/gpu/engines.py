"""`bench gpu`: exported folders and what runs them, where it is installed: ONNX Runtime, TensorRT and TensorRT-RTX."""

import time

from agcn.model.network import Model
from bench.gpu.context import Bench, one_line
from bench.infer import exporter
from bench.random_models import made_clips
from export.engines.flavors import is_installed, load_flavor, pick_targets, present_target
from export.runtime.base import Engine
from export.runtime.onnx import CUDA_PROVIDER, ONNX_TENSORRT, TENSORRT_PROVIDER, has_provider
from export.runtime.open import open_engine

RUNTIMES = ("onnxruntime", ONNX_TENSORRT, "tensorrt", "tensorrt-rtx")


def build_engines(bench: Bench, pair: tuple[Model, Model], precision: str) -> None:
    """Exports both streams for each runtime that is here, as `export-trt` does: its own parity check is part of it."""
    folder = bench.work / "engines"
    folder.mkdir()
    joint, bone = (model.cpu() for model in pair)
    export = exporter((joint, bone), made_clips(1, bench.frames, 2, 0), folder)
    for runtime in RUNTIMES:
        if why_not(runtime, bench.on_gpu):
            continue
        start = time.perf_counter()
        given = {"flavor": runtime} if runtime.startswith("tensorrt") else {"targets": ("none",)}
        try:
            # ONNX Runtime's TensorRT is told of its batches where the graph computes all bodies.
            _, result = export(runtime, precision=precision, max_batch=256, dense=runtime == ONNX_TENSORRT, **given)
        except Exception as error:  # a runtime's own are of no common kind
            bench.part.left_out[runtime] = one_line(error)
            continue
        told = "; ".join(result["notes"]) if not result["passed"] else f"{time.perf_counter() - start:.0f} s"
        bench.part.notes.append(f"{runtime}: {told} to export beside other work")
        bench.save()


def open_engines(bench: Bench) -> dict[str, Engine]:
    """What `build_engines` has left, opened; what is not there is in `left_out` with the reason."""
    engines = {}
    for runtime in RUNTIMES:
        folder = bench.work / "engines" / runtime
        reason = why_not(runtime, bench.on_gpu) or ("" if folder.is_dir() else "was not exported, see gpu engines")
        if not reason:
            try:
                engines[runtime] = open_engine(folder, runtime)
            except Exception as error:  # ONNX Runtime's are of no common kind
                reason = one_line(error)
        if runtime in engines and engines[runtime].device != bench.device.type:
            reason = f"computes on the {engines.pop(runtime).device}: its CUDA provider does not load, see doctor"
        if reason:
            bench.part.left_out[runtime] = reason
    return engines


def why_not(runtime: str, on_gpu: bool) -> str:
    """Why a runtime cannot be timed here; "" where it can."""
    if not on_gpu:
        return "" if runtime == "onnxruntime" else "needs a GPU"
    if runtime in ("onnxruntime", ONNX_TENSORRT):
        name = CUDA_PROVIDER[0] if runtime == "onnxruntime" else TENSORRT_PROVIDER
        return "" if has_provider(name) else f"the ONNX Runtime that is installed has no {name}"
    if not is_installed(runtime):
        return "is not installed"
    try:
        targets = pick_targets(load_flavor(runtime), (), "fp16")
    except ValueError as error:
        return str(error)
    return "" if present_target() in targets else f"does not build for this GPU ({present_target()})"
