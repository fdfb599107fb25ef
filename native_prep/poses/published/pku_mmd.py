"""PKU-MMD (Liu et al. 2017): long recordings of actions that follow one another, cut by their label files.

    PKU_Skeleton_Renew/0002-L.txt      a line a frame: x y z of 25 joints of two people in metres, zeros for nobody
    Train_Label_PKU_final/0002-L.txt   a line a clip: class from 1 to 51, first frame, last frame, confidence
    Split/cross-view.txt               the recordings that train on the second line, those that test on the fourth

Recordings of the second phase are called A01N02-L. Joints are in NTU's order. Published code counts frames from 0 or
from 1; here it is from 1 and the last is in the clip, as AimCLR, TSMF and STAR++ have it.
"""

import re
import warnings
from functools import lru_cache
from pathlib import Path

import numpy as np

from native_prep.datasets.recordings import BadClip, BadFile, files_below
from native_prep.io.progress import first_names
from native_prep.poses.sources import PoseClip, PoseSource
from native_prep.poses.to_clip import MOST_FRAMES, Poses, checked_points
from native_prep.skeletons.layouts import NTU

BENCHMARKS = {"xsub": "subject", "xview": "view"}
_NAME = re.compile(r"(\d{4}|A\d\dN\d\d)-[LMR]")
_NUMBERS = 2 * NTU.num_joints * 3
# Of a recording that is no longer than others can be, at 12 characters a number; and of a file of labels or names.
_MOST_BYTES, _MOST_TEXT = MOST_FRAMES * _NUMBERS * 12, 1 << 20


def open_pku_mmd(folder: Path, benchmark: str, classes: list[str]) -> PoseSource:
    """The clips of a phase.

    Args:
        folder: one that holds, at any depth, the folders of skeletons and of labels, and the split's file.
        benchmark: one of `BENCHMARKS`.
        classes: the names of the classes.

    Raises:
        ValueError: a folder or file is missing, or is there twice.
        OSError: a folder cannot be read.
    """
    texts = [path for path in files_below(folder) if path.suffix == ".txt" and path.is_file()]
    recordings = _by_name(texts, "skeleton", folder, "PKU_Skeleton_Renew")
    label_files = _by_name(texts, "label", folder, "Train_Label_PKU_final")
    splits = _read_splits(texts, BENCHMARKS[benchmark], folder)
    clips, bad, labelled, from_0 = [], [], set(), 0
    known: set[str] = set()
    for name, labels in label_files.items():
        if name not in recordings:
            bad.append(BadFile(str(labels), 0, f"there is no skeleton file {name}.txt: add it or move this one away"))
        elif name in splits:
            found, wrong = _read_labels(labels, len(classes))
            bad += wrong
            labelled |= {name} if found else set()
            for line, label, first, last in found:
                from_0 += first == 0
                clip = PoseClip(
                    f"{name}_{first:05}-{last:05}_{label + 1:02}", str(recordings[name]), line, label, splits[name],
                    (max(first, 1) - 1, last),
                )  # fmt: skip
                if clip.name in known:
                    bad.append(BadFile(str(labels), line, "is there twice: remove one line"))
                    continue
                known.add(clip.name)
                clips.append(clip)
    unused, notes = [name for name in recordings if name not in labelled], []
    if unused:
        notes.append(f"{len(unused)} recordings have no labels, or are in no split ({first_names(unused)})")
    if from_0:
        notes.append(f"{from_0} clips begin with frame 0: do these label files count from 0? here it is from 1")
    in_order = sorted(clips, key=lambda clip: clip.name)
    return PoseSource(in_order, bad, classes, _read, notes, whole_files=True)


def _by_name(texts: list[Path], kind: str, folder: Path, usual: str) -> dict[str, Path]:
    """The files of recordings in folders of a kind, by name."""
    found: dict[str, Path] = {}
    for path in texts:
        if _NAME.fullmatch(path.stem) and kind in path.parent.name.lower():
            if path.stem in found:
                raise ValueError(f"{path}: is there twice, see {found[path.stem]}: give --data-path one phase")
            found[path.stem] = path
    if not found:
        raise ValueError(f"{folder}: has no folder of {kind}s ({usual}/0002-L.txt): give --data-path PKU-MMD's folder")
    return found


