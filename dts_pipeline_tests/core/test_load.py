"""A load's states, its progress, and the policies that allow it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from dts_pipeline.core.links import Policy
from dts_pipeline.core.load import LoadState, TableLoad, as_data, takes_rows_away
from dts_pipeline.core.reconcile import Outcome, Readings, Round, fill


@pytest.mark.parametrize(
    ("policy", "unsafe"),
    [
        (Policy("site", "a"), False),
        (Policy("site", "b"), True),  # b lacks the row: its absence would win
        (Policy("newest", "b", "version"), False),
        (Policy("newest", "a", "version", update_wins=False), True),
        (Policy("fail", ""), False),
    ],
)
def test_policies_under_which_a_row_not_loaded_yet_would_be_deleted(
    policy: Policy, unsafe: bool
) -> None:
    assert takes_rows_away(policy, lacking="b") is unsafe


def test_progress() -> None:
    load = TableLoad("s.t", rows=250, expected=1_000, seconds=5.0, counts=Counter(written=200))
    assert (load.percent, load.rate) == (25.0, 50.0)
    assert TableLoad("s.t").percent == TableLoad("s.t").rate == 0.0
    late = TableLoad("s.t", rows=1_200, expected=1_000)  # the server's estimate was too low
    assert late.percent < 100
    assert TableLoad("s.t", LoadState.VERIFYING).percent == 100.0
    data = as_data(load)
    assert (data["written"], data["again"], data["state"]) == (200, 0, "loading")
    assert "position" not in data


@pytest.mark.parametrize("source", ["a", None])
def test_an_open_load_goes_on_and_an_ended_one_begins_anew(source: str | None) -> None:
    for state in (LoadState.LOADING, LoadState.VERIFYING):
        load = TableLoad("s.t", state, position=(7,), rows=8, source=source)
        assert load.begun_again(source) is load
    for state in (LoadState.DONE, LoadState.LEFT):
        load = TableLoad("s.t", state, rows=8, source=source)
        assert load.begun_again(source) == TableLoad("s.t", source=source)


def test_another_source_begins_anew() -> None:
    for before, now in (("a", "b"), ("a", None), (None, "a")):
        load = TableLoad("s.t", position=(7,), rows=8, source=before)
        assert load.begun_again(now) == TableLoad("s.t", source=now)


def test_the_source_of_an_open_load_counts_and_that_of_a_done_one_does_not() -> None:
    for state in LoadState:
        assert TableLoad("s.t", state, source="a").is_open("a", "b") is (state != LoadState.DONE)
    assert not TableLoad("s.t", source="gone").is_open("a", "b")


READINGS = Readings(
    first_found=np.array([True, False, True, True, False]),
    second_found=np.array([False, True, True, True, False]),
    equal=np.array([False, False, False, True, True]),
    newer=np.zeros(5, dtype=np.int64),
)


def test_filling_writes_what_one_site_lacks_and_decides_nothing_else() -> None:
    expected = [
        Outcome.FIRST, Outcome.SECOND, Outcome.UNDECIDED, Outcome.EQUAL, Outcome.EQUAL
    ]  # fmt: skip
    assert fill(READINGS).tolist() == expected


def test_a_filling_round_starts_over_with_a_key_that_was_touched() -> None:
    begun = Round(None, "a").marked((1, 2)).read(READINGS).caught_up().held().marked_again((3, 4))
    touched = np.array([True, False, False, True, False])
    assert begun.outcomes(touched).tolist() == [
        Outcome.AGAIN, Outcome.SECOND, Outcome.UNDECIDED, Outcome.AGAIN, Outcome.EQUAL
    ]  # fmt: skip
