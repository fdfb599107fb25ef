"""How good the poses of a clip are, and `quality.csv`, which says so of every clip."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from native_prep.poses.tracking import seen_joints

FILE = "quality.csv"
# Joints of less are guesses: what OpenPose's and MMPose's own drawings leave out.
WEAK = 0.3
_COLUMNS = ("name", "split", "quality", "empty_frames", "weak_joints", "jumps", "kept")


class Quality(NamedTuple):
    """What is wrong with a clip, as shares of 1.

    Attributes:
        empty_frames: frames in which nobody is.
        weak_joints: of the joints of those who are there, those whose score is below 0.3; of x y z, those not seen.
        jumps: of the steps from one frame to the next, those in which the middle of a body moves by more than its size.
    """

    empty_frames: float
    weak_joints: float
    jumps: float

    @property
    def quality(self) -> float:
        """What is left of 1: the product of the shares that are good."""
        return (1 - self.empty_frames) * (1 - self.weak_joints) * (1 - self.jumps)


def quality_of(bodies: np.ndarray, image: bool) -> Quality:
    """The quality of the bodies of a clip that are kept, (M, T, V, 3) as recorded."""
    seen = seen_joints(bodies, image)  # (M, T, V)
    there: np.ndarray = np.asarray(seen.any(axis=2))  # (M, T)
    if not there.any():
        return Quality(1.0, 0.0, 0.0)
    sure = bodies[..., 2] >= WEAK if image else seen
    steps = there[:, 1:] & there[:, :-1]  # (M, T - 1)
    # One plane for each coordinate, so that sums run along memory.
    planes = np.moveaxis(bodies, -1, 0)[: 2 if image else 3].copy()  # (C, M, T, V)
    # Joints that were not seen are zeros, which count for nothing in the sum.
    middles = planes.sum(axis=-1) / np.maximum(seen.sum(axis=-1), 1)  # (C, M, T)
    moves = np.linalg.norm(middles[..., 1:] - middles[..., :-1], axis=0)[steps]
    jumped = moves > _sizes(planes, seen)[:, :-1][steps]
    return Quality(
        float(1 - there.any(axis=0).mean()),
        float(1 - sure[there].mean()),
        float(jumped.mean()) if len(jumped) else 0.0,
    )


def _sizes(planes: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """From corner to corner of the joints that are seen: (C, M, T, V), bool (M, T, V) -> (M, T), 0 for nobody."""
    if seen.all():
        spans = planes.max(axis=-1) - planes.min(axis=-1)
    else:
        spans = np.where(seen, planes, -np.inf).max(axis=-1) - np.where(seen, planes, np.inf).min(axis=-1)
        spans[:, ~seen.any(axis=-1)] = 0
    return np.asarray(np.linalg.norm(spans, axis=0))


class QualityTable:
    """The quality of the clips of a run, in the order in which they were read.

    Args:
        least: clips below it are left out.

    Attributes:
        left_out: the names of those.
    """

    def __init__(self, least: float) -> None:
        self._least = least
        self._rows: list[tuple[str, str, Quality]] = []
        self.left_out: list[str] = []

    def add(self, name: str, split: str, quality: Quality) -> None:
        """Adds a clip."""
        self._rows.append((name, split, quality))
        if quality.quality < self._least:
            self.left_out.append(name)

    @property
    def best(self) -> float:
        """The highest quality."""
        return max(quality.quality for _, _, quality in self._rows)

    def as_csv(self, before: Path) -> str:
        """The file's text, with the other split's lines of the one that is there."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_COLUMNS)
        splits = {split for _, split, _ in self._rows}
        rows = [row for row in _rows_of(before) if row[1] not in splits]
        for name, split, found in self._rows:
            kept = "yes" if found.quality >= self._least else "no"
            rows.append([name, split, *(f"{share:.4f}" for share in (found.quality, *found)), kept])
        writer.writerows(sorted(rows))
        return text.getvalue()

    def summary(self) -> dict[str, Any]:
        """For each measure its mean over the clips, the worst, and whose that is; how many clips are left out."""
        found: dict[str, Any] = {}
        for place, measure in enumerate(Quality._fields):
            shares = [quality[place] for _, _, quality in self._rows]
            worst = int(np.argmax(shares)) if shares else 0
            found[measure] = {
                "mean": float(np.mean(shares)) if shares else 0.0,
                "worst": shares[worst] if shares else 0.0,
                "clip": self._rows[worst][0] if shares else "",
            }
        return found | {"left_out": len(self.left_out)}


def _rows_of(path: Path) -> Iterable[list[str]]:
    """The lines of an earlier run's file; none where it is not one."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
    except (OSError, ValueError, csv.Error):
        return []
    return [row for row in rows if len(row) == len(_COLUMNS)] if tuple(header) == _COLUMNS else []
