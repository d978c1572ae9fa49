"""A run that is killed at any point, and started again, leaves the effect of one application.

The ledger and the target's transaction decide; nothing that the dead process knew is needed.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

import dagster as dg
import pytest
import yaml

from dts_pipeline.core.batches import Checkpoint
from dts_pipeline.core.points import Point
from dts_pipeline_tests.faults.applied_once import assert_at_the_ends, assert_unbroken
from dts_pipeline_tests.faults.child_runs import ChildRun, DtsSync, state_of
from dts_pipeline_tests.faults.orders import FAULTS, Faults, Strike
from dts_pipeline_tests.integration.dagster_home import SCHEDULE_TAG, DagsterHome, running
from dts_pipeline_tests.integration.rig import Rig, wait_for
from dts_pipeline_tests.integration.small_batches import SmallBatch, warm_up
from dts_pipeline_tests.sampling import full_only
from dts_pipeline_tests.stacks import Stack

pytestmark = pytest.mark.servers

AFTER_COMMIT = {Point.COMMITTED, Point.APPLIED}
"""Where a run that dies leaves a batch behind that counts."""
TICK_TAG = ".dagster/scheduled_execution_time"
NOTICED_SECONDS = 30.0
"""From the death of a run to its FAILURE: the code server looks often, the monitor every 5 s."""


# -- by hand, at every point ------------------------------------------------------------------

BATCHES = {point: SmallBatch(number, "a") for number, point in enumerate(Point, 1)}


@pytest.fixture(
    scope="module", params=["stack_mariadb", pytest.param("stack_mysql", marks=pytest.mark.mysql)]
)
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Rig:
    stack: Stack = request.getfixturevalue(request.param)
    return warm_up(Rig(stack, "killed", tmp_path_factory.mktemp("killed")), BATCHES.values())


@pytest.mark.parametrize("point", list(Point))
def test_a_run_killed_at_a_point_is_finished_by_the_next(
    rig: Rig, point: Point, tmp_path: Path
) -> None:
    before = rig.checkpoint(rig.forth)
    BATCHES[point].write(rig)
    run = ChildRun(rig, rig.forth, tmp_path, {point: signal.SIGKILL})
    assert run.exit_code == -signal.SIGKILL
    assert_left_behind(rig, rig.forth, point, before)
    rig.run(rig.forth)
    assert rig.checkpoint(rig.forth).batch == before.batch + 1
    BATCHES[point].assert_arrived(rig)
    assert_unbroken(rig, rig.forth, before)


def assert_left_behind(rig: Rig, link: str, point: Point, before: Checkpoint) -> None:
    """The dead run's batch stands whole in the ledger, or nothing of it does."""
    now = rig.checkpoint(link)
    if point in AFTER_COMMIT:
        assert now.batch == before.batch + 1
    else:
        assert now == before


# -- runs that the schedule started -----------------------------------------------------------


@dataclass(frozen=True)
class Scheduled:
    """A link whose run of the schedule dies at a point, with the batch that it had to carry."""

    rig: Rig
    link: str
    point: Point
    batch: SmallBatch

    @cached_property
    def before(self) -> Checkpoint:
        """The ledger's checkpoint before the daemon was started."""
        return self.rig.checkpoint(self.link)

    @property
    def job(self) -> str:
        return f"sync_{self.link}"


@pytest.fixture(scope="module")
def scheduled(stack_mariadb: Stack, tmp_path_factory: pytest.TempPathFactory) -> list[Scheduled]:
    """Four links of two pairs, at rest: they die at the same tick, so that two ticks do."""
    batches = SmallBatch(1, "a"), SmallBatch(2, "b")
    path = tmp_path_factory.mktemp("scheduled")
    rigs = [Rig(stack_mariadb, label, path) for label in ("staging", "recording")]
    with ThreadPoolExecutor() as pool:
        one, two = pool.map(lambda rig: warm_up(rig, batches), rigs)
    return [
        Scheduled(one, one.forth, Point.STAGING, batches[0]),
        Scheduled(one, one.back, Point.WRITTEN, batches[1]),
        Scheduled(two, two.forth, Point.COMMITTED, batches[0]),
        Scheduled(two, two.back, Point.APPLIED, batches[1]),
    ]


@dataclass(frozen=True)
class Session:
    """A running daemon, its storage, and the orders for the runs that it starts."""

    home: DagsterHome
    instance: dg.DagsterInstance
    faults: Faults


@pytest.fixture(scope="module")
def daemon(
    scheduled: list[Scheduled], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Session]:
    """A daemon for both pairs; its first tick finds a batch and an order for each link."""
    path = tmp_path_factory.mktemp("daemon")
    faults = Faults(path / "faults")
    faults.folder.mkdir()
    for one in scheduled:
        assert one.before.batch > 0
        faults.order(one.link, one.point, signal.SIGKILL)
        one.batch.write(one.rig)
    environment = {"DTS_CONFIG": str(write_config(scheduled, path)), FAULTS: str(faults.folder)}
    home = DagsterHome(
        path / "dagster",
        "dts_pipeline_tests.faults.faulty_definitions",
        {**environment, **scheduled[0].rig.stack.env},
    )
    with running(home), home.instance() as instance:
        yield Session(home, instance, faults)


def write_config(scheduled: list[Scheduled], path: Path) -> Path:
    """One dts.yaml for the pairs of both rigs."""
    first, second = (scheduled[n].rig.document() for n in (0, 2))
    pairs = {"first": first["pairs"]["pair"], "second": second["pairs"]["pair"]}
    config = {**first, "sites": first["sites"] | second["sites"], "pairs": pairs}
    file = path / "dts.yaml"
    file.write_text(yaml.safe_dump(config))
    return file


