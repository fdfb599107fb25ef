"""Files and folders that appear whole or not at all.

What is being written has a hidden name beside its place, `.NAME.HOST.PID.TOKEN.part`, so that several machines can
share a folder; the next run on the same machine removes what a killed one left. The token tells a process from an
earlier one that had the same number, as the only process of a container always has.
"""

import ctypes
import errno
import glob
import os
import re
import secrets
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

_HOST = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:40] or "host"
_TOKEN = secrets.token_hex(4)
# SYNCHRONIZE, ERROR_ACCESS_DENIED and WAIT_TIMEOUT of Windows.
_MAY_WAIT, _ACCESS_DENIED, _STILL_RUNS = 0x00100000, 5, 258
# What other machines left is named, not removed, when it is older than so many seconds.
_OLD = 24 * 3600


def hidden(final: Path, kind: str = "part") -> Path:
    """The hidden name beside `final` of what this process works on; `kind` is what it ends with."""
    return final.with_name(f".{final.name}.{_HOST}.{os.getpid()}.{_TOKEN}.{kind}")


def left_behind(final: Path, kind: str = "part") -> list[Path]:
    """What processes of this machine that are no more have left under such names; old ones of others are told."""
    left = []
    for path in final.parent.glob(f".{glob.escape(final.name)}.*.{kind}"):
        owner = path.name[len(final.name) + 2 : -len(kind) - 1].split(".")
        if len(owner) != 3 or not owner[1].isdigit():  # of a longer name
            continue
        host, process, token = owner[0], int(owner[1]), owner[2]
        if host == _HOST:
            # Only this process has its number now, so that another token is an earlier one's.
            if token != _TOKEN if process == os.getpid() else not is_alive(process):
                left.append(path)
        elif _is_old(path):
            print(f"{path}: half-written on {host} more than a day ago: remove it if nobody writes it", file=sys.stderr)
    return left


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > _OLD
    except FileNotFoundError:  # finished meanwhile
        return False


def check_writable(folder: str | os.PathLike[str], named: str | os.PathLike[str] | None = None) -> None:
    """Raises OSError where no file can be made in a folder, or in the nearest one above it that is there.

    It names the folder that was asked for, `named` instead where that says more, and not a hidden file in it. Who
    writes much calls it before the work begins.
    """
    there = Path(folder).absolute()
    while not os.path.lexists(there):
        there = there.parent
    if not there.is_dir():
        return  # making the folder says what is in its way
    try:
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        why = "read-only" if error.errno == errno.EROFS else error.strerror
        raise type(error)(error.errno, f"cannot be written ({why})", os.fspath(named or folder)) from error


class OutputSet:
    """Files that appear together: written beside their place, renamed when the block ends without an error.

    >>> with OutputSet() as outputs:
    ...     outputs.temporary("out/a.npy").write_bytes(b"...")
    ...     outputs.temporary("out/b.npy").write_bytes(b"...")

    A killed run leaves only hidden files, which the next run for the same names removes.
    """

    def __init__(self) -> None:
        self._parts: dict[Path, Path] = {}
        self._made: list[Path] = []
        # Files that go when the new ones come.
        self.to_remove: list[Path] = []

    def temporary(self, final: str | os.PathLike[str]) -> Path:
        """The path to write what will be called `final`; makes its folder and sweeps what killed runs left."""
        final = Path(final)
        if final not in self._parts:
            if not any(final.parent == other.parent for other in self._parts):
                check_writable(final.parent)
            self._made += missing_folders(final)
            final.parent.mkdir(parents=True, exist_ok=True)
            if final.is_dir():
                raise ValueError(f"{final}: is a folder where a file must be written: move it away")
            if final.exists() and not final.is_file():
                raise ValueError(f"{final}: is a device or a pipe, which a file would replace: name a file")
            for part in left_behind(final):
                part.unlink(missing_ok=True)
            self._parts[final] = hidden(final)
        return self._parts[final]

    def __enter__(self) -> "OutputSet":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                for stale in self.to_remove:
                    stale.unlink(missing_ok=True)
                for final, part in self._parts.items():
                    if part.exists():
                        part.replace(final)
        finally:
            for part in self._parts.values():
                part.unlink(missing_ok=True)
            if kind is not None:
                remove_empty(self._made)


