"""What becomes of many random histories, and the shortest form of one that goes wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from random import Random

from dts_pipeline_tests.convergence.histories import History, Step, drawn, play
from dts_pipeline_tests.convergence.two_sites import TwoSites


@dataclass
class Tally:
    """What became of many histories of one cell. `rounds`, `writes`: of all histories together.

    `recorded`, `differing`: histories that came to rest with an open record, and with keys that
    were different, before the last rounds. `wrong`: what went wrong, how often; `first`: the number
    of the first such history.
    """

    histories: int = 0
    writes: int = 0
    rounds: int = 0
    recorded: int = 0
    differing: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    first: tuple[int, int] | None = None

    def add(self, other: Tally) -> None:
        """Adds another tally's counts."""
        for name in ("histories", "writes", "rounds", "recorded", "differing"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.wrong.update(other.wrong)
        self.first = self.first or other.first


def tally(seed: int, count: int, model: TwoSites) -> Tally:
    """Draws and plays `count` histories of a model; `first` names the seed and the history."""
    histories = list(drawn(Random(seed), count, model))
    play(histories)
    found = Tally(
        count,
        sum(h.writes for h in histories),
        sum(h.rounds for h in histories),
        sum(h.recorded for h in histories),
        sum(h.differing for h in histories),
        Counter(h.wrong for h in histories if h.wrong is not None),
    )
    found.first = next(((seed, n) for n, h in enumerate(histories) if h.wrong is not None), None)
    return found


def shortest(seed: int, number: int, model: TwoSites) -> History:
    """A drawn history that goes wrong, without the steps that it goes wrong without."""
    drawn_one = list(drawn(Random(seed), number + 1, model))[number]
    steps = drawn_one.steps[::-1]

    def again(chosen: list[Step]) -> History:
        history = replace(drawn_one, steps=list(chosen), _pulled=([], []))
        play([history])
        return history

    place = 0
    while place < len(steps):
        fewer = steps[:place] + steps[place + 1 :]
        if fewer and again(fewer).wrong is not None:
            steps, place = fewer, 0
        else:
            place += 1
    found = again(steps)
    found.steps = steps
    return found
