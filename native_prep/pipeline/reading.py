"""Recordings to clips, wherever their files are: compiled code opens those on disk, others are read for it."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from native_prep.cpu import reader as cpu
from native_prep.datasets.recordings import BadClip, Recording
from native_prep.io.archives import Member
from native_prep.io.folders import read_contents, stamps
from native_prep.io.remote import is_url
from native_prep.kernels import status
from native_prep.pipeline.outputs import default_folder


def raw_place(given: str | os.PathLike[str] | None, usual: str) -> Path | str:
    """Where raw files are: a path, or a URL as it was given; raises ValueError where it is empty."""
    return str(given) if is_url(given) else default_folder(given, usual, "--data-path")


def read_recordings(reader: Any, recordings: Sequence[Recording]) -> np.ndarray:
    """What `reader.run` says of these recordings, of a `cpu.reader.Reader` or a `cuda.reader.Reader`.

    Raises:
        ValueError: an archive or a server cannot be reached. A single file that cannot be read is in the reports.
    """
    if not any(one.member for one in recordings):
        return reader.run([one.path for one in recordings])
    return reader.run_texts(_texts([_place(one) for one in recordings]))


def stamps_of(recordings: Iterable[Recording]) -> Iterator[str]:
    """What changes with each recording's file; see `folders.stamps`."""
    return (stamp for stamp, _ in stamps((one.path, one.member) for one in recordings))


def _place(recording: Recording) -> tuple[str, Member]:
    assert recording.member is not None, "all files of a data set are on disk, or none is"
    return recording.path, recording.member


def _texts(places: Sequence[tuple[str, Member]]) -> Iterator[bytes | int]:
    """The files as `text_table` takes them; what is too big for a clip is not read."""
    contents = read_contents([place for place in places if place[1].size <= cpu.MAX_BYTES])
    for _, member in places:
        content = member.size if member.size > cpu.MAX_BYTES else next(contents)
        if isinstance(content, bytes) and len(content) > cpu.MAX_BYTES:  # the listing did not tell its size
            content = len(content)
        yield -1 if isinstance(content, str) else content


def read_recording(recording: Recording) -> bytes:
    """The bytes of one file.

    Raises:
        BadClip: it is damaged in its archive, or cannot be read there.
        ValueError: the archive or the server cannot be reached.
        OSError: the file on disk cannot be read.
    """
    if recording.member is None:
        return Path(recording.path).read_bytes()
    content = next(read_contents([_place(recording)]))
    if isinstance(content, str):
        raise BadClip(recording.path, content)
    return content


def reason(recording: Recording, report: Sequence[int] | np.ndarray) -> str:
    """What is wrong with a file that `read_recordings` reported on.

    Raises:
        ValueError: the archive or the server cannot be reached any more.
    """
    if recording.member is None or report[cpu.CODE] != status.UNREADABLE:
        return cpu.reason(recording.path, report)
    try:
        read_recording(recording)
    except BadClip as error:
        return error.bad.reason
    return "could not be read: try again"
