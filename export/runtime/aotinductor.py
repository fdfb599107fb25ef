"""Runs a package of AOTInductor, on the processor or the GPU that it was compiled for."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agcn.device import full_float32
from export.engines.aotinductor import RUNTIME, torch_version
from export.engines.flavors import present_target
from export.manifest import EngineFile, Manifest, check_file
from export.runtime.base import Engine


class AotEngine(Engine):
    """A package on the processor or the GPU that it was compiled for; there one clip at a time runs as a CUDA graph."""

    runtime = RUNTIME

    def __init__(self, folder: str | os.PathLike[str], manifest: Manifest, engine: EngineFile) -> None:
        """Load one of the folder's packages.

        Raises:
            ValueError: the file is not the manifest's, or was compiled for another PyTorch, processor or GPU.
        """
        super().__init__(folder, manifest)
        path = Path(folder) / engine.file
        check_file(path, engine.sha256)
        if engine.version != torch_version():
            raise ValueError(
                f"{path}: compiled by PyTorch {engine.version}, {torch_version()} is installed: run export-trt again"
            )
        if engine.target not in ("cpu", present_target()):
            raise ValueError(f"{path}: is for {engine.target}, which is not at hand: run export-trt here")
        self.device = "cpu" if engine.target == "cpu" else "cuda"
        # One thread: otherwise it asks the GPU which run is over, which is not allowed where a CUDA graph is recorded.
        self._package = torch._inductor.aoti_load_package(os.fspath(path), run_single_threaded=True)
        _check_instructions(self._package.get_metadata(), path)
        with full_float32():
            self._one_clip = _CudaGraph(self._package, manifest.shape) if engine.layers.get("cuda_graph") else None

    def run_on_device(self, joints: Tensor) -> tuple[Tensor, ...]:
        """See `Engine.run_on_device`."""
        with torch.inference_mode(), full_float32():
            run = self._one_clip if self._one_clip is not None and len(joints) == 1 else self._package
            return tuple(run(joints.contiguous()))


def _check_instructions(metadata: Mapping[str, str], path: Path) -> None:
    """Raises ValueError where the package uses instructions that this processor lacks: it would be killed by them."""
    if "AVX512" in metadata.get("AOTI_CPU_ISA", "") and "AVX512" not in torch.backends.cpu.get_cpu_capability():
        raise ValueError(f"{path}: is compiled for AVX-512, which this processor lacks: run export-trt here")


class _CudaGraph:
    """A package's work for one clip, recorded once and started as a whole: hundreds of launches become one."""

    def __init__(self, package: Any, shape: tuple[int, int, int, int]) -> None:
        self._joints = torch.zeros(1, *shape, device="cuda")
        self._graph = torch.cuda.CUDAGraph()
        with torch.inference_mode():
            # What is allocated and chosen in a first run cannot be recorded.
            beside = torch.cuda.Stream()
            beside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(beside):
                package(self._joints)
            torch.cuda.current_stream().wait_stream(beside)
            with torch.cuda.graph(self._graph):
                self._answers = package(self._joints)

    def __call__(self, joints: Tensor) -> list[Tensor]:
        """(1, C, T, V, M) to the answers, which the next call overwrites."""
        self._joints.copy_(joints)
        self._graph.replay()
        return self._answers
