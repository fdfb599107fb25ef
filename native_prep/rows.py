"""`.npy` files written row by row from many threads, whose number of rows is known at the end only."""

import os
from pathlib import Path
from types import TracebackType

import numpy as np

_HEADER = 128  # a multiple of 64, as NumPy wants it, with room for any number of rows


def npy_header(rows: int, shape: tuple[int, ...]) -> bytes:
    """The first 128 bytes of a float32 `.npy` file of shape (rows, *shape)."""
    text = str({"descr": "<f4", "fortran_order": False, "shape": (rows, *shape)}).encode()
    assert len(text) < _HEADER - 10, shape
    return b"\x93NUMPY\x01\x00" + (_HEADER - 10).to_bytes(2, "little") + text.ljust(_HEADER - 11) + b"\n"


class RowFile:
    """A float32 array (N, *shape) that grows.

    Rows are written with `pwrite`: no mapped pages, so memory does not grow with the file, and no page is read or
    zeroed first.

    Raises:
        OSError: the disk is full or cannot be written; it names the file.
    """

    def __init__(self, path: Path, final: Path, shape: tuple[int, ...]) -> None:
        self._final, self._shape = final, shape
        self._row_bytes = 4 * int(np.prod(shape))
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        self.rows = 0

    def reserve(self) -> int:
        """The place of the next row, which the caller is to write."""
        self.rows += 1
        return self.rows - 1

    def write(self, place: int, row: np.ndarray) -> None:
        """Writes one row, C-contiguous float32 of the file's shape."""
        self._write_all(row.reshape(-1).view(np.uint8).data, _HEADER + place * self._row_bytes)

    def _write_all(self, left: memoryview, where: int) -> None:
        try:
            while left:
                done = os.pwrite(self._handle, left, where)
                left, where = left[done:], where + done
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._final)) from error

    def __enter__(self) -> "RowFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._write_all(memoryview(npy_header(self.rows, self._shape)), 0)
        finally:
            os.close(self._handle)
