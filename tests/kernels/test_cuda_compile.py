"""Every kernel compiles for real GPUs, which needs none: it catches types that the simulator does not look at."""

from importlib.util import find_spec
from types import SimpleNamespace

import numba
import pytest
from numba import types

if numba.config.ENABLE_CUDASIM or find_spec("numba_cuda") is None:
    pytest.skip("needs numba-cuda, and no simulator", allow_module_level=True)

from numba import cuda
from numba.cuda import dispatcher
from numba.cuda.cudadrv import nvvm

from native_prep.cuda import clip_kernels, text_kernels

BYTES, WORDS, PLACES, COUNTS = types.uint8[::1], types.uint64[::1], types.int32[::1], types.int64[::1]
CLIPS, RAW = types.float32[:, :, :, :, ::1], types.float64[:, :, :, :, ::1]
JOINTS, SCORES = types.float64[:, :, :, ::1], types.int64[:, ::1]
ROWS = types.float32[:, :, :, :, :, ::1]
ENERGIES, SUMS = types.float64[:, ::1], types.float64[:, :, ::1]
COUNT = types.int64
SIGNATURES = {
    "clear": (types.float64[::1], PLACES, COUNTS),
    "count_lines": (WORDS, COUNT, COUNTS),
    "sum_lines": (COUNTS, COUNT, COUNTS),
    "start_lines": (BYTES, WORDS, COUNT, COUNTS, PLACES),
    "walk_files": (BYTES, COUNTS, COUNTS, PLACES, COUNTS, COUNT, COUNTS, COUNTS, PLACES, PLACES),
    "read_bodies": (BYTES, PLACES, COUNTS, PLACES, PLACES, RAW, COUNTS),
    "weigh_bodies": (RAW, COUNTS, COUNTS, ENERGIES),
    "make_ntu_clips": (RAW, COUNTS, COUNTS, ENERGIES, COUNTS, CLIPS, COUNTS, SUMS),
    "make_kinetics_clips": (JOINTS, SCORES, CLIPS, COUNTS),
    "make_nw_ucla_clips": (JOINTS, COUNTS, CLIPS, COUNTS),
    "write_rows": (CLIPS, COUNTS, COUNTS, COUNTS, ROWS),
}
KERNELS = {
    name: kernel
    for module in (text_kernels, clip_kernels)
    for name, kernel in vars(module).items()
    if isinstance(kernel, dispatcher.CUDADispatcher)
}


@pytest.fixture(scope="module", autouse=True)
def compiler():
    try:
        nvvm.NVVM()
    except Exception as error:  # whatever the package raises where its library is missing
        pytest.skip(f"NVVM cannot be loaded: {error}")


def test_every_kernel_has_a_signature():
    assert set(KERNELS) == set(SIGNATURES)


@pytest.mark.parametrize("capability", ((7, 5), (9, 0), (12, 0)))
@pytest.mark.parametrize("name", SIGNATURES)
def test_compiles(name, capability, monkeypatch):
    # Functions that a kernel calls are compiled for the machine's own GPU, whatever the kernel is compiled for.
    monkeypatch.setattr(dispatcher, "get_current_device", lambda: SimpleNamespace(compute_capability=capability))
    code, result = cuda.compile_ptx(KERNELS[name].py_func, SIGNATURES[name], cc=capability)
    assert result == types.void
    assert f".target sm_{capability[0]}{capability[1]}" in code
    assert ".entry" in code
    assert "fma.rn.f32" not in code  # angles near zero show how float32 was rounded
