"""Two runs of a lane at the same time: one applies, the other says so and writes nothing.

The queue keeps Dagster's runs apart; started by hand, they meet at the target: at the lane's lock
while one applies, at the fence (rule R6) once it has.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from dts_pipeline.core.batches import Checkpoint
from dts_pipeline.core.points import Point
from dts_pipeline_tests.faults.applied_once import assert_unbroken
from dts_pipeline_tests.faults.child_runs import ChildRun, DtsSync
from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.integration.small_batches import SmallBatch, warm_up
from dts_pipeline_tests.stacks import Stack

pytestmark = pytest.mark.servers

BATCHES = [SmallBatch(number, "a") for number in range(1, 13)]
STOP = signal.SIGSTOP
PULLED_STOP = {Point.PULLED: STOP}
Take = Callable[[], SmallBatch]


@pytest.fixture(
    scope="module", params=["stack_mariadb", pytest.param("stack_mysql", marks=pytest.mark.mysql)]
)
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Rig:
    stack: Stack = request.getfixturevalue(request.param)
    return warm_up(Rig(stack, "two", tmp_path_factory.mktemp("two")), BATCHES)


@pytest.fixture(scope="module")
def take(rig: Rig) -> Take:
    """Gives a batch that no test has written yet."""
    left = list(BATCHES)
    return lambda: left.pop(0)


# -- `dts sync` -------------------------------------------------------------------------------


def test_two_syncs_at_once_one_applies_and_the_other_says_so(
    rig: Rig, take: Take, tmp_path: Path
) -> None:
    before, batch = rig.checkpoint(rig.forth), take()
    batch.write(rig)
    runs = [DtsSync(rig, rig.forth, tmp_path / name, PULLED_STOP) for name in ("one", "two")]
    for run in runs:
        run.wait_stopped(Point.PULLED)
    for run in runs:
        run.go_on()
    statuses, documents = zip(*(run.said() for run in runs), strict=True)
    assert statuses == (0, 0)
    assert sorted(document["batches"] for document in documents) == [0, 1]
    other = next(document for document in documents if not document["batches"])
    assert other["counts"]["already_applied"] == 1
    assert {document["checkpoint"]["batch"] for document in documents} == {before.batch + 1}
    assert_one_batch(rig, batch, before)


def test_a_sync_that_another_overtook_says_so_and_fails(
    rig: Rig, take: Take, tmp_path: Path
) -> None:
    """The other took more into its batch: what this one holds is a part of it."""
    before, first, second = rig.checkpoint(rig.forth), take(), take()
    first.write(rig)
    slow = DtsSync(rig, rig.forth, tmp_path / "slow", PULLED_STOP)
    slow.wait_stopped(Point.PULLED)
    second.write(rig)
    assert rig.run(rig.forth).batches == 1
    slow.go_on()
    status, document = slow.said()
    assert status == 2
    assert document["error"]["code"] == "another_run_ahead"
    for batch in first, second:
        assert_one_batch(rig, batch, before)


# -- at each point ----------------------------------------------------------------------------


@pytest.mark.parametrize("point", [Point.STAGED, Point.FENCED, Point.WRITTEN])
def test_a_run_beside_one_that_applies_is_told_that_the_lane_is_busy(
    rig: Rig, take: Take, point: Point, tmp_path: Path
) -> None:
    before, batch = rig.checkpoint(rig.forth), take()
    batch.write(rig)
    slow = ChildRun(rig, rig.forth, tmp_path / "slow", {point: STOP})
    slow.wait_stopped(point)
    second = ChildRun(rig, rig.forth, tmp_path / "second")
    assert second.outcome.said == "lane_busy"
    assert rig.checkpoint(rig.forth) == before
    slow.go_on()
    assert slow.outcome.said == "applied"
    assert_one_batch(rig, batch, before)


def test_a_run_beside_one_that_has_committed_finds_nothing_to_do(
    rig: Rig, take: Take, tmp_path: Path
) -> None:
    before, batch = rig.checkpoint(rig.forth), take()
    batch.write(rig)
    slow = ChildRun(rig, rig.forth, tmp_path / "slow", {Point.COMMITTED: STOP})
    slow.wait_stopped(Point.COMMITTED)
    second = ChildRun(rig, rig.forth, tmp_path / "second")
    assert second.outcome.said == "empty"
    slow.go_on()
    assert slow.outcome.said == "applied"
    assert_one_batch(rig, batch, before)


def test_a_run_that_was_overtaken_before_it_applied_writes_nothing(
    rig: Rig, take: Take, tmp_path: Path
) -> None:
    before, batch = rig.checkpoint(rig.forth), take()
    batch.write(rig)
    slow = ChildRun(rig, rig.forth, tmp_path / "slow", PULLED_STOP)
    slow.wait_stopped(Point.PULLED)
    second = ChildRun(rig, rig.forth, tmp_path / "second")
    assert second.outcome.said == "applied"
    slow.go_on()
    assert slow.outcome.said == "already_applied"
    assert_one_batch(rig, batch, before)


def test_a_run_goes_on_where_one_that_held_the_lane_is_killed(
    rig: Rig, take: Take, tmp_path: Path
) -> None:
    before, batch = rig.checkpoint(rig.forth), take()
    batch.write(rig)
    slow = ChildRun(rig, rig.forth, tmp_path / "slow", {Point.WRITTEN: STOP})
    slow.wait_stopped(Point.WRITTEN)
    second = ChildRun(rig, rig.forth, tmp_path / "second", PULLED_STOP)
    second.wait_stopped(Point.PULLED)
    second.go_on()
    slow.kill()
    assert second.outcome.said == "applied"
    assert_one_batch(rig, batch, before)


def assert_one_batch(rig: Rig, batch: SmallBatch, before: Checkpoint) -> None:
    """Exactly one batch was added to the ledger, and its rows were written once."""
    assert rig.checkpoint(rig.forth).batch == before.batch + 1
    assert_unbroken(rig, rig.forth, before)
    batch.assert_arrived(rig)
