"""Training curves of a run, as TensorBoard's files hold them."""

from pathlib import Path

import numpy as np

# Points of a curve that a page shows; more are averaged in groups.
MOST_POINTS = 100
Curve = tuple[np.ndarray, np.ndarray]


def read_curves(folder: Path) -> dict[str, dict[str, Curve]]:
    """The curves of a run: "train" and "val" -> loss, acc, lr, top5, mean_class -> (steps, values).

    Args:
        folder: the work folder; {} where TensorBoard's files are not in it.
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found: dict[str, dict[str, Curve]] = {}
    for part in ("train", "val"):
        place = folder / "tensorboard" / part
        if not place.is_dir():
            continue
        events = EventAccumulator(str(place), size_guidance={"scalars": 0})
        events.Reload()
        curves = {}
        for name in events.Tags()["scalars"]:
            points = events.Scalars(name)
            steps = np.array([point.step for point in points])
            values = np.array([point.value for point in points])
            curves[name] = _thinned(steps, values) if part == "train" else (steps, values)
        found[part] = curves
    return found


def _thinned(steps: np.ndarray, values: np.ndarray) -> Curve:
    """At most `MOST_POINTS`: means of neighbours, each at the last of their steps."""
    if len(steps) <= MOST_POINTS:
        return steps, values
    parts = np.array_split(np.arange(len(steps)), MOST_POINTS)
    return np.array([steps[part[-1]] for part in parts]), np.array([values[part].mean() for part in parts])
