"""Medians, spreads and ratios."""

from __future__ import annotations

import pytest

from benchmarks.results import Run, Spread, by_contender, ratios, stage_medians


def _runs(contender: str, *seconds: float) -> list[Run]:
    return [Run(contender, 1_000, each) for each in seconds]


def test_a_rate_is_events_a_second() -> None:
    assert Run("pipeline", 1_000, 4.0).rate == 250


def test_a_spread_holds_median_least_and_most() -> None:
    assert Spread.of([3.0, 1.0, 9.0]) == Spread(3.0, 1.0, 9.0)


def test_ratios_are_taken_round_by_round() -> None:
    """A slow round slows both: the ratio of medians would be 8, or 2."""
    fast, slow = _runs("p", 1, 1, 10), _runs("s", 4, 8, 40)
    assert ratios(fast, slow) == Spread(4.0, 4.0, 8.0)


def test_ratios_of_different_numbers_of_rounds_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratios(_runs("p", 1, 1), _runs("s", 4))


def test_runs_stay_in_their_order_by_contender() -> None:
    first, second, other = *_runs("p", 1, 2), *_runs("s", 3)
    assert by_contender([first, other, second]) == {"p": [first, second], "s": [other]}


def test_stages_are_medians_and_the_rest_is_what_they_leave() -> None:
    runs = [
        Run("p", 1, seconds, stages={"pull": pull, "apply": 1.0})
        for seconds, pull in ((4.0, 1.0), (9.0, 7.0), (5.0, 2.0))
    ]
    assert stage_medians(runs) == {"pull": 2.0, "apply": 1.0, "the rest": 2.0}


def test_a_contender_without_stages_has_no_rest() -> None:
    assert stage_medians(_runs("s", 1, 2)) == {}
