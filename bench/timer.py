"""Times several variants of doing one thing, in turn, so that a slow minute of the machine hurts them all alike."""

import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Work = Callable[[], object]


@dataclass(frozen=True)
class Timing:
    """How long one variant took.

    Attributes:
        runs: seconds of each timed run, in order.
        warm_up: seconds of the first run, which is not counted.
    """

    runs: tuple[float, ...]
    warm_up: float

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.runs)

    @property
    def p99(self) -> float:
        """Seconds that 99 % of the runs stayed within; of less than a hundred runs, the slowest."""
        return sorted(self.runs)[math.ceil(0.99 * len(self.runs)) - 1]

    @property
    def spread(self) -> float:
        """(slowest - fastest) / median."""
        return (max(self.runs) - min(self.runs)) / self.median


def measure(
    variants: Mapping[str, Work],
    runs: int = 5,
    seconds: float = 60.0,
    synchronise: Work | None = None,
) -> dict[str, Timing]:
    """Time each of `variants`: one warm-up each, then rounds in which each runs once.

    Args:
        variants: name -> work without arguments.
        runs: rounds, if time allows.
        seconds: no further round begins after that much time; there is always one.
        synchronise: waits until the device is done (`torch.cuda.synchronize`).

    Raises:
        ValueError: no variant, or no run.
    """
    if not variants or runs < 1:
        raise ValueError(f"measure: {len(variants)} variants, {runs} runs: give at least one of each")
    warm_ups = {name: _once(work, synchronise) for name, work in variants.items()}
    taken: dict[str, list[float]] = {name: [] for name in variants}
    start = time.perf_counter()
    for turn in range(runs):
        if turn and time.perf_counter() - start > seconds:
            break
        for name, work in variants.items():
            taken[name].append(_once(work, synchronise))
    return {name: Timing(tuple(taken[name]), warm_ups[name]) for name in variants}


def _once(work: Work, synchronise: Work | None) -> float:
    if synchronise is not None:
        synchronise()
    start = time.perf_counter()
    work()
    if synchronise is not None:
        synchronise()
    return time.perf_counter() - start
