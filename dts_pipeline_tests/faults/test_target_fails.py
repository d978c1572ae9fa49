"""The target's server dies in the middle of an apply; it comes back at once, or much later."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import httpx
import pytest

from dts_pipeline.core.points import Point
from dts_pipeline_tests.faults.applied_once import assert_unbroken
from dts_pipeline_tests.faults.child_runs import ChildRun
from dts_pipeline_tests.integration.rig import Rig, wait_for
from dts_pipeline_tests.integration.small_batches import SmallBatch, warm_up
from dts_pipeline_tests.sampling import IS_SAMPLE
from dts_pipeline_tests.stacks import Stack

pytestmark = pytest.mark.servers

ALL_POINTS = [Point.STAGING, Point.STAGED, Point.FENCED, Point.WRITTEN, Point.COMMITTED]
POINTS = [Point.WRITTEN] if IS_SAMPLE else ALL_POINTS
BATCHES = {point: SmallBatch(number, "a") for number, point in enumerate(POINTS, 1)}
AWAY = SmallBatch(9, "a")
TARGET = "site_b"


@pytest.fixture(
    scope="module", params=["stack_mariadb", pytest.param("stack_mysql", marks=pytest.mark.mysql)]
)
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Rig:
    stack: Stack = request.getfixturevalue(request.param)
    made = Rig(stack, "dies", tmp_path_factory.mktemp("dies"))
    # A binlog reader that lost its server looks again after a minute if nobody says otherwise.
    made.connector_changes = {"connect.keep.alive.interval.ms": "3000"}
    return warm_up(made, [*BATCHES.values(), AWAY])


@pytest.mark.parametrize("point", POINTS)
def test_a_run_goes_on_by_itself_when_the_server_is_back(
    rig: Rig, point: Point, tmp_path: Path, summary: list[str]
) -> None:
    before = rig.checkpoint(rig.forth)
    BATCHES[point].write(rig)
    run = ChildRun(rig, rig.forth, tmp_path, {point: signal.SIGSTOP})
    run.wait_stopped(point)
    rig.stack.command("kill", TARGET)
    rig.stack.command("start", TARGET)
    began = time.monotonic()
    run.go_on()
    assert run.outcome.said == "applied"
    seconds = time.monotonic() - began
    restart_capture(rig)
    BATCHES[point].assert_arrived(rig)
    assert_unbroken(rig, rig.forth, before)
    summary.append(f"server killed at {point}, {rig.stack.flavour}: applied after {seconds:.1f} s")


def test_a_run_that_waits_in_vain_says_so_and_the_next_one_applies(
    rig: Rig, tmp_path: Path
) -> None:
    before = rig.checkpoint(rig.forth)
    AWAY.write(rig)
    run = ChildRun(rig, rig.forth, tmp_path, {Point.WRITTEN: signal.SIGSTOP})
    run.wait_stopped(Point.WRITTEN)
    rig.stack.command("kill", TARGET)
    try:
        run.go_on()
        assert run.outcome.said == "server_unreachable"
    finally:
        rig.stack.command("start", TARGET)
    assert rig.checkpoint(rig.forth) == before
    assert rig.run(rig.forth).batches == 1
    restart_capture(rig)
    AWAY.assert_arrived(rig)
    assert_unbroken(rig, rig.forth, before)


def restart_capture(rig: Rig) -> None:
    """The target's connector, whose link is not looked at here, reads its binlog again."""
    site = rig.sites[1]
    url = f"{rig.stack.connect}/connectors/dts-{site}/restart?includeTasks=true"
    httpx.post(url, timeout=30).raise_for_status()
    wait_for(lambda: rig.connector_state(site) == ["RUNNING"] * 2, 60)
