"""A clip as the player of our pages takes it: small numbers in text, and how to look at them.

Letters: C channels, T frames, V joints, M bodies.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from native_prep.skeletons.layouts import Layout
from native_prep.skeletons.posture import joints_there, up_axis

MOST_FRAMES = 300
# The player's mark of a joint that was not seen; numbers lie within +-_LARGEST.
_ABSENT, _LARGEST = -32768, 32000


@dataclass(frozen=True)
class Track:
    """One way to see a clip.

    Attributes:
        points: (3, T, V, M): x y z, or x y score; zeros or NaN where a joint was not seen.
        y_down: x y are those of a picture as pictures count, from its top.
        vectors: each joint's numbers are a direction, drawn from one point, as bones and motions are.
        picture: width and height of the picture, which is drawn as a frame around the people; None: not known.
        up: of x y z, the axis that points up, and 1 or -1 for which of its ends; None: as the people stand.
    """

    points: np.ndarray
    y_down: bool = False
    vectors: bool = False
    picture: tuple[float, float] | None = None
    up: tuple[int, int] | None = None


def clip_for_page(
    name: str,
    tracks: Mapping[str, "np.ndarray | Track"],
    layout: Layout,
    fps: float,
    *,
    action: str = "",
    most_frames: int = MOST_FRAMES,
    **more: Any,
) -> dict[str, Any]:
    """What `SkeletonPlayer` (`templates/player.js`) plays.

    Args:
        name: the clip's.
        tracks: by name, "joint" or "raw" say, what can be seen of it; arrays (3, T, V, M) are joints as prep makes
            them, of "bone", "joint_motion" and "bone_motion" vectors.
        layout: the skeleton of all.
        fps: frames a second.
        action: the name of its class, "" where that is not known.
        most_frames: longer clips show so many of their frames, evenly drawn.
        more: what else the page wants to know of the clip, plain values.

    Raises:
        ValueError: no track, or one of another shape.
    """
    given = {key: one if isinstance(one, Track) else _prepared(key, one, layout) for key, one in tracks.items()}
    for key, track in given.items():
        shape = track.points.shape
        if len(shape) != 4 or shape[0] != 3 or shape[2] != layout.num_joints:
            raise ValueError(f"{name}: {key} of shape {shape}: give (3, T, {layout.num_joints}, M)")
    frames = max((track.points.shape[1] for track in given.values()), default=0)
    if not frames:
        raise ValueError(f"{name}: has no frame to show: give another clip")
    shown = np.unique(np.linspace(0, frames - 1, min(frames, most_frames)).round().astype(int))
    seen = {key: joints_there(track.points, layout, track.vectors) for key, track in given.items()}
    people = max(int(one.any(axis=(0, 1)).sum()) for one in seen.values())
    # Which way is up is seen from joints, not from how they move.
    joints = next((key for key in ("joint", "prepared") if key in given), "")
    return {
        **more,
        "name": name,
        "action": action,
        "text": _described(name, action, frames, people, layout),
        "layout": layout.name,
        "world": layout.coordinates == "world",
        "joints": list(layout.joints),
        "edges": [list(edge) for edge in layout.edges],
        "fps": fps * len(shown) / frames,
        "recorded": frames,
        "people": people,
        "tracks": [
            _packed(key, track, seen[key], shown[shown < track.points.shape[1]])
            | _looked_at(track, layout, given[upright].up or up_axis(given[upright].points, seen[upright], layout))
            for key, track in given.items()
            for upright in [joints if track.vectors and joints else key]
        ],
    }


def _described(name: str, action: str, frames: int, people: int, layout: Layout) -> str:
    """What is seen of a clip, in a sentence."""
    who = {0: "nobody", 1: "one person"}.get(people, f"{people} people")
    where = "in a picture" if layout.coordinates == "image" else "in three dimensions"
    joints = f"{layout.num_joints} joints of {layout.name} {where}"
    return f"{name}{', ' * bool(action)}{action}: {frames} frame{'s' * (frames != 1)}, {who}, {joints}."


def _prepared(key: str, points: np.ndarray, layout: Layout) -> Track:
    picture = (1.0, 1.0) if layout.coordinates == "image" and key != "bone" and "motion" not in key else None
    return Track(points, vectors=key == "bone" or key.endswith("motion"), picture=picture)


def _packed(key: str, track: Track, seen: np.ndarray, shown: np.ndarray) -> dict[str, Any]:
    """A track as numbers of 16 bits (T, M, V, 3) in base64, each channel by a scale and an offset of its own."""
    bodies = np.flatnonzero(seen.any(axis=(0, 1)))
    points = track.points[:, shown][..., bodies].transpose(1, 3, 2, 0).astype(np.float64)  # (T, M, V, 3)
    there = seen[shown][..., bodies].transpose(0, 2, 1)  # (T, M, V)
    # Of frames that are left out nothing is seen, so a body may be in none of those that are shown.
    found = points[there] if there.any() else np.zeros((1, 3))
    low, high = found.min(axis=0), found.max(axis=0)
    scale = np.where(high > low, (high - low) / (2 * _LARGEST), 1.0)
    offset = (high + low) / 2
    small = np.full(points.shape, _ABSENT, "<i2")
    small[there] = np.rint((points[there] - offset) / scale)
    return {
        "name": key,
        "bodies": len(bodies),
        "scale": scale.tolist(),
        "offset": offset.tolist(),
        "data": base64.b64encode(small.tobytes()).decode("ascii"),
    }


def _looked_at(track: Track, layout: Layout, up: tuple[int, int]) -> dict[str, Any]:
    """From where a track is seen."""
    flat = layout.coordinates == "image"
    return {
        "flat": flat,
        "vectors": track.vectors,
        "up": (1, -1 if track.y_down else 1) if flat else up,
        "frame": _picture_frame(track) if flat else None,
    }


def _picture_frame(track: Track) -> list[list[float]] | None:
    """The corners of the picture: from its own corner where y points down, else around its middle."""
    if track.picture is None:
        return None
    width, height = track.picture
    return [[0, 0], [width, height]] if track.y_down else [[-width / 2, -height / 2], [width / 2, height / 2]]
