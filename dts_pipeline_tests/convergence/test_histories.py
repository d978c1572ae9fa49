"""A few random histories in every run of the tests; `test_model.py` plays many."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dts_pipeline.core.conflicts import Kind
from dts_pipeline.core.links import Policy
from dts_pipeline_tests.convergence.histories import PLAIN, drawn, play
from dts_pipeline_tests.convergence.rows import Change, Entry, Row, Value
from dts_pipeline_tests.convergence.state import State
from dts_pipeline_tests.convergence.tally import shortest, tally
from dts_pipeline_tests.convergence.two_sites import Rule, TwoSites

SITE = TwoSites(Policy("site", "a"))
MODELS = [
    SITE,
    TwoSites(Policy("newest", "a", "version")),
    replace(SITE, counted=True),
    replace(SITE, versioned=True),
]
KEYS = 2


@pytest.mark.parametrize("model", MODELS, ids=["site", "newest", "delta", "versioned"])
def test_none_of_some_random_histories_goes_wrong(model: TwoSites) -> None:
    found = tally(7, 600, model)

    assert not found.wrong
    assert found.recorded > 20
    assert found.differing


def test_random_histories_meet_with_every_kind_of_conflict() -> None:
    histories = list(drawn(Random(7), 600, SITE))
    kinds = set[Kind | None]()
    while under_way := [h for h in histories if not h.over]:
        for history in under_way:
            history.play(history.due())
            kinds |= {kind for site in history.state.records for kind in site}
    assert kinds >= {
        Kind.SAME,
        Kind.SUPERSEDED,
        Kind.UPDATE_UPDATE,
        Kind.INSERT_INSERT,
        Kind.UPDATE_DELETE,
        Kind.DELETE_UPDATE,
    }


@pytest.mark.parametrize(
    "rules", [{Rule.SAME}, {Rule.CONFLICT}, {Rule.SUFFIX}, {Rule.FIRST_COPIES}]
)
def test_the_same_histories_would_find_a_rule_that_is_missing(rules: set[Rule]) -> None:
    model = replace(SITE, without=frozenset(rules))
    found = tally(7, 2_000, model)

    assert found.first is not None
    assert shortest(*found.first, model).wrong is not None


TURNS = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.lists(
            st.tuples(st.integers(0, KEYS - 1), st.sampled_from(PLAIN)), min_size=1, max_size=4
        ),
        st.lists(st.tuples(st.integers(0, 1), st.integers(1, 3)), max_size=4),
    ),
    max_size=6,
)
Turn = tuple[int, list[tuple[int, Value]], list[tuple[int, int]]]


@settings(max_examples=40, deadline=None)
@given(turns=TURNS, model=st.sampled_from(MODELS[:2]))
def test_where_writers_take_turns_both_sites_equal_the_plain_replay_of_all_writes(
    turns: list[Turn], model: TwoSites
) -> None:
    """No two sites write concurrently: then nothing is a conflict, and nothing needs a record."""
    state = State.agreed(*[None] * KEYS)
    replay: list[Value] = [None] * KEYS
    for site, writes, links in turns:
        for key, value in writes:
            state = model.write(state, site, key, value)
            replay[key] = value
        for source, count in links:
            state = model.link(state, source, count)
        state = model.drain(state)
    assert state.rows == (tuple(replay), tuple(replay))
    assert not state.recorded


def test_a_pattern_stands_for_all_batches_that_differ_in_names_only() -> None:
    v, a, b, c = Row("v"), Row("a", 3), Row("b"), Row("c", 9, 4)
    reduction = SITE.reduction
    for old, new, other in ((v, a, b), (c, b, a)):
        entries = (Entry(0, old, new), Entry(0, new, other, True), Entry(1, None, old))
        changes, superseded = reduction.of(entries)

        assert list(changes) == [Change(1, None, old)]
        assert superseded == (0,)


def test_a_counted_pattern_keeps_what_was_added() -> None:
    reduction = replace(SITE, counted=True).reduction
    for base in (0, 100):
        before, mid, after = (Row("v", 0, base + n) for n in (0, 10, 11))
        changes, _ = reduction.of((Entry(0, before, mid), Entry(0, mid, after, True)))

        assert list(changes) == [Change(0, before, after, 10, crossed=True)]


def test_histories_of_two_kinds_of_table_are_not_played_together() -> None:
    histories = [next(iter(drawn(Random(1), 1, model))) for model in (MODELS[0], MODELS[2])]
    with pytest.raises(AssertionError, match="one kind"):
        play(histories)
