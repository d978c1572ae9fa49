"""The shortest ways to break simpler schemes: each breaks as told, and the real rules hold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dts_pipeline.core.conflicts import Kind
from dts_pipeline_tests.convergence.rows import A, B, Row, Value
from dts_pipeline_tests.convergence.state import State
from dts_pipeline_tests.convergence.traces import (
    A_WINS,
    B_WINS,
    COUNTED,
    NEWEST,
    a,
    b,
    counts,
    kinds,
    rows,
    settled,
    v,
    without,
)
from dts_pipeline_tests.convergence.two_sites import Rule, TwoSites

# --- one change a side ----------------------------------------------------------------------


def both_changed(state: State) -> State:
    """A deletes; B updates."""
    return A_WINS.write(A_WINS.write(state, A, 0, None), B, 0, b)


def test_trace_overwrite_no_detection() -> None:
    """A deletes; B updates; A→B; B→A: swapped, where each link thinks that its source wins."""
    state = both_changed(State.agreed(v))
    early = state.pull(A), state.pull(B)
    state = B_WINS.apply(A_WINS.apply(state, early[A]), early[B])

    assert rows(state) == (b, None)


@pytest.mark.parametrize(("model", "row"), [(A_WINS, None), (B_WINS, b)])
def test_where_both_links_decide_alike_nothing_is_swapped(model: TwoSites, row: Value) -> None:
    state = model.drain(model.link(model.link(both_changed(State.agreed(v)), A), B))

    assert rows(state) == (row, row)
    assert state.recorded == {0}
    assert settled(model, state) == (row, row)


def site_trace(model: TwoSites) -> State:
    """A deletes; B deletes; A→B "same"; B inserts b; B→A compacts v→b, A absent: skipped."""
    state = model.write(model.write(State.agreed(v), A, 0, None), B, 0, None)
    state = model.write(model.link(state, A), B, 0, b)
    return model.drain(model.link(state, B))


def test_trace_site_a_wins() -> None:
    broken = site_trace(without(A_WINS, Rule.SAME, Rule.CONFLICT))
    assert rows(broken) == (None, b)
    assert broken.silently_different == {0}

    found = site_trace(A_WINS)
    assert rows(found) == (None, b)
    assert kinds(found) == {Kind.SAME, Kind.UPDATE_DELETE}
    assert settled(A_WINS, found) == (None, None)


def newest_trace(model: TwoSites) -> State:
    """A: v→a; B: v→b (newer); A→B skipped; B deletes; B→A compacts v→-, the row wins."""
    state = model.write(State.agreed(v), A, 0, Row("a", 1))
    state = model.link(model.write(state, B, 0, Row("b", 2)), A)
    assert state.rows[B] == (Row("b", 2),)
    return model.drain(model.link(model.write(state, B, 0, None), B))


def test_trace_newest() -> None:
    broken = newest_trace(without(NEWEST, Rule.CONFLICT))
    assert rows(broken) == (Row("a", 1), None)
    assert broken.silently_different == {0}

    found = newest_trace(NEWEST)
    assert kinds(found) == {Kind.UPDATE_UPDATE, Kind.DELETE_UPDATE}
    assert settled(NEWEST, found) == (Row("a", 1), Row("a", 1))


def superseded_trace(model: TwoSites) -> State:
    """A inserts a, deletes; B inserts b; B→A clean; B deletes; A→B [→a], [a→-] clean; B→A reads
    [delete, mark, mark]."""
    state = model.write(model.write(State.agreed(None), A, 0, a), A, 0, None)
    state = model.link(model.write(state, B, 0, b), B)
    state = model.write(state, B, 0, None)
    state = model.link(model.link(state, A, 1), A, 1)
    return model.drain(model.link(state, B))


def test_trace_no_record_for_superseded() -> None:
    """Values are unique, so only R2 leaves a record."""
    broken = superseded_trace(without(A_WINS, Rule.SUPERSEDED))
    assert rows(broken) == (b, None)
    assert broken.silently_different == {0}

    found = superseded_trace(A_WINS)
    assert rows(found) == (b, None)
    assert kinds(found) == {Kind.SUPERSEDED}
    assert settled(A_WINS, found) == (b, b)


def same_trace(model: TwoSites) -> State:
    """Both delete; A→B "same"; B inserts the old value again; net zero."""
    state = model.write(model.write(State.agreed(v), A, 0, None), B, 0, None)
    state = model.write(model.link(state, A), B, 0, v)
    return model.drain(model.link(state, B))


def test_trace_no_record_for_same() -> None:
    broken = same_trace(without(A_WINS, Rule.SAME))
    assert rows(broken) == (None, v)
    assert broken.silently_different == {0}

    found = same_trace(A_WINS)
    assert rows(found) == (None, v)
    assert kinds(found) == {Kind.SAME}
    assert settled(A_WINS, found) == (None, None)


# --- counters -------------------------------------------------------------------------------


def both_added(model: TwoSites, first: int, second: int) -> State:
    state = State.agreed(v, counted=True)
    return model.add(model.add(state, A, 0, first), B, 0, second)


def test_trace_delta_with_the_suffix_rule() -> None:
    """A +1; B +10; A→B adds 1 at B; B→A reads [+10, mark] and drops it: A 1, B 11."""
    scheme = without(COUNTED, Rule.BEFORE_MARK)
    broken = scheme.drain(scheme.link(both_added(scheme, 1, 10), A))
    assert counts(broken) == (1, 11)

    found = COUNTED.drain(COUNTED.link(both_added(COUNTED, 1, 10), A))
    assert counts(found) == (11, 11)
    assert not found.recorded


def test_trace_delta_without_a_version_column() -> None:
    """Both add 1; both links see "same": 1 instead of 2."""
    scheme = without(COUNTED, Rule.UNCOUNTED)
    broken = scheme.drain(both_added(scheme, 1, 1))
    assert counts(broken) == (1, 1)
    assert broken.lost

    found = COUNTED.drain(both_added(COUNTED, 1, 1))
    assert counts(found) == (2, 2)
    assert not found.lost


def counted_same_trace(model: TwoSites) -> State:
    """B: text a; A: text a, -1; B→A finds the text the same; A: text v again, +1, which A→B sees as
    no change of the text."""
    state = model.write(State.agreed(v, counted=True), B, 0, Row("a", 3))
    state = model.link(model.write(state, A, 0, Row("a", 4, -1)), B)
    state = model.write(state, A, 0, Row("v", 8))
    return model.drain(state)


def test_trace_no_record_for_the_same_text_of_a_counted_row_with_a_version() -> None:
    counted = replace(COUNTED, versioned=True)
    broken = counted_same_trace(without(counted, Rule.SAME))
    assert rows(broken) == (Row("v", 8), Row("a", 8))
    assert broken.silently_different == {0}

    found = counted_same_trace(counted)
    assert kinds(found) == {Kind.SAME}
    assert settled(counted, found) == (Row("v", 8), Row("v", 8))


def crossed_trace(model: TwoSites) -> State:
    """B: +10; A: -1, later; A→B; B, its clock behind: text a, +1; B→A."""
    state = model.add(State.agreed(v, counted=True), B, 0, 10, version=1)
    state = model.link(model.add(state, A, 0, -1, version=4), A)
    assert state.rows[B] == (Row("v", 4, 9),)
    return model.drain(model.write(state, B, 0, Row("a", 3, 10)))


def test_trace_versions_cross_in_one_batch() -> None:
    """Both counters are 10; but A keeps the larger version, which B has no more."""
    counted = replace(COUNTED, versioned=True)
    broken = crossed_trace(without(counted, Rule.CONFLICT))
    assert rows(broken) == (Row("a", 4, 10), Row("a", 3, 10))
    assert broken.silently_different == {0}

    found = crossed_trace(counted)
    assert kinds(found) == {Kind.COUNTER}
    assert settled(counted, found) == (Row("a", 4, 10), Row("a", 4, 10))


def applied_twice(model: TwoSites) -> State:
    state = model.add(State.agreed(v, counted=True), A, 0, 1)
    batch = state.pull(A)
    return model.apply(model.apply(state, batch), batch)


def test_trace_no_fence() -> None:
    """A repeat applies +1 twice."""
    assert counts(applied_twice(without(COUNTED, Rule.FENCE))) == (1, 2)
    assert counts(applied_twice(COUNTED)) == (1, 1)
