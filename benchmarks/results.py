"""What a measurement gives, and what many of them say: medians, spreads and ratios."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True)
class Run:
    """One contender once over a recorded range.

    seconds: from the first look at the range to its last commit (this pipeline: to the end of the
    Dagster run). startup: what came before, None where that is not told apart. first_read: from
    the start of the process to the first read. peak_bytes: the most memory of the process.
    cpu, target_cpu: CPU seconds of the contender's process (without its start-up where that is told
    apart) and of the target server; they tell more than `seconds` on a machine with other work.
    """

    contender: str
    events: int
    seconds: float
    startup: float | None = None
    first_read: float | None = None
    peak_bytes: int | None = None
    stages: Mapping[str, float] = field(default_factory=dict)
    cpu: float | None = None
    target_cpu: float | None = None

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds


@dataclass(frozen=True)
class Spread:
    """Median, smallest and largest of some measurements."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Raises ValueError without values."""
        found = list(values)
        return cls(median(found), min(found), max(found))


def by_contender(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """The runs of each contender, in the order in which they came."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(run.contender, []).append(run)
    return found


def ratios(fast: Sequence[Run], slow: Sequence[Run]) -> Spread:
    """How many times as many events a second, round by round.

    Runs of one round stand beside each other in time, so what else the machine did then weighs on
    both. Raises ValueError unless both have a run in every round.
    """
    return Spread.of(a.rate / b.rate for a, b in zip(fast, slow, strict=True))


def stage_medians(runs: Sequence[Run]) -> dict[str, float]:
    """Median seconds of each stage, and of what is left beside them (`the rest`)."""
    names = dict.fromkeys(name for run in runs for name in run.stages)
    if not names:
        return {}
    found = {name: median(run.stages.get(name, 0.0) for run in runs) for name in names}
    rest = median(run.seconds - sum(run.stages.values()) for run in runs)
    return {**found, "the rest": rest}
