"""Poses as estimators and recorders give them, and the clip that a network sees.

Letters: P people as they were found, M bodies kept, T frames of the clip, V joints, C channels: x y z in metres
("world" layouts) or x y score ("image" layouts). Zeros stand for a joint, or a whole person, that was not seen.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from native_prep.datasets.recordings import BadClip, EmptyClip
from native_prep.poses.align import align
from native_prep.poses.checks import UNITS, Fault, metre_fault, picture_fault, score_fault
from native_prep.poses.tracking import bodies_of_highest_motion, motion_of, seen_joints
from native_prep.skeletons.layouts import LAYOUTS, Layout, conversion_table

ALIGNMENTS = ("none", "centre", "turn")
# Coordinates of world layouts that are not metres of any kind: they stay as they are, unchecked.
NO_UNIT = "none"
_LARGEST = 1e6
# A clip's frames may be numbered with gaps, but not with more than these.
MOST_FRAMES = 100_000
# More people than any picture shows; memory for all of them is taken for every clip.
MOST_BODIES = 1000


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
        align: none: as recorded; centre: the centre joint of body 0 is the origin in every frame; turn: that, z points
            up along body 0's first spine, and its shoulders lie along x, see `align`.
        track: people are followed from frame to frame and noise is left out, see `tracking`.
        unit: of x y z as they come, m, cm or mm; they become metres. none: no metres at all, they are not checked.
        keep_empty: clips in which nobody is seen stay.
        min_quality: clips below it are left out, see `quality.Quality`.

    Raises:
        ValueError: a value that is not known.
    """

    max_bodies: int = 2
    image_size: tuple[int, int] | None = None
    align: str = "none"
    track: bool = False
    unit: str = "m"
    keep_empty: bool = False
    min_quality: float = 0.0

    def __post_init__(self) -> None:
        if self.max_bodies < 1:
            raise ValueError(f"max bodies is {self.max_bodies}: keep at least 1")
        if self.max_bodies > MOST_BODIES:
            raise ValueError(f"max bodies is {self.max_bodies}: keep at most {MOST_BODIES}")
        if self.align not in ALIGNMENTS:
            raise ValueError(f"align {self.align!r} is not known: use one of {', '.join(ALIGNMENTS)}")
        if self.unit not in (*UNITS, NO_UNIT):
            raise ValueError(f"unit {self.unit!r} is not known: use one of {', '.join((*UNITS, NO_UNIT))}")
        if not 0 <= self.min_quality <= 1:
            raise ValueError(f"min quality is {self.min_quality:g}: give a share from 0 to 1")
        if self.image_size is not None and min(self.image_size) < 1:
            raise ValueError("the image size must be two numbers above 0: give --image-size WIDTHxHEIGHT")

    def check(self, layout: Layout) -> None:
        """Raises ValueError where the layout does not allow what is asked for."""
        if self.align != "none" and layout.coordinates == "image":
            raise ValueError(f"--align {self.align} is for x y z: layout {layout.name} has x y score: leave it out")
        if self.image_size is not None and layout.coordinates == "world":
            raise ValueError(f"--image-size is for x y score: layout {layout.name} has x y z: leave it out")
        if self.unit != "m" and layout.coordinates == "image":
            raise ValueError(f"--unit is for x y z: layout {layout.name} has x y score: leave it out")
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
    array = as_array(points, path, what)
    if array.ndim == 3:
        array = array[None]
    if array.ndim != 4 or array.dtype.kind not in "fiu" or array.shape[3] not in (2, 3):
        raise BadClip(path, f"{what}holds {array.dtype} {array.shape}: give numbers (people, frames, joints, 2 or 3)")
    check_joints(array.shape[2], layout, path, what)
    flat = array.shape[3] == 2
    if scores is not None:
        score = as_array(scores, path, what, "scores")
        if score.shape != array.shape[:3] or score.dtype.kind not in "fiu":
            raise BadClip(path, f"{what}scores are {score.dtype} {score.shape} for {array.shape[:3]} joints: fix them")
        array = np.concatenate([array[..., :2], score[..., None]], axis=3)
    elif flat:
        array = np.concatenate([array, array.any(axis=3, keepdims=True)], axis=3)
    if layout.coordinates == "world" and (scores is not None or flat):
        has = "scores" if scores is not None else "two numbers a joint"
        raise BadClip(path, f"{what}has {has}, layout {layout.name} x y z: use a layout of coordinates: image")
    with np.errstate(over="ignore"):  # what is too large is told of below
        found = array.astype(np.float32)
    good = np.isfinite(found) & (np.abs(found) <= _LARGEST)
    if not good.all():
        frame = int(np.flatnonzero(~good.all(axis=(0, 2, 3)))[0])
        text = f"{what}frame {frame} holds what is not a coordinate: write 0 for joints that were not seen"
        raise BadClip(path, text)
    if layout.coordinates == "image":
        found[found[..., 2] == 0] = 0
    return found


