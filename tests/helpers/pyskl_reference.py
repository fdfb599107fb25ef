"""What PYSKL and MMAction2 make of a clip, step by step in NumPy, written anew from what their transforms do.

Keypoints are (M, T, V, C), of pictures with a score (M, T, V); in float32 as theirs.
"""

import numpy as np

NOSE, HIPS = 0, (11, 12)


def prepared(
    points: np.ndarray, scores: np.ndarray | None, size: tuple[int, int], parents: tuple[int, ...], stream: str,
    frames: int = 100, view: int = 0, views: int = 1,
) -> np.ndarray:  # fmt: skip
    """(2, frames, V, 3) of one stream."""
    image = scores is not None
    if scores is not None:
        points = np.concatenate([points, scores[..., None]], axis=3).astype(np.float32)
        for axis, length in enumerate(size):
            points[..., axis] = np.where(points[..., 2] > 0, (points[..., axis] - length / 2) / (length / 2), 0)
    else:
        points = turned(points.astype(np.float32))
    if stream.startswith("bone"):
        made = np.zeros(points.shape, np.float32)
        for joint, parent in enumerate(parents):
            parent = NOSE if image and joint in HIPS else parent
            made[..., joint, :] = points[..., joint, :] - points[..., parent, :]
            if image:
                made[..., joint, 2] = (points[..., joint, 2] + points[..., parent, 2]) / 2
        points = made
    if stream.endswith("motion"):
        made = np.zeros_like(points)
        made[:, :-1] = points[:, 1:] - points[:, :-1]
        if image:
            made[:, :-1, :, 2] = (points[:, 1:, :, 2] + points[:, :-1, :, 2]) / 2
        points = made
    index = tested(points.shape[1], frames, view, views) % points.shape[1]
    found = np.zeros((2, frames, *points.shape[2:]), np.float32)
    found[: len(points)] = points[:, index].astype(np.float32)
    return found


def turned(points: np.ndarray) -> np.ndarray:
    there = [[not np.isclose(frame, 0).all() for frame in body] for body in points]
    if len(points) == 2 and sum(there[1]) > sum(there[0]):
        points, there = points[::-1], there[::-1]
    points = points[:, there[0]]
    seen = points.any(axis=3, keepdims=True)
    points = (points - points[0, 0, 1]) * seen
    for (end, begin), axis in (((1, 0), 2), ((8, 4), 0)):
        points = points @ onto(points[0, 0, end] - points[0, 0, begin], axis).T
    return points


def onto(vector: np.ndarray, axis: int) -> np.ndarray:
    """The shortest turn of a vector onto an axis, about their cross product by the angle between them."""
    target = np.eye(3)[axis]
    around = np.cross(vector, target)
    if np.abs(vector).sum() < 1e-6 or np.abs(around).sum() < 1e-6:
        return np.eye(3)
    unit = vector / np.linalg.norm(vector)
    angle = np.arccos(np.clip(unit @ target, -1, 1))
    x, y, z = around / np.linalg.norm(around)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def tested(count: int, frames: int, view: int, views: int) -> np.ndarray:
    """The frames of one of the views of a test."""
    if count < frames:
        return np.arange(frames) + (view if count < views else view * count // views)
    rng, found = np.random.RandomState(255), np.zeros(0)
    for _ in range(view + 1):
        if count < 2 * frames:
            skipped = set(rng.choice(frames + 1, count - frames, replace=False).tolist())
            found = np.array([place + sum(one <= place for one in skipped) for place in range(frames)])
        else:
            bounds = [place * count // frames for place in range(frames + 1)]
            found = bounds[:-1] + rng.randint(np.diff(bounds))
    return found
