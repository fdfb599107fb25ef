"""What one part of a benchmark found: checks of parity, rates in groups, and what was left out and why."""

from collections.abc import Mapping, Sequence
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
    """How fast one variant is; `ratio` is against the group's baseline, of the same run.

    Attributes:
        name: no other variant of the part has it, but for the same one in another unit.
        group: title of the `Group` that it belongs to.
        label: a shorter name, which is enough within the group.
    """

    name: str
    rate: float
    unit: str
    seconds: float
    runs: int
    spread: float
    ratio: float | None = None
    note: str = ""
    group: str = ""
    label: str = ""


@dataclass(frozen=True)
class Limit:
    """What bounds a variant on this machine, and the rate at which it would do nothing else, in the group's unit."""

    name: str
    rate: float


Contenders = Mapping[str, Limit | None]


@dataclass(frozen=True)
class Group:
    """Variants that are compared with one another: a table of the report, and a panel of the plot.

    Attributes:
        title: what is measured.
        baseline: name of the variant that the others are held to; "" where there is none.
        best: names of the fastest variants that give the baseline's answers, each with what bounds it.
    """

    title: str
    unit: str
    baseline: str = ""
    best: dict[str, Limit | None] = field(default_factory=dict)


@dataclass
class Part:
    """The results of prep, train or infer, filled while it runs.

    Attributes:
        limit: what was measured or counted to know what bounds the variants; names with units.
    """

    name: str
    sizes: dict[str, Any]
    checks: list[Check] = field(default_factory=list)
    rates: list[Rate] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    limit: dict[str, float] = field(default_factory=dict)
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
        *,
        title: str,
        labels: Mapping[str, str] | None = None,
        contenders: Sequence[Contenders] = (),
    ) -> None:
        """Adds a group: amounts[name] / median for each timing, and its ratio to that of `plain`, if there is one.

        Args:
            title, contenders: see `add_group`.
            labels: shorter names.
        """
        base = amounts[plain] / timings[plain].median if plain else None
        for name, timing in timings.items():
            rate = amounts[name] / timing.median
            ratio = rate / base if base else None
            note, label = (notes or {}).get(name, ""), (labels or {}).get(name, name)
            taken = timing.median, len(timing.runs), timing.spread
            self.rates.append(Rate(name, rate, unit, *taken, ratio, note, title, label))
        self.add_group(title, unit, plain, contenders)

    def add_group(self, title: str, unit: str, baseline: str, contenders: Sequence[Contenders] = ()) -> None:
        """Adds the group whose rates are there already.

        Args:
            contenders: variants that give the baseline's answers, with their limits, in sets: of each set the fastest
                is told of, if it is faster than those of the sets before. So half precision stands beside the
                fastest of full precision, not in its place.
        """
        rates = {rate.name: rate.rate for rate in self.rates if rate.group == title}
        best: dict[str, Limit | None] = {}
        for names in contenders:
            fastest = max((name for name in names if name in rates), key=rates.__getitem__, default=None)
            if fastest is not None and all(rates[fastest] > rates[name] for name in best):
                best[fastest] = names[fastest]
        self.groups.append(Group(title, unit, baseline, best))

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        checks = [{**asdict(check), "passed": check.passed} for check in self.checks]
        return {**asdict(self), "checks": checks, "passed": self.passed}
