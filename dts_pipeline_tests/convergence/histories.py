"""Random histories, many side by side, so that each turn is one call of the pipeline's core."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from dts_pipeline.core.conflicts import Kind
from dts_pipeline.core.links import Policy
from dts_pipeline_tests.convergence.exploration import ENOUGH, OWN
from dts_pipeline_tests.convergence.reduction import prepare_copies
from dts_pipeline_tests.convergence.rounds import Reconcile
from dts_pipeline_tests.convergence.rows import SITES, A, B, Batch, Row, Value
from dts_pipeline_tests.convergence.state import State
from dts_pipeline_tests.convergence.two_sites import TwoSites

KEYS = 2
ALL = 1_000
Step = tuple[str, int, int, int]
"""What happens, the site, and two numbers whose meaning is the step's (`History.play`)."""

PLAIN: tuple[Value, ...] = (None, Row("a"), Row("b"), Row("c"))
TIMED: tuple[Value, ...] = (None, Row("a", 1), Row("b", 1), Row("a", 2))
"""For `newest` without a version column: times that are equal, and that go back."""
VERSIONED: tuple[Value, ...] = (None, Row("a", OWN), Row("b", OWN))
ADDED = (1, 10, -1, 1)

STEPS = (
    ("write", 42), ("link", 24), ("pull", 7), ("apply", 7), ("move", 3), ("crash", 3),
    ("round", 22), ("commit", 3), ("abandon", 2), ("replay", 3),
)  # fmt: skip
_NAMES = [name for name, weight in STEPS for _ in range(weight)]
_SIZES = (1, 1, 1, 2, 2, 3, ALL)


@dataclass
class History:
    """One history: its steps, and then all that is needed until every record is closed.

    `skew`: how far the second site's clock is behind. `changing`: in a counted table, whether rows
    are inserted and deleted too.
    """

    model: TwoSites
    state: State
    steps: list[Step]
    values: tuple[Value, ...]
    skew: int = 0
    changing: bool = True
    wrong: str | None = None
    writes: int = 0
    rounds: int = 0
    recorded: bool = False
    differing: bool = False
    _pulled: tuple[list[Batch], list[Batch]] = field(default_factory=lambda: ([], []))
    _turn: int = 0
    _phase: int = 0
    _taken: int = 0

    def __post_init__(self) -> None:
        self.steps = self.steps[::-1]

    @property
    def over(self) -> bool:
        """Whether nothing is left to do, or something is wrong already."""
        return not self.steps and (self._phase == 2 or self.wrong is not None)

    def due(self) -> Batch | None:
        """The batch that the next step applies."""
        step, site, number, _ = self.steps[-1]
        if step == "link":
            return self.state.pull(site, number)
        known = self._pulled[site]
        return known[-number] if step == "apply" and len(known) >= number else None

    def play(self, batch: Batch | None) -> None:
        """The next step, with its batch if it has one; with none left, what must follow."""
        step, site, number, other = self.steps.pop()
        self._turn += 1
        state, model = self.state, self.model
        if batch is not None:
            self.state = model.apply(state, batch)
        elif step == "write":
            self._write(site, number, other)
        elif step == "pull":
            self._pulled[site].append(state.pull(site, number))
        elif step == "move":
            self.state = model.move(state, site, number, 1 - number, self._version(site))
        elif step == "crash":
            pulled = max((b.until for b in self._pulled[site]), default=0)
            sent = max(pulled, state.offsets[site]) + other
            self.state = model.crash(state, site, number, sent)
        elif step not in ("apply", "link"):
            self._round(step, site, number, other)
        if self.state.lost:
            self.wrong = "lost"
        if not self.steps:
            self._follow()

    def _write(self, site: int, key: int, other: int) -> None:
        state = self.state
        row = state.rows[site][key]
        version = self._version(site)
        if self.model.counted and row is not None and (other % 4 or not self.changing):
            added = ADDED[other % 4]
            text = row.text if other % 3 else self.values[1 + other % 2].text  # type: ignore[union-attr]
            value: Value = Row(text, version or row.version, row.stock + added)
        else:
            value = self.values[other % len(self.values)]
            if value is not None and value.version == OWN:
                value = value._replace(version=version)
        after = self.model.write(state, site, key, value)
        if after is not state:
            self.writes += 1
        self.state = after

    def _version(self, site: int) -> int:
        """The time of the site's clock, never the same twice; 0 without a version column."""
        return self.model.versioned * (2 * (self._turn - self.skew * site) + site + ALL)

    def _round(self, step: str, site: int, number: int, other: int) -> None:
        state, steps = self.state, Reconcile(self.model)
        settling = state.settling
        if step == "replay":
            log = state.logs[site][: state.positions[site]]
            keys = {entry.key for entry in log[number : number + other]}
            self.state = steps.begin(state, keys, Policy("site", SITES[site]), Kind.REPLAY)
        elif step == "commit":
            self.state = steps.commit(state, site)
        elif step == "abandon":
            self.state = steps.abandon(state)
        elif step == "whole":
            self.rounds += 1
            self._taken += 1
            self.state = steps.whole(state)
        elif settling is None:
            self.state = steps.begin(state, others=True)
            self.rounds += self.state is not state
        elif settling.round.readings is None and settling.outcomes is None:
            self.state = steps.read(state)
        elif settling.outcomes is None:
            self.state = steps.hold(state)
        elif settling.due is None:
            self.state = steps.lock(state)
        else:
            first = steps.commit(state, site)
            self.state = first if first is not state else steps.commit(state, 1 - site)

    # -- the end ---------------------------------------------------------------------------------

    def _follow(self) -> None:
        state = self.state
        if state.settling is not None:
            self.state = state = Reconcile(self.model).abandon(state)
        if self.wrong is not None:
            return
        if not state.at_rest:
            before = state
            self.steps = [("link", B, ALL, 0), ("link", A, ALL, 0)]
            if self._stuck(before):
                self._choose()
            return
        self._judge()

    def _stuck(self, state: State) -> bool:
        """Whether the policy is `fail`, and both links have a conflict or nothing to read."""
        if self.model.policy.kind != "fail":
            return False
        return all(
            not state.unread(source) or self.model.link(state, source) is state for source in (A, B)
        )

    def _choose(self) -> None:
        """Somebody chooses another policy, as the error says."""
        self.model = replace(self.model, policy=Policy("site", "a"))

    def _judge(self) -> None:
        state = self.state
        if self._phase == 0:
            self._phase = 1
            self.differing = bool(state.differing)
            self.recorded = bool(state.recorded)
            if state.silently_different:
                self.wrong = "silent"
            elif self.model.policy.kind == "fail":
                self._choose()
        if not state.recorded or self._taken == ENOUGH:
            self._phase = 2
            if state.recorded:
                self.wrong = self.wrong or "open"
            elif state.differing:
                self.wrong = self.wrong or "different"
            return
        self.steps = [("whole", A, 0, 0)]


