"""One process at a time, also where several machines share a folder."""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

# Seconds between looks at a lock, and after how many the wait is told.
_PAUSE, _LONG = 0.01, 10.0
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keeps other processes and threads that lock `path` out of the block; no file of that name stays.

    A process that ends lets go. Where the file system knows no locks, nobody is kept out.
    """
    lock = FileLock(path)
    try:
        try:
            lock.acquire(timeout=_LONG, poll_interval=_PAUSE)
        except Timeout:
            print(f"{path}: waiting for another process that has locked it", file=sys.stderr)
            lock.acquire(poll_interval=_PAUSE)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is held: who waits sees that it is gone, and makes another
        lock.release()
