"""Two runs of a lane at the same time: one applies, the other says so and writes nothing.

The queue keeps Dagster's runs apart; started by hand, they meet at the target: at the lane's lock
while one applies, at the fence (rule R6) once it has.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dts_pipeline.core.batches import Checkpoint
from dts_pipeline.core.points import Point
from dts_pipeline_tests.integration.applied_once import assert_unbroken
from dts_pipeline_tests.integration.child_runs import ChildRun, state_of
from dts_pipeline_tests.integration.faults import FAULTS, Faults
from dts_pipeline_tests.integration.rig import Rig, wait_for
from dts_pipeline_tests.integration.small_batches import SmallBatch, warm_up
from dts_pipeline_tests.stacks import ROOT, Stack

pytestmark = pytest.mark.servers

BATCHES = [SmallBatch(number, "a") for number in range(1, 13)]
STOP = signal.SIGSTOP
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


@dataclass
class DtsSync:
    """`dts sync LINK --json` in a process that stops once it has pulled its batch."""

    rig: Rig
    folder: Path
    process: subprocess.Popen[str] = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir()
        Faults(self.folder).order(self.rig.forth, Point.PULLED, STOP)
        program = [sys.executable, "-m", "dts_pipeline_tests.integration.faulty_sync"]
        self.process = subprocess.Popen(
            [*program, "sync", self.rig.forth, "--config", str(self.rig.path), "--json"],
            cwd=ROOT,
            env={**os.environ, **self.rig.stack.env, FAULTS: str(self.folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_stopped(self) -> None:
        faults = Faults(self.folder)
        wait_for(lambda: faults.struck(self.rig.forth, Point.PULLED) is not None, 60)
        wait_for(lambda: state_of(self.process.pid) == "T", 60)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def said(self) -> tuple[int, dict[str, Any]]:
        """Exit status and the JSON document."""
        output, _ = self.process.communicate(timeout=60)
        return self.process.returncode, json.loads(output)


def test_two_syncs_at_once_one_applies_and_the_other_says_so(
    rig: Rig, take: Take, tmp_path: Path
) -> None:
    before, batch = rig.checkpoint(rig.forth), take()
    batch.write(rig)
    runs = [DtsSync(rig, tmp_path / name) for name in ("one", "two")]
    for run in runs:
        run.wait_stopped()
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
    slow = DtsSync(rig, tmp_path / "slow")
    slow.wait_stopped()
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
    slow = ChildRun(rig, rig.forth, tmp_path / "slow", {Point.PULLED: STOP})
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
    second = ChildRun(rig, rig.forth, tmp_path / "second", {Point.PULLED: STOP})
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
