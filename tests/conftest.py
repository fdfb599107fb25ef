"""What the tests share: where known answers lie when they are at hand."""

import functools
import os
import pkgutil
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# Processes that share the tests share the processors too; PyTorch reads this when it is imported.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parent.parent

# Long work in Python, which takes half as long again, or more, where coverage follows every instruction: tracing of
# networks, and kernels in the simulator, which coverage leaves out of its report.
UNMEASURED = ("torch.onnx.export", "torch.export.export", "torch._inductor.aoti_compile_and_package")
if os.environ.get("NUMBA_ENABLE_CUDASIM") == "1":
    UNMEASURED = ("numba.cuda.simulator.kernel.FakeCUDAKernel.__call__",)


def _unmeasured(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        here, threads = sys.gettrace(), threading.gettrace()
        sys.settrace(None)
        threading.settrace(None)
        try:
            return function(*args, **options)
        finally:
            threading.settrace(threads)
            sys.settrace(here)

    return call


@pytest.fixture(scope="session", autouse=True)
def long_work_unmeasured() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in UNMEASURED if sys.gettrace() else ():
            patch.setattr(name, _unmeasured(pkgutil.resolve_name(name)))
        yield


@pytest.fixture(scope="module")
def children_unmeasured() -> Iterator[None]:
    """Processes that start meanwhile run without coverage: what they run of ours, other tests measure."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
        yield


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("no GPU is at hand")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real recordings and golden answers, or the test is skipped by name."""
    folder = Path(os.environ.get("AGCN_SHARED", ROOT.parent / "shared"))
    if not (folder / "golden").is_dir():
        pytest.skip(f"golden answers are not at hand ({folder})")
    return folder


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small job (see `exported.write_job`) and its fp32 export in `engine`, with an engine if possible.

    Tests that change files work on a copy.
    """
    from exported import FRAMES, export_job, write_job

    folder = tmp_path_factory.mktemp("exported")
    write_job(folder, sample="linear", window_size=FRAMES)
    assert export_job(folder, folder / "engine")["passed"]
    return folder