@full_only
def test_runs_of_the_schedule_that_are_killed_are_finished_by_the_next_tick(
    scheduled: list[Scheduled], daemon: Session
) -> None:
    deaths = await_deaths(scheduled, daemon)
    for one in scheduled:
        assert_left_behind(one.rig, one.link, one.point, one.before)
    killed = {one.link: await_failure(daemon.instance, one) for one in scheduled}
    for one in scheduled:
        noticed = killed[one.link].end_time
        assert noticed is not None
        assert noticed - deaths[one.link].at < NOTICED_SECONDS
        assert daemon.instance.get_latest_materialization_event(asset(one)) is None
    for one in scheduled:
        assert_next_tick_recovers(daemon.instance, one, killed[one.link])
        assert_mirrored(daemon.instance, one)
    for one in scheduled:
        one.rig.assert_equal()
        assert_unbroken(one.rig, one.link, one.before)
        assert one.rig.records(one.link) == []
    for one in scheduled:
        one.batch.assert_written_once(one.rig)


def test_a_sync_by_hand_that_is_killed_frees_its_lane(
    scheduled: list[Scheduled], daemon: Session, tmp_path: Path
) -> None:
    """No code server knows of its process: only the monitor can notice, by the launcher's check."""
    one, home = scheduled[0], {"DAGSTER_HOME": str(daemon.home.folder)}
    sync = DtsSync(one.rig, one.link, tmp_path, {Point.PULLED: signal.SIGKILL}, home)
    assert sync.exit_code() == -signal.SIGKILL
    died = time.time()

    def found() -> dg.DagsterRun:
        runs = daemon.instance.get_runs(filters=dg.RunsFilter(job_name=one.job))
        return next(run for run in runs if SCHEDULE_TAG not in run.tags)

    wait_for(lambda: found().is_finished, NOTICED_SECONDS - (time.time() - died))
    assert found().status is dg.DagsterRunStatus.FAILURE


@full_only
def test_afterwards_the_links_come_to_rest_at_the_ends_of_their_topics(
    scheduled: list[Scheduled], daemon: Session
) -> None:
    daemon.home.end()
    for rig in scheduled[0].rig, scheduled[2].rig:
        rig.sync()
        rig.drain()
        rig.assert_equal()
    for one in scheduled:
        assert_unbroken(one.rig, one.link, one.before)
        assert_at_the_ends(one.rig, one.link)
        assert one.rig.records(one.link) == []


def await_deaths(scheduled: list[Scheduled], daemon: Session) -> Mapping[str, Strike]:
    """Waits for the tick's runs to reach their points; the daemon and its first tick take time."""
    faults = daemon.faults
    try:
        wait_for(lambda: all(faults.struck(s.link, s.point) for s in scheduled), 150)
    except AssertionError:
        raise AssertionError(daemon.home.log_tail()) from None
    deaths = {s.link: strike for s in scheduled if (strike := faults.struck(s.link, s.point))}
    for strike in deaths.values():
        wait_for(lambda pid=strike.pid: not alive(pid), 10)  # type: ignore[misc]
    return deaths


def await_failure(instance: dg.DagsterInstance, one: Scheduled) -> dg.RunRecord:
    """The first run of the link, which the schedule started, once Dagster calls it failed."""

    def first() -> dg.RunRecord:
        return runs_of(instance, one)[0]

    wait_for(lambda: first().dagster_run.is_finished, 60)
    assert first().dagster_run.status is dg.DagsterRunStatus.FAILURE
    assert first().dagster_run.tags[SCHEDULE_TAG] == f"{one.job}_schedule"
    return first()


def assert_next_tick_recovers(
    instance: dg.DagsterInstance, one: Scheduled, killed: dg.RunRecord
) -> None:
    """The first tick after the failure starts a run, and that succeeds."""

    def second_has_ended() -> bool:
        found = runs_of(instance, one)
        return len(found) > 1 and found[1].dagster_run.is_finished

    wait_for(second_has_ended, 120)
    run = runs_of(instance, one)[1].dagster_run
    assert run.status is dg.DagsterRunStatus.SUCCESS
    assert run.tags[SCHEDULE_TAG] == f"{one.job}_schedule"
    tick = datetime.fromisoformat(run.tags[TICK_TAG]).timestamp()
    assert killed.end_time is not None
    assert 0 <= tick - killed.end_time <= 60


def assert_mirrored(instance: dg.DagsterInstance, one: Scheduled) -> None:
    """The asset's last materialization says of the checkpoint what the ledger says."""
    ledger = one.rig.checkpoint(one.link)
    assert ledger.batch > one.before.batch
    event = instance.get_latest_materialization_event(asset(one))
    assert event is not None
    assert event.asset_materialization is not None
    metadata = event.asset_materialization.metadata
    assert metadata["batch"].value == ledger.batch
    assert metadata["generation"].value == ledger.generation
    offsets = metadata["offsets"]
    assert isinstance(offsets, dg.TableMetadataValue)
    assert {
        (record.data["topic"], record.data["partition"]): record.data["next_offset"]
        for record in offsets.records
    } == {(tp.topic, tp.partition): p.next_offset for tp, p in ledger.partitions.items()}


def runs_of(instance: dg.DagsterInstance, one: Scheduled) -> Sequence[dg.RunRecord]:
    """The runs of the link's job, oldest first."""
    return list(instance.get_run_records(dg.RunsFilter(job_name=one.job), ascending=True))


def asset(one: Scheduled) -> dg.AssetKey:
    return dg.AssetKey(["checkpoint", one.link])


def alive(pid: int) -> bool:
    """Whether the process runs; one that has ended but was not waited for does not."""
    try:
        return state_of(pid) not in "ZX"
    except FileNotFoundError:
        return False
