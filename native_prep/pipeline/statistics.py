"""Counts of a run: clips, frames, bad files; and how bad files are reported."""

import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from native_prep.cpu.reader import BYTES, CODE, FRAMES, LABEL, LINE, reason
from native_prep.datasets.recordings import BadFile, Recording
from native_prep.kernels import status


@dataclass
class Statistics:
    """What a run has seen so far.

    Attributes:
        clips, frames, bytes_read: of the good files.
        bad: the others.
        empty: clips in which nobody is seen and which stay.
        ignored: files that were left out before they were read, see `recordings.Recordings`.
    """

    clips: int = 0
    frames: int = 0
    bytes_read: int = 0
    bad: list[BadFile] = field(default_factory=list)
    empty: int = 0
    ignored: int = 0

    def note(self, chunk: Sequence[Recording], reports: np.ndarray) -> list[tuple[int, int, int]]:
        """Counts what was read and notes the bad files; place in the chunk, label and frames of the good ones."""
        good = []
        for row, (recording, report) in enumerate(zip(chunk, reports.tolist(), strict=True)):
            self.bytes_read += report[BYTES]
            problem = _problem(recording, report)
            if problem is not None:
                self.bad.append(problem)
                continue
            self.clips += 1
            self.frames += report[FRAMES]
            good.append((row, report[LABEL] if recording.label < 0 else recording.label, report[FRAMES]))
        return good

    def add(self, shard: Mapping[str, Any], resumed: bool) -> None:
        """Counts what `metadata` says of a shard, of which nothing was read where it was there already."""
        self.clips += shard["clips"]
        self.frames += shard["recorded"]
        self.empty += shard["empty"]
        self.bytes_read += 0 if resumed else shard["bytes_read"]
        self.bad += [BadFile(*one) for one in shard["bad"]]

    def metadata(self) -> dict[str, Any]:
        """What is kept of a shard that these are the counts of."""
        bad = [(one.path, one.line, one.reason) for one in self.bad]
        counts = {"clips": self.clips, "recorded": self.frames, "empty": self.empty, "bytes_read": self.bytes_read}
        return {**counts, "bad": bad}

    def result(self, seconds: float) -> dict[str, float]:
        """What `prepare` returns of it."""
        counts = {"clips": self.clips, "frames": self.frames, "bytes_read": self.bytes_read}
        left_out = {"bad_files": len(self.bad), "ignored": self.ignored, "empty": self.empty}
        return {**counts, "seconds": seconds, **left_out}

    def raise_if_bad(self, skip: bool, source: Path) -> None:
        """Lists on stderr bad files, of many with one fault the first few, and what else is out of the ordinary.

        Raises:
            ValueError: there are some that are not to be left out, or nothing else is left.
        """
        if self.ignored:
            what = "that the list of missing samples or the label file leaves out"
            print(f"passed over {self.ignored} clips {what}", file=sys.stderr)
        if self.empty:
            print(f"nobody is seen in {self.empty} of the clips: they stay, all zeros", file=sys.stderr)
        self.bad.sort(key=lambda one: one.path)
        _list_bad(self.bad, but_first=not (skip and self.clips))
        if not self.bad:
            return
        count = f"{len(self.bad)} bad file{'s' if len(self.bad) > 1 else ''}"
        if not skip:
            raise ValueError(f"{self.bad[0]} ({count}, nothing is written; --on-bad-file skip leaves them out)")
        if self.clips == 0:
            raise ValueError(f"{self.bad[0]} ({count}, no good one in {source}, nothing is written)")
        print(f"left out {count}, listed in bad_files.csv", file=sys.stderr)


# Of so many files with one fault all are named, of more the first few.
_ALL_NAMED, _FIRST_NAMED = 5, 3


def _list_bad(bad: Sequence[BadFile], but_first: bool) -> None:
    """Names bad files on stderr, of many with one fault the first few and how many more there are.

    Args:
        but_first: the first is not printed, since the error to come names it.
    """
    counts = Counter(map(_fault, bad))
    named: Counter[str] = Counter()
    for place, one in enumerate(bad):
        fault = _fault(one)
        named[fault] += 1
        if (place or not but_first) and (counts[fault] <= _ALL_NAMED or named[fault] <= _FIRST_NAMED):
            print(one, file=sys.stderr)
        if counts[fault] > _ALL_NAMED and named[fault] == _FIRST_NAMED:
            print(f"... and {counts[fault] - _FIRST_NAMED} more files with this fault", file=sys.stderr)


def _fault(one: BadFile) -> str:
    """A bad file's reason without its numbers and names."""
    return re.sub(r"clip \S+|'[^']*'|\S*[/\d]\S*", "", one.reason)


def _problem(recording: Recording, report: list[int]) -> BadFile | None:
    if report[CODE] != status.OK:
        return BadFile(recording.path, report[LINE], reason(recording.path, report))
    if report[LABEL] < 0 and recording.path.endswith(".json"):
        return BadFile(recording.path, 0, status.explain(status.NO_LABEL))
    if report[LABEL] >= 0 and recording.label >= 0 and report[LABEL] != recording.label:
        says = f"has label_index {report[LABEL]}, the label file says {recording.label}: fix one of them"
        return BadFile(recording.path, 0, says)
    return None
