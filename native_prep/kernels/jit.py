"""How this room compiles: small scalar functions, and entry points whose compiled code is kept on disk.

Numba keeps compiled code until the entry point's own file changes, although it holds everything that the entry point
calls. So the names of its files here hold a digest of all sources with kernels or status codes, and of the switch for
bounds checks. Where the package cannot be written, Numba keeps the code in the user's cache folder by itself.

The small functions serve GPUs too: a CUDA kernel that calls one gets it compiled for the GPU. Where Numba simulates
CUDA (NUMBA_ENABLE_CUDASIM=1), kernels are plain Python, and the same functions run as plain Python inside them.
"""

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import CompileResultCacheImpl, FunctionCache
from numba.core.registry import CPUDispatcher
from numba.extending import intrinsic

from native_prep.io.progress import compiling

_CONFIG: Any = numba.config
SIMULATED = bool(_CONFIG.ENABLE_CUDASIM)
_OPTIONS: Any = {"nogil": True, "error_model": "numpy"}


@cache
def digest() -> str:
    """Tells one version of the kernels from another."""
    texts = [path.read_bytes() for path in sorted(Path(__file__).resolve().parent.parent.rglob("*.py"))]
    joined = b"".join(text for text in texts if b"native_prep.kernels.jit" in text or b"\nUNREADABLE = " in text)
    joined += os.environ.get("NUMBA_BOUNDSCHECK", "").encode()
    return hashlib.sha256(joined).hexdigest()[:16]


class _KernelFiles(CompileResultCacheImpl):
    def get_filename_base(self, fullname: str, abiflags: str) -> str:
        return f"{super().get_filename_base(fullname, abiflags)}-{digest()}"


class _KernelCache(FunctionCache):
    """Keeps compiled code on disk; what it does not find there is compiled next, and then saved."""

    _impl_class = _KernelFiles

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        found = super().load_overload(sig, target_context)
        if found is None:
            compiling.add(f"{self._name}{sig}")
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        compiling.discard(f"{self._name}{sig}")
        super().save_overload(sig, data)


class _Simulated(CPUDispatcher):
    """Compiled where compiled code calls it, plain Python where a simulated kernel does."""

    def __call__(self, *arguments: Any) -> Any:
        return self.py_func(*arguments)


def _compiled(function: Callable[..., Any], **options: Any) -> Any:
    if SIMULATED:
        return _Simulated(function, targetoptions={"nopython": True, **_OPTIONS, **options})
    return numba.njit(**_OPTIONS, **options)(function)


def njit(function: Callable[..., Any]) -> Any:
    """A function compiled into its callers; it holds no Python objects and lets other threads run."""
    return _compiled(function)


def njit_forceinline(function: Callable[..., Any]) -> Any:
    """`njit`, always made part of its caller by LLVM: for what runs once a number."""
    return _compiled(function, forceinline=True)


def njit_inline(function: Callable[..., Any]) -> Any:
    """A function whose code stands in its caller's before types are inferred: no call, and no compilation of its own.

    For what takes other functions apart, as loops around what is done in them. On a CPU alone.
    """
    return _compiled(function, inline="always")


def _borrowed(typing_context: Any, array: Any) -> Any:
    """The same array without its count of references; the caller must hold the array itself meanwhile.

    Counting takes two locked instructions wherever a function gets an array: as long as reading a number.
    """

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        view = context.make_array(signature.args[0])(context, builder, values[0])
        view.meminfo = view.meminfo.type(None)
        view.parent = view.parent.type(None)
        return view._getvalue()

    return array(array), build


borrowed: Any = intrinsic(_borrowed)


if SIMULATED:
    # Compiled code stays what it is, so that what is kept on disk serves both.
    borrowed.__class__ = type("_SimulatedIntrinsic", (type(borrowed),), {"__call__": lambda self, array: array})


def c_function(name: str, result: Any, *arguments: Any) -> Any:
    """A function of the C library, to be called from compiled code; it has no way to report beyond its result."""
    return numba.types.ExternalFunction(name, result(*arguments))


def njit_cached(function: Callable[..., Any]) -> Any:
    """A function that Python calls: compiled once a machine, then read from disk.

    Where not even the user's cache folder can be written, it is compiled in every run.
    """
    compiled = numba.njit(**_OPTIONS)(function)
    with suppress(RuntimeError):
        compiled._cache = _KernelCache(compiled.py_func)
    return compiled
