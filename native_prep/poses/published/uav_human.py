"""UAV-Human (Li et al. 2021): poses of COCO's 17 joints in the pictures of a drone.

    Skeleton/P000S00G10B10H10UC022000LC021000A000R0_08241716.txt

A file is the number of frames, and for each the number of people, and for each of those a line about them, the number
of joints and a line a joint, which begins with x y in pixels. The name says who (P) does what (A, from 0). Files are
read as the data set's own tools and those of its competition's entries read them.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from native_prep.datasets.recordings import BadClip, files_below
from native_prep.poses.sources import PoseClip, PoseSource
from native_prep.poses.to_clip import MOST_FRAMES, Poses, checked_points
from native_prep.skeletons.layouts import COCO17

# The subjects that train, of 119, as the data set's README lists them.
BENCHMARKS = {
    "v1": "0 2 5-8 10-21 25-30 32-40 42-53 55-57 59 61-65 67-71 73 76-90 98 100 102-103 105-106 110-112 114-118",
    "v2": "0 3-6 8 10-12 14 16 18-22 24 26 29-32 35-40 43-47 49 52 54 56-57 59-64 66-67 69-75 77-81 83-84 86-89 91-97 "
    "99-104 106-115 117-118",
}
_NAME = re.compile(r"P(\d{3})S\d+G\d+B\d+H\d+UC\d+LC\d+A(\d{3})R\d+_\d+")
_MOST_BODIES = 64
# Published clips have some 300 frames of one or two people, of 700 characters each.
_MOST_BYTES = 1 << 24


def training_subjects(benchmark: str) -> frozenset[int]:
    """The people that train."""
    spans = [span.split("-") for span in BENCHMARKS[benchmark].split()]
    return frozenset(number for span in spans for number in range(int(span[0]), int(span[-1]) + 1))


def open_uav_human(folder: Path, benchmark: str, classes: list[str]) -> PoseSource:
    """The clips in a folder, at any depth.

    Args:
        folder: that of the data set, or of its `Skeleton` files.
        benchmark: one of `BENCHMARKS`.
        classes: the names of the classes.

    Raises:
        ValueError: there is none, or one twice.
        OSError: the folder cannot be read.
    """
    train, others = training_subjects(benchmark), 0
    clips: dict[str, PoseClip] = {}
    for path in files_below(folder):
        if path.suffix != ".txt":
            continue
        match = _NAME.fullmatch(path.stem)
        if match is None or int(match[2]) >= len(classes) or not path.is_file():
            others += 1
            continue
        if path.stem in clips:
            raise ValueError(f"{path}: is there twice, see {clips[path.stem].path}: keep one of them")
        split = "train" if int(match[1]) in train else "val"
        clips[path.stem] = PoseClip(path.stem, str(path), -1, int(match[2]), split)
    if not clips:
        usual = "Skeleton/P000S00G10B10H10UC022000LC021000A000R0_08241716.txt"
        raise ValueError(f"{folder}: has no file {usual}: give --data-path UAV-Human's folder")
    notes = [f"{others} text files have other names than clips, and are passed over"] if others else []
    return PoseSource([clips[name] for name in sorted(clips)], [], classes, _read, notes)


def _read(clip: PoseClip) -> Poses:
    path = clip.path
    if Path(path).stat().st_size > _MOST_BYTES:
        raise BadClip(path, "is larger than a clip can be: copy it again")
    lines = _Lines(path)
    frames = lines.count("frames", MOST_FRAMES)
    found = [[_person(lines) for _ in range(lines.count("people", _MOST_BODIES))] for _ in range(frames)]
    lines.end()
    points = np.zeros((max(map(len, found), default=0), frames, COCO17.num_joints, 2))
    for frame, people in enumerate(found):
        for place, person in enumerate(people):
            points[place, frame] = person
    return Poses(checked_points(points, COCO17, path))


def _person(lines: "_Lines") -> np.ndarray:
    """The joints (V, 2) of the next person."""
    next(lines)
    joints = lines.count("joints", COCO17.num_joints)
    if joints != COCO17.num_joints:
        raise lines.bad(f"has {joints} joints, expected {COCO17.num_joints}")
    return np.array([lines.place() for _ in range(joints)])


class _Lines(Iterator[str]):
    """The lines of a file, which know their number."""

    def __init__(self, path: str) -> None:
        self._path, self._number = path, 0
        self._lines = iter(Path(path).read_text(encoding="utf-8", errors="replace").splitlines())

    def __next__(self) -> str:
        self._number += 1
        try:
            return next(self._lines)
        except StopIteration:
            raise self.bad("the file ends here, expected more") from None

    def end(self) -> None:
        """Nothing may follow."""
        for line in self._lines:
            self._number += 1
            if line.strip():
                raise self.bad("goes on behind its last frame")

    def bad(self, text: str) -> BadClip:
        return BadClip(self._path, f"{text}: copy it again", self._number)

    def count(self, what: str, most: int) -> int:
        """A line that is a number of something."""
        word = next(self).strip()
        if not re.fullmatch(r"\d{1,6}", word) or int(word) > most:
            raise self.bad(f"is {word[:30]!r}, expected a number of {what}, at most {most}")
        return int(word)

    def place(self) -> list[float]:
        """A line that begins with x y."""
        words = next(self).split()[:2]
        try:
            x, y = map(float, words)
        except ValueError as error:
            raise self.bad(f"is {' '.join(words)[:30]!r}, expected x y of a joint") from error
        return [x, y]
