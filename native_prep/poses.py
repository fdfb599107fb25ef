"""Poses as estimators and recorders give them, and the clip that a network sees.

Letters: P people as they were found, M bodies kept, T frames of the clip, V joints, C channels: x y z in metres
("world" layouts) or x y score ("image" layouts). Zeros stand for a joint, or a whole person, that was not seen.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from native_prep.layouts import LAYOUTS, Layout
from native_prep.recordings import BadFile
from native_prep.reference import rotation_matrix
from native_prep.tracking import bodies_of_highest_motion, motion_of, present, seen_joints

ALIGNMENTS = ("none", "centre", "turn")
# Coordinates beyond this are no shares of a picture's width or height: people may stand out of it a little.
_LARGEST_SHARE = 2.0
_LARGEST = 1e6


class BadClip(ValueError):
    """A clip that cannot be used; `bad` says where and why."""

    def __init__(self, path: str, reason: str, line: int = 0) -> None:
        self.bad = BadFile(path, line, reason)
        super().__init__(str(self.bad))


@dataclass(frozen=True)
class Poses:
    """The people of one clip.

    Attributes:
        points: float32 (P, T, V, 3).
        ids: int64 (P, T), who stands there as the file has it, -1 where it does not say; None where a place is one
            person from the first frame to the last.
        size: width and height of the picture in pixels, where the file names them.
    """

    points: np.ndarray
    ids: np.ndarray | None = None
    size: tuple[float, float] | None = None


@dataclass(frozen=True)
class PoseSettings:
    """How poses become clips.

    Attributes:
        max_bodies: M.
        image_size: width and height in pixels of all pictures whose files do not say; None: coordinates are shares.
        align: none: as recorded; centre: the centre joint of body 0 is the origin in every frame; turn: that, and body
            0's first spine points along z, then its shoulders along x.
        track: people are followed from frame to frame and noise is left out, see `tracking`.

    Raises:
        ValueError: a value that is not known.
    """

    max_bodies: int = 2
    image_size: tuple[int, int] | None = None
    align: str = "none"
    track: bool = False

    def __post_init__(self) -> None:
        if self.max_bodies < 1:
            raise ValueError(f"max bodies is {self.max_bodies}: keep at least 1")
        if self.align not in ALIGNMENTS:
            raise ValueError(f"align {self.align!r} is not known: use one of {', '.join(ALIGNMENTS)}")
        if self.image_size is not None and min(self.image_size) < 1:
            raise ValueError("the image size is to be two numbers above 0: give --image-size WIDTHxHEIGHT")

    def check(self, layout: Layout) -> None:
        """Raises ValueError where the layout does not allow what is asked for."""
        if self.align != "none" and layout.coordinates == "image":
            raise ValueError(f"--align {self.align} is for x y z: layout {layout.name} has x y score: leave it out")
        if self.image_size is not None and layout.coordinates == "world":
            raise ValueError(f"--image-size is for x y score: layout {layout.name} has x y z: leave it out")
        if self.align == "turn" and (layout.spine is None or layout.shoulders is None):
            raise ValueError(f"--align turn: layout {layout.name} has no spine and shoulders: name them in its YAML")


def checked_points(points: Any, layout: Layout, path: str, what: str = "", scores: Any = None) -> np.ndarray:
    """The points of a clip, float32 (P, T, V, 3), if they are such.

    Args:
        points: (P, T, V, 2 or 3), or (T, V, 2 or 3) of one person.
        layout: its joints and coordinates.
        path, what: the file, and the clip within it, for messages.
        scores: (P, T, V) where they stand apart; without them, joints of two channels are seen where they are not zero.

    Raises:
        BadClip: another shape or joint count, what is no finite number.
    """
    array = _as_array(points, path, what, "points")
    if array.ndim == 3:
        array = array[None]
    if array.ndim != 4 or array.dtype.kind not in "fiu" or array.shape[3] not in (2, 3):
        raise BadClip(path, f"{what}holds {array.dtype} {array.shape}: give numbers (people, frames, joints, 2 or 3)")
    check_joints(array.shape[2], layout, path, what)
    flat = array.shape[3] == 2
    if scores is not None:
        score = _as_array(scores, path, what, "scores")
        if score.shape != array.shape[:3] or score.dtype.kind not in "fiu":
            raise BadClip(path, f"{what}scores are {score.dtype} {score.shape} for {array.shape[:3]} joints: mend them")
        array = np.concatenate([array[..., :2], score[..., None]], axis=3, dtype=np.float32)
    elif flat:
        array = np.concatenate([array, array.any(axis=3, keepdims=True)], axis=3, dtype=np.float32)
    if layout.coordinates == "world" and (scores is not None or flat):
        has = "scores" if scores is not None else "two numbers a joint"
        raise BadClip(path, f"{what}has {has}, layout {layout.name} x y z: use a layout of coordinates: image")
    with np.errstate(over="ignore"):  # what is too large is told of below
        found = array.astype(np.float32)
    good = np.isfinite(found) & (np.abs(found) <= _LARGEST)
    if not good.all():
        frame = int(np.flatnonzero(~good.all(axis=(0, 2, 3)))[0])
        raise BadClip(path, f"{what}frame {frame} holds what is no coordinate: write 0 for joints that were not seen")
    if layout.coordinates == "image":
        found[found[..., 2] == 0] = 0
    return found


def _as_array(values: Any, path: str, what: str, name: str) -> np.ndarray:
    try:
        return np.asarray(values)
    except (TypeError, ValueError) as error:
        raise BadClip(path, f"{what}its {name} are lists of different lengths: give one array of numbers") from error


def check_joints(count: int, layout: Layout, path: str, what: str = "", line: int = 0) -> None:
    """Raises BadClip where the clip's number of joints is not the layout's; names the layouts that have it."""
    if count == layout.num_joints:
        return
    fitting = [name for name, one in LAYOUTS.items() if one.num_joints == count]
    advice = f"use --layout {' or '.join(fitting)}" if fitting else "describe its skeleton in a YAML file for --layout"
    text = f"{what}has {count} joints, layout {layout.name} has {layout.num_joints}: {advice}"
    raise BadClip(path, text, line)


def make_clip(poses: Poses, layout: Layout, settings: PoseSettings, path: str, what: str = "") -> np.ndarray:
    """The bodies of a clip as a network sees them.

    Image layouts: x and y become shares of the picture, centred on its middle, y pointing up, zero where the score is,
    as Kinetics-skeleton's are. World layouts: as recorded, in metres, or aligned.

    Returns:
        float32 (M, T, V, 3).

    Raises:
        BadClip: pixels without the picture's size, or shares with one.
    """
    image = layout.coordinates == "image"
    if settings.track:
        kept = bodies_of_highest_motion(poses.points, poses.ids, settings.max_bodies, image)
    else:
        kept = _keep(poses, settings.max_bodies, image)  # (M, T, V, 3)
    if image:
        return _centre_picture(kept, poses.size, settings.image_size, path, what)
    return _align(kept, layout, settings.align)


def _keep(poses: Poses, count: int, image: bool) -> np.ndarray:
    """Of places that are one person each, the best; of people in no order, the best of each frame."""
    points = poses.points
    kept = np.zeros((count, *points.shape[1:]), np.float32)
    if poses.ids is not None and image:
        order = np.argsort(-points[..., 2].sum(axis=2), axis=0, kind="stable")[:count]  # (M, T)
        kept[: len(order)] = np.take_along_axis(points, order[:, :, None, None], axis=0)
        return kept
    places = list(range(len(points)))
    if poses.ids is None and len(points) > count:
        worth = [float(one[..., 2].sum()) if image else motion_of(one, image) for one in points]
        places.sort(key=lambda place: -worth[place])
        places = sorted(places[:count])
    kept[: len(places[:count])] = points[places[:count]]
    return kept


def _centre_picture(
    kept: np.ndarray,
    named: tuple[float, float] | None,
    given: tuple[int, int] | None,
    path: str,
    what: str,
) -> np.ndarray:
    size = named or given
    seen = kept[..., 2] != 0  # (M, T, V)
    largest = float(np.abs(kept[..., :2])[seen].max(initial=0.0))
    if size is None and largest > _LARGEST_SHARE:
        raise BadClip(path, f"{what}coordinates up to {largest:g} are pixels: give --image-size WIDTHxHEIGHT")
    if size is not None and min(size) > _LARGEST_SHARE and 0 < largest <= _LARGEST_SHARE:
        advice = "leave --image-size out" if named is None else "set img_shape to (1, 1)"
        text = f"{what}coordinates up to {largest:g} are no pixels, but shares of the picture already: {advice}"
        raise BadClip(path, text)
    if size is not None and (kept[..., :2][seen] / size > _LARGEST_SHARE).any():
        x, y = kept[..., :2][seen].max(axis=0)
        text = f"{what}coordinates up to {x:g}, {y:g} lie far outside of a picture of {size[0]:g}x{size[1]:g}"
        raise BadClip(path, f"{text}: " + ("give its own --image-size" if named is None else "mend img_shape"))
    clip = np.zeros_like(kept)
    clip[..., 0] = np.where(seen, kept[..., 0] / (size[0] if size else 1) - 0.5, 0)
    clip[..., 1] = np.where(seen, 0.5 - kept[..., 1] / (size[1] if size else 1), 0)
    clip[..., 2] = kept[..., 2]
    return clip


def _align(kept: np.ndarray, layout: Layout, align: str) -> np.ndarray:
    """Moves and turns (M, T, V, 3); joints that were not seen stay zero.

    Unlike NTU's own preparation, gaps stay gaps, frames are not repeated, and where body 0 is out of sight the others
    are moved by where it was last.
    """
    first = present(kept)[0]  # (T,)
    if align == "none" or not first.any():
        return kept
    seen = seen_joints(kept, image=False)[..., None]  # (M, T, V, 1)
    frames = np.maximum.accumulate(np.where(first, np.arange(len(first)), int(first.argmax())))
    clip = np.where(seen, kept - kept[0, frames, layout.centre][None, :, None], 0)
    if align == "turn":
        assert layout.spine is not None and layout.shoulders is not None, "checked by PoseSettings.check"
        start = clip[0, int(first.argmax())]  # (V, 3)
        turned = _rotation(start[layout.spine[1]] - start[layout.spine[0]], np.array((0.0, 0.0, 1.0)))
        across = turned @ (start[layout.shoulders[0]] - start[layout.shoulders[1]])
        clip = clip @ (_rotation(across, np.array((1.0, 0.0, 0.0))) @ turned).T
    return clip.astype(np.float32)


def _rotation(vector: np.ndarray, towards: np.ndarray) -> np.ndarray:
    length = float(np.linalg.norm(vector))
    if length < 1e-6:
        return np.eye(3)
    angle = float(np.arccos(np.clip(vector @ towards / length, -1.0, 1.0)))
    return rotation_matrix(np.cross(vector, towards), angle)
