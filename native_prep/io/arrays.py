"""Arrays from `.npy` and `.npz` files, or one line that says what is wrong with them; `.npy` files row by row."""

import os
import threading
import tokenize
import zipfile
import zlib
from pathlib import Path
from types import TracebackType

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
    """An `.npy` file, in memory or mapped from disk, of whatever shape and type.

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


# Of `os.open`, on top of what the system has: bytes as they are, and not for programs that are started.
BINARY = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
HEADER = 128  # a multiple of 64, as NumPy wants it, with room for any number of rows


def npy_header(rows: int, shape: tuple[int, ...], dtype: str = "<f4") -> bytes:
    """The first 128 bytes of an `.npy` file of shape (rows, *shape), of float32 or another type."""
    text = str({"descr": dtype, "fortran_order": False, "shape": (rows, *shape)}).encode()
    assert len(text) < HEADER - 10, shape
    return b"\x93NUMPY\x01\x00" + (HEADER - 10).to_bytes(2, "little") + text.ljust(HEADER - 11) + b"\n"


class RowFile:
    """An array (N, *shape) that grows, of float32 or another type ("<f2").

    Rows are written with `pwrite`, or by turns where a system has no such call: no mapped pages, so memory does not
    grow with the file, and no page is read or zeroed first.

    Raises:
        OSError: the disk is full or cannot be written; it names the file.
    """

    def __init__(self, path: Path, final: Path, shape: tuple[int, ...], dtype: str = "<f4") -> None:
        self._final, self._shape, self._dtype = final, shape, dtype
        self._row_bytes = np.dtype(dtype).itemsize * int(np.prod(shape))
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | BINARY, 0o666)
        self._turn = threading.Lock()
        self.rows = 0

    def reserve(self, rows: int = 1) -> int:
        """The place of the next row, or of the first of several, which the caller is to write."""
        self.rows += rows
        return self.rows - rows

    def write(self, place: int, rows: np.ndarray) -> None:
        """Writes one row or several, C-contiguous and of the file's type."""
        self._write_all(rows.reshape(-1).view(np.uint8).data, HEADER + place * self._row_bytes)

    def _write_all(self, left: memoryview, where: int) -> None:
        try:
            while left:
                done = self._write_at(left, where)
                left, where = left[done:], where + done
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._final)) from error

    def _write_at(self, data: memoryview, where: int) -> int:
        if hasattr(os, "pwrite"):
            return os.pwrite(self._handle, data, where)
        with self._turn:  # threads that write share the place in the file
            os.lseek(self._handle, where, os.SEEK_SET)
            return os.write(self._handle, data)

    def __enter__(self) -> "RowFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._write_all(memoryview(npy_header(self.rows, self._shape, self._dtype)), 0)
        finally:
            self.close()

    def close(self) -> None:
        """Lets the file go, complete or not."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
