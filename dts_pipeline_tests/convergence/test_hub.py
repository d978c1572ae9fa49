"""Three sites in a line: every short history and many random ones end equal at all three."""

from __future__ import annotations

import time
from dataclasses import replace
from random import Random

import pytest

from dts_pipeline.core.links import Policy
from dts_pipeline_tests.convergence.hub import (
    LEFT,
    RIGHT,
    Hub,
    HubExploration,
    HubHistory,
    ThreeSites,
    drawn,
    three_sites,
)
from dts_pipeline_tests.convergence.rows import A, B, Row, Value
from dts_pipeline_tests.convergence.two_sites import Rule
from dts_pipeline_tests.sampling import full_only

v, a, b = Row("v", 1), Row("a", 1), Row("b", 2)
FIRST, SECOND = Policy("site", "a"), Policy("site", "b")
NEWEST = Policy("newest", "a", "version")
LATEST = Policy("newest", "b", "version", update_wins=False)
MODELS = {
    "the hub wins": three_sites(SECOND, FIRST),
    "the spokes win": three_sites(FIRST, SECOND),
    "a before b before c": three_sites(FIRST, FIRST),
    "newest": three_sites(NEWEST, LATEST),
    "newest, version column": three_sites(NEWEST, LATEST, versioned=True),
    "version column": three_sites(FIRST, SECOND, versioned=True),
    "delta": three_sites(FIRST, SECOND, counted=True),
    "delta, version column": three_sites(SECOND, SECOND, counted=True, versioned=True),
}
FEW, MANY = 60, 10_000
SAMPLED = 200


def start(model: ThreeSites) -> Hub:
    counted = model.models[LEFT].counted
    return Hub.agreed(Row("v"), Row("w") if counted else None, counted=counted)


def played(model: ThreeSites, count: int) -> tuple[list[HubHistory], dict[str, int]]:
    """Histories from seeds 0 on, and what went wrong with the first seed of each."""
    histories, wrong = [], dict[str, int]()
    for seed in range(count):
        history = HubHistory(model, start(model))
        found = history.play(drawn(Random(seed)))
        histories.append(history)
        if found is not None:
            wrong.setdefault(found, seed)
    return histories, wrong


def without(model: ThreeSites, rule: Rule) -> ThreeSites:
    left, right = (replace(own, without=frozenset({rule})) for own in model.models)
    return replace(model, models=(left, right))


@pytest.mark.parametrize("name", MODELS)
def test_some_random_histories_of_three_sites_end_equal(name: str) -> None:
    histories, wrong = played(MODELS[name], FEW)

    assert not wrong
    assert sum(history.recorded for history in histories) > FEW / 10


@pytest.mark.convergence
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", MODELS)
def test_random_histories_of_three_sites_end_equal(
    name: str, is_sample: bool, summary: list[str]
) -> None:
    count, began = SAMPLED if is_sample else MANY, time.monotonic()
    histories, wrong = played(MODELS[name], count)

    assert not wrong
    differed = sum(history.differing for history in histories)
    assert is_sample or differed
    summary.append(
        f"three sites, {name}: {count:,} random histories, {differed:,} of them different at rest "
        f"before the last rounds, {time.monotonic() - began:.0f} s"
    )


@pytest.mark.parametrize(
    ("name", "writes", "rounds", "values"),
    [
        ("the spokes win", 2, 1, (None, v, a, b)),
        ("the spokes win", 3, 0, (None, v, a)),
        ("the hub wins", 3, 0, (None, v, a)),
        ("newest", 2, 0, (None, v, a, b)),
        pytest.param(
            "the spokes win", 3, 1, (None, v, a), marks=[pytest.mark.convergence, full_only]
        ),
        pytest.param("a before b before c", 4, 0, (None, a), marks=pytest.mark.convergence),
    ],
)
def test_every_short_history_of_three_sites_ends_equal(
    name: str, writes: int, rounds: int, values: tuple[Value, ...], summary: list[str]
) -> None:
    exploration = HubExploration(MODELS[name], values, writes, rounds)

    for begin in (v, None):
        assert exploration.run(Hub.agreed(begin)) is None
    assert exploration.nodes > 1_000
    summary.append(f"three sites, {name}, {writes} writes: {exploration.nodes:,} states")


@pytest.mark.parametrize("rule", [Rule.SAME, Rule.CONFLICT, Rule.SUFFIX])
def test_a_rule_that_is_missing_would_be_found(rule: Rule) -> None:
    model = without(MODELS["the spokes win"], rule)
    drawn_ones = (drawn(Random(seed)) for seed in range(1_500))

    assert any(HubHistory(model, start(model)).play(steps) == "silent" for steps in drawn_ones)


def test_without_carrying_on_the_third_site_stays_behind() -> None:
    exploration = HubExploration(replace(MODELS["the hub wins"], carries_on=False), (None, a), 1)

    assert exploration.run(Hub.agreed(v)) is not None


def test_a_change_reaches_every_site_once_and_never_comes_back() -> None:
    model = MODELS["the hub wins"]
    hub = model.drain(model.write(Hub.agreed(v), 0, 0, a))

    assert [pair.rows for pair in hub] == [((a,), (a,)), ((a,), (a,))]
    assert [len(log) for pair in hub for log in pair.logs] == [1, 1, 1, 1]
    assert hub[LEFT].logs[B][0].marked
    assert not hub[RIGHT].logs[A][0].marked