def missing_folders(path: Path) -> list[Path]:
    """The folders above `path` that are to be made."""
    return [folder for folder in path.parents if not folder.exists()]


def remove_empty(folders: list[Path]) -> None:
    """Removes those folders that nothing was written to, the innermost first."""
    for folder in sorted(folders, reverse=True):
        with suppress(OSError):  # something is in it
            folder.rmdir()


@contextmanager
def atomic_file(final: str | os.PathLike[str]) -> Iterator[Path]:
    """One file that appears whole: yields the path to write to."""
    with OutputSet() as outputs:
        yield outputs.temporary(final)


class DiscardFolder(Exception):
    """Raised inside `atomic_folder` to leave what is written unpublished."""


def _nothing(path: Path) -> bool:
    return False


@contextmanager
def atomic_folder(
    final: str | os.PathLike[str], marker: str = "", stays: Callable[[Path], bool] = _nothing
) -> Iterator[Path]:
    """Yields a new hidden folder beside `final`, which takes its place when the block ends without an error.

    A block that raises `DiscardFolder` publishes nothing and is not an error.

    Args:
        final: missing, an empty folder, or one that holds a file called `marker`: that one is replaced.
        marker: "" where only an empty folder may be replaced.
        stays: which files of a replaced folder are moved into the new one.

    Raises:
        ValueError: `final` is a file, or a folder with files but no `marker` in it.
        OSError: nothing can be written beside it.
    """
    place = Path(final).absolute()
    check_writable(place.parent, named=final)
    restore_folder(place, stays)
    if place.exists() and not place.is_dir():
        raise ValueError(f"{final}: is a file where a folder must be written: name another")
    if place.is_dir() and any(place.iterdir()) and not (marker and (place / marker).is_file()):
        what = f"a folder of other files, without a {marker}" if marker else "not an empty folder"
        raise ValueError(f"{final}: is {what}: name a new one or empty it first")
    part = hidden(place)
    made = missing_folders(part)
    part.mkdir(parents=True)
    try:
        yield part
        publish_folder(part, place, stays)
    except DiscardFolder:
        pass
    finally:
        shutil.rmtree(part, ignore_errors=True)
        remove_empty(made)


def publish_folder(part: Path, final: Path, stays: Callable[[Path], bool] = _nothing) -> None:
    """Gives a finished folder its name; the folder that had it goes, but for the files that stay.

    Raises:
        OSError: `part` is not there, or cannot be renamed; the old folder is at its place again then.
    """
    old = hidden(final, "old")
    if final.is_dir():
        final.rename(old)
    try:
        part.rename(final)
    except BaseException:
        if old.exists() and not final.exists():
            old.rename(final)
        raise
    if old.exists():
        _retire(old, final, stays)


def restore_folder(final: Path, stays: Callable[[Path], bool] = _nothing) -> None:
    """Mends what a kill left: a folder moved away but not yet replaced returns, half-written ones go."""
    for old in left_behind(final, "old"):
        if final.exists():
            _retire(old, final, stays)
        else:
            old.rename(final)
    for part in left_behind(final):
        shutil.rmtree(part, ignore_errors=True)


def _retire(old: Path, final: Path, stays: Callable[[Path], bool]) -> None:
    for path in old.iterdir():
        if stays(path) and not (final / path.name).exists():
            path.rename(final / path.name)
    shutil.rmtree(old)


def is_alive(pid: int) -> bool:
    """Whether a process of that number runs."""
    if sys.platform == "win32":  # where `os.kill` would end it
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.OpenProcess.restype = ctypes.c_void_p
        handle = ctypes.c_void_p(kernel.OpenProcess(_MAY_WAIT, False, pid))
        if not handle:
            return ctypes.get_last_error() == _ACCESS_DENIED  # somebody else's
        try:
            return kernel.WaitForSingleObject(handle, 0) == _STILL_RUNS
        finally:
            kernel.CloseHandle(handle)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
