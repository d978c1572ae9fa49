"""As `test_traces`, of rounds and replays."""

from __future__ import annotations

from dts_pipeline.core.conflicts import Kind, Meeting, meet
from dts_pipeline.core.links import Policy
from dts_pipeline_tests.convergence.exploration import ENOUGH
from dts_pipeline_tests.convergence.rounds import Reconcile
from dts_pipeline_tests.convergence.rows import A, B, Row
from dts_pipeline_tests.convergence.state import State
from dts_pipeline_tests.convergence.traces import (
    A_WINS,
    B_WINS,
    NEWEST,
    a,
    b,
    kinds,
    rows,
    settled,
    v,
    without,
)
from dts_pipeline_tests.convergence.two_sites import Rule, TwoSites

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
