"""The whole model: every short history, and 200,000 random ones of every kind of table.

`SAMPLE=1` plays few of them. What is counted is printed at the end of the run: histories, user
writes and rounds of reconcile in them, histories that came to rest with an open record and with
keys that differed, before the rounds that must make them equal.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import pytest

from dts_pipeline.core.links import Policy
from dts_pipeline_tests.convergence.exploration import OWN, Exploration
from dts_pipeline_tests.convergence.rows import Row, Value
from dts_pipeline_tests.convergence.state import State
from dts_pipeline_tests.convergence.tally import Tally, shortest, tally
from dts_pipeline_tests.convergence.two_sites import TwoSites

pytestmark = [pytest.mark.convergence, pytest.mark.timeout(3600)]

MODELS = {
    "site a": TwoSites(Policy("site", "a")),
    "site b": TwoSites(Policy("site", "b")),
    "newest, update wins": TwoSites(Policy("newest", "a", "version", update_wins=True)),
    "newest, delete wins": TwoSites(Policy("newest", "b", "version", update_wins=False)),
    "delta": TwoSites(Policy("site", "a"), counted=True),
    "fail": TwoSites(Policy("fail", "a")),
}
CELLS = [(name, versioned) for name in MODELS for versioned in (False, True)]
HISTORIES = 200_000
SAMPLED = 2_000
_AT_ONCE = 20_000
"""Histories that are played side by side."""

_BY = "{:22} {:>7} {:>9} {:>9} {:>9} {:>9} {:>7} {:>5}"

_HEAD = "random " + _BY.format(
    "policy", "version", "histories", "writes", "rounds", "recorded", "differ", "s"
)


def _model(name: str, versioned: bool) -> TwoSites:
    return replace(MODELS[name], versioned=versioned)


# --- every short history --------------------------------------------------------------------

v, a, b = Row("v", 1), Row("a", 1), Row("b", 2)
VALUES: tuple[Value, ...] = (None, v, a, b)
OWN_VALUES: tuple[Value, ...] = (None, Row("x", OWN))
STARTS = {
    "agreed": State.agreed(v),
    "absent": State.agreed(None),
    "different, recorded": State.recorded_difference(a, b),
    "here and not there": State.recorded_difference(a, None),
    "equal, recorded": State.recorded_difference(v, v),
}


@pytest.mark.parametrize(("name", "versioned"), [c for c in CELLS if c[0] != "fail"])
def test_every_history_of_three_writes_ends_equal(
    name: str, versioned: bool, is_sample: bool, summary: list[str]
) -> None:
    """With up to two rounds, each step of them between all else; in the sample one."""
    model = _model(name, versioned)
    values = OWN_VALUES if versioned else VALUES
    added = (1, 10) if model.counted else ()
    nodes, began = 0, time.monotonic()
    for start_name, start in STARTS.items():
        agreed = start_name in ("agreed", "absent")
        writes = 3 if agreed else 2
        rounds = 2 if start_name == "agreed" and not is_sample else 1
        first = start._replace(sums=(None,) if model.counted and not agreed else ())
        if model.counted and agreed:
            first = State.agreed(*start.rows[0], counted=True)
        exploration = Exploration(model, values, writes, rounds, added=added)
        assert exploration.run(first) is None, start_name
        nodes += exploration.nodes
    column = "version" if versioned else "none"
    summary.append(
        f"every history: {name}, version column: {column}: {nodes:,} states, "
        f"{time.monotonic() - began:.0f} s"
    )


# --- random histories -----------------------------------------------------------------------


def _parts(total: int) -> Iterator[tuple[int, int]]:
    """Seeds, and how many histories each draws."""
    for seed, begin in enumerate(range(0, total, _AT_ONCE), start=1):
        yield seed, min(_AT_ONCE, total - begin)


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    """Processes that remember the batches they have reduced."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(4, os.cpu_count() or 1), mp_context=spawn) as started:
        yield started


@pytest.mark.parametrize(("name", "versioned"), CELLS)
def test_random_histories_end_equal(
    name: str, versioned: bool, is_sample: bool, summary: list[str], pool: ProcessPoolExecutor
) -> None:
    """Reads cut anywhere and applied late, crashes, copies, replays, rounds between writes."""
    model, total = _model(name, versioned), SAMPLED if is_sample else HISTORIES
    found, began = Tally(), time.monotonic()
    for job in [pool.submit(tally, seed, count, model) for seed, count in _parts(total)]:
        found.add(job.result())
    if (name, versioned) == CELLS[0]:
        summary.append(_HEAD)
    summary.append(_line(name, versioned, found, time.monotonic() - began))
    if found.first is not None:
        history = shortest(*found.first, model)
        pytest.fail(f"{found.wrong}, the shortest: {history.wrong}: {history.steps}")
    assert found.histories == total
    assert found.recorded > total / 100  # they are not all harmless
    assert found.differing > 0


def _line(name: str, versioned: bool, found: Tally, seconds: float) -> str:
    column = "column" if versioned else "none"
    counts = (found.histories, found.writes, found.rounds, found.recorded, found.differing)
    return "random " + _BY.format(name, column, *counts, f"{seconds:.0f}")
