"""One process at a time, also where several machines share a folder."""

import errno
import fcntl
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

# Seconds between looks at a lock, and after how many the wait is told.
_PAUSE = 0.01


_LONG = 10.0


_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keeps other processes and threads that lock `path` out of the block; no file of that name stays.

    A process that ends lets go. Where the file system knows no locks, nobody is kept out.
    """
    while True:
        with path.open("a") as file:
            _lock(file, path)
            if _is_at(path, file):  # not removed by the one who had it before
                try:
                    yield
                finally:
                    path.unlink(missing_ok=True)
                return


def _lock(file: IO[str], path: Path) -> None:
    waited = 0.0
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(_PAUSE)
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return
            raise
        waited += _PAUSE
        if waited - _PAUSE < _LONG <= waited:
            print(f"{path}: waiting for another process that has locked it", file=sys.stderr)


def _is_at(path: Path, file: IO[str]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except OSError:  # gone, here or on another machine
        return False
