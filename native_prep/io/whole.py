"""Files that are read whole: none larger than such a file can be, and no pipe or device, whose end nobody knows."""

import ctypes
import os
import re
import stat
import sys
from pathlib import Path

MIB = 1 << 20
# Lists of names or labels, one a line, and notes of ours in JSON: a million clips or classes take less.
MOST_LIST = 64 * MIB


def size_fault(path: str | os.PathLike[str], most: int, limit: str, advice: str) -> str:
    """Why a file cannot be read whole, and what to do; "" where it can. It is not opened for that.

    Args:
        path: the file; of a folder nothing is said here, opening it does.
        most: bytes that it may have.
        limit, advice: for the message, what those are ("that a clip can have"), and what to do.

    Raises:
        OSError: there is none.
    """
    found = Path(path).stat()
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
        return "is a device or a pipe: give a file"
    if found.st_size <= most or stat.S_ISDIR(found.st_mode):
        return ""
    return f"has {-(-found.st_size // MIB)} MiB, more than the {most // MIB} MiB {limit}: {advice}"


def read_whole(
    path: str | os.PathLike[str],
    what: str,
    most: int = MOST_LIST,
    advice: str = "check that it is the right file, or split it",
) -> bytes:
    """A file's bytes; `what` is what it is, as in "a label file", the others are those of `size_fault`.

    Raises:
        ValueError: it is too large, or no file.
        OSError: it cannot be read.
    """
    if fault := size_fault(path, most, f"that {what} can have", advice):
        raise ValueError(f"{path}: {fault}")
    return Path(path).read_bytes()


def free_memory() -> int:
    """Bytes of memory that can be had without swapping; on macOS all there is."""
    path = Path("/proc/meminfo")
    found = re.search(r"MemAvailable: *(\d+) kB", path.read_text()) if path.is_file() else None
    if found:
        return int(found[1]) * 1024
    if sys.platform == "win32":
        # MEMORYSTATUSEX: its size and the load, memory, free memory, and more.
        status = (ctypes.c_uint64 * 8)(64)
        ctypes.windll.kernel32.GlobalMemoryStatusEx(status)
        return int(status[2])
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
