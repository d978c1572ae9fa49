"""What the traces have in common: the models that they are played on, and how to look at an end."""

from __future__ import annotations

from dataclasses import replace

from dts_pipeline.core.conflicts import Kind
from dts_pipeline.core.links import Policy
from dts_pipeline_tests.convergence.exploration import ENOUGH
from dts_pipeline_tests.convergence.rounds import Reconcile
from dts_pipeline_tests.convergence.rows import A, B, Row, Value
from dts_pipeline_tests.convergence.state import State
from dts_pipeline_tests.convergence.two_sites import Rule, TwoSites

A_WINS = TwoSites(Policy("site", "a"))
B_WINS = TwoSites(Policy("site", "b"))
NEWEST = TwoSites(Policy("newest", "a", "version", update_wins=True))
COUNTED = TwoSites(Policy("site", "a"), counted=True)
a, b, v = Row("a"), Row("b"), Row("v")
Rows = tuple[Value, Value]


def rows(state: State) -> Rows:
    return state.rows[A][0], state.rows[B][0]


def counts(state: State) -> tuple[int, int]:
    first, second = rows(state)
    assert first is not None
    assert second is not None
    return first.stock, second.stock


def kinds(state: State) -> set[Kind]:
    return {kind for own in state.records for kind in own if kind is not None}


def without(model: TwoSites, *rules: Rule) -> TwoSites:
    return replace(model, without=frozenset(rules))


def settled(model: TwoSites, state: State) -> Rows:
    """Both sites' row once rounds have followed each other; every record has closed by then."""
    end, _ = Reconcile(model).settle(state, ENOUGH)
    assert not end.recorded
    assert not end.lost
    return rows(end)
