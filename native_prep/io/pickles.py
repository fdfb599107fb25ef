"""Pickles that cannot run code."""

import os
import pickle
from pathlib import Path
from typing import Any

from native_prep.io.atomic import atomic_file
from native_prep.io.whole import free_memory, size_fault

_SAFE_GLOBALS = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy.core.numeric", "_frombuffer"),
    ("numpy._core.numeric", "_frombuffer"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("collections", "OrderedDict"),
    ("_codecs", "encode"),
}
# What unpickling raises on bytes that are no pickle.
_BROKEN = (
    pickle.UnpicklingError, ArithmeticError, AttributeError, EOFError, ImportError, LookupError, SystemError,
    TypeError, ValueError,
)  # fmt: skip


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _SAFE_GLOBALS:
            raise pickle.UnpicklingError(f"it wants to run {module}.{name}")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def load_pickle(path: str | os.PathLike[str]) -> Any:
    """Unpickle lists, dictionaries, strings, numbers and NumPy arrays, and nothing that could run code.

    Python 2's pickles load too (`latin1`), as do those that an older NumPy wrote.

    Raises:
        ValueError: the file is not a pickle, holds other objects, or is larger than the memory that is free.
        OSError: it cannot be read.
    """
    fault = size_fault(path, free_memory(), "of memory that are free", "close other programs, or give a smaller one")
    if fault:
        raise ValueError(f"{path}: {fault}")
    try:
        with Path(path).open("rb") as file:
            return _PlainUnpickler(file, encoding="latin1").load()
    except MemoryError as error:  # damaged pickles may claim to be of any size
        raise ValueError(f"{path}: takes more memory than there is: give a smaller one, or make it again") from error
    except _BROKEN as error:
        raise ValueError(f"{path}: not a pickle of plain values ({error}): make it again") from error


def save_pickle(path: str | os.PathLike[str], value: Any) -> None:
    """Pickle `value` to `path`, whole or not at all."""
    with atomic_file(path) as part:
        part.write_bytes(pickle.dumps(value, protocol=4))
