"""Every rule is needed: left out, a short history goes wrong, and with it none does.

An exploration goes breadth first, so what it finds is as short as can be; it is deterministic.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import pytest

from dts_pipeline.core.links import Policy
from dts_pipeline_tests.convergence.exploration import ENOUGH, Exploration
from dts_pipeline_tests.convergence.rounds import Reconcile
from dts_pipeline_tests.convergence.rows import B, Row, Value
from dts_pipeline_tests.convergence.state import State
from dts_pipeline_tests.convergence.two_sites import Rule, TwoSites

SITE = TwoSites(Policy("site", "a"))
NEWEST = TwoSites(Policy("newest", "a", "version", update_wins=True))
COUNTED = replace(SITE, counted=True)
v, a, b = Row("v"), Row("a", 1), Row("b", 2)
PLAIN: tuple[Value, ...] = (None, v, Row("b"))
TIMED: tuple[Value, ...] = (None, a, b)
differ = State.recorded_difference


class Case(NamedTuple):
    """Where leaving a rule out shows: the model, the start, what users write, what may happen."""

    rule: Rule
    wrong: str
    model: TwoSites
    start: State
    values: tuple[Value, ...]
    writes: int
    rounds: int = 0
    crashes: int = 0
    added: tuple[int, ...] = ()

    def exploration(self, *without: Rule) -> Exploration:
        model = replace(self.model, without=frozenset(without))
        return Exploration(model, self.values, self.writes, self.rounds, self.crashes, self.added)


COUNTING = State.agreed(v, counted=True)
CASES = [
    Case(Rule.SAME, "silent", SITE, State.agreed(v), PLAIN, 4),
    Case(Rule.SUPERSEDED, "silent", SITE, State.agreed(v), PLAIN, 4),
    Case(Rule.CONFLICT, "silent", SITE, State.agreed(v), PLAIN, 3),
    Case(Rule.SUFFIX, "silent", SITE, State.agreed(v), PLAIN, 4),
    Case(Rule.POSITION_FIRST, "lost in the end", NEWEST, differ(a, None), TIMED, 1, 1),
    Case(Rule.OWN_POSITION, "lost", SITE, differ(a, a), TIMED, 1, 1),
    Case(Rule.CATCH_UP, "lost", SITE, differ(a, a), TIMED, 1, 1),
    Case(Rule.HOLD, "lost in the end", NEWEST, differ(a, None), TIMED, 1, 1),
    Case(Rule.QUIET, "lost in the end", NEWEST, differ(a, None), TIMED, 1, 1),
    Case(Rule.MARKED_TOO, "lost in the end", NEWEST, differ(a, a), TIMED, 1, 1),
    Case(Rule.WRITES_FIRST, "lost in the end", NEWEST, differ(a, None), TIMED, 2, 1),
    Case(Rule.DELTA, "lost", COUNTED, COUNTING, (), 2, added=(1, 10)),
    Case(Rule.BEFORE_MARK, "silent", COUNTED, COUNTING, (), 2, added=(1, 10)),
    Case(Rule.UNCOUNTED, "lost", COUNTED, COUNTING, (), 2, added=(1,)),
    Case(Rule.FENCE, "lost", SITE, State.agreed(v), PLAIN, 2, crashes=1),
    Case(Rule.FENCE, "silent", COUNTED, COUNTING, (), 1, crashes=1, added=(1,)),
    Case(Rule.FIRST_COPIES, "silent", SITE, State.agreed(v), PLAIN, 3, crashes=1),
    Case(Rule.FIRST_COPIES, "silent", COUNTED, COUNTING, (), 1, crashes=1, added=(1,)),
]


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case.rule.name.lower()}-{case.model.policy.kind}"
)
def test_each_rule_is_needed(case: Case) -> None:
    assert case.exploration().run(case.start) is None

    found = case.exploration(case.rule).run(case.start)
    assert found is not None
    assert found.what == case.wrong


def test_without_the_guard_a_newer_row_is_overwritten() -> None:
    """B's user writes the newest row of all while the round is about to write A's there."""
    newest = Row("c", 3)
    for model, row in ((NEWEST, newest), (replace(NEWEST, without=frozenset({Rule.GUARD})), b)):
        steps = Reconcile(model)
        state = steps.hold(steps.read(steps.begin(differ(b, a))))
        state = steps.ended(steps.lock(model.write(state, B, 0, newest)))
        end, _ = steps.settle(state, ENOUGH)
        assert end.rows == ((row,), (row,))


def test_later_records_could_be_closed_as_well_while_both_links_are_held() -> None:
    """The one part of R4 that no history needs: whatever recorded was applied before the hold.

    It is kept, because it costs nothing and stands on its own.
    """
    for start in (differ(a, a), differ(a, None)):
        case = Case(Rule.NO_LATER, "", NEWEST, start, TIMED, 2, 1)
        assert case.exploration(Rule.NO_LATER).run(start) is None


def test_every_rule_has_a_test() -> None:
    assert {case.rule for case in CASES} | {Rule.GUARD, Rule.NO_LATER} == set(Rule)
