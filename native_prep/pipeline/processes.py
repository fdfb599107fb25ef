"""Work in several processes of this machine, for what Python does itself: its threads would take turns."""

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

Piece = TypeVar("Piece")
Result = TypeVar("Result")
# Seconds of work that are done here before it is known how long the rest takes, and of the rest that processes are
# worth: they take a second to import what they need.
_ALONE, _WORTH = 0.5, 4.0
# Seconds between looks at whether the process that began this one is still there.
_LOOK = 1.0


def in_processes(
    work: Callable[[Piece], Result], pieces: Sequence[Piece], workers: int
) -> Generator[Result, None, None]:
    """The result of each piece, in order; of so many pieces at a time that memory stays bounded.

    Args:
        work: can be pickled, as pieces and results can.
        pieces: what is to be done.
        workers: processes; 1 for none but this one.

    Raises:
        MemoryError: a process was lost.
        Exception: what `work` raises.
    """
    began = time.monotonic()
    for done, piece in enumerate(pieces, 1):
        yield work(piece)
        spent = time.monotonic() - began
        if workers > 1 and spent >= _ALONE and spent / done * (len(pieces) - done) >= _WORTH:
            yield from _in_pool(work, pieces[done:], workers)
            return


def _in_pool(work: Callable[[Piece], Result], pieces: Sequence[Piece], workers: int) -> Iterator[Result]:
    # Unlike the standard library's, these processes do not run a script again that has no `if __name__ == "__main__"`.
    from loky.process_executor import ProcessPoolExecutor, TerminatedWorkerError

    pool = ProcessPoolExecutor(workers, initializer=_end_with, initargs=(os.getpid(),))
    running: deque = deque()
    try:
        with _no_interrupts():
            running += [pool.submit(work, piece) for piece in pieces[:workers]]
        for piece in pieces[workers:]:
            running.append(pool.submit(work, piece))
            if len(running) > 2 * workers:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    except TerminatedWorkerError as error:
        raise MemoryError(
            "a process that read clips was lost, as where memory runs out: give fewer --workers"
        ) from error
    finally:
        pool.shutdown(kill_workers=True)


def _end_with(parent: int) -> None:
    """Ends this process when the one that began it is killed, which it would wait for otherwise."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Processes that begin here leave an interruption to this one, from their first moment on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
