"""A deadlock and a lock wait, forced while a batch is applied: it is repeated by the same run."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from dts_pipeline.core import points
from dts_pipeline.core.points import Point
from dts_pipeline_tests.faults.applied_once import assert_unbroken
from dts_pipeline_tests.faults.side_by_side import SideBySide
from dts_pipeline_tests.integration.rig import Rig, wait_for
from dts_pipeline_tests.integration.small_batches import SmallBatch, warm_up
from dts_pipeline_tests.stacks import Stack

pytestmark = pytest.mark.servers

DEADLOCK, WAIT = SmallBatch(1, "a"), SmallBatch(2, "a")
_WAITING = "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"


@dataclass
class Attempts:
    """How often a run came to each point, and what is done when it comes to one again."""

    met: Counter[Point] = field(default_factory=Counter)
    actions: dict[tuple[Point, int], Callable[[], None]] = field(default_factory=dict)

    def __call__(self, point: Point) -> None:
        self.met[point] += 1
        action = self.actions.pop((point, self.met[point]), None)
        if action is not None:
            action()


@pytest.fixture(scope="module")
def installed() -> Attempts:
    made = Attempts()
    points.install(made)
    return made


@pytest.fixture
def attempts(installed: Attempts) -> Iterator[Attempts]:
    """None yet."""
    installed.met.clear()
    yield installed
    installed.actions.clear()


@pytest.fixture(
    scope="module", params=["stack_mariadb", pytest.param("stack_mysql", marks=pytest.mark.mysql)]
)
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Rig:
    stack: Stack = request.getfixturevalue(request.param)
    return warm_up(Rig(stack, "locks", tmp_path_factory.mktemp("locks")), [DEADLOCK, WAIT])


def test_a_batch_that_is_a_deadlock_s_victim_is_repeated(rig: Rig, attempts: Attempts) -> None:
    """A user holds a row that the batch needs, and then wants the one that the batch holds.

    The server rolls back who has written less, so the user writes a lot first.
    """
    before = rig.checkpoint(rig.forth)
    DEADLOCK.write(rig)
    threads, got = SideBySide(), threading.Event()
    with rig.user("b") as connection, connection.cursor() as cursor:
        connection.begin()
        rows = ",".join(f"({n},'heavy',0)" for n in range(10_000, 12_000))
        cursor.execute(f"INSERT INTO item VALUES {rows}")
        cursor.execute(f"UPDATE item SET n = n + 1 WHERE id = {DEADLOCK.first}")

        def close_the_circle() -> None:
            wait_for(lambda: rig.rows("b", _WAITING)[0][0] > 0, 20)
            cursor.execute("SELECT 1 FROM dts.checkpoint WHERE link = %s FOR UPDATE", (rig.forth,))
            got.set()
            connection.rollback()

        attempts.actions[Point.FENCED, 1] = lambda: threads.start(close_the_circle)  # type: ignore
        assert rig.run(rig.forth).batches == 1
    assert threads.failures == []
    assert got.is_set()
    assert attempts.met[Point.FENCED] == 2
    assert_applied(rig, DEADLOCK)
    assert_unbroken(rig, rig.forth, before)


def test_a_batch_that_waits_too_long_for_a_row_is_repeated(rig: Rig, attempts: Attempts) -> None:
    before = rig.checkpoint(rig.forth)
    WAIT.write(rig)
    with rig.user("b") as connection, connection.cursor() as cursor:
        connection.begin()
        cursor.execute(f"SELECT * FROM item WHERE id = {WAIT.first} FOR UPDATE")
        attempts.actions[Point.STAGED, 2] = connection.rollback
        assert rig.run(rig.forth).batches == 1
    assert attempts.met[Point.STAGED] == 2
    assert_applied(rig, WAIT)
    assert_unbroken(rig, rig.forth, before)


def assert_applied(rig: Rig, batch: SmallBatch) -> None:
    batch.assert_arrived(rig)
    rig.sync()
    rig.assert_equal()
