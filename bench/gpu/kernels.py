"""`bench gpu`: what the device can do at most, the tests of the CUDA kernels, and preparation by them."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec

import torch

from bench.gpu.context import BF16, ROOT, Bench
from bench.part import Check

_KERNEL_TESTS = ROOT / "tests" / "kernels" / "test_cuda.py"
_TRITON_TESTS = ROOT / "tests" / "agcn" / "test_fused_graph_conv.py"


def machine(bench: Bench) -> None:
    """What the device can do at most: copies within its memory, and matrix products."""
    size = 1 << (28 if bench.on_gpu else 20)
    source = torch.randn(size, device=bench.device)
    target = torch.empty_like(source)
    bench.add("copy within memory", bench.time(lambda: target.copy_(source)), 8 * size / 1e9, "GB/s", note="both ways")
    if bench.on_gpu:
        host = torch.empty(size // 4, pin_memory=True)
        bench.add(
            "copy from pinned memory",
            bench.time(lambda: target[: size // 4].copy_(host, non_blocking=True)),
            size / 1e9,
            "GB/s",
        )
    edge = 8192 if bench.on_gpu else 256
    for name, dtype, tf32 in (
        (BF16, torch.bfloat16, False),
        ("fp16 matrix product", torch.float16, False),
        ("tf32 matrix product", torch.float32, True),
        ("fp32 matrix product", torch.float32, False),
    ):
        if tf32 and not bench.on_gpu:
            continue
        torch.backends.cuda.matmul.allow_tf32 = tf32
        left = torch.randn(edge, edge, device=bench.device).to(dtype)
        bench.add(name, bench.time(lambda left=left: left @ left), 2 * edge**3 / 1e12, "TFLOP/s")  # type: ignore[misc]


def kernels(bench: Bench) -> None:
    """The tests of the CUDA kernels, and the smallest under the vendor's checkers."""
    if not _KERNEL_TESTS.is_file():
        bench.part.left_out["tests of the kernels"] = f"{_KERNEL_TESTS} is not here: run it from the source tree"
        return
    pytest = [sys.executable, "-m", "pytest", "-q", "-W", "default", "-p", "no:cacheprovider"]
    command = [*pytest, str(_KERNEL_TESTS), *(() if bench.on_gpu else ("-k", "without_a_gpu"))]
    _run(bench, "tests of the kernels", command)
    if bench.on_gpu:
        _run(bench, "tests of Triton's kernels", [*pytest, str(_TRITON_TESTS), "-m", "gpu"])
    sanitizer = shutil.which("compute-sanitizer")
    for tool in ("memcheck", "racecheck"):
        name = f"compute-sanitizer, {tool}"
        if sanitizer is None or not bench.on_gpu:
            bench.part.left_out[name] = "is not installed" if bench.on_gpu else "checks GPUs only"
            continue
        small = [*command, "-k", "test_left_on_the_device or test_batches"]
        _run(bench, name, [sanitizer, "--tool", tool, "--error-exitcode", "1", *small])


def _run(bench: Bench, name: str, command: Sequence[str]) -> None:
    if bench.left < 5:
        bench.part.left_out[name] = "too little time was left"
        return
    start = time.perf_counter()
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=bench.left)
    except subprocess.TimeoutExpired:
        bench.part.left_out[name] = f"did not end in {time.perf_counter() - start:.0f} s"
        return
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    bench.part.checks.append(Check(name, float(done.returncode), 0.0, "exit status"))
    last = said[-12:] if done.returncode else said[-1:]
    bench.part.notes.append(f"{name}, {time.perf_counter() - start:.0f} s: {' / '.join(last)}")
    bench.save()


def prep(bench: Bench) -> None:
    """Text to clips by the CUDA kernels, beside the CPU's reader and the copy."""
    if not (bench.on_gpu or os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"):
        bench.part.left_out["prep"] = "without a GPU it is simulated: set NUMBA_ENABLE_CUDASIM=1"
        return
    if find_spec("numba.cuda") is None:
        bench.part.left_out["prep"] = "Numba has no CUDA target here: pip install 'numba-cuda[cu13]'"
        return
    from bench.prep.on_gpu import add_cuda
    from bench.prep.recordings import ntu_files

    if bench.on_gpu:
        add_cuda(bench.part, ntu_files(bench.work, None, 64, 90, 0, 1), 20, max(1.0, bench.left / 3), 256, 300)
    else:  # a simulated kernel is slow
        add_cuda(bench.part, ntu_files(bench.work, None, 1, 2, 0, 1), 1, 0.0, 1, 4)
