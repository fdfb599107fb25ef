"""Runs an engine of TensorRT or TensorRT-RTX on the GPU at hand."""

import os
from pathlib import Path

import torch
from torch import Tensor

from export.engines.flavors import load_flavor
from export.graph.onnx_graph import engine_inputs, output_names
from export.manifest import EngineFile, Manifest, check_file
from export.runtime.base import Engine


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
            raise ValueError(f"{path}: does not load: {flavor.logger.last_error()}: run export-trt again")
        self._stream = torch.cuda.Stream()

    def run_on_device(self, joints: Tensor) -> tuple[Tensor, ...]:
        """See `Engine.run_on_device`."""
        inputs = engine_inputs(joints.contiguous(), self._takes)
        names = output_names(len(self.manifest.streams))
        outputs = {name: torch.empty(len(joints), self.manifest.num_class, device=joints.device) for name in names}
        for name, tensor in inputs.items():
            self._context.set_input_shape(name, tuple(tensor.shape))
        for name, tensor in (inputs | outputs).items():
            self._context.set_tensor_address(name, tensor.data_ptr())
        # A stream of its own, as TensorRT would wait for the device on the default one; the two wait for each other.
        present = torch.cuda.current_stream()
        self._stream.wait_stream(present)
        if not self._context.execute_async_v3(self._stream.cuda_stream):
            raise ValueError(f"{self.folder}: the engine failed: {self._logger.last_error()}: run export-trt again")
        present.wait_stream(self._stream)
        return tuple(outputs.values())
