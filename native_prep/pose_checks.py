"""Numbers that no pose has: scores, places in a picture and metres that cannot be meant, each with its likely cause.

Every function gives the text of what is wrong, "" where nothing is; who calls it knows the file and the clip.

Letters: P people, T frames, V joints.
"""

import numpy as np

from native_prep.layouts import Layout
from native_prep.tracking import seen_joints

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


def score_fault(scores: np.ndarray) -> str:
    """What is wrong with scores of any shape."""
    low, high = float(scores.min(initial=0.0)), float(scores.max(initial=0.0))
    if low >= LOWEST_SCORE and high <= HIGHEST_SCORE:
        return ""
    if low < LOWEST_SCORE:
        cause = "are these x y z? then give a layout with coordinates: world"
    elif high == 2.0 and np.isin(scores, (0.0, 1.0, 2.0)).all():
        cause = "COCO's flags 0 1 2 are no scores, write 0 where a joint was not labelled and 1 elsewhere"
    elif high <= 100.0:
        cause = (
            "divide them by their largest value (percent: by 100), or, if they are the z of x y z, give a layout with "
        )
        cause += "coordinates: world"
    else:
        cause = "is the third number of a joint something else?"
    return f"scores are from {low:g} to {high:g}, expected 0 to 1: {cause}"


def picture_fault(points: np.ndarray, size: tuple[float, float] | None, named: bool = False, part: bool = False) -> str:
    """What is wrong with the places of joints in their picture.

    Args:
        points: (P, T, V, 3) of x y score; joints with a score of 0 are not looked at.
        size: width and height in pixels; None where coordinates are to be shares of them.
        named: whether the file says the size, rather than `--image-size`.
        part: whether these are a few frames of a stream, in which somebody may be half out of the picture.
    """
    places = points[..., :2][points[..., 2] != 0]  # (n, 2)
    if not len(places):
        return ""
    low, high = places.min(axis=0), places.max(axis=0)
    seen = f"coordinates from {low.min():g} to {high.max():g}"
    largest = max(-float(low.min()), float(high.max()))
    shares = 1.0 + MARGIN
    if size is None and largest > shares:
        return f"{seen} are pixels: give --image-size WIDTHxHEIGHT, or shares of the picture from 0 to 1"
    if size is not None and min(size) > shares and 0 < largest <= shares:
        advice = "set img_shape to (1, 1)" if named else "leave --image-size out"
        return f"{seen} are no pixels, but shares of the picture already: {advice}"
    width, height = size or (1.0, 1.0)
    relative = places / (width, height)
    if relative.min() < -MARGIN or relative.max() > shares:
        text = f"x from {low[0]:g} to {high[0]:g} and y from {low[1]:g} to {high[1]:g} lie far outside of a picture of "
        advice = "mend img_shape" if named else "give its own --image-size"
        return f"{text}{width:g}x{height:g}: {advice if size else 'they are to be shares of it from 0 to 1'}"
    negative = float((places < 0).mean(axis=0).max())
    if negative > MOST_NEGATIVE and not part:
        return (
            f"{negative:.0%} of the {seen} are negative, expected to count from the picture's upper left corner: "
            "undo what centred or normalised them"
        )
    return ""


def metre_fault(points: np.ndarray, layout: Layout, unit: str, part: bool = False) -> str:
    """What is wrong with x y z that are to be in `unit`.

    Args:
        points: (P, T, V, 3) as recorded, zeros where a joint was not seen.
        layout: whether it is a whole person's tells how small it can be.
        unit: one of `UNITS`.
        part: whether these are a few frames of a stream, in which little of a person may be seen.
    """
    seen = seen_joints(points, image=False)  # (P, T, V)
    if not seen.any():
        return ""
    hidden = ~seen[..., None]
    spans = np.where(hidden, -np.inf, points).max(axis=2) - np.where(hidden, np.inf, points).min(axis=2)  # (P, T, 3)
    sizes = np.linalg.norm(np.where(np.isfinite(spans), spans, 0.0), axis=-1)  # (P, T)
    low, high = float(points[seen].min()), float(points[seen].max())
    largest, factor = float(sizes.max()), UNITS[unit]
    told = f"a body is {largest:.4g} {unit} across (coordinates from {low:g} to {high:g})"
    if largest * factor > LARGEST:
        frame = int(sizes.max(axis=0).argmax())
        usual = float(np.median(sizes[sizes > 0]))
        if usual * factor <= LARGEST:
            return f"frame {frame}: {told}, usually {usual:.3g}: leave that joint out (0 0 0), or the clip"
        scores = points[..., 2][seen]
        if not score_fault(scores):
            return f"{told}: are these x y score? then give a layout with coordinates: image"
        return f"{told}, expected less than {LARGEST / factor:g}: {_likely_unit(usual, unit)}"
    least = SMALLEST_PERSON if _is_person(layout) and not part else SMALLEST
    if len(points[0, 0]) > 1 and 0 < largest * factor < least:
        return f"{told}, expected more than {least / factor:g}: {_likely_unit(largest, unit)}"
    if max(-low, high) * factor > FARTHEST:
        told = f"coordinates from {low:g} to {high:g} {unit}, expected at most {FARTHEST / factor:g}"
        return f"{told}: count them from the camera or from the middle of the room"
    return ""


def _is_person(layout: Layout) -> bool:
    return any("shoulder" in name for name in layout.joints) and any("hip" in name for name in layout.joints)


def _likely_unit(size: float, unit: str) -> str:
    """What to do where a body of `size` is no person in `unit`."""
    likely = min(UNITS, key=lambda name: abs(np.log(size * UNITS[name] / _USUAL)))
    if likely == unit or not 0.1 < size * UNITS[likely] / _USUAL < 3:
        return "are they pixels, or without a unit? give --unit none where they are to stay as they are"
    return f"give --unit {likely}" if likely != "m" else "they look like metres, leave --unit out"