def drawn(random: Random, count: int, model: TwoSites) -> Iterable[History]:
    """Histories of six to thirty steps, most of them about one key and in small batches."""
    values = VERSIONED if model.versioned else TIMED if model.policy.kind == "newest" else PLAIN
    below, choice = random.random, random.choice
    for _ in range(count):
        steps = []
        for _ in range(6 + int(below() * below() * 27)):
            step = choice(_NAMES)
            site = int(below() * 2)
            if step in ("link", "pull"):
                steps.append((step, site, choice(_SIZES), 0))
            elif step in ("write", "move"):
                steps.append((step, site, int(below() * 1.3), int(below() * 12)))
            else:
                steps.append((step, site, 1 + int(below() * 3), int(below() * 3)))
        changing = not model.counted or below() < 0.3
        start = [_start(values[int(below() * len(values))], changing) for _ in range(KEYS)]
        skew = int(below() * 2) * 3
        yield History(
            model, State.agreed(*start, counted=model.counted), steps, values, skew, changing
        )


def _start(value: Value, changing: bool) -> Value:
    if value is None:
        return None if changing else Row("v")
    return value._replace(version=0) if value.version == OWN else value


def play(histories: Sequence[History]) -> None:
    """Plays the histories side by side to their ends."""
    reductions = {id(h.model.reduction): h.model.reduction for h in histories}
    assert len(reductions) == 1, "histories of one kind of table"
    (reduction,) = reductions.values()
    under_way = list(histories)
    while under_way:
        due = [history.due() for history in under_way]
        batches = [(h, batch) for h, batch in zip(under_way, due, strict=True) if batch]
        prepare_copies(
            tuple([place - b.position for place in b.places])
            for h, b in batches
            if h.state.resent[b.source]
        )
        reduction.prepare([h.model.entries(h.state, batch) for h, batch in batches])
        for history, batch in zip(under_way, due, strict=True):
            history.play(batch)
        under_way = [h for h in under_way if not h.over]
