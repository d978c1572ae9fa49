"""A run that is killed at any point, and started again, leaves the effect of one application.

The ledger and the target's transaction decide; nothing that the dead process knew is needed.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
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
from dts_pipeline_tests.integration.applied_once import assert_at_the_ends, assert_unbroken
from dts_pipeline_tests.integration.child_runs import ChildRun, state_of
from dts_pipeline_tests.integration.dagster_home import SCHEDULE_TAG, DagsterHome, running
from dts_pipeline_tests.integration.faults import FAULTS, Faults, Strike
from dts_pipeline_tests.integration.rig import Rig, wait_for
from dts_pipeline_tests.integration.small_batches import SmallBatch, warm_up
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


@pytest.fixture
def home(scheduled: list[Scheduled], tmp_path: Path) -> DagsterHome:
    """A daemon's home for both pairs, with the faulty definitions."""
    documents = [scheduled[0].rig.document(), scheduled[2].rig.document()]
    config = documents[0]
    for number, document in enumerate(documents):
        config["sites"] |= document["sites"]
        config["pairs"] |= {f"pair_{number}": document["pairs"]["pair"]}
    del config["pairs"]["pair"]
    path = tmp_path / "dts.yaml"
    path.write_text(yaml.safe_dump(config))
    faults = tmp_path / "faults"
    faults.mkdir()
    environment = {"DTS_CONFIG": str(path), FAULTS: str(faults)}
    environment |= scheduled[0].rig.stack.env
    module = "dts_pipeline_tests.integration.faulty_definitions"
    return DagsterHome(tmp_path / "dagster", module, environment)


def test_runs_of_the_schedule_that_are_killed_are_finished_by_the_next_tick(
    scheduled: list[Scheduled], home: DagsterHome
) -> None:
    faults = Faults(Path(home.environment[FAULTS]))
    for one in scheduled:
        assert one.before.batch > 0
        faults.order(one.link, one.point, signal.SIGKILL)
    for one in scheduled:
        one.batch.write(one.rig)
    with running(home), home.instance() as instance:
        deaths = await_deaths(scheduled, faults, home)
        for one in scheduled:
            assert_left_behind(one.rig, one.link, one.point, one.before)
        killed = {one.link: await_failure(instance, one) for one in scheduled}
        for one in scheduled:
            noticed = killed[one.link].end_time
            assert noticed is not None
            assert noticed - deaths[one.link].at < NOTICED_SECONDS
            assert instance.get_latest_materialization_event(asset(one)) is None
        for one in scheduled:
            assert_next_tick_recovers(instance, one, killed[one.link])
            assert_mirrored(instance, one)
    for rig in {one.rig.name: one.rig for one in scheduled}.values():
        rig.sync()
        rig.drain()
        rig.assert_equal()
    for one in scheduled:
        assert_unbroken(one.rig, one.link, one.before)
        assert_at_the_ends(one.rig, one.link)
        assert one.rig.records(one.link) == []
    for one in scheduled:
        one.batch.assert_written_once(one.rig)


def await_deaths(
    scheduled: list[Scheduled], faults: Faults, home: DagsterHome
) -> Mapping[str, Strike]:
    """Waits for the tick's runs to reach their points; the daemon and its first tick take time."""
    try:
        wait_for(lambda: all(faults.struck(s.link, s.point) for s in scheduled), 150)
    except AssertionError:
        raise AssertionError(home.log_tail()) from None
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
    table = metadata["offsets"].value
    assert {
        (record.data["topic"], record.data["partition"]): record.data["next_offset"]
        for record in table.records
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
