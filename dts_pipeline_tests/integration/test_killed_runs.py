"""A run that is killed, or loses its connection, at any point leaves the effect of one application.

The ledger and the target's transaction decide; nothing that the dead process knew is needed.
"""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pymysql
import pytest

from dts_pipeline.core import points
from dts_pipeline.core.points import Point
from dts_pipeline_tests.integration.applied_once import (
    Writes,
    assert_at_the_ends,
    assert_unbroken,
    marked_writes,
)
from dts_pipeline_tests.integration.child_runs import ChildRun
from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.stacks import Stack

pytestmark = pytest.mark.servers

TABLES = (
    "CREATE TABLE item (id INT PRIMARY KEY, v VARCHAR(50), n INT) CHARACTER SET utf8mb4",
    "CREATE TABLE mail (id INT PRIMARY KEY, address VARCHAR(50), UNIQUE KEY one (address)) "
    "CHARACTER SET utf8mb4",
)
GROUPS = 16
COMMITTED = {Point.COMMITTED, Point.APPLIED}
"""Where a run that dies leaves a batch behind that counts."""


class Group:
    """Rows of a test: an insert, an update and a delete in one table, two inserts in another."""

    def __init__(self, number: int) -> None:
        self.first = number * 10

    def seed(self, rig: Rig, side: str) -> None:
        """The rows that the group changes and deletes."""
        rig.sql(side, f"INSERT INTO item VALUES ({self.first},'old',1),({self.first + 1},'old',1)")

    def write(self, rig: Rig, side: str) -> None:
        """What the batch has to carry; returns when it is in Kafka."""
        n = self.first
        rig.sql(
            side,
            f"UPDATE item SET v = 'new', n = n + 1 WHERE id = {n}",
            f"DELETE FROM item WHERE id = {n + 1}",
            f"INSERT INTO item VALUES ({n + 2},'fresh',1)",
            f"INSERT INTO mail VALUES ({n},'{n}@example'),({n + 1},'{n + 1}@example')",
        )
        rig.await_events(side)

    def assert_written_once(self, rig: Rig, side: str) -> None:
        """The target's binlog holds the seed and each change once, under our mark."""
        n = self.first
        rig.await_events(side)
        item = [(n, "c"), (n, "u"), (n + 1, "c"), (n + 1, "d"), (n + 2, "c")]
        assert self._of_group(marked_writes(rig, side, "item")) == Counter(item)
        mail = [(n, "c"), (n + 1, "c")]
        assert self._of_group(marked_writes(rig, side, "mail")) == Counter(mail)

    def _of_group(self, writes: Writes) -> Writes:
        return Counter({k: n for k, n in writes.items() if self.first <= k[0] < self.first + 10})


GROUP_NUMBERS = count(1)


def warmed_up(rig: Rig) -> Rig:
    """The rig with every topic in place, the rows of all groups on both sides, both links at rest."""
    rig.create(*TABLES)
    for number in range(1, GROUPS):
        Group(number).seed(rig, "a")
    for side, first in ("a", 1000), ("b", 2000):
        rig.sql(side, f"INSERT INTO mail VALUES ({first},'{first}@example')")
        Group(first // 10).seed(rig, side)
    rig.sync()
    rig.drain()
    return rig


@pytest.fixture(scope="module", params=["stack_mariadb"])
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    stack: Stack = request.getfixturevalue(request.param)
    yield warmed_up(Rig(stack, "killed", tmp_path_factory.mktemp("killed")))


@pytest.mark.parametrize("point", list(Point))
def test_a_run_killed_at_a_point_is_finished_by_the_next(
    rig: Rig, point: Point, tmp_path: Path
) -> None:
    group, before = Group(next(GROUP_NUMBERS)), rig.checkpoint(rig.forth)
    group.write(rig, "a")
    run = ChildRun(rig, rig.forth, tmp_path, {point: signal.SIGKILL})
    assert run.exit_code == -signal.SIGKILL
    left = rig.checkpoint(rig.forth).batch - before.batch
    assert left == (1 if point in COMMITTED else 0)
    if not left:
        assert rig.checkpoint(rig.forth) == before
    assert rig.run(rig.forth).batches == 1 - left
    assert_settled(rig, group, before.batch + 1)
    assert_unbroken(rig, rig.forth, before)


def assert_settled(rig: Rig, group: Group, batch: int) -> None:
    """Equal, one batch moved, nothing written twice and nothing found that was there already."""
    group.assert_written_once(rig, "b")
    here, there = rig.checksums("a"), rig.checksums("b")
    assert {t: here[t] for t in here if "marker" not in t} == {
        t: there[t] for t in there if "marker" not in t
    }
    assert rig.checkpoint(rig.forth).batch == batch
    assert_at_the_ends(rig, rig.forth)
    assert rig.records(rig.forth) == []


class Interloper:
    """Ends the session that holds the lane, from a second connection, at a point, once."""

    def __init__(self) -> None:
        self.point: Point | None = None
        self.rig: Rig | None = None
        self.ended = 0

    def arm(self, rig: Rig, point: Point) -> None:
        self.rig, self.point, self.ended = rig, point, 0

    def __call__(self, point: Point) -> None:
        if point is not self.point or self.rig is None:
            return
        self.point = None
        with self.rig.user("b") as connection, connection.cursor() as cursor:
            cursor.execute("SELECT IS_USED_LOCK(%s)", (f"dts:{self.rig.forth}:main",))
            (session,) = cursor.fetchone() or (None,)
            cursor.execute(f"KILL {int(session)}")
        self.ended += 1


@pytest.fixture(scope="module")
def interloper() -> Interloper:
    made = Interloper()
    points.install(made)
    return made


@pytest.mark.parametrize(
    "point", [Point.STAGING, Point.STAGED, Point.FENCED, Point.WRITTEN, Point.COMMITTED]
)
def test_a_batch_whose_connection_is_lost_is_repeated_by_itself(
    rig: Rig, point: Point, interloper: Interloper
) -> None:
    group, before = Group(next(GROUP_NUMBERS)), rig.checkpoint(rig.forth)
    group.write(rig, "a")
    interloper.arm(rig, point)
    summary = rig.run(rig.forth)
    assert interloper.ended == 1
    assert summary.batches == 1
    assert_settled(rig, group, before.batch + 1)
    assert_unbroken(rig, rig.forth, before)
