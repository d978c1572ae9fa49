"""A batch whose connection is lost in the middle is repeated by itself, and applied once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from dts_pipeline import stages
from dts_pipeline.adapters.lane_lock import lane_lock
from dts_pipeline.core import points
from dts_pipeline.core.points import Point
from dts_pipeline_tests.faults.applied_once import assert_unbroken
from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.integration.small_batches import SmallBatch, warm_up
from dts_pipeline_tests.integration.wire import Wire
from dts_pipeline_tests.stacks import Stack

pytestmark = pytest.mark.servers

POINTS = [Point.STAGING, Point.STAGED, Point.FENCED, Point.WRITTEN, Point.COMMITTED]
BATCHES = {point: SmallBatch(number, "a") for number, point in enumerate(POINTS, 1)}
UNANSWERED = SmallBatch(len(POINTS) + 1, "a")


@dataclass
class WiredRig(Rig):
    """A rig whose runs reach their target through a wire, if there is one."""

    wire: Wire | None = None

    def runtime(self, link: str) -> stages.LinkRuntime:
        made = super().runtime(link)
        if self.wire is None:
            return made
        return replace(made, target=replace(made.target, host="127.0.0.1", port=self.wire.port))


@dataclass
class Interloper:
    """Does something once, at a point."""

    point: Point | None = None
    action: Callable[[], None] = lambda: None
    met: int = 0

    def __call__(self, point: Point) -> None:
        if point is self.point:
            self.point = None
            self.met += 1
            self.action()


@pytest.fixture(scope="module")
def installed() -> Interloper:
    made = Interloper()
    points.install(made)
    return made


@pytest.fixture
def interloper(installed: Interloper) -> Interloper:
    """At rest: what a test before this one did not meet is forgotten."""
    installed.point, installed.met = None, 0
    return installed


@pytest.fixture(
    scope="module", params=["stack_mariadb", pytest.param("stack_mysql", marks=pytest.mark.mysql)]
)
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> WiredRig:
    stack: Stack = request.getfixturevalue(request.param)
    made = WiredRig(stack, "lost", tmp_path_factory.mktemp("lost"))
    warm_up(made, [*BATCHES.values(), UNANSWERED])
    return made


@pytest.mark.parametrize("point", POINTS)
def test_a_session_that_is_killed(rig: Rig, point: Point, interloper: Interloper) -> None:
    before = rig.checkpoint(rig.forth)
    BATCHES[point].write(rig)
    interloper.point, interloper.action = point, lambda: kill_session(rig)
    summary = rig.run(rig.forth)
    assert interloper.met == 1
    assert summary.batches == 1
    assert rig.checkpoint(rig.forth).batch == before.batch + 1
    BATCHES[point].assert_arrived(rig)
    assert_unbroken(rig, rig.forth, before)


def kill_session(rig: Rig) -> None:
    """Ends the session that holds the lane, from another connection."""
    with rig.user("b") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT IS_USED_LOCK(%s)", (lane_lock(rig.forth, "main"),))
        (session,) = cursor.fetchone() or (None,)
        assert session is not None
        cursor.execute(f"KILL {int(session)}")


def test_a_commit_whose_answer_is_lost(rig: WiredRig, interloper: Interloper) -> None:
    """Nobody can tell a lost answer from a lost COMMIT; the repetition meets its own batch."""
    before, target = rig.checkpoint(rig.forth), rig.stack.site("b")
    UNANSWERED.write(rig)
    with Wire(target["host"], target["port"]) as wire:
        rig.wire = wire
        interloper.point, interloper.action = Point.WRITTEN, wire.lose_next_answer
        summary = rig.run(rig.forth)
        rig.wire = None
    assert (interloper.met, wire.cuts) == (1, 1)
    assert summary.counts["already_applied"] == 1
    assert summary.checkpoint.batch == before.batch + 1
    UNANSWERED.assert_arrived(rig)
    assert_unbroken(rig, rig.forth, before)
