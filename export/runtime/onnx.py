"""Runs the ONNX graph of an exported folder under ONNX Runtime, on any processor or GPU."""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor

from export.engines.tensorrt import cache_folder, profile_shapes
from export.graph.bfloat16 import has_bfloat16, with_rounding
from export.graph.onnx_graph import INPUT, output_names
from export.graph.parity import Logits
from export.manifest import Manifest
from export.runtime.base import Engine

ONNX_TENSORRT = "onnxruntime-tensorrt"
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
            self._session = open_tensorrt_session(path, manifest.precision == "tf32", manifest.max_batch)
        else:
            self._session = open_session(path, threads)
        self._outputs = list(output_names(len(manifest.streams)))
        found = {output.name: output.shape[1] for output in self._session.get_outputs()}
        (graph,) = self._session.get_inputs()
        if found != dict.fromkeys(self._outputs, manifest.num_class) or tuple(graph.shape[1:]) != manifest.shape:
            raise ValueError(f"{folder}: the manifest is not of this graph: run export-trt again")
        self.device = "cuda" if CUDA_PROVIDER[0] in self._session.get_providers() else "cpu"

    def run_on_device(self, joints: Tensor) -> tuple[Tensor, ...]:
        """See `Engine.run_on_device`; it ends when the answers are there."""
        joints = joints.contiguous()
        answers = tuple(torch.empty(len(joints), self.manifest.num_class, device=joints.device) for _ in self._outputs)
        binding, device = self._session.io_binding(), (joints.device.type, joints.device.index or 0)
        for bind, name, tensor in (
            (binding.bind_input, INPUT, joints),
            *((binding.bind_output, *output) for output in zip(self._outputs, answers, strict=True)),
        ):
            bind(name, *device, np.float32, tuple(tensor.shape), tensor.data_ptr())
        if joints.is_cuda:
            torch.cuda.current_stream().synchronize()  # ONNX Runtime has a stream of its own
        self._session.run_with_iobinding(binding)
        return answers

    def _run(self, joints: np.ndarray) -> Logits:
        return tuple(self._session.run(self._outputs, {INPUT: joints}))


def open_session(path: str | os.PathLike[str], threads: int | None = None) -> Any:
    """An ONNX Runtime session for one of our graphs.

    The CPU has no bfloat16 convolutions: there such a graph runs in float32 with bfloat16's rounding.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    options.log_severity_level = 3
    if has_provider(CUDA_PROVIDER[0]):
        session = onnxruntime.InferenceSession(os.fspath(path), options, providers=[_cuda(), "CPUExecutionProvider"])
        if CUDA_PROVIDER[0] in session.get_providers():
            return session
        # Where its libraries do not load, ONNX Runtime goes on without it.
        print("ONNX Runtime cannot load its CUDA provider (see doctor): it runs on the CPU", file=sys.stderr)
    model = onnx.load(path)
    source = with_rounding(model).SerializeToString() if has_bfloat16(model) else os.fspath(path)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def open_tensorrt_session(path: str | os.PathLike[str], tf32: bool = False, max_batch: int = 64) -> Any:
    """A session whose nodes run in engines that ONNX Runtime's TensorRT provider builds; those left over run by CUDA.

    Engines are kept in `cache_folder()`. That of a graph which computes all bodies (`dense`) is for 1 to `max_batch`
    clips; of others the first answer for another number of clips, or of bodies, may build one. Without `tf32` no
    library of NVIDIA's uses TF32 in this process from then on.

    Raises:
        ValueError: there is no such provider, or no GPU.
    """
    wrong = f"{ONNX_TENSORRT}: needs a GPU, onnxruntime-gpu and the TensorRT that it was built with: use onnxruntime"
    if not has_provider(TENSORRT_PROVIDER):
        raise ValueError(wrong)
    if not tf32:
        # The provider has no switch for it; TensorRT reads this when it is loaded.
        os.environ["NVIDIA_TF32_OVERRIDE"] = "0"
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    cache = {"trt_engine_cache_enable": "True", "trt_engine_cache_path": str(cache_folder())}
    provider = (TENSORRT_PROVIDER, {"device_id": _cuda()[1]["device_id"], **cache, **_profile(path, max_batch)})
    chain = [provider, _cuda(), "CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(os.fspath(path), options, providers=chain)
    # Where its libraries are missing, ONNX Runtime goes on without it.
    if TENSORRT_PROVIDER not in session.get_providers():
        raise ValueError(wrong)
    return session


def _profile(path: str | os.PathLike[str], max_batch: int) -> dict[str, str]:
    """The provider's options for the shapes of the graph's input.

    None for a graph that picks bodies: where it is cut into several engines, whoever gives shapes has to give those of
    every engine's inputs, and the number of bodies inside is not known by then.
    """
    graph = onnx.load(path, load_external_data=False).graph
    if any(node.op_type == "NonZero" for node in graph.node):
        return {}
    (given,) = graph.input
    channels, frames, joints, bodies = (dim.dim_value for dim in given.type.tensor_type.shape.dim[1:])
    shapes = profile_shapes(given.name, (channels, frames, joints, bodies), max_batch)
    options = {}
    for place, which in enumerate(("min", "opt", "max")):
        texts = (f"{name}:{'x'.join(map(str, sizes[place]))}" for name, sizes in shapes.items())
        options[f"trt_profile_{which}_shapes"] = ",".join(texts)
    return options


def has_provider(name: str) -> bool:
    """Whether ONNX Runtime has this provider, and PyTorch a GPU for it; it may still lack its libraries."""
    return name in onnxruntime.get_available_providers() and torch.cuda.is_available()


def _cuda() -> tuple[str, dict[str, str]]:
    # Of several processes each has a GPU of its own.
    return CUDA_PROVIDER[0], {**CUDA_PROVIDER[1], "device_id": str(torch.cuda.current_device())}
