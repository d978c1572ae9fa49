"""Sessions at the target whose client is frozen or gone without a word.

They keep the lane's lock, the checkpoint's row and on MySQL the batch's GTID, for which the next
session would wait past all lock time-outs. The next run ends them.
"""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from dts_pipeline import stages
from dts_pipeline.adapters.lane_lock import HALF_DEAD_SECONDS, lane_lock
from dts_pipeline.adapters.ledger import Ledger
from dts_pipeline.adapters.reconcile_site import ReconcileSite
from dts_pipeline.core.marks import mark_uuid
from dts_pipeline.core.points import Point
from dts_pipeline.core.schema import Dialect
from dts_pipeline.errors import DtsError
from dts_pipeline_tests.faults.applied_once import assert_unbroken
from dts_pipeline_tests.faults.child_runs import ChildRun
from dts_pipeline_tests.integration.rig import INSTALLATION, Rig, wait_for
from dts_pipeline_tests.integration.small_batches import SmallBatch, warm_up
from dts_pipeline_tests.integration.wire import Wire
from dts_pipeline_tests.sampling import IS_SAMPLE
from dts_pipeline_tests.stacks import Stack

pytestmark = pytest.mark.servers

THROUGH_SECONDS = HALF_DEAD_SECONDS + 15.0
HELD_SECONDS = 60.0
"""After that long without a statement the server itself ends a session that holds a lane."""
POINTS = [Point.WRITTEN] if IS_SAMPLE else [Point.STAGED, Point.FENCED, Point.WRITTEN]
FORTH = {point: SmallBatch(number, "a") for number, point in enumerate(POINTS, 1)}
BACK = {point: SmallBatch(10 + number, "b") for number, point in enumerate(POINTS, 1)}
REPEATED, HELD = SmallBatch(21, "a"), SmallBatch(22, "a")


@dataclass
class WiredRig(Rig):
    """A rig whose runs reach the link's target through a port, if one is given."""

    port: int | None = None

    def runtime(self, link: str) -> stages.LinkRuntime:
        made = super().runtime(link)
        if self.port is None:
            return made
        return replace(made, target=replace(made.target, host="127.0.0.1", port=self.port))


@pytest.fixture(
    scope="module", params=["stack_mariadb", pytest.param("stack_mysql", marks=pytest.mark.mysql)]
)
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> WiredRig:
    stack: Stack = request.getfixturevalue(request.param)
    made = WiredRig(stack, "half", tmp_path_factory.mktemp("half"))
    warm_up(made, [*FORTH.values(), *BACK.values(), REPEATED, HELD])
    return made


@pytest.mark.parametrize("point", POINTS)
def test_the_next_run_gets_past_a_frozen_session_and_past_one_whose_machine_is_gone(
    rig: WiredRig, point: Point, tmp_path: Path, summary: list[str]
) -> None:
    before = {link: rig.checkpoint(link) for link in (rig.forth, rig.back)}
    FORTH[point].write(rig)
    BACK[point].write(rig)
    target = rig.stack.site("a")
    with Wire(target["host"], target["port"]) as wire:
        frozen = ChildRun(rig, rig.forth, tmp_path / "frozen", {point: signal.SIGSTOP})
        wired = replace(rig, port=wire.port)
        wired.__dict__["name"] = rig.name
        lost = ChildRun(wired, rig.back, tmp_path / "lost", {point: signal.SIGSTOP})
        for run in (frozen, lost):
            run.wait_stopped(point)
        wire.go_dead()
        lost.kill()
        for link in (rig.forth, rig.back):
            assert_half_dead(rig, link, point)
        with ThreadPoolExecutor() as pool:
            seconds = list(pool.map(lambda link: seconds_until_through(rig, link), before))
    assert max(seconds) < THROUGH_SECONDS
    # Should the frozen one wake, it is told.
    frozen.go_on()
    assert frozen.outcome.said in ("already_applied", "another_run_ahead")
    for link, batch in ((rig.forth, FORTH[point]), (rig.back, BACK[point])):
        batch.assert_arrived(rig)
        assert_unbroken(rig, link, before[link])
    summary.append(
        f"half-dead at {point}, {rig.stack.flavour}: through after {seconds[0]:.0f} s (frozen), "
        f"{seconds[1]:.0f} s (machine gone)"
    )


def test_a_run_whose_line_goes_dead_repeats_its_batch_by_itself(
    rig: WiredRig, tmp_path: Path, summary: list[str]
) -> None:
    before, target = rig.checkpoint(rig.forth), rig.stack.site("b")
    REPEATED.write(rig)
    with Wire(target["host"], target["port"]) as wire:
        wired = replace(rig, port=wire.port)
        wired.__dict__["name"] = rig.name
        run = ChildRun(wired, rig.forth, tmp_path, {Point.WRITTEN: signal.SIGSTOP})
        run.wait_stopped(Point.WRITTEN)
        wire.go_dead()
        assert_half_dead(rig, rig.forth, Point.WRITTEN)
        began = time.monotonic()
        run.go_on()
        assert run.outcome.said == "applied"
        seconds = time.monotonic() - began
    assert seconds < 15
    REPEATED.assert_arrived(rig)
    assert_unbroken(rig, rig.forth, before)
    summary.append(f"line dead at written, {rig.stack.flavour}: through after {seconds:.1f} s")


@pytest.mark.skipif(IS_SAMPLE, reason="waits for a minute")
def test_a_batch_gets_past_a_reconcile_that_froze_while_it_held_the_lane(
    rig: WiredRig, summary: list[str]
) -> None:
    before, link = rig.checkpoint(rig.forth), rig.links[rig.forth]
    HELD.write(rig)
    began = time.monotonic()
    with ReconcileSite.opened(rig.database(link.target), link) as site, site.held(INSTALLATION):
        seconds = seconds_until_through(rig, rig.forth)
    assert HELD_SECONDS - 5 < seconds < HELD_SECONDS + 15
    assert time.monotonic() - began < HELD_SECONDS + 30
    HELD.assert_arrived(rig)
    assert_unbroken(rig, rig.forth, before)
    summary.append(f"frozen in a hold, {rig.stack.flavour}: through after {seconds:.0f} s")


def assert_half_dead(rig: Rig, link: str, point: Point) -> None:
    """The session lives at the server and holds what a batch holds at the point."""
    target = rig.database(rig.links[link].target)
    name = lane_lock(link, "main")
    ((holder,),) = target.query("SELECT IS_USED_LOCK(:name)", {"name": name})
    (row,) = target.query("SELECT session_id FROM dts.checkpoint WHERE link = :l", {"l": link})
    assert holder is not None
    assert row.session_id == holder
    if point is Point.STAGED:
        return
    trx = "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_mysql_thread_id = :id"
    wait_for(lambda: target.query(trx, {"id": holder})[0][0] == 1, 10)
    if target.facts.dialect is Dialect.MYSQL:
        standing = Ledger(target).read(link, "main")
        assert standing is not None
        uuid = mark_uuid(INSTALLATION, link, "main", standing.generation)
        ((owned,),) = target.query("SELECT @@GLOBAL.gtid_owned")
        assert f"{uuid}:{standing.mark_sequence + 1}" in owned.replace("\n", "")


def seconds_until_through(rig: Rig, link: str) -> float:
    """Runs of a link, one after the other as a schedule starts them, until one applies."""
    began = time.monotonic()
    codes = set()
    while time.monotonic() - began < 150:
        try:
            if rig.run(link).batches:
                break
        except DtsError as error:
            codes.add(error.code)
    seconds = time.monotonic() - began
    assert codes <= {"lane_busy", "lock_wait_timeout"}
    return seconds
