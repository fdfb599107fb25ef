"""The door to Numba's CUDA target, and whether there is a GPU behind it.

With NUMBA_ENABLE_CUDASIM=1 kernels run in Numba's simulator, as plain Python: slow, but without a GPU.
"""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numba
import numba.cuda
import numpy as np

from native_prep.kernels.jit import SIMULATED

__all__ = ["BLOCKS", "THREADS", "check_device", "cuda", "kernel"]
cuda: Any = numba.cuda
# The simulator makes a thread of Python's for each of a kernel's, so it gets few.
THREADS = 8 if SIMULATED else 128  # of a block
BLOCKS = 2 if SIMULATED else 2048  # of a kernel that takes its work in strides
# A last batch may be small; that is no reason for a warning.
_config: Any = numba.config
_config.CUDA_LOW_OCCUPANCY_WARNINGS = 0


def kernel(function: Callable[..., Any]) -> Any:
    """A function that runs once in every thread of a GPU; call it as `kernel[blocks, threads, stream](...)`."""
    return cuda.jit(function)


def check_device() -> None:
    """Makes sure that kernels can run.

    Raises:
        ValueError: they cannot; it says what is missing.
    """
    if SIMULATED:
        return
    if find_spec("numba_cuda") is None:
        raise ValueError("device cuda: numba-cuda is not installed: pip install 'numba-cuda[cu13]' or use --device cpu")
    try:
        import_module("numba.cuda.cudaimpl")  # else the first kernel would
    except AttributeError as error:
        raise ValueError(
            f"device cuda: this numba-cuda does not work with NumPy {np.__version__} ({error}): "
            "pip install 'numpy<2.5' or use --device cpu"
        ) from error
    if not cuda.is_available():
        raise ValueError("device cuda: no CUDA GPU with a working driver is here: use --device cpu")
