"""Runs an exported folder: ONNX Runtime anywhere, a TensorRT engine where one fits the GPU at hand."""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch

from export.aot import AotEngine
from export.bfloat16 import has_bfloat16, with_rounding
from export.engine import Engine
from export.engines import cache_folder
from export.inference import present_rows
from export.manifest import EngineFile, Manifest, check_file, read_manifest
from export.onnx_graph import INPUT, ROW_INPUTS, output_names
from export.parity import Answers
from export.trt_flavors import is_installed, load_flavor, present_target

ONNX_TENSORRT = "onnxruntime-tensorrt"
RUNTIMES = ("auto", "onnxruntime", ONNX_TENSORRT, "aotinductor", "tensorrt", "tensorrt-rtx")
TENSORRT_PROVIDER = "TensorrtExecutionProvider"
# TF32, on by default there, keeps ten bits of the mantissa: float32 means float32 here, as in our engines. The default
# search tries every algorithm for every new shape, and which bodies are there changes the shape from batch to batch.
CUDA_PROVIDER = ("CUDAExecutionProvider", {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"})


class OnnxEngine(Engine):
    """The ONNX graph under ONNX Runtime, on a GPU where its package has CUDA, else on the CPU.

    With `tensorrt`, by ONNX Runtime's TensorRT provider.
    """

    def __init__(
        self, folder: str | os.PathLike[str], manifest: Manifest, threads: int | None = None, tensorrt: bool = False
    ) -> None:
        super().__init__(folder, manifest)
        path = Path(folder) / manifest.onnx
        if tensorrt:
            self.runtime = ONNX_TENSORRT
            self._session = open_tensorrt_session(path, manifest.precision == "tf32")
        else:
            self._session = open_session(path, threads)
        self._outputs = list(output_names(len(manifest.streams)))
        found = {output.name: output.shape[1] for output in self._session.get_outputs()}
        (graph,) = self._session.get_inputs()
        if found != dict.fromkeys(self._outputs, manifest.num_class) or tuple(graph.shape[1:]) != manifest.shape:
            raise ValueError(f"{folder}: the manifest is not of this graph: run export-trt again")
        self.device = "cuda" if CUDA_PROVIDER[0] in self._session.get_providers() else "cpu"

    def _run(self, joints: np.ndarray) -> Answers:
        return tuple(self._session.run(self._outputs, {INPUT: joints}))


class TensorRtEngine(Engine):
    """An engine of TensorRT or TensorRT-RTX on the GPU at hand; PyTorch holds its memory."""

    device = "cuda"

    def __init__(self, folder: str | os.PathLike[str], manifest: Manifest, engine: EngineFile) -> None:
        super().__init__(folder, manifest)
        path = Path(folder) / engine.file
        check_file(path, engine.sha256)
        flavor = load_flavor(engine.flavor)
        if flavor.version != engine.version:
            raise ValueError(
                f"{path}: built by {engine.flavor} {engine.version}, {flavor.version} is installed: "
                "run export-trt again"
            )
        self.runtime = engine.flavor
        self._logger = flavor.logger
        # The runtime must outlive its engine.
        self._runtime = flavor.api.Runtime(flavor.logger)
        self._takes = engine.takes
        self._engine = self._runtime.deserialize_cuda_engine(path.read_bytes())
        self._context = self._engine and self._engine.create_execution_context()
        if self._context is None:
            raise ValueError(f"{path}: does not load: {flavor.logger.told()}")
        self._stream = torch.cuda.Stream()

    def _run(self, joints: np.ndarray) -> Answers:
        device = torch.device("cuda")
        inputs = engine_inputs(torch.from_numpy(joints).to(device), self._takes)
        names = output_names(len(self.manifest.streams))
        outputs = {name: torch.empty(len(joints), self.manifest.num_class, device=device) for name in names}
        torch.cuda.current_stream().synchronize()
        for name, tensor in inputs.items():
            self._context.set_input_shape(name, tuple(tensor.shape))
        for name, tensor in (inputs | outputs).items():
            self._context.set_tensor_address(name, tensor.data_ptr())
        if not self._context.execute_async_v3(self._stream.cuda_stream):
            raise ValueError(f"{self.folder}: the engine failed: {self._logger.told()}")
        self._stream.synchronize()
        return tuple(tensor.cpu().numpy() for tensor in outputs.values())


def engine_inputs(joints: torch.Tensor, takes: str) -> dict[str, torch.Tensor]:
    """What an engine is fed for joints (N, C, T, V, M): they, or the bodies among them that are there."""
    if takes == "joints":
        return {INPUT: joints}
    take, slots, place = present_rows(joints)
    rows = joints.permute(0, 4, 1, 2, 3).flatten(0, 1).index_select(0, take)
    return dict(zip(ROW_INPUTS, (rows, slots, place), strict=True))


def numpy_inputs(joints: np.ndarray, takes: str) -> dict[str, np.ndarray]:
    """`engine_inputs` for ONNX Runtime."""
    return {name: tensor.numpy() for name, tensor in engine_inputs(torch.from_numpy(joints), takes).items()}


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


def open_session(path: str | os.PathLike[str], threads: int | None = None) -> Any:
    """An ONNX Runtime session for one of our graphs.

    The CPU has no bfloat16 convolutions: there such a graph runs in float32 with bfloat16's rounding.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    options.log_severity_level = 3
    if _has_provider(CUDA_PROVIDER[0]):
        session = onnxruntime.InferenceSession(os.fspath(path), options, providers=[_cuda(), "CPUExecutionProvider"])
        if CUDA_PROVIDER[0] in session.get_providers():
            return session
        # Where its libraries do not load, ONNX Runtime goes on without it.
        print("ONNX Runtime cannot load its CUDA provider (see doctor): it runs on the CPU", file=sys.stderr)
    model = onnx.load(path)
    source = with_rounding(model).SerializeToString() if has_bfloat16(model) else os.fspath(path)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def open_tensorrt_session(path: str | os.PathLike[str], tf32: bool = False) -> Any:
    """A session whose nodes run in engines that ONNX Runtime's TensorRT provider builds; those left over run by CUDA.

    Engines are kept in `cache_folder()`; the first answer for clips of another number may build one. Without `tf32` no
    library of NVIDIA's uses TF32 in this process from then on.

    Raises:
        ValueError: there is no such provider, or no GPU.
    """
    wrong = f"{ONNX_TENSORRT}: needs a GPU, onnxruntime-gpu and the TensorRT that it was built with: use onnxruntime"
    if not _has_provider(TENSORRT_PROVIDER):
        raise ValueError(wrong)
    if not tf32:
        # The provider has no switch for it; TensorRT reads this when it is loaded.
        os.environ["NVIDIA_TF32_OVERRIDE"] = "0"
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    cache = {"trt_engine_cache_enable": "True", "trt_engine_cache_path": str(cache_folder())}
    provider = (TENSORRT_PROVIDER, {"device_id": _cuda()[1]["device_id"], **cache})
    chain = [provider, _cuda(), "CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(os.fspath(path), options, providers=chain)
    # Where its libraries are missing, ONNX Runtime goes on without it.
    if TENSORRT_PROVIDER not in session.get_providers():
        raise ValueError(wrong)
    return session


def _has_provider(name: str) -> bool:
    return name in onnxruntime.get_available_providers() and torch.cuda.is_available()


def _cuda() -> tuple[str, dict[str, str]]:
    # Of several processes each has a GPU of its own.
    return CUDA_PROVIDER[0], {**CUDA_PROVIDER[1], "device_id": str(torch.cuda.current_device())}
