"""MediaPipe landmarks from CSV: a line a frame, or a line a landmark.

x0,y0,z0,v0,x1,y1,...                     wide: x y z, or x y z visibility, of every landmark in order; a first
0.5,0.3,-0.1,0.99,0.51,...                column may count frames, and the line of names may be left out
frame,landmark,x,y,z,visibility           long: `landmark` is a number from 0 or a name of the layout
0,0,0.5,0.3,-0.1,0.99
"""

import csv

import numpy as np

from native_prep.datasets.recordings import BadClip
from native_prep.poses.readers.frames import read_text
from native_prep.poses.to_clip import check_joints, frame_span
from native_prep.skeletons.layouts import Layout

_JOINT_COLUMNS = ("landmark", "landmark_id", "joint", "id", "index", "name")
_SCORE_COLUMNS = ("visibility", "v", "score", "confidence")
# Channels that a joint may have in the wide form, and of those the ones that x y z and x y score are.
_WIDTHS = (4, 3)


def read_mediapipe_csv(path: str, layout: Layout) -> np.ndarray:
    """One person's landmarks, float64 (T, V, 3): x y visibility for an image layout, x y z for a world layout.

    Empty cells are landmarks that were not seen; frames whose numbers are left out are empty.

    Raises:
        BadClip: another form; it names the line.
        OSError: the file cannot be read.
    """
    try:
        lines = read_text(path).decode("utf-8-sig").splitlines()
        rows = [(number, row) for number, row in enumerate(csv.reader(lines), 1) if any(cell.strip() for cell in row)]
    except UnicodeDecodeError as error:
        raise BadClip(path, f"not text ({error.reason}): give landmarks as CSV") from error
    except csv.Error as error:
        raise BadClip(path, f"not CSV ({error}): write it again") from error
    if not rows:
        raise BadClip(path, "is empty: write it again")
    names = [cell.strip().lower() for cell in rows[0][1]]
    if _is_header(names):
        rows = rows[1:]
    else:
        names = []
    if "frame" in names and "x" in names and any(name in names for name in _JOINT_COLUMNS):
        return _long(rows, names, layout, path)
    return _wide(rows, names, layout, path)


def _is_header(names: list[str]) -> bool:
    return any(name and name[0].isalpha() and name not in ("nan", "inf") for name in names)


def _wide(rows: list[tuple[int, list[str]]], names: list[str], layout: Layout, path: str) -> np.ndarray:
    count = len(names or rows[0][1])
    width = next((width for width in _WIDTHS if count in (width * layout.num_joints, width * layout.num_joints + 1)), 0)
    if not width:
        for other in _WIDTHS:
            if count % other == 0:
                check_joints(count // other, layout, path, f"read as {other} columns a joint it ", 1)
        need = " or ".join(str(width * layout.num_joints) for width in _WIDTHS)
        raise BadClip(path, f"has {count} columns, {layout.num_joints} joints need {need}: write x y z visibility", 1)
    extra = count - width * layout.num_joints
    _check_order(names[extra:], width, path)
    counts = extra == 1 and names[:1] == ["frame"]
    frames: dict[int, np.ndarray] = {}
    for line, row in rows:
        if len(row) != count:
            raise BadClip(path, f"has {len(row)} columns instead of {count}: fix the line", line)
        number = _whole(row[0], path, line) if counts else len(frames)
        if number in frames:
            raise BadClip(path, f"frame {number} appears twice: write one line a frame", line)
        cells = np.array([_cell(cell, path, line) for cell in row[extra:]]).reshape(layout.num_joints, width)
        frames[number] = _channels(cells, layout)
    return _stack(frames, layout, path)


def _check_order(names: list[str], width: int, path: str) -> None:
    """Where the columns are named, they must go x y z (visibility) joint by joint, not all x first."""
    for place, name in enumerate(names):
        axis = "xyzv"[place % width]
        if not (name.startswith(axis) or name.endswith((axis, "visibility") if axis == "v" else axis)):
            raise BadClip(path, f"column {name!r} is not {axis} of a joint: write x y z visibility joint by joint", 1)


def _long(rows: list[tuple[int, list[str]]], names: list[str], layout: Layout, path: str) -> np.ndarray:
    joint_at = next(names.index(name) for name in _JOINT_COLUMNS if name in names)
    score_at = next((names.index(name) for name in _SCORE_COLUMNS if name in names), None)
    missing = [name for name in ("x", "y", *(("z",) if layout.coordinates == "world" else ())) if name not in names]
    if missing:
        raise BadClip(path, f"has no column {missing[0]}: add it", 1)
    frames: dict[int, np.ndarray] = {}
    for line, row in rows:
        if len(row) != len(names):
            raise BadClip(path, f"has {len(row)} columns instead of {len(names)}: fix the line", line)
        joint = _joint(row[joint_at].strip(), layout, path, line)
        values = dict(zip(names, row, strict=True))
        cells = [_cell(values.get(axis, ""), path, line) for axis in "xyz"]
        cells.append(1.0 if score_at is None else _cell(row[score_at], path, line))
        frame = frames.setdefault(_whole(row[names.index("frame")], path, line), np.zeros((layout.num_joints, 3)))
        frame[joint] = _channels(np.array([cells]), layout)[0]
    return _stack(frames, layout, path)


def _channels(cells: np.ndarray, layout: Layout) -> np.ndarray:
    """(V, 3 or 4) of x y z visibility as x y z or x y visibility; empty cells are not seen."""
    unseen = np.isnan(cells).any(axis=1)
    if layout.coordinates == "world":
        picked = cells[:, :3].copy()
    else:
        score = cells[:, 3:4] if cells.shape[1] > 3 else np.ones((len(cells), 1))
        picked = np.concatenate([cells[:, :2], score], axis=1)
    picked[unseen] = 0
    return picked


def _joint(text: str, layout: Layout, path: str, line: int) -> int:
    name = text.replace("_", " ").lower()
    if name in layout.joints:
        return layout.joints.index(name)
    if text.isascii() and text.isdigit() and int(text) < layout.num_joints:
        return int(text)
    last = layout.num_joints - 1
    raise BadClip(path, f"{text!r} is not a landmark of layout {layout.name}: use its names or 0 to {last}", line)


def _cell(text: str, path: str, line: int) -> float:
    """A number; NaN where the cell is empty."""
    try:
        return float(text) if text.strip() else float("nan")
    except ValueError as error:
        raise BadClip(path, f"{text[:40]!r} is not a number: fix the line", line) from error


def _whole(text: str, path: str, line: int) -> int:
    value = _cell(text, path, line)
    if not value.is_integer() or not 0 <= value < 2**53:
        raise BadClip(path, f"{text[:40]!r} is not the number of a frame: count frames from 0", line)
    return int(value)


def _stack(frames: dict[int, np.ndarray], layout: Layout, path: str) -> np.ndarray:
    if not frames:
        raise BadClip(path, "holds no frame: write it again")
    first, last = frame_span(frames, path)
    points = np.zeros((last - first + 1, layout.num_joints, 3))
    for number, frame in frames.items():
        points[number - first] = frame
    return points