def as_array(values: Any, path: str, what: str = "", name: str = "points") -> np.ndarray:
    """Numbers as one array; raises BadClip for lists of different lengths."""
    try:
        return np.asarray(values)
    except (TypeError, ValueError) as error:
        raise BadClip(path, f"{what}its {name} are lists of different lengths: give one array of numbers") from error


def frame_span(numbers: Iterable[int], path: str) -> tuple[int, int]:
    """The first and the last of a clip's frame numbers, between which there may be gaps.

    Raises:
        BadClip: there are too many of them.
    """
    first, last = min(numbers), max(numbers)
    if last - first >= MOST_FRAMES:
        raise BadClip(path, f"its frames are numbered {first} to {last}: keep one clip together")
    return first, last


def check_joints(count: int, layout: Layout, path: str, what: str = "", line: int = 0) -> None:
    """Raises BadClip where the clip's number of joints is not the layout's; names the layouts that have it."""
    if count == layout.num_joints:
        return
    fitting = [name for name, one in LAYOUTS.items() if one.num_joints == count]
    advice = f"use --layout {' or '.join(fitting)}" if fitting else "describe its skeleton in a YAML file for --layout"
    text = f"{what}has {count} joints, layout {layout.name} has {layout.num_joints}: {advice}"
    raise BadClip(path, text, line)


def convert(poses: Poses, source: Layout, target: Layout) -> Poses:
    """The same people with the joints of another layout, as the skeleton files say, see `conversion_table`.

    A joint that is the mean of several was seen where all of them were; its score is the smallest of theirs.

    Raises:
        ValueError: no conversion is known.
    """
    table = conversion_table(source, target)
    found = np.zeros((*poses.points.shape[:2], target.num_joints, 3), np.float32)
    for joint, places in enumerate(table):
        given = poses.points[:, :, list(places)]  # (P, T, n, 3)
        seen: np.ndarray = np.asarray(seen_joints(given, source.coordinates == "image").all(axis=2))
        made = given.mean(axis=2)
        if source.coordinates == "image":
            made[..., 2] = given[..., 2].min(axis=2)
        found[:, :, joint] = np.where(seen[..., None], made, 0)
    return replace(poses, points=found)


def keep_bodies(
    poses: Poses, layout: Layout, settings: PoseSettings, path: str, what: str = "", advice: str = ""
) -> np.ndarray:
    """The bodies of a clip as recorded.

    Args:
        path, what: the file, and the clip within it, for messages.
        advice: what to do about numbers that cannot be meant; "" for what helps where clips are prepared.

    Returns:
        float32 (M, T, V, 3).

    Raises:
        EmptyClip: nobody is in it, and such clips are not to stay.
        BadClip: its numbers cannot be meant, see `checks`.
    """
    fault: Fault | None = None
    if layout.coordinates == "image":
        fault = score_fault(poses.points[..., 2])
        fault = fault or picture_fault(poses.points, poses.size or settings.image_size, poses.size is not None)
    elif settings.unit != NO_UNIT:
        fault = metre_fault(poses.points, layout, settings.unit)
    if fault is not None:
        size = "give --image-size WIDTHxHEIGHT, or " if advice and fault.of_size else ""
        raise BadClip(path, f"{what}{fault.wrong}: {size}{advice or fault.advice}")
    kept = choose_bodies(poses, layout, settings)
    if not kept.any() and not settings.keep_empty:
        raise EmptyClip(
            path, f"{what}nobody is seen in any of its {kept.shape[1]} frames: leave it out, or give --keep-empty"
        )
    return kept


def choose_bodies(poses: Poses, layout: Layout, settings: PoseSettings) -> np.ndarray:
    """The bodies of a clip that are kept, as recorded, whatever their numbers: float32 (M, T, V, 3)."""
    image = layout.coordinates == "image"
    if settings.track:
        return bodies_of_highest_motion(poses.points, poses.ids, settings.max_bodies, image)
    return _keep(poses, settings.max_bodies, image)


def place_bodies(kept: np.ndarray, poses: Poses, layout: Layout, settings: PoseSettings) -> np.ndarray:
    """What `keep_bodies` gave, float32 (M, T, V, 3), where a network sees it.

    Image layouts: x and y become shares of the picture, centred on its middle, y pointing up, zero where the score is,
    as Kinetics-skeleton's are. World layouts: metres, as recorded or aligned.
    """
    if layout.coordinates == "image":
        return _centre_picture(kept, poses.size or settings.image_size or (1, 1))
    if settings.unit in UNITS and settings.unit != "m":
        kept = (kept * UNITS[settings.unit]).astype(np.float32)
    return align(kept, layout, settings.align)


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


def _centre_picture(kept: np.ndarray, size: tuple[float, float]) -> np.ndarray:
    seen = kept[..., 2] != 0  # (M, T, V)
    clip = np.zeros_like(kept)
    clip[..., 0] = np.where(seen, kept[..., 0] / size[0] - 0.5, 0)
    clip[..., 1] = np.where(seen, 0.5 - kept[..., 1] / size[1], 0)
    clip[..., 2] = kept[..., 2]
    return clip
