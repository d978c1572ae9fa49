"""Three sites in a full mesh: every short history and many random ones end equal at all three."""

from __future__ import annotations

import time
from dataclasses import replace
from random import Random

import pytest

from dts_pipeline.core.conflicts import Kind
from dts_pipeline.core.links import Policy
from dts_pipeline_tests.convergence.mesh import (
    Mesh,
    MeshExploration,
    MeshHistory,
    ThreeInAMesh,
    drawn,
    three_in_a_mesh,
    without_holding_all,
)
from dts_pipeline_tests.convergence.rows import Row, Value
from dts_pipeline_tests.convergence.two_sites import Rule
from dts_pipeline_tests.sampling import full_only

v, a, b = Row("v", 1), Row("a", 1), Row("b", 2)
FIRST = Policy("site", "a")
NEWEST = Policy("newest", "a", "version")
LATEST = Policy("newest", "a", "version", update_wins=False)
MODELS = {
    "a before b before c": three_in_a_mesh(FIRST),
    "newest": three_in_a_mesh(NEWEST),
    "newest, deletes win": three_in_a_mesh(LATEST),
    "newest, version column": three_in_a_mesh(NEWEST, versioned=True),
    "version column": three_in_a_mesh(FIRST, versioned=True),
    "delta": three_in_a_mesh(FIRST, counted=True),
    "delta, version column": three_in_a_mesh(FIRST, counted=True, versioned=True),
}
FEW, SAMPLED, MANY = 60, 50, 3_000


def start(model: ThreeInAMesh) -> Mesh:
    counted = model.models[0].counted
    return Mesh.agreed(Row("v"), Row("w") if counted else None, counted=counted)


def played(model: ThreeInAMesh, count: int) -> tuple[list[MeshHistory], dict[str, int]]:
    """Histories from seeds 0 on, and what went wrong with the first seed of each."""
    histories, wrong = [], dict[str, int]()
    for seed in range(count):
        history = MeshHistory(model, start(model))
        found = history.play(drawn(Random(seed)))
        histories.append(history)
        if found is not None:
            wrong.setdefault(found, seed)
    return histories, wrong


@pytest.mark.parametrize("name", MODELS)
def test_some_random_histories_of_a_mesh_end_equal(name: str) -> None:
    histories, wrong = played(MODELS[name], FEW)

    assert not wrong
    assert sum(history.recorded for history in histories) > FEW / 10


@pytest.mark.convergence
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", MODELS)
def test_random_histories_of_a_mesh_end_equal(
    name: str, is_sample: bool, summary: list[str]
) -> None:
    count, began = SAMPLED if is_sample else MANY, time.monotonic()
    histories, wrong = played(MODELS[name], count)

    assert not wrong
    differed = sum(history.differing for history in histories)
    assert is_sample or differed
    summary.append(
        f"mesh, {name}: {count:,} random histories, {differed:,} of them different at rest "
        f"before the last rounds, {time.monotonic() - began:.0f} s"
    )


@pytest.mark.parametrize(
    ("name", "writes", "rounds", "values"),
    [
        ("a before b before c", 2, 0, (None, v, a, b)),
        ("newest", 2, 0, (None, v, a, b)),
        pytest.param(
            "a before b before c", 2, 1, (None, v, a), marks=[pytest.mark.convergence, full_only]
        ),
        pytest.param(
            "a before b before c", 3, 0, (None, v, a), marks=[pytest.mark.convergence, full_only]
        ),
    ],
)
@pytest.mark.timeout(3600)
def test_every_short_history_of_a_mesh_ends_equal(
    name: str, writes: int, rounds: int, values: tuple[Value, ...], summary: list[str]
) -> None:
    exploration = MeshExploration(MODELS[name], values, writes, rounds)

    for begin in (v, None):
        assert exploration.run(Mesh.agreed(begin)) is None
    assert exploration.nodes > 1_000
    summary.append(f"mesh, {name}, {writes} writes: {exploration.nodes:,} states")


@pytest.mark.parametrize("rule", [Rule.SAME, Rule.SUPERSEDED, Rule.CONFLICT])
def test_a_rule_that_is_missing_would_be_found(rule: Rule) -> None:
    mesh = MODELS["a before b before c"]
    models = tuple(replace(own, without=frozenset({rule})) for own in mesh.models)
    model = replace(mesh, models=models)
    drawn_ones = (drawn(Random(seed)) for seed in range(1_500))

    assert any(MeshHistory(model, start(model)).play(steps) == "silent" for steps in drawn_ones)


def test_a_round_of_two_sites_alone_leaves_the_third_different() -> None:
    model = without_holding_all(MODELS["a before b before c"])
    drawn_ones = (drawn(Random(seed)) for seed in range(1_500))

    assert any(MeshHistory(model, start(model)).play(steps) == "silent" for steps in drawn_ones)


def test_a_change_reaches_both_others_once_and_never_comes_back() -> None:
    model = MODELS["a before b before c"]
    mesh = model.drain(model.write(Mesh.agreed(v), 0, 0, a))

    assert [pair.rows for pair in mesh.pairs] == [((a,), (a,))] * 3
    assert [[len(log) for log in pair.logs] for pair in mesh.pairs] == [[1, 1]] * 3
    assert [pair.logs[1][0].marked for pair in mesh.pairs] == [True] * 3
    assert not mesh.recorded


def test_a_change_made_upon_one_that_the_third_site_lacks_is_a_recorded_dispute() -> None:
    """b's change reaches c, and what c's user makes of it reaches a first: a keeps its row."""
    model = MODELS["a before b before c"]
    mesh = model.write(Mesh.agreed(v), 1, 0, b)
    mesh = model.link(mesh, 2, 0)  # b to c
    mesh = model.write(mesh, 2, 0, a)
    mesh = model.link(mesh, 1, 1)  # c to a, before b to a

    assert mesh.pairs[1].rows[0] == (v,)
    assert mesh.pairs[1].records[0] == (Kind.UPDATE_UPDATE,)
    assert model.wrong_at_end(mesh) is None
    assert [pair.rows for pair in model.settled(mesh).pairs] == [((b,), (b,))] * 3
