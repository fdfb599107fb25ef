"""What a measurement ran on, and how fast that is at most: without it a number means nothing."""

import os
import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import torch

from agcn.device import AMP_DTYPES

_PACKAGES = ("torch", "numpy", "numba", "onnx", "onnxruntime", "onnxruntime-gpu", "tensorrt", "tensorrt-rtx-cu13-libs")


def describe() -> dict[str, object]:
    """The processor, its cores, the GPU, the versions of what computes, and the time (UTC)."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "vectors": torch.backends.cpu.get_cpu_capability(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: version for name in _PACKAGES if (version := _version(name))},
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


class MatrixProduct:
    """A large matrix product: what networks of convolutions can come near to, not pass.

    The fastest of all that were timed is the limit, which other work on the machine must not lower. So they are short
    on a processor: beside eight other processes on two cores, edges of 512 reached 220 GFLOP/s, and edges of 1024 60.
    There the product is taken by PyTorch's matrix library and by oneDNN, as a 1x1 convolution: on two AVX-512 cores of
    an AMD EPYC the first reached 223 GFLOP/s, the second 470, ONNX Runtime 510.

    Args:
        precision: fp32, tf32, bf16 or fp16.
    """

    def __init__(self, device: torch.device, precision: str = "fp32") -> None:
        self.name = f"{precision} matrix product"
        self._tf32, self._on_gpu = precision == "tf32", device.type == "cuda"
        edge, self._count = (8192, 5) if self._on_gpu else (512, 40)
        factor = torch.randn(edge, edge, device=device).to(AMP_DTYPES.get(precision, torch.float32))
        self._flop, self._shortest = 2.0 * edge**3, float("inf")
        self._ways: list[Callable[[], torch.Tensor]] = [lambda: factor @ factor]
        if not self._on_gpu:
            rows = factor[None, :, :, None].contiguous(memory_format=torch.channels_last)  # (1, edge, edge, 1)
            weight = factor[:, :, None, None].contiguous(memory_format=torch.channels_last)  # (edge, edge, 1, 1)
            self._ways.append(lambda: torch.nn.functional.conv2d(rows, weight))

    @torch.inference_mode()
    def __call__(self) -> None:
        """Times some products."""
        before = torch.backends.cuda.matmul.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = self._tf32
        for way in self._ways:
            for _ in range(self._count):
                start = time.perf_counter()
                way()
                if self._on_gpu:
                    torch.cuda.synchronize()
                self._shortest = min(self._shortest, time.perf_counter() - start)
        torch.backends.cuda.matmul.allow_tf32 = before

    @property
    def rate(self) -> float:
        """FLOP a second."""
        return self._flop / self._shortest


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
