"""A load's filling rounds need no record of the rows that they write, in every short history.

The start is a key of which one site has the row. A record of a kind of its own at the other site
stands for the open load: a filling round takes it away with its write, and a link that records the
key puts another kind in its place, which the round leaves alone. So where such a write could lead
to a difference that nothing recalls, the exploration finds it as `silent`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dts_pipeline.core.conflicts import Kind
from dts_pipeline.core.reconcile import Outcome, Round
from dts_pipeline_tests.convergence.exploration import Exploration
from dts_pipeline_tests.convergence.rounds import Reconcile
from dts_pipeline_tests.convergence.rows import SITES, A, B, Value
from dts_pipeline_tests.convergence.state import Settling, State
from dts_pipeline_tests.convergence.test_rules import NEWEST, PLAIN, SITE, TIMED, a, b, v
from dts_pipeline_tests.convergence.two_sites import Rule, TwoSites

LOADING = Kind.REPLAY


class Fill(Reconcile):
    """The steps of a filling round."""

    def begin(self, state: State, *_more: Any, others: bool = False, **_named: Any) -> State:
        """First watermarks, of the keys whose load is open."""
        if state.settling is not None or not _loading(state, A) | _loading(state, B):
            return state
        marked = Round(None, SITES[A]).marked(self._marks(state))
        none: frozenset[int] = frozenset()
        return state._replace(settling=Settling(marked, (0,), (none, none), None, others))

    def hold(self, state: State) -> State:
        """As any round; a key of which a link has left a record is not the round's to decide."""
        held = super().hold(state)
        if held is state or held.settling is None:
            return held
        kinds = {records[0] for records in state.records} - {None, LOADING}
        if not kinds:
            return held
        return held._replace(settling=held.settling._replace(outcomes=(int(Outcome.UNDECIDED),)))

    def _closing(self, state: State, site: int) -> frozenset[int]:
        """The load of a key ends with the write of its row, or where both sites have it."""
        settling = state.settling
        assert settling is not None
        assert settling.outcomes is not None
        assert settling.due is not None
        is_equal = settling.outcomes[0] == Outcome.EQUAL
        ended = settling.due[site] | (frozenset({0}) if is_equal else frozenset())
        return ended & _loading(state, site)


class Filling(Exploration):
    """Every history with filling rounds in it."""

    @property
    def reconcile(self) -> Reconcile:
        return Fill(self.model)


def _loading(state: State, site: int) -> frozenset[int]:
    return frozenset({0}) if state.records[site][0] is LOADING else frozenset()


def open_load(first: Value, second: Value) -> State:
    """One site has the row; the load is open at the one that lacks it."""
    lacking = A if first is None else B
    state = State.recorded_difference(first, second, lacking)
    records = [(None,), (None,)]
    records[lacking] = (LOADING,)  # type: ignore[call-overload]
    return state._replace(records=(records[A], records[B]))


CASES: list[tuple[TwoSites, State, tuple[Value, ...]]] = [
    (SITE, open_load(v, None), PLAIN),
    (SITE, open_load(None, v), PLAIN),
    (NEWEST, open_load(a, None), TIMED),
    (NEWEST, open_load(None, b), TIMED),
]


@pytest.mark.parametrize("case", range(len(CASES)))
def test_no_history_ends_with_a_difference_that_nothing_recalls(case: int) -> None:
    model, start, values = CASES[case]
    exploration = Filling(model, values, 3, 1)

    assert exploration.run(start) is None
    assert exploration.nodes > 1_000


@pytest.mark.parametrize("rule", [Rule.CATCH_UP, Rule.HOLD, Rule.QUIET])
def test_each_phase_is_needed_for_that(rule: Rule) -> None:
    wrong = [
        Filling(replace(model, without=frozenset({rule})), values, 2, 1).run(start)
        for model, start, values in CASES
    ]
    assert any(wrong)


def test_a_filling_round_writes_and_ends_the_load() -> None:
    """Nobody writes: or the histories above would hold nothing."""
    for model, start, _ in CASES:
        steps = Fill(model)
        state = steps.ended(steps.lock(steps.hold(steps.read(steps.begin(start)))))
        assert not state.differing
        assert not state.recorded
