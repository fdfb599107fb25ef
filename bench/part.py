"""What one part of a benchmark found: checks of parity, rates, and what was left out and why."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.timer import Timing


@dataclass(frozen=True)
class Check:
    """One comparison with the baseline; `error` must be at most `tolerance`."""

    name: str
    error: float
    tolerance: float
    what: str

    @property
    def passed(self) -> bool:
        """False for an error that is not a number, too."""
        return self.error <= self.tolerance


@dataclass(frozen=True)
class Rate:
    """How fast one variant is; `ratio` is against the part's baseline, of the same run."""

    name: str
    rate: float
    unit: str
    seconds: float
    runs: int
    spread: float
    ratio: float | None = None
    note: str = ""


@dataclass
class Part:
    """The results of prep, train or infer, filled while it runs."""

    name: str
    sizes: dict[str, Any]
    checks: list[Check] = field(default_factory=list)
    rates: list[Rate] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    error: str = ""

    @property
    def passed(self) -> bool:
        """Every check was met, and nothing broke off."""
        return not self.error and all(check.passed for check in self.checks)

    def agrees(self, name: str) -> bool:
        """Every check of that name was met: what gives other answers is not timed."""
        return all(check.passed for check in self.checks if check.name == name)

    def add_rates(
        self,
        timings: Mapping[str, Timing],
        amounts: Mapping[str, float],
        unit: str,
        plain: str,
        notes: Mapping[str, str] | None = None,
    ) -> None:
        """Adds amounts[name] / median for each timing, and its ratio to that of `plain`."""
        base = amounts[plain] / timings[plain].median
        for name, timing in timings.items():
            rate = amounts[name] / timing.median
            note = (notes or {}).get(name, "")
            self.rates.append(Rate(name, rate, unit, timing.median, len(timing.runs), timing.spread, rate / base, note))

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        checks = [{**asdict(check), "passed": check.passed} for check in self.checks]
        return {**asdict(self), "checks": checks, "passed": self.passed}