def _read_splits(texts: list[Path], kind: str, folder: Path) -> dict[str, str]:
    """The split of each recording."""
    files = [path for path in texts if re.fullmatch(rf"cross[-_]{kind}(_v2)?\.txt", path.name)]
    if len(files) != 1:
        wrong = "is there twice" if files else "is not there"
        raise ValueError(f"{folder}: PKU-MMD's cross-{kind}.txt {wrong}: put the one of this phase there")
    lines = _text(files[0]).splitlines()
    names = [[name.strip() for name in line.split(",") if name.strip()] for line in lines[1:4:2]]
    if len(names) != 2 or any(not _NAME.fullmatch(name) for some in names for name in some):
        text = "is no list of recordings: it has a heading, those that train, a heading, those that test"
        raise ValueError(f"{files[0]}: {text}: take the published one")
    train, val = names
    if both := sorted(set(train) & set(val)):
        raise ValueError(f"{files[0]}: {both[0]} trains and tests: take the published one")
    return {**dict.fromkeys(val, "val"), **dict.fromkeys(train, "train")}


def _read_labels(path: Path, classes: int) -> tuple[list[tuple[int, int, int, int]], list[BadFile]]:
    """Line, label from 0, first and last frame of each clip of a recording; and what is wrong with others."""
    found, bad = [], []
    try:
        lines = _text(path).splitlines()
    except (OSError, ValueError) as error:
        return [], [
            BadFile(str(path), 0, f"cannot be read ({getattr(error, 'strerror', None) or 'too large'}): copy it")
        ]
    for number, line in enumerate(lines, 1):
        words = re.split(r"[,\s]+", line.strip())
        if words == [""]:
            continue
        if len(words) < 3 or not all(re.fullmatch(r"\d{1,9}", word) for word in words[:3]):
            bad.append(BadFile(str(path), number, "is not class,first frame,last frame,confidence: fix it"))
            continue
        label, first, last = map(int, words[:3])
        if not 1 <= label <= classes:
            bad.append(BadFile(str(path), number, f"class {label} is not from 1 to {classes}: fix it"))
            continue
        found.append((number, label - 1, min(first, last), max(first, last)))  # some are published the wrong way round
    return found, bad


def _text(path: Path) -> str:
    if path.stat().st_size > _MOST_TEXT:
        raise ValueError(f"{path}: is larger than such a file can be: take the published one")
    return path.read_text(encoding="utf-8", errors="replace")


def _read(clip: PoseClip) -> Poses:
    """The frames of a clip from where it begins, counted from 0, to before its end, or to the recording's end."""
    begin, end = clip.content
    recording = _recording(clip.path, Path(clip.path).stat().st_mtime_ns)
    points = recording[:, begin:end]
    if points.shape[1] < (end - begin) / 2:  # some end a little late
        raise BadClip(clip.path, f"{clip.what}the recording has {recording.shape[1]} frames: fix the label file")
    return Poses(checked_points(points, NTU, clip.path, clip.what))


@lru_cache(maxsize=1)
def _recording(path: str, changed: int) -> np.ndarray:
    """A recording that was last `changed` then, float32 (M, T, V, C); clips of one follow one another."""
    if Path(path).stat().st_size > _MOST_BYTES:
        raise BadClip(path, f"is larger than {MOST_FRAMES} frames are: cut it")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an empty file, which has too few numbers
            rows = np.loadtxt(path, np.float32, ndmin=2, comments=None)
    except (ValueError, UnicodeDecodeError) as error:
        raise BadClip(path, f"is not {_NUMBERS} numbers a line ({error}): copy it again") from error
    if not rows.size or rows.shape[1] != _NUMBERS:
        raise BadClip(
            path, f"has {rows.shape[1] if rows.size else 0} numbers a line, expected {_NUMBERS}: copy it again"
        )
    return rows.reshape(len(rows), 2, NTU.num_joints, 3).swapaxes(0, 1)
