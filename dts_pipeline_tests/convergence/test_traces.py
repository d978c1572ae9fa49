"""The shortest ways to break simpler schemes: each breaks as told, and the real rules hold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dts_pipeline.core.conflicts import Kind, Meeting, meet
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


def applied_twice(model: TwoSites) -> State:
    state = model.add(State.agreed(v, counted=True), A, 0, 1)
    batch = state.pull(A)
    return model.apply(model.apply(state, batch), batch)


def test_trace_no_fence() -> None:
    """A repeat applies +1 twice."""
    assert counts(applied_twice(without(COUNTED, Rule.FENCE))) == (1, 2)
    assert counts(applied_twice(COUNTED)) == (1, 1)


# --- rounds ---------------------------------------------------------------------------------


def first_equality_trace(model: TwoSites) -> State:
    """Both insert; B→A writes b; settle sees b = b; B deletes; A→B (read early) inserts a; B→A
    deletes."""
    steps = Reconcile(model)
    state = model.write(model.write(State.agreed(None), A, 0, a), B, 0, b)
    state = model.link(state, B)
    assert rows(state) == (b, b)
    read_early = state.pull(A, 1)
    state = steps.ended(steps.lock(steps.hold(steps.read(steps.begin(state)))))
    state = model.write(state, B, 0, None)
    delete_alone = state.pull(B, 1)
    return model.drain(model.apply(model.apply(state, read_early), delete_alone))


def test_trace_closing_on_a_first_equality() -> None:
    """Closed too early, what A→B does later must be the last to be recorded; here R2 is left out
    as well, so that nothing hides that."""
    closing = (Rule.CATCH_UP, Rule.QUIET)
    broken = first_equality_trace(without(B_WINS, *closing, Rule.CONFLICT))
    assert rows(broken) == (None, a)
    assert broken.silently_different == {0}

    found = first_equality_trace(B_WINS)
    assert rows(found) == (None, a)
    assert Kind.INSERT_INSERT in kinds(found)
    assert settled(B_WINS, found) == (a, a)


def guard_trace(model: TwoSites) -> State:
    """A has a, B nothing. A round reads both; A's user deletes, A→B finds that "same"; the round
    writes a at B, where nothing is, as it was read."""
    steps = Reconcile(model)
    state = State.recorded_difference(Row("a", 1), None)
    state = steps.read(steps.begin(state))
    state = model.link(model.write(state, A, 0, None), A)
    assert rows(state) == (None, None)
    return steps.ended(steps.lock(steps.hold(state)))


def test_trace_guarding_by_value_only() -> None:
    """A clean user delete between read and write is undone by the guarded write."""
    broken = guard_trace(without(NEWEST, Rule.QUIET))
    assert rows(broken) == (None, Row("a", 1))
    end, _ = Reconcile(NEWEST).settle(broken, ENOUGH)
    assert end.lost

    found = guard_trace(NEWEST)
    assert rows(found) == (None, None)
    assert settled(NEWEST, found) == (None, None)


def test_trace_one_link_let_go_before_the_other_site_is_written() -> None:
    """A has a, B nothing: a is to be written at B, another key at A. B's user inserts v and deletes
    it again. A commits, which frees B→A: it carries both, so that nothing is at both sites. Then
    B's commit puts a there, and the next round takes it to A."""

    def trace(model: TwoSites) -> State:
        steps = Reconcile(model)
        state = State.recorded_difference(Row("a", 1), None)
        state = steps.hold(steps.read(steps.begin(state, others=True)))
        state = model.write(model.write(state, B, 0, Row("v", 2)), B, 0, None)
        state = steps.commit(steps.lock(state), A)
        state = model.link(model.link(state, B, 1), B, 1)
        return model.drain(steps.ended(state))

    broken, _ = Reconcile(NEWEST).settle(trace(without(NEWEST, Rule.WRITES_FIRST)), ENOUGH)
    assert broken.lost
    assert rows(broken) == (Row("a", 1), Row("a", 1))

    found = trace(NEWEST)
    assert not found.lost
    assert settled(NEWEST, found) == (Row("a", 1), Row("a", 1))  # while they differ, the row wins


# --- replay ---------------------------------------------------------------------------------


def replayed(model: TwoSites, state: State) -> State:
    """A's whole log once more: its keys are reconciled, and A wins."""
    state = Reconcile(model).whole(state, [0], Policy("site", "a"), Kind.REPLAY)
    return model.drain(state)


def test_trace_replay_writes_the_old_range_again() -> None:
    """A inserts; A→B; B deletes; B→A; replay sees -→a as clean: resurrected."""
    state = A_WINS.write(State.agreed(None), A, 0, a)
    old_range = state.pull(A)
    state = A_WINS.drain(A_WINS.write(A_WINS.apply(state, old_range), B, 0, None))
    assert rows(without(A_WINS, Rule.FENCE).apply(state, old_range)) == (None, a)

    assert A_WINS.apply(state, old_range) == state
    assert rows(replayed(A_WINS, state)) == (None, None)


def test_trace_replay_up_to_the_checkpoint_written_directly() -> None:
    """The same, when the newer change at B is not yet in A's log."""
    state = A_WINS.write(State.agreed(None), A, 0, a)
    state = A_WINS.write(A_WINS.link(state, A), B, 0, None)
    (change,), _ = A_WINS.reduction.of(state.logs[A][: state.positions[A]])
    assert meet(change.before, change.after, state.rows[B][0]) is Meeting.CLEAN  # resurrected

    assert rows(replayed(A_WINS, state)) == (None, None)


def test_a_replay_mends_a_site_restored_from_an_old_copy() -> None:
    """B's row is an old one, without a record; what the replay writes is recorded, then closed."""
    state = State.agreed(a)._replace(rows=((a,), (v,)))
    replaying = replayed(B_WINS, state)

    assert rows(replaying) == (a, a)
    assert kinds(replaying) == {Kind.REPLAY}
    assert settled(B_WINS, replaying) == (a, a)
