"""A batch whose connection is lost in the middle is repeated by itself, and applied once."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from dts_pipeline.adapters.mysql_writer import lane_lock
from dts_pipeline.core import points
from dts_pipeline.core.points import Point
from dts_pipeline_tests.integration.applied_once import assert_unbroken
from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.integration.small_batches import SmallBatch, warm_up
from dts_pipeline_tests.stacks import Stack

pytestmark = pytest.mark.servers

POINTS = [Point.STAGING, Point.STAGED, Point.FENCED, Point.WRITTEN, Point.COMMITTED]
BATCHES = {point: SmallBatch(number, "a") for number, point in enumerate(POINTS, 1)}


@dataclass
class Interloper:
    """Ends the session that holds the lane from another connection, at a point, once."""

    rig: Rig | None = None
    point: Point | None = None
    ended: int = 0

    def __call__(self, point: Point) -> None:
        if self.rig is None or point is not self.point:
            return
        self.point = None
        with self.rig.user("b") as connection, connection.cursor() as cursor:
            cursor.execute("SELECT IS_USED_LOCK(%s)", (lane_lock(self.rig.forth, "main"),))
            (session,) = cursor.fetchone() or (None,)
            assert session is not None
            cursor.execute(f"KILL {int(session)}")
        self.ended += 1


@pytest.fixture(scope="module")
def interloper() -> Interloper:
    made = Interloper()
    points.install(made)
    return made


@pytest.fixture(
    scope="module", params=["stack_mariadb", pytest.param("stack_mysql", marks=pytest.mark.mysql)]
)
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Rig:
    stack: Stack = request.getfixturevalue(request.param)
    return warm_up(Rig(stack, "lost", tmp_path_factory.mktemp("lost")), BATCHES.values())


@pytest.mark.parametrize("point", POINTS)
def test_a_session_that_is_killed(rig: Rig, point: Point, interloper: Interloper) -> None:
    before = rig.checkpoint(rig.forth)
    BATCHES[point].write(rig)
    interloper.rig, interloper.point, interloper.ended = rig, point, 0
    summary = rig.run(rig.forth)
    assert interloper.ended == 1
    assert summary.batches == 1
    assert rig.checkpoint(rig.forth).batch == before.batch + 1
    BATCHES[point].assert_arrived(rig)
    assert_unbroken(rig, rig.forth, before)
