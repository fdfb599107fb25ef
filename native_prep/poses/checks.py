"""Numbers that no pose has: scores, places in a picture and metres that cannot be meant, each with its likely cause.

Who calls the functions knows the file and the clip.

Letters: P people, T frames, V joints.
"""

from typing import NamedTuple

import numpy as np

from native_prep.poses.tracking import seen_joints
from native_prep.skeletons.layouts import Layout

# Scores are shares of certainty, but OpenPose and other networks of heat maps give up to 1.41 now and then.
LOWEST_SCORE, HIGHEST_SCORE = -0.1, 1.45
# How far from the picture a joint may lie, in its widths and heights: estimators guess what is cut off.
MARGIN = 1.0
# Estimators count from the upper left corner: more negative coordinates than this are of some other origin.
MOST_NEGATIVE = 0.25
# Metres of one unit.
UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001}
# The size of a body in metres, from its first joint to its last: hands are skeletons too, whole people are larger.
SMALLEST, SMALLEST_PERSON, LARGEST = 0.02, 0.3, 10.0
_USUAL = 1.6
# Metres from the origin: nothing that records people looks farther.
FARTHEST = 1000.0


class Fault(NamedTuple):
    """What is wrong with numbers, what to do about it where they are prepared, and whether it may be --image-size."""

    wrong: str
    advice: str
    of_size: bool = False


def score_fault(scores: np.ndarray) -> Fault | None:
    """What is wrong with scores of any shape, None where nothing is."""
    low, high = float(scores.min(initial=0.0)), float(scores.max(initial=0.0))
    if low >= LOWEST_SCORE and high <= HIGHEST_SCORE:
        return None
    world = "give a layout with coordinates: world"
    if low < LOWEST_SCORE:
        advice = f"are these x y z? then {world}"
    elif high == 2.0 and np.isin(scores, (0.0, 1.0, 2.0)).all():
        advice = "COCO's flags 0 1 2 are no scores, write 0 where a joint was not labelled and 1 elsewhere"
    else:
        advice = f"divide them by their largest value (percent: by 100), or, if they are the z of x y z, {world}"
    return Fault(f"scores are from {low:g} to {high:g}, expected 0 to 1", advice)


def picture_fault(
    points: np.ndarray, size: tuple[float, float] | None, named: bool = False, from_stream: bool = False
) -> Fault | None:
    """What is wrong with the places of joints in their picture, None where nothing is.

    Args:
        points: (P, T, V, 3) of x y score; joints with a score of 0 are not looked at.
        size: width and height in pixels; None where coordinates must be shares of them.
        named: whether the file says the size, rather than `--image-size`.
        from_stream: whether these are a few frames of a stream, in which somebody may be half out of the picture.
    """
    places = points[..., :2][points[..., 2] != 0]  # (n, 2)
    if not len(places):
        return None
    low, high = places.min(axis=0), places.max(axis=0)
    seen = f"coordinates from {low.min():g} to {high.max():g}"
    largest = max(-float(low.min()), float(high.max()))
    farthest = 1.0 + MARGIN
    if size is None and largest > farthest:
        return Fault(f"{seen} are pixels", "give --image-size WIDTHxHEIGHT, or shares of the picture from 0 to 1", True)
    if size is not None and min(size) > farthest and 0 < largest <= farthest:
        advice = "set img_shape to (1, 1)" if named else "leave --image-size out"
        return Fault(f"{seen} are no pixels, but shares of the picture already", advice)
    width, height = size or (1.0, 1.0)
    shares = places / (width, height)
    if shares.min() < -MARGIN or shares.max() > farthest:
        ranges = f"x from {low[0]:g} to {high[0]:g} and y from {low[1]:g} to {high[1]:g}"
        advice = "fix img_shape" if named else "give its own --image-size" if size else "give shares of it from 0 to 1"
        return Fault(f"{ranges} lie far outside of a picture of {width:g}x{height:g}", advice, not named)
    negative = float((places < 0).mean(axis=0).max())
    if negative > MOST_NEGATIVE and not from_stream:
        return Fault(
            f"{negative:.0%} of the {seen} are negative, expected to count from the picture's upper left corner",
            "undo what centred or normalised them",
        )
    return None


def metre_fault(points: np.ndarray, layout: Layout, unit: str, from_stream: bool = False) -> Fault | None:
    """What is wrong with x y z that must be in `unit`, None where nothing is.

    Args:
        points: (P, T, V, 3) as recorded, zeros where a joint was not seen.
        layout: whether it is a whole person's tells how small it can be.
        unit: one of `UNITS`.
        from_stream: whether these are a few frames of a stream, in which little of a person may be seen.
    """
    seen = seen_joints(points, image=False)  # (P, T, V)
    if not seen.any():
        return None
    hidden = ~seen[..., None]
    spans = np.where(hidden, -np.inf, points).max(axis=2) - np.where(hidden, np.inf, points).min(axis=2)  # (P, T, 3)
    sizes = np.linalg.norm(np.where(np.isfinite(spans), spans, 0.0), axis=-1)  # (P, T)
    low, high = float(points[seen].min()), float(points[seen].max())
    largest, factor = float(sizes.max()), UNITS[unit]
    what = f"a body is {largest:.4g} {unit} across (coordinates from {low:g} to {high:g})"
    if largest * factor > LARGEST:
        frame = int(sizes.max(axis=0).argmax())
        usual = float(np.median(sizes[sizes > 0]))
        if usual * factor <= LARGEST:
            return Fault(f"frame {frame}: {what}, usually {usual:.3g}", "leave that joint out (0 0 0), or the clip")
        if score_fault(points[..., 2][seen]) is None:
            return Fault(what, "are these x y score? then give a layout with coordinates: image")
        return Fault(f"{what}, expected less than {LARGEST / factor:g}", _likely_unit(usual, unit, layout))
    least = SMALLEST_PERSON if _is_person(layout) and not from_stream else SMALLEST
    if layout.num_joints > 1 and 0 < largest * factor < least:
        return Fault(f"{what}, expected more than {least / factor:g}", _likely_unit(largest, unit, layout))
    if max(-low, high) * factor > FARTHEST:
        return Fault(
            f"coordinates from {low:g} to {high:g} {unit}, expected at most {FARTHEST / factor:g}",
            "count them from the camera or from the middle of the room",
        )
    return None


def _is_person(layout: Layout) -> bool:
    return any("shoulder" in name for name in layout.joints) and any("hip" in name for name in layout.joints)


def _likely_unit(size: float, unit: str, layout: Layout) -> str:
    """What to do where a body of `size` cannot be in `unit`."""
    least = SMALLEST_PERSON if _is_person(layout) else SMALLEST
    fitting = [name for name, factor in UNITS.items() if name != unit and least <= size * factor <= LARGEST]
    if _is_person(layout):  # of a few units only one makes somebody of the usual size
        fitting.sort(key=lambda name: abs(np.log(size * UNITS[name] / _USUAL)))
        fitting = fitting[:1]
    if not fitting:
        return "are they pixels, or without a unit? give --unit none where they are to stay as they are"
    if fitting == ["m"]:
        return "they look like metres, leave --unit out"
    return f"give --unit {' or '.join(fitting)}"
