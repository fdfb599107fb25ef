"""Poses with numbers that nobody can mean, and what is said of each."""

from dataclasses import replace

import numpy as np
from pose_files import walker

from native_prep.poses.to_clip import PoseSettings
from native_prep.skeletons.layouts import COCO17, NTU, layout_from_edges
from native_prep.synth import motion as synth_motion

PICTURE = PoseSettings(2, (1920, 1080))
RNG = np.random.default_rng(0)
# A hand of 18 cm, whose joints have names that no whole person has.
HAND = layout_from_edges([(joint, joint - 1) for joint in range(1, 21)], name="hand")


def metres(frames: int = 8) -> np.ndarray:
    """Somebody before a camera, (1, T, 25, 3)."""
    points, _ = synth_motion.performance(2, frames, 1.0, np.random.default_rng(1))
    return (points + np.array((0.3, -0.8, 2.5))).astype(np.float32)[None]


def pixels() -> np.ndarray:
    """Somebody in a picture of 1920 x 1080, (1, T, 17, 3)."""
    return (walker(8) * (2, 2, 1)).astype(np.float32)[None]


def with_(points: np.ndarray, place: tuple, value: float) -> np.ndarray:
    changed = points.copy()
    changed[place] = value
    return changed


X, Y, SCORE = (0, 3, 5, 0), (0, 3, 5, 1), (0, 3, 5, 2)
FLAGS = with_(with_(pixels(), (..., 2), 2), SCORE, 1)
AS_SHARES = pixels() / (1920, 1080, 1)
FROM_HIP = pixels() - (*pixels()[0, 0, 11, :2], 0)
IN_PICTURES = {
    "x y z": (RNG.uniform(-456, 250, (1, 8, 17, 3)), PICTURE, r"scores are from -4\d+.* to 2\d\d.* 0 to 1: .*x y z"),
    "per cent": (pixels() * (1, 1, 100), PICTURE, "scores are from .* to 9.*divide them by their largest value"),
    "flags": (FLAGS, PICTURE, "scores are from 0 to 2.*flags 0 1 2 are no scores"),
    "a score of 1.5": (with_(pixels(), SCORE, 1.5), PICTURE, "scores are from 0 to 1.5"),
    "a score below 0": (with_(pixels(), SCORE, -0.2), PICTURE, "scores are from -0.2"),
    "far right": (
        with_(pixels(), X, 4000),
        PICTURE,
        "x from .* to 4000 and y .* far outside of .* of 1920x1080",
    ),
    "far left": (with_(pixels(), X, -2000), PICTURE, "x from -2000 .* far outside of a picture of 1920x1080"),
    "far above": (with_(pixels(), Y, -1100), PICTURE, "x from .* y from -1100 to .* far outside of a picture"),
    "shares": (
        AS_SHARES,
        PICTURE,
        r"coordinates from 0\.1\d* to 0\.\d+ are no pixels, but shares .*: leave",
    ),
    "pixels": (pixels(), PoseSettings(), r"coordinates from \d+.* to \d+.* are pixels: give --image-size"),
    "normalised": (pixels() / (960, 540, 1) - (1, 1, 0), PoseSettings(), r"\d+% of the coordinates .* are negative"),
    "from the hip": (FROM_HIP, PICTURE, r"\d+% of the coordinates .* are negative, expected to count from .*corner"),
}


MADE_WORLD = replace(COCO17, name="made", coordinates="world")
IN_METRES = {
    "millimetres": (metres() * 1000, "m", NTU, r"a body is 2\d\d\d m across .*expected less than 10: give --unit mm"),
    "centimetres": (metres() * 100, "m", NTU, r"a body is 2\d\d.* m across .*expected less than 10: give --unit cm"),
    "metres as mm": (metres(), "mm", NTU, r"a body is 2\.\d+ mm across .*more than 300: they look like metres, leave"),
    "metres as cm": (metres(), "cm", NTU, r"a body is 2\.\d+ cm across .*more than 30: they look like metres, leave"),
    "x y score": (pixels(), "m", MADE_WORLD, "a body is 244 m across .*are these x y score"),
    "a glitch": (
        with_(metres(), X, 40),
        "m",
        NTU,
        "frame 3: a body is 40.* m across .*, usually 2.*leave that",
    ),
    "far away": (
        metres() + 3000,
        "m",
        NTU,
        r"coordinates from 2999\.2 to 3002.* m, expected at most 1000: count",
    ),
    "neither": (metres() * 5000, "m", NTU, r"a body is .*: are they pixels, or without a unit\? give --unit none"),
}
