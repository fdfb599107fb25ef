"""Where live frames come from: lines of a pipe, of a growing file or of a finished one, or a whole raw recording."""

import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from io import FileIO
from pathlib import Path
from queue import Queue
from typing import NamedTuple

from export.live.frames import BadLine, Frame, FrameParser, WrongStream

# 64 people of 133 joints need less.
LONGEST_LINE = 1 << 20
_CHUNK = 1 << 16
# Lines read ahead; then the sender waits.
_AHEAD = 4096
# How often a growing file is looked at, in seconds.
_POLL = 0.01
# Bad lines that are told one by one.
_TOLD = 20


class Line(NamedTuple):
    """A line without its end, its number from 1, and when it was read (`time.monotonic`).

    Its text is None where the file begins anew.
    """

    number: int
    text: bytes | None
    arrived: float


class Arrival(NamedTuple):
    """A frame, when it was read, how many lines wait behind it, and whether it is the first after a new beginning."""

    frame: Frame
    arrived: float
    waiting: int
    first: bool = False


def split_lines(chunks: Iterator[bytes | None]) -> Iterator[Line]:
    """Lines of bytes that come in any pieces, None where they begin anew; of too long a line only the first MiB."""
    number, rest = 0, b""
    for chunk in chunks:
        now = time.monotonic()
        if chunk is None:
            if rest:
                yield Line(number + 1, rest, now)
            yield Line(0, None, now)
            number, rest = 0, b""
            continue
        *lines, rest = (rest + chunk).split(b"\n")
        for text in lines:
            number += 1
            yield Line(number, text, now)
        rest = rest[: LONGEST_LINE + 1]
    if rest:
        yield Line(number + 1, rest, time.monotonic())


def read_pipe(handle: int) -> Iterator[bytes]:
    """What comes through a pipe, as soon as it comes."""
    # Not by `sys.stdin`: a thread that waits there holds a lock that Python wants when it ends.
    while chunk := os.read(handle, _CHUNK):
        yield chunk


def read_file(path: str) -> Iterator[bytes]:
    """A file from its start to its end."""
    with Path(path).open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def follow_file(path: str, idle: float | None) -> Iterator[bytes | None]:
    """A file that grows, from its start; from the start again, after None, where it became shorter or is another one.

    Args:
        idle: ends where nothing new came for so many seconds; None: goes on for ever.
    """
    file, grown, missing = FileIO(path), time.monotonic(), False
    try:
        while True:
            if chunk := file.read(_CHUNK):
                yield chunk
                # After it: who takes the lines may be slow, and that is not the file's standing still.
                grown = time.monotonic()
                continue
            if idle is not None and time.monotonic() - grown >= idle:
                return
            try:
                other, missing = _other_file(path, file), False
            except OSError:
                if not missing:
                    print(f"{path}: is gone: waiting for another one", file=sys.stderr, flush=True)
                other, missing = None, True
            if other is None:
                time.sleep(_POLL)
                continue
            file.close()
            file = other
            yield None
    finally:
        file.close()


def _other_file(path: str, file: FileIO) -> FileIO | None:
    """The file of that name, from its start, where it is another one than ours or became shorter."""
    other = FileIO(path)
    ours, theirs = os.fstat(file.fileno()), os.fstat(other.fileno())
    same = (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino)
    if same and ours.st_size >= file.tell():
        other.close()
        return None
    what = "became shorter" if same else "is another file"
    print(f"{path}: {what}: read from its start", file=sys.stderr, flush=True)
    return other


class _Ahead:
    """Lines read by a thread of their own, so that the time of their arrival is known."""

    def __init__(self, chunks: Iterator[bytes | None]) -> None:
        self._lines: Queue[Line | BaseException | None] = Queue(_AHEAD)
        self._ended = False
        threading.Thread(target=self._read, args=(chunks,), daemon=True).start()

    def _read(self, chunks: Iterator[bytes | None]) -> None:
        try:
            for line in split_lines(chunks):
                self._lines.put(line)
            self._ended = True
            self._lines.put(None)
        except Exception as error:
            self._lines.put(error)

    def waiting(self) -> int:
        # The mark of the end is no line.
        return max(0, self._lines.qsize() - self._ended)

    def __iter__(self) -> Iterator[Line]:
        while (line := self._lines.get()) is not None:
            if isinstance(line, BaseException):
                raise line
            yield line


class LineFrames:
    """The frames of lines; bad ones are skipped, counted, and told on stderr.

    Args:
        chunks: bytes in any pieces.
        place: their file, for messages.
        parser: turns a line into a frame.
        live: whether lines come as time goes by: then a thread reads them.

    Attributes:
        bad_lines: how many were skipped.
    """

    def __init__(self, chunks: Iterator[bytes | None], place: str, parser: FrameParser, live: bool) -> None:
        self._place, self._parser, self.bad_lines = place, parser, 0
        self._ahead = _Ahead(chunks) if live else None
        self._lines: Iterable[Line] = self._ahead or split_lines(chunks)

    def __iter__(self) -> Iterator[Arrival]:
        """Raises ValueError, with file and line, where the stream is for another skeleton."""
        first = False
        for line in self._lines:
            if line.text is None:
                first = True
                self._parser.expect_header()
                continue
            try:
                if len(line.text) > LONGEST_LINE:
                    raise BadLine(f"longer than {LONGEST_LINE >> 20} MiB")
                frame = self._parser.parse(line.text)
            except WrongStream as error:
                raise ValueError(f"{self._place}:{line.number}: {error}") from error
            except BadLine as error:
                self._tell(line.number, error)
                continue
            if frame is None:
                continue
            if self._ahead is not None:
                yield Arrival(frame, line.arrived, self._ahead.waiting(), first)
            else:  # a finished file's lines come when they are wanted
                yield Arrival(frame, time.monotonic(), 0)
            first = False

    def _tell(self, number: int, error: BadLine) -> None:
        self.bad_lines += 1
        if self.bad_lines <= _TOLD:
            more = ", later ones are only counted" if self.bad_lines == _TOLD else ""
            print(f"{self._place}:{number}: {error}: skipped{more}", file=sys.stderr, flush=True)
