"""Made people that move: a kinematic skeleton, gestures as classes, a camera. Feeds `synth` (raw files).

Lengths in metres, angles in radians, 30 frames a second. Body frame: x to the person's right, y up, -z forward; a
camera that the person faces sees the same axes (Kinect v2: x grows to the person's right, z away from the camera).
Letters: T frames, V joints (the 25 of NTU RGB+D).
"""

from dataclasses import dataclass

import numpy as np

from native_prep.skeletons.layouts import KINETICS, NTU, NW_UCLA, Layout

FRAMES_PER_SECOND = 30.0
TWO_BODIES = 0.2  # share of the clips
YAWS = (0.8, 0.0, -0.8)  # of the three cameras, radians
Axis = tuple[float, float, float]
_X, _Y, _Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
# (joint, parent, length, direction at rest): parents first, rooted at the spine base so that the legs carry the trunk.
_LEFT_SIDE = (
    (4, 20, 0.17, (-1.0, -0.15, 0.0)), (5, 4, 0.26, (-0.15, -1.0, 0.0)), (6, 5, 0.24, (-0.05, -1.0, -0.15)),
    (7, 6, 0.08, (0.0, -1.0, -0.1)), (21, 7, 0.08, (0.0, -1.0, -0.1)), (22, 7, 0.05, (0.3, -0.6, -0.7)),
    (12, 0, 0.08, (-1.0, -0.1, 0.0)), (13, 12, 0.38, (0.0, -1.0, 0.0)), (14, 13, 0.38, (0.0, -1.0, 0.05)),
    (15, 14, 0.12, (0.0, -0.3, -1.0)),
)  # fmt: skip
_MIRROR = {4: 8, 5: 9, 6: 10, 7: 11, 21: 23, 22: 24, 12: 16, 13: 17, 14: 18, 15: 19}
_TRUNK = (
    (1, 0, 0.30, (0.0, 1.0, 0.0)), (20, 1, 0.23, (0.0, 1.0, 0.0)), (2, 20, 0.08, (0.0, 1.0, 0.0)),
    (3, 2, 0.15, (0.0, 1.0, -0.1)),
)  # fmt: skip
_BONES = (
    *_TRUNK,
    *_LEFT_SIDE,
    *(
        (_MIRROR[joint], _MIRROR.get(parent, parent), length, (-x, y, z))
        for joint, parent, length, (x, y, z) in _LEFT_SIDE
    ),
)
_FEET = (14, 15, 18, 19)
END_JOINTS = (3, 15, 19, 21, 22, 23, 24)  # the sensor gives these no orientation


@dataclass(frozen=True)
class Swing:
    """One joint's part in a gesture: it turns about `axis` by base + amplitude * sin(2 pi f t)."""

    joint: int
    axis: Axis
    base: float = 0.0
    amplitude: float = 0.0
    pace: float = 1.0


# Wide arm and trunk movements show in joints (everything behind the turning joint travels); those of a wrist, an elbow
# or the head turn one bone and hardly move a joint, more so under the sway of the trunk that every clip has.
GESTURES: tuple[tuple[Swing, ...], ...] = (
    (Swing(8, _Z, 2.2), Swing(9, _Z, 0.3, 0.7)),  # waves the right hand
    (Swing(4, _X, 0.9, 0.7),),  # swings the left arm
    (Swing(8, _Z, 1.0, 0.8), Swing(4, _Z, -1.0, -0.8)),  # flaps both arms
    (Swing(16, _X, 0.4, 0.5), Swing(17, _X, -0.4, 0.4)),  # kicks with the right leg
    (Swing(1, _X, -0.4, 0.35),),  # bows
    (Swing(2, _X, -0.1, 0.5), Swing(20, _X, 0.0, 0.08)),  # nods
    (Swing(12, _X, 0.6, 0.5), Swing(13, _X, -1.0, -0.9), Swing(16, _X, 0.6, 0.5), Swing(17, _X, -1.0, -0.9)),  # squats
    (Swing(8, _X, 0.9), Swing(4, _X, 0.9), Swing(9, _Y, 0.2, 0.6, 1.5), Swing(5, _Y, -0.2, -0.6, 1.5)),  # claps
    (Swing(8, _X, 0.5, 0.1), Swing(9, _X, 1.6, 0.4)),  # drinks
    (Swing(1, _Y, 0.0, 0.6),),  # twists the trunk
    (Swing(12, _Z, -0.35, 0.35),),  # lifts the left leg sideways
    (Swing(8, _X, 0.5), Swing(9, _X, 1.0), Swing(10, _X, 0.0, 0.9, 1.6)),  # shakes the right wrist
)
_PACES = (1.3, 2.1, 0.8, 1.7, 2.6)  # Hz


