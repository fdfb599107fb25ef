"""Arrays from `.npy` and `.npz` files, or one line that says what is wrong with them."""

import os
import tokenize
import zipfile
import zlib
from pathlib import Path

import numpy as np

# What `numpy.load` raises on bytes that are neither an array nor an archive of arrays.
_NO_ARRAY = (
    ValueError, EOFError, zipfile.BadZipFile, zlib.error, MemoryError, LookupError, ArithmeticError, RuntimeError,
    SyntaxError, TypeError, tokenize.TokenError,
)  # fmt: skip


def load_array(
    path: str | os.PathLike[str],
    mapped: bool = False,
    archive: bool = False,
    remedy: str = "write it again with numpy.save",
) -> np.ndarray:
    """An `.npy` file, in memory or mapped from disk, of whatever shape and kind.

    Args:
        path: the file.
        mapped: its numbers are read as they are needed.
        archive: an `.npz` file of one array will do, which is read into memory.
        remedy: what the message advises.

    Raises:
        ValueError: it is something else, damaged or cut off.
        OSError: it cannot be read.
    """
    try:
        # Opened here: NumPy leaves what begins as an archive and is none open.
        with Path(path).open("rb") as file:
            zipped = file.read(2) == b"PK"
            file.seek(0)
            if mapped and not zipped:
                return np.load(path, mmap_mode="r", allow_pickle=False)
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return loaded
            names = loaded.files
            if archive and len(names) == 1:
                return np.asarray(loaded[names[0]])
    except _NO_ARRAY as error:
        raise ValueError(f"{path}: not an .npy array, or cut off: {remedy}") from error
    raise ValueError(f"{path}: is an archive of {len(names)} arrays: keep one alone, as an .npy file")
