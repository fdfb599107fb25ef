"""One process at a time, also where several machines share a folder."""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from native_prep.io.atomic import missing_folders, remove_empty

# Seconds between looks at a lock, and after how many the wait is told.
_PAUSE, _LONG = 0.01, 10.0
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)


@contextmanager
def locked(path: Path, refusal: str = "") -> Iterator[None]:
    """Keeps other processes and threads that lock `path` out of the block; no file of that name stays.

    A process that ends lets go. Where the file system knows no locks, nobody is kept out.

    Args:
        path: of the lock.
        refusal: the error where another has locked it; "" waits.

    Raises:
        ValueError: `refusal`.
    """
    lock = FileLock(path)
    try:
        try:
            lock.acquire(timeout=0 if refusal else _LONG, poll_interval=_PAUSE)
        except Timeout as error:
            if refusal:
                raise ValueError(refusal) from error
            print(f"{path}: waiting for another process that has locked it", file=sys.stderr)
            lock.acquire(poll_interval=_PAUSE)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    try:
        yield
    finally:
        with suppress(OSError):  # Windows keeps a file that is open; filelock removes it there
            path.unlink()  # while it is held: who waits sees that it is gone, and makes another
        lock.release()


@contextmanager
def sole_run(place: Path, what: Path | None = None) -> Iterator[None]:
    """Keeps other runs that write `place` out of the block, also those of machines that share the folder.

    Args:
        place: a file or folder, beside which the lock lies.
        what: what the message names; None for the place.

    Raises:
        ValueError: another run works there.
    """
    path = place.with_name(f".{place.name}.lock")
    made = missing_folders(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with locked(path, f"{what or place}: another run writes there: wait until it ends, or name another place"):
            yield
    finally:
        remove_empty(made)
