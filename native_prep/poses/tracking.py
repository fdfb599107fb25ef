"""People followed from frame to frame, and the noise that trackers leave: an option, off by default.

The numbers are those of the usual cleaning of NTU RGB+D (data/ntu/get_raw_denoised_data.py of CTR-GCN, from SGN), which
needs at least two bodies to begin with:

- a body seen in 11 frames or fewer goes;
- a body that is wider than 0.8 of its height in at least 69.754 % of its frames goes: those are chairs and shelves;
- the others are ordered by motion, the variance of their joints summed over the axes; a body that is not there at the
  same time as a kept one continues it: trackers give a person who was lost for a while a new number.

The last body is never dropped. Where the file tells nobody apart, a person is the one of the frames before whose joints
are nearest: by less than half the person's size on average, and at most 10 frames ago.
"""

import numpy as np

SHORTEST = 11
WIDEST, WIDE_SHARE = 0.8, 0.69754
NEAREST, LONGEST_GAP = 0.5, 10


def present(points: np.ndarray) -> np.ndarray:
    """Who is in which frame: (P, T, V, C) -> bool (P, T)."""
    return np.asarray(points.any(axis=(2, 3)))


def seen_joints(points: np.ndarray, image: bool) -> np.ndarray:
    """Which joints were seen: (..., V, 3) -> bool (..., V); of x y score those of a score, of x y z those not zero."""
    return np.asarray(points[..., 2] != 0 if image else points.any(axis=-1))


def bodies_of_highest_motion(points: np.ndarray, ids: np.ndarray | None, count: int, image: bool) -> np.ndarray:
    """The bodies of a clip, followed, without noise, those of highest motion first.

    Args:
        points: (P, T, V, 3), the people of each frame in any order.
        ids: (P, T), who they are, -1 where that is not known; None where a place is one person throughout.
        count: M.
        image: whether channels are x y score, of which the third is not a coordinate.

    Returns:
        float32 (M, T, V, 3), zeros where there is nobody.
    """
    bodies = drop_noise(list(people_of(points, ids, image).values()), image)
    kept = np.zeros((count, *points.shape[1:]), np.float32)
    spans: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    for body in sorted(bodies, key=lambda one: -_clean_motion(one, image)):
        frames = np.flatnonzero(present(body[None])[0])
        start, stop = int(frames[0]), int(frames[-1]) + 1
        for place, taken in enumerate(spans):
            if all(stop <= begin or end <= start for begin, end in taken):
                kept[place, frames] = body[frames]
                taken.append((start, stop))
                break
    return kept


def drop_noise(bodies: list[np.ndarray], image: bool) -> list[np.ndarray]:
    """The bodies (T, V, 3) that are neither seen too shortly nor too wide; one of them at least."""
    if len(bodies) < 2:
        return bodies
    lengths = [int(present(body[None]).sum()) for body in bodies]
    left = [body for body, length in zip(bodies, lengths, strict=True) if length > SHORTEST]
    left = left or [bodies[int(np.argmax(lengths))]]
    for body in list(left):
        if len(left) > 1 and _wide(body, image).mean() >= WIDE_SHARE:
            left = [other for other in left if other is not body]
    return left


def _wide(body: np.ndarray, image: bool) -> np.ndarray:
    """For each frame that a body (T, V, 3) is in, whether it is too wide for a person."""
    body = body[present(body[None])[0]]
    hidden = ~seen_joints(body, image)[..., None]
    low = np.where(hidden, np.inf, body[..., :2]).min(axis=1)  # (T, 2)
    high = np.where(hidden, -np.inf, body[..., :2]).max(axis=1)
    width, height = (high - low).T
    return width > WIDEST * height


def motion_of(body: np.ndarray, image: bool) -> float:
    """How far the seen joints of a body (T, V, 3) spread: the variance of each coordinate, summed."""
    points = body[seen_joints(body, image)][:, : 2 if image else 3].astype(np.float64)
    return float(points.var(axis=0).sum()) if len(points) else 0.0


def _clean_motion(body: np.ndarray, image: bool) -> float:
    """The motion over all frames, or over those that are not too wide where it is less."""
    frames = body[present(body[None])[0]]
    upright = frames[~_wide(body, image)]
    return min(motion_of(frames, image), motion_of(upright, image)) if len(upright) else 0.0


def people_of(points: np.ndarray, ids: np.ndarray | None, image: bool) -> dict[int, np.ndarray]:
    """Everybody in a clip by number, in the order in which they come in: float32 (T, V, 3) each.

    Arguments as above. Noise is not left out: who falls is wide, too.
    """
    there = present(points)
    if ids is None:
        return {place: one for place, one in enumerate(points) if there[place].any()}
    names = ids if tells_apart(ids, there) else _match(points, there, image)
    bodies = {}
    for name in dict.fromkeys(names.T[there.T].tolist()):
        body = np.zeros(points.shape[1:], np.float32)
        for place, frame in zip(*np.nonzero(there & (names == name)), strict=True):
            body[frame] = points[place, frame]
        bodies[name] = body
    return bodies


def tells_apart(ids: np.ndarray, there: np.ndarray) -> bool:
    """Whether everybody has a number, and no two in a frame the same: trackers that are off write one for all."""
    if (ids[there] < 0).any():
        return False
    frames = (ids[there_now, frame] for frame, there_now in enumerate(there.T))
    return all(len(set(names.tolist())) == len(names) for names in frames)


def _match(points: np.ndarray, there: np.ndarray, image: bool) -> np.ndarray:
    """Numbers for people whom the file does not tell apart, (P, T)."""
    names, follower = np.full(there.shape, -1, np.int64), Follower(image)
    for frame in range(there.shape[1]):
        people = np.flatnonzero(there[:, frame])
        names[people, frame] = follower.follow(frame, points[people, frame])
    return names


class Follower:
    """Numbers for people, frame by frame: the same for the nearest pose of the last ten frames."""

    def __init__(self, image: bool) -> None:
        self._image, self._count = image, 0
        self._last: dict[int, tuple[int, np.ndarray]] = {}  # number -> frame and pose where the person was seen last

    def follow(self, frame: int, poses: np.ndarray) -> list[int]:
        """The numbers of the people of a frame, (n, V, 3)."""
        self._last = {name: (when, pose) for name, (when, pose) in self._last.items() if frame - when <= LONGEST_GAP}
        pairs = sorted(
            (_distance(pose, other, self._image), name, place)
            for name, (_, pose) in self._last.items()
            for place, other in enumerate(poses)
        )
        names: dict[int, int] = {}
        for distance, name, place in pairs:
            if distance < NEAREST and place not in names and name not in names.values():
                names[place] = name
        for place, pose in enumerate(poses):
            if place not in names:
                names[place] = self._count
                self._count += 1
            self._last[names[place]] = (frame, pose)
        return [names[place] for place in range(len(poses))]


def _distance(pose: np.ndarray, other: np.ndarray, image: bool) -> float:
    """How far apart the joints seen in both poses (V, 3) are on average, as a share of the first one's size."""
    axes = 2 if image else 3
    seen = seen_joints(pose, image)
    both = seen & seen_joints(other, image)
    if not both.any():
        return float("inf")
    size = float(np.linalg.norm(np.ptp(pose[seen, :axes], axis=0)))
    apart = float(np.linalg.norm(pose[both, :axes] - other[both, :axes], axis=1).mean())
    return apart / size if size > 0 else float("inf")
