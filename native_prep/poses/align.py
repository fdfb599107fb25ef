"""Clips of x y z moved to the centre and turned upright, all facing one way.

Letters: M bodies, T frames, V joints. World layouts only; zeros stand for what was not seen.
"""

import math

import numpy as np

from native_prep.poses.tracking import present, seen_joints
from native_prep.skeletons.layouts import Layout

# A clip is turned by so many of its first frames together: one alone has the noise of its sensor.
STEADY = 5
# A clip is warned of where more than this share of its frames speaks for it, as in 2 of NW-UCLA's 1,484 clips and 1 of
# 95 of NTU.
MOSTLY = 0.75
_SHORTEST = 1e-6
# From the first to the second is forwards; where a skeleton has several, all are added.
_FORWARDS = (
    ("ankle", "foot"), ("ankle", "big toe"), ("heel", "big toe"), ("ankle", "foot index"), ("heel", "foot index"),
    ("ear", "nose"),
)  # fmt: skip


def align(bodies: np.ndarray, layout: Layout, how: str) -> np.ndarray:
    """Centres, and turns where `how` is "turn", a clip's bodies (M, T, V, 3); see `to_clip.PoseSettings`.

    Turned clips have z pointing up: first the spine is turned onto z, then the shoulders about z until the right one
    lies in the direction of x. The second turn cannot tilt anybody, whatever way he faces. (The original's, which NTU
    keeps, takes the shoulders to x by the shortest way: where they point nearly to -x, that may be over the head.)

    Unlike NTU's own preparation, gaps stay gaps, frames are not repeated, and where body 0 is out of sight the others
    are moved by where it was last.
    """
    first = present(bodies)[0]  # (T,)
    if how == "none" or not first.any():
        return bodies
    known = np.stack([_usable(body) for body in bodies])[..., None]  # (M, T, V, 1)
    frames = np.maximum.accumulate(np.where(first, np.arange(len(first)), int(first.argmax())))
    clip = np.where(known, bodies - bodies[0, frames, layout.centre][None, :, None], 0)
    if how == "turn":
        axes = _axes(bodies[0], layout)
        if axes is not None:
            up, across = axes
            turn = _onto_z(up)
            clip = clip @ (_about_z(turn @ across) @ turn).T
    return clip.astype(np.float32)


def orientation_warnings(bodies: np.ndarray, layout: Layout) -> list[str]:
    """What speaks against a clip's being turned rightly, from its bodies (M, T, V, 3) as recorded.

    Source: feet and noses point forwards, which is up x right in the right-handed axes of Kinect and of motion capture.
    """
    body = bodies[0][present(bodies)[0]].astype(np.float64)  # (T, V, 3)
    if not len(body):
        return []
    if _axes(body, layout) is None:
        return ["were not turned: no frame shows spine and shoulders together"]
    assert layout.spine is not None and layout.shoulders is not None
    usable = _usable(body)
    bottom, top = layout.spine
    up, across = body[:, top] - body[:, bottom], _difference(body, layout.shoulders)
    known = _all_usable(usable, (bottom, top, *layout.shoulders))
    warnings = []
    hips = tuple(joint for side in ("right", "left") if (joint := _named(layout, f"{side} hip")) is not None)
    if len(hips) == 2 and _mostly_against(across, _difference(body, hips), known & _all_usable(usable, hips)):
        warnings.append("have the right shoulder over the left hip: the shoulders look swapped")
    if pairs := _forward_pairs(layout):
        seen = np.stack([_all_usable(usable, pair) for pair in pairs])  # (pairs, T)
        lines = np.stack([_difference(body, pair) for pair in pairs])  # (pairs, T, 3)
        forwards = (lines * seen[..., None]).sum(axis=0)
        if _mostly_against(np.cross(up, across), forwards, known & seen.any(axis=0)):
            warnings.append("have feet or noses that point backwards: left and right look swapped, or an axis mirrored")
    return warnings


def posture_warnings(bodies: np.ndarray, layout: Layout) -> list[str]:
    """What speaks against the places of a clip's bodies (M, T, V, 3) of x y score, y counted downwards."""
    joints = {part: [_named(layout, f"{side} {part}") for side in ("right", "left")] for part in ("shoulder", "hip")}
    shoulders, hips = ([joint for joint in joints[part] if joint is not None] for part in ("shoulder", "hip"))
    if not (shoulders and hips):
        return []
    body = bodies[0]
    known = (body[:, [*shoulders, *hips], 2] != 0).all(axis=1)
    turned = (body[:, shoulders, 1].mean(axis=1) > body[:, hips, 1].mean(axis=1))[known]
    if not len(turned) or turned.mean() <= MOSTLY:
        return []
    return ["are upside down: y of a picture counts downwards from its upper edge"]


