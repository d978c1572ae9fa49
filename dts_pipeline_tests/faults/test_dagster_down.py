"""Dagster's daemon, code server or storage dies while a run is in the middle of its transaction.

The ledger in the target decides what was applied; Dagster's own parts are only started again.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import dagster as dg
import pytest

from dts_pipeline.core.batches import Checkpoint
from dts_pipeline.core.points import Point
from dts_pipeline_tests.faults.applied_once import assert_unbroken
from dts_pipeline_tests.faults.child_runs import state_of, wait_stopped
from dts_pipeline_tests.faults.mounts import SmallDisk, small_disk
from dts_pipeline_tests.faults.orders import FAULTS, Faults
from dts_pipeline_tests.integration.dagster_home import DagsterHome, running
from dts_pipeline_tests.integration.rig import Rig, wait_for
from dts_pipeline_tests.integration.small_batches import SmallBatch, warm_up
from dts_pipeline_tests.sampling import IS_SAMPLE
from dts_pipeline_tests.stacks import Stack

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(IS_SAMPLE, reason="waits for ticks of several minutes"),
]

BATCHES = [SmallBatch(number, "a") for number in (1, 2, 3)]


@dataclass
class Scene:
    """A daemon and a link whose runs stop where a test orders it."""

    rig: Rig
    home: DagsterHome
    faults: Faults
    began: Checkpoint
    disk: SmallDisk
    written: list[SmallBatch] = field(default_factory=list)

    def stop_a_run(self, batch: SmallBatch, point: Point) -> int:
        """Writes the batch; the pid of the schedule's run that stands still at the point."""
        self.faults.order(self.rig.forth, point, signal.SIGSTOP)
        batch.write(self.rig)
        self.written.append(batch)
        wait_for(lambda: self.faults.struck(self.rig.forth, point) is not None, 150)
        strike = self.faults.struck(self.rig.forth, point)
        assert strike is not None
        wait_stopped(self.faults, self.rig.forth, point, strike.pid)
        return strike.pid

    def await_next_success(self) -> dg.DagsterRunStatus:
        """Waits for a run that begins from now on to succeed; how the one before it ended."""
        now = time.time()
        runs = dg.RunsFilter(job_name=f"sync_{self.rig.forth}")

        def succeeded() -> bool:
            with self.home.instance() as instance:
                records = instance.get_run_records(runs)
            return any(
                (record.start_time or 0) > now
                and record.dagster_run.status is dg.DagsterRunStatus.SUCCESS
                for record in records
            )

        wait_for(succeeded, 240)
        with self.home.instance() as instance:
            old = [r for r in instance.get_run_records(runs) if (r.start_time or 0) <= now]
        assert all(record.dagster_run.is_finished for record in old)
        return old[0].dagster_run.status


@pytest.fixture(scope="module")
def scene(stack_mariadb: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    path = tmp_path_factory.mktemp("down")
    rig = warm_up(Rig(stack_mariadb, "down", path), BATCHES)
    faults = Faults(path / "faults")
    faults.folder.mkdir()
    environment = {"DTS_CONFIG": str(rig.path), FAULTS: str(faults.folder), **rig.stack.env}
    module = "dts_pipeline_tests.faults.faulty_definitions"
    home = DagsterHome(path / "dagster", module, environment)
    history = home.folder / "history"
    history.mkdir(parents=True)
    with small_disk(history, "64m") as disk, running(home):
        yield Scene(rig, home, faults, rig.checkpoint(rig.forth), disk)


def test_the_daemon_is_killed(scene: Scene, summary: list[str]) -> None:
    before = scene.rig.checkpoint(scene.rig.forth)
    run = scene.stop_a_run(BATCHES[0], Point.FENCED)
    scene.home.kill_daemon()
    os.kill(run, signal.SIGCONT)
    wait_for(lambda: scene.rig.checkpoint(scene.rig.forth).batch > before.batch, 60)
    scene.home.start()
    status = scene.await_next_success()
    summary.append(f"Dagster's daemon killed: the run goes on, ends as {status.value}")


def test_the_code_server_is_killed(scene: Scene, summary: list[str]) -> None:
    run = scene.stop_a_run(BATCHES[1], Point.STAGED)
    servers = scene.home.code_servers()
    assert servers
    for pid in servers:
        os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(run, signal.SIGCONT)
    status = scene.await_next_success()
    summary.append(f"Dagster's code server killed: its run ends as {status.value}")


def test_the_storage_is_full(scene: Scene, summary: list[str]) -> None:
    before = scene.rig.checkpoint(scene.rig.forth)
    run = scene.stop_a_run(BATCHES[2], Point.WRITTEN)
    scene.disk.fill()
    try:
        os.kill(run, signal.SIGCONT)
        wait_for(lambda: scene.rig.checkpoint(scene.rig.forth).batch > before.batch, 60)
        wait_for(lambda: not alive(run), 60)
    finally:
        scene.disk.free()
    if scene.home.has_ended:
        scene.home.start()
        summary.append("Dagster's daemon ends when its storage is full")
    status = scene.await_next_success()
    summary.append(f"Dagster's storage full: the batch is applied, its run is {status.value}")


def alive(pid: int) -> bool:
    """Whether the process runs; one that has ended but was not waited for does not."""
    try:
        return state_of(pid) not in "ZX"
    except FileNotFoundError:
        return False


def test_afterwards_everything_was_applied_once(scene: Scene) -> None:
    scene.home.end()
    rig = scene.rig
    rig.sync()
    rig.drain()
    rig.assert_equal()
    assert_unbroken(rig, rig.forth, scene.began)
    assert rig.records(rig.forth) == []
    for batch in scene.written:
        batch.assert_written_once(rig)
