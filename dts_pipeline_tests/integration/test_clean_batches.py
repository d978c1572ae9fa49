"""One look at a batch whose changes all find their rows as expected, instead of verdicts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pymysql
import pytest

from dts_pipeline.adapters.table_schema import read_tables
from dts_pipeline.core.statements import TableStatements
from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.stacks import Stack

pytestmark = pytest.mark.servers

Cursor = pymysql.cursors.Cursor
_LOCK_WAIT = 1205
_NAMES = ("seen", "odd")
_ROW = "CREATE TABLE {0} (id INT PRIMARY KEY, v VARCHAR(50)) CHARACTER SET utf8mb4"


@pytest.fixture(
    scope="module",
    params=["stack_mariadb", pytest.param("stack_mixed", marks=pytest.mark.mysql)],
)
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Rig:
    """Two tables; with a mixed stack the target of the first link is MySQL."""
    stack: Stack = request.getfixturevalue(request.param)
    rig = Rig(stack, "clean", tmp_path_factory.mktemp("clean"))
    rig.conflicts = {"policy": {"site": "A"}}
    return rig.create(*(_ROW.format(name) for name in _NAMES))


@pytest.fixture
def looked(rig: Rig) -> Iterator[tuple[Cursor, TableStatements, tuple[int, ...]]]:
    """A transaction at site b that has looked at an update, an insert and a delete."""
    rig.sql("b", "DELETE FROM seen", "INSERT INTO seen VALUES (1, 'old'), (3, 'gone')")
    name = f"{rig.name}.seen"
    database = rig.database(rig.sites[1])
    table = read_tables(database, name.__eq__)[name]
    statements = TableStatements(table, database.facts.dialect, 0, "")
    with database.raw() as connection:
        connection.select_db("dts")
        cursor = connection.cursor()
        for statement in statements.create():
            cursor.execute(statement)
        stage = [(0, 0, 1, 1, 1, "new"), (1, 0, 0, 2, 2, "new"), (2, 1, 1, 3, None, None)]
        cursor.executemany(statements.fill_stage(), stage)
        before = [(0, 1, "old"), (2, 3, "gone")]
        cursor.executemany(statements.fill_before(), before)
        connection.commit()
        cursor.execute(statements.look(detect=True) or "")
        yield cursor, statements, tuple(int(n) for n in cursor.fetchone() or ())
        connection.rollback()


def test_clean_changes_are_counted_in_one_look(looked: tuple[Any, Any, tuple[int, ...]]) -> None:
    _, _, counts = looked
    assert counts == (3, 0, 1, 1, 1)


@pytest.mark.parametrize(
    "statement", ["UPDATE seen SET v = 'user' WHERE id = 1", "DELETE FROM seen WHERE id = 3"]
)
def test_the_rows_stay_locked_until_they_are_written(
    rig: Rig, looked: tuple[Cursor, TableStatements, Any], statement: str
) -> None:
    """Also at READ COMMITTED, where a server lets go of rows that a condition drops."""
    with rig.user("b") as user, user.cursor() as cursor:
        cursor.execute("SET SESSION innodb_lock_wait_timeout = 1")
        with pytest.raises(pymysql.OperationalError) as waited:
            cursor.execute(statement)
        assert waited.value.args[0] == _LOCK_WAIT


def test_one_odd_row_makes_verdicts_for_its_batch(rig: Rig) -> None:
    rig.sql("a", "INSERT INTO odd VALUES (1, 'old'), (2, 'old'), (3, 'old')")
    rig.sync()
    rig.await_events("a")
    rig.sql("a", "UPDATE odd SET v = 'a' WHERE id < 3", "DELETE FROM odd WHERE id = 3")
    rig.sql("b", "UPDATE odd SET v = 'b' WHERE id = 1")
    rig.sync()
    rig.assert_equal()
    assert rig.rows("b", "SELECT id, v FROM odd ORDER BY id") == [(1, "a"), (2, "a")]
    assert rig.records(rig.forth, "odd") == [("odd", "update_update", "source")]
