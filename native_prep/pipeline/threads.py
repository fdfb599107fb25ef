"""Work that is read by several threads at once, placed in order, and written by threads again."""

import queue
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Task = TypeVar("Task")
Buffer = TypeVar("Buffer")
Found = TypeVar("Found")
Place = TypeVar("Place")


def in_order(
    tasks: Iterable[Task],
    buffers: Sequence[Buffer],
    workers: int,
    read: Callable[[Buffer, Task], Found],
    place: Callable[[Buffer, Task, Found], Place],
    write: Callable[[Buffer, Place], None],
) -> None:
    """Reads each task into a buffer in one of `workers` threads, places it here, in order, and has a thread write it.

    Args:
        tasks: taken as buffers get free.
        buffers: one for each task under way; more than workers, so that some are read while others are written.
        read, place, write: called with the buffer; what one returns goes to the next.

    Raises:
        Whatever the three raise; tasks not begun by then are not begun any more.
    """
    free: queue.SimpleQueue[Buffer] = _filled(buffers)
    reading: deque[tuple[Future[Found], Buffer, Task]] = deque()
    writing: deque[Future[None]] = deque()

    def write_and_free(buffer: Buffer, where: Place) -> None:
        try:
            write(buffer, where)
        finally:
            free.put(buffer)

    with ThreadPoolExecutor(workers) as pool:

        def place_oldest() -> None:
            found, buffer, task = reading.popleft()
            writing.append(pool.submit(write_and_free, buffer, place(buffer, task, found.result())))
            while writing and (writing[0].done() or len(writing) > len(buffers)):
                writing.popleft().result()

        try:
            for task in tasks:
                while reading and (reading[0][0].done() or len(reading) == len(buffers)):
                    place_oldest()
                buffer = free.get()
                reading.append((pool.submit(read, buffer, task), buffer, task))
            while reading:
                place_oldest()
            for future in writing:
                future.result()
        except BaseException:  # an interruption too: what waits is not begun
            pool.shutdown(cancel_futures=True)
            raise


def _filled(buffers: Iterable[Buffer]) -> "queue.SimpleQueue[Buffer]":
    free: queue.SimpleQueue[Buffer] = queue.SimpleQueue()
    for buffer in buffers:
        free.put(buffer)
    return free


def runs(items: Sequence[Task], size: int) -> Iterator[Sequence[Task]]:
    """The items in runs of `size`, the last one shorter."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