def gesture(label: int) -> tuple[tuple[Swing, ...], float]:
    """The swings and the frequency (Hz) of class `label`: the same for every seed.

    Twelve gestures, then the same at other paces, then a second gesture on top of the first.
    """
    swings = GESTURES[label % len(GESTURES)]
    rest = label // len(GESTURES)
    second = rest // len(_PACES)
    if second:
        extra = GESTURES[(label + second) % len(GESTURES)]
        swings += tuple(Swing(s.joint, s.axis, s.base * 0.5, s.amplitude * 0.7, s.pace * 0.6) for s in extra)
    return swings, _PACES[rest % len(_PACES)]


def rotations(vectors: np.ndarray) -> np.ndarray:
    """Rotation vectors (..., 3) to matrices (..., 3, 3) (Rodrigues' formula)."""
    angle = np.sqrt((vectors * vectors).sum(-1))
    x, y, z = np.moveaxis(vectors / np.maximum(angle, 1e-9)[..., None], -1, 0)
    sine, cosine = np.sin(angle), np.cos(angle)
    rest = 1.0 - cosine
    rows = (
        cosine + x * x * rest, x * y * rest - z * sine, x * z * rest + y * sine,
        y * x * rest + z * sine, cosine + y * y * rest, y * z * rest - x * sine,
        z * x * rest - y * sine, z * y * rest + x * sine, cosine + z * z * rest,
    )  # fmt: skip
    return np.stack(rows, -1).reshape(*vectors.shape[:-1], 3, 3)


def swing_angles(label: int, frames: int, rng: np.random.Generator) -> np.ndarray:
    """Rotation vectors (T, V, 3) of one performance of class `label`: its gesture, posture, sway and a distraction."""
    time = np.arange(frames) / FRAMES_PER_SECOND
    angles = np.zeros((frames, NTU.num_joints, 3))
    angles += rng.normal(0.0, 0.05, (NTU.num_joints, 3))  # everybody stands a little differently
    for joint in (0, 1, 20):
        wave = np.sin(2 * np.pi * rng.uniform(0.1, 0.4) * time + rng.uniform(0, 2 * np.pi))
        angles[:, joint] += wave[:, None] * rng.normal(0.0, 0.06, 3)
    swings, pace = gesture(label)
    plays = [(swings, pace, 1.0)]
    if rng.random() < 0.3:
        plays.append((GESTURES[rng.integers(len(GESTURES))], rng.uniform(0.4, 1.5), 0.25))
    for swings, pace, share in plays:
        pace *= rng.uniform(0.85, 1.15)
        phase = rng.uniform(0, 2 * np.pi)
        size = share * rng.uniform(0.8, 1.2)
        for swing in swings:
            turn = swing.base * share + swing.amplitude * size * np.sin(2 * np.pi * pace * swing.pace * time + phase)
            angles[:, swing.joint] += turn[:, None] * np.asarray(swing.axis)
    return angles


