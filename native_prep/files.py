"""Files that appear whole or not at all, and pickles that cannot run code."""

import glob
import io
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any


class OutputSet:
    """Files that appear together: written beside their place, renamed when the block ends without an error.

    >>> with OutputSet() as outputs:
    ...     outputs.part("out/a.npy").write_bytes(b"...")
    ...     outputs.part("out/b.npy").write_bytes(b"...")

    A killed run leaves only hidden `.NAME.PID.part` files, which the next run for the same names removes.
    """

    def __init__(self) -> None:
        self._parts: dict[Path, Path] = {}
        self._made: list[Path] = []
        # Files that go when the new ones come.
        self.replaced: list[Path] = []

    def part(self, final: str | os.PathLike[str]) -> Path:
        """The path to write what will be called `final`; makes its folder and sweeps what killed runs left."""
        final = Path(final)
        if final not in self._parts:
            self._made += [folder for folder in final.parents if not folder.exists()]
            final.parent.mkdir(parents=True, exist_ok=True)
            if final.is_dir():
                raise ValueError(f"{final}: is a folder, a file of that name is to be written: move it away")
            _sweep(final)
            self._parts[final] = final.with_name(f".{final.name}.{os.getpid()}.part")
        return self._parts[final]

    def __enter__(self) -> "OutputSet":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                for stale in self.replaced:
                    stale.unlink(missing_ok=True)
                for final, part in self._parts.items():
                    if part.exists():
                        part.replace(final)
        finally:
            for part in self._parts.values():
                part.unlink(missing_ok=True)
            for folder in sorted(self._made, reverse=True) if kind is not None else ():
                with suppress(OSError):  # another's files are in it
                    folder.rmdir()


@contextmanager
def whole_file(final: str | os.PathLike[str]) -> Iterator[Path]:
    """One file that appears whole: yields the path to write to."""
    with OutputSet() as outputs:
        yield outputs.part(final)


def _sweep(final: Path) -> None:
    for part in final.parent.glob(f".{glob.escape(final.name)}.*.part"):
        owner = part.name.split(".")[-2]
        if owner.isdigit() and not is_alive(int(owner)):
            part.unlink(missing_ok=True)


def is_alive(pid: int) -> bool:
    """Whether a process of that number runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


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
    pickle.UnpicklingError, ArithmeticError, AttributeError, EOFError, ImportError, LookupError, MemoryError,
    SystemError, TypeError, ValueError,
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
        ValueError: the file is no pickle, or holds other objects.
        OSError: it cannot be read.
    """
    raw = Path(path).read_bytes()
    try:
        return _PlainUnpickler(io.BytesIO(raw), encoding="latin1").load()
    except _BROKEN as error:
        raise ValueError(f"{path}: not a pickle of plain values ({error}): make it again") from error


def save_pickle(path: str | os.PathLike[str], value: Any) -> None:
    """Pickle `value` to `path`, whole or not at all."""
    with whole_file(path) as part:
        part.write_bytes(pickle.dumps(value, protocol=4))