def _axes(body: np.ndarray, layout: Layout) -> tuple[np.ndarray, np.ndarray] | None:
    """Up and right shoulder minus left one, (3,) each, as the first frames of a body (T, V, 3) have them on average.

    None where no frame shows both.
    """
    assert layout.spine is not None and layout.shoulders is not None, "checked by PoseSettings.check"
    needed = [*layout.spine, *layout.shoulders]
    body = body[present(body[None])[0]].astype(np.float64)
    frames = body[_all_usable(_usable(body), tuple(needed))][:STEADY]
    bottom, top, right, left = (frames[:, joint] for joint in needed)
    if not len(frames):
        return None
    up, across = (top - bottom).mean(axis=0), (right - left).mean(axis=0)
    return (up, across) if min(np.linalg.norm(up), np.linalg.norm(across)) > _SHORTEST else None


def _usable(body: np.ndarray) -> np.ndarray:
    """Which joints of a body (T, V, 3) are where they are told to be: bool (T, V).

    Those at the origin are, where it lies within the body: then everything is relative to one of its joints.
    """
    seen = seen_joints(body, image=False)
    hidden = ~(seen | ~seen.any(axis=1, keepdims=True))[..., None]  # in frames without anybody all are zeros
    low = np.where(hidden, np.inf, body).min(axis=1)  # (T, 3)
    high = np.where(hidden, -np.inf, body).max(axis=1)
    room = 0.1 * np.linalg.norm(high - low, axis=1, keepdims=True)
    around = ((low - room <= 0) & (high + room >= 0)).all(axis=1) & seen.any(axis=1)
    return np.asarray(seen | around[:, None])


def _onto_z(vector: np.ndarray) -> np.ndarray:
    """The shortest turn that takes a vector onto +z, float64 (3, 3)."""
    x, y, z = vector / np.linalg.norm(vector)
    flat = x * x + y * y
    if flat < 1e-24:  # along z already, or upside down: over x as well as over any other way
        return np.diag((1.0, 1.0 if z > 0 else -1.0, 1.0 if z > 0 else -1.0))
    # Rodrigues' formula about (y, -x, 0), with 1 / (1 + z) as it stays exact near -1.
    cross = np.array([[0.0, 0.0, -x], [0.0, 0.0, -y], [x, y, 0.0]])
    return np.eye(3) + cross + cross @ cross * ((1 - z) / flat)


def _about_z(across: np.ndarray) -> np.ndarray:
    """The turn about z that leaves nothing of `across` along y and points it along +x, float64 (3, 3)."""
    length = math.hypot(across[0], across[1])
    if length < _SHORTEST:
        return np.eye(3)
    cosine, sine = across[0] / length, across[1] / length
    return np.array([[cosine, sine, 0.0], [-sine, cosine, 0.0], [0.0, 0.0, 1.0]])


def _named(layout: Layout, name: str) -> int | None:
    return layout.joints.index(name) if name in layout.joints else None


def _forward_pairs(layout: Layout) -> list[tuple[int, int]]:
    """(end, begin) of the lines that point forwards."""
    names = [
        (end if end == "nose" else f"{side} {end}", f"{side} {begin}")
        for side in ("left", "right")
        for begin, end in _FORWARDS
    ]
    pairs = [(_named(layout, end), _named(layout, begin)) for end, begin in names]
    return [(end, begin) for end, begin in pairs if end is not None and begin is not None]


def _all_usable(usable: np.ndarray, joints: tuple[int, ...]) -> np.ndarray:
    return np.asarray(usable[:, joints].all(axis=1))


def _difference(body: np.ndarray, joints: tuple[int, ...]) -> np.ndarray:
    """The first of two joints minus the second, (T, 3)."""
    return np.asarray(body[:, joints[0]] - body[:, joints[1]])


def _mostly_against(one: np.ndarray, other: np.ndarray, known: np.ndarray) -> bool:
    """Whether two directions (T, 3) oppose one another in most of the frames that are known."""
    against = (one * other).sum(axis=1)[known] < 0
    return bool(len(against) and against.mean() > MOSTLY)
