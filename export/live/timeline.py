"""Answers about overlapping windows as a timeline of actions."""

import csv
import math
import os
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FIELDS = ("start", "end", "label", "name", "score")
PERSON = "person"


@dataclass
class Row:
    """One action: seconds from `start` to `end`, label and name, the scores of its answers."""

    start: float
    end: float
    label: int
    name: str
    scores: list[float] = field(default_factory=list)

    @property
    def score(self) -> float:
        """Their mean."""
        return sum(self.scores) / len(self.scores)


class Actions:
    """Rows of answers that follow one another.

    An answer speaks for the time around its window's middle, halfway to the middles of the answers before and after;
    the first one from its window's start, the last one to its window's end. Neighbours of one label are one row, whose
    score is their mean.

    Attributes:
        rows: the actions so far; the last one is open.
    """

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._start, self._end, self._seen_end = 0.0, 0.0, math.inf
        self._going = False
        self._last = -1

    def add(
        self, start: float, end: float, label: int, name: str, score: float, seen: tuple[float, float] | None = None
    ) -> None:
        """An answer about the window from `start` to `end` (seconds); label -1 where nobody is there.

        `seen` is from when to when in the window somebody was there, which rows do not go beyond; None: throughout.
        """
        # Halfway between the middles of this window and the one before.
        begin = ((self._start + self._end) / 2 + (start + end) / 2) / 2 if self._going else start
        if self._going and self._last >= 0:
            self.rows[-1].end = min(begin, self._seen_end)
        same = self._going and label == self._last
        self._start, self._end, self._last, self._going = start, end, label, True
        if label < 0:
            return
        first, self._seen_end = seen or (-math.inf, math.inf)
        if not same:
            self.rows.append(Row(max(begin, first), end, label, name))
        self.rows[-1].scores.append(score)
        self.rows[-1].end = min(end, self._seen_end)

    def cut(self) -> None:
        """What comes next does not follow what came before."""
        self._going = False

    def at(self, time: float) -> Row | None:
        """The action at a time in seconds."""
        place = bisect_right(self.rows, time, key=lambda row: row.start) - 1
        return self.rows[place] if place >= 0 and time <= self.rows[place].end else None


class Timeline:
    """The actions of a stream, and of each person in it.

    Args:
        per_person: whether its file says in a last column whose each action is, nothing for everybody's together.
    """

    def __init__(self, per_person: bool = False) -> None:
        self._per_person = per_person
        self._together = Actions()
        self._alone: dict[str, Actions] = {}

    @property
    def rows(self) -> list[Row]:
        """The actions of everybody together."""
        return self._together.rows

    def add(self, start: float, end: float, top: Sequence[Mapping[str, Any]]) -> None:
        """An answer about the window from `start` to `end` (seconds), the likeliest class first; none: nobody."""
        self._together.add(start, end, *_best(top))

    def add_people(
        self,
        start: float,
        end: float,
        tops: Mapping[str, Sequence[Mapping[str, Any]]],
        seen: Mapping[str, tuple[float, float]],
    ) -> None:
        """The same about each person in it, who is `seen` from when to when; those of before who are not have gone."""
        for name in dict.fromkeys([*self._alone, *tops]):
            self._alone.setdefault(name, Actions()).add(start, end, *_best(tops.get(name, ())), seen.get(name))

    def cut(self) -> None:
        """What comes next does not follow what came before."""
        for actions in (self._together, *self._alone.values()):
            actions.cut()

    def all_rows(self) -> Iterator[tuple[str, Row]]:
        """Everybody's rows together, and then each person's: whose, "" for everybody's, and the row."""
        for name, actions in {"": self._together, **self._alone}.items():
            for row in actions.rows:
                yield name, row

    def at(self, time: float) -> dict[str, Row]:
        """The actions at a time in seconds, by whose they are, "" for everybody's together."""
        found = {name: actions.at(time) for name, actions in {"": self._together, **self._alone}.items()}
        return {name: row for name, row in found.items() if row is not None}

    def write(self, path: str | os.PathLike[str]) -> None:
        """Writes the rows as CSV, seconds with three digits."""
        with Path(path).open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow([*FIELDS, *([PERSON] if self._per_person else [])])
            for name, row in self.all_rows():
                cells = [f"{row.start:.3f}", f"{row.end:.3f}", row.label, row.name, f"{row.score:.4f}"]
                table.writerow([*cells, *([name] if self._per_person else [])])

    def as_dicts(self) -> list[dict[str, Any]]:
        """The rows as plain values: start, end, label, class, score, and person where they are told apart."""
        return [
            {"start": round(row.start, 3), "end": round(row.end, 3), "label": row.label, "class": row.name,
             "score": row.score, **({PERSON: name} if self._per_person else {})}
            for name, row in self.all_rows()
        ]  # fmt: skip


def _best(top: Sequence[Mapping[str, Any]]) -> tuple[int, str, float]:
    return (top[0]["label"], top[0]["class"], top[0]["score"]) if top else (-1, "", 0.0)