def pose(angles: np.ndarray, size: float) -> np.ndarray:
    """Joint positions (T, V, 3) in the body frame from rotation vectors (T, V, 3); the lower foot is on the floor."""
    local = rotations(angles)  # (T, V, 3, 3)
    world = {0: local[:, 0]}
    points = np.zeros(angles.shape)
    for joint, parent, length, direction in _BONES:
        bone = np.asarray(direction)
        points[:, joint] = points[:, parent] + world[parent] @ (bone * (size * length / np.linalg.norm(bone)))
        world[joint] = world[parent] @ local[:, joint]
    points[..., 1] -= points[:, _FEET, 1].min(axis=1)[:, None]
    return points


def performance(label: int, frames: int, size: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One person performing class `label`: positions (T, V, 3) in the body frame and the angles (T, V, 3) behind it."""
    angles = swing_angles(label, frames, rng)
    return pose(angles, size), angles


def before_camera(points: np.ndarray, yaw: float, where: Axis, rng: np.random.Generator) -> np.ndarray:
    """Body frame to camera space (T, V, 3): turned by `yaw`, stood at `where`, drifting, tilted, with jitter."""
    frames = len(points)
    turn = rotations(np.array([rng.normal(-0.05, 0.03), 0.0, 0.0])) @ rotations(np.array([0.0, yaw, 0.0]))
    drift = rng.normal(0.0, 0.15, 3) * (np.linspace(0.0, 1.0, frames) ** 2)[:, None]
    drift[:, 1] = 0.0
    jitter = rng.standard_normal(points.shape) * _noise(points.shape[1])[:, None]
    return points @ turn.T + np.asarray(where) + drift[:, None] + jitter


def clip_length(frames: int, rng: np.random.Generator) -> int:
    """Frames of a clip, within half of the mean on either side: `--max-frames` of 1.5 means cuts nothing off."""
    return int(np.clip(rng.normal(frames, 0.2 * frames), max(2, frames // 2), min(300, frames * 3 // 2)))


def place(rng: np.random.Generator, second: bool = False) -> Axis:
    """Where a person stands before the camera, metres; a second one beside the first."""
    side = 0.9 if second else 0.0
    return (float(rng.uniform(-0.5, 0.5) + side), -0.85, float(rng.uniform(2.4, 3.8)))


def _noise(joints: int) -> np.ndarray:
    noise = np.full(joints, 0.004)
    if joints == NTU.num_joints:
        noise[[7, 11, 15, 19, 21, 22, 23, 24]] = 0.010  # hands and feet: what the sensor guesses
    return noise


# Which of the 25 joints stands for each joint of the other layouts; the four of the face are set off from the head.
_AS_NW_UCLA = (0, 1, 20, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19)
_AS_KINETICS = (3, 20, 8, 9, 10, 4, 5, 6, 16, 17, 18, 12, 13, 14, 3, 3, 3, 3)
_FACE = {
    0: (0.0, 0.0, -0.10),
    14: (0.03, 0.04, -0.08),
    15: (-0.03, 0.04, -0.08),
    16: (0.07, 0.02, 0),
    17: (-0.07, 0.02, 0),
}


def as_layout(points: np.ndarray, layout: Layout) -> np.ndarray:
    """The 25 joints (T, 25, 3) as those of `layout` (T, V, 3), in the body frame.

    Raises:
        ValueError: there is no table for the layout.
    """
    if layout.name == NTU.name:
        return points
    if layout.name == NW_UCLA.name:
        return points[:, _AS_NW_UCLA]
    if layout.name != KINETICS.name:
        raise ValueError(f"layout {layout.name}: people are made for {NTU.name}, {KINETICS.name}, {NW_UCLA.name} only")
    chosen = points[:, _AS_KINETICS]
    for joint, offset in _FACE.items():
        chosen[:, joint] += offset
    return chosen


def in_picture(points: np.ndarray) -> np.ndarray:
    """Camera space (T, V, 3) to a picture's (T, V, 2), as fractions of its width and height (340 x 256 pixels)."""
    focal = 0.9
    across = 0.5 + focal * points[..., 0] / points[..., 2]
    down = 0.5 - focal * (340 / 256) * points[..., 1] / points[..., 2]
    return np.stack((across, down), -1)
