"""The stages on real servers: by LOAD DATA LOCAL and by INSERT the same rows, the same errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pymysql
import pytest
from pymysql.cursors import Cursor

from dts_pipeline.adapters.bulk_load import load
from dts_pipeline.errors import PoisonError
from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.stacks import Stack

pytestmark = pytest.mark.servers

VALUES = [
    [1, 2, 3, 4],
    ["a\tb\\\n\0", None, "", "\\N \U0001f40b"],
    [b"\x00\xff\t\n\\", b"", None, b"'"],
    ["1.50", None, "-0.00", "99.99"],
]
TABLE = (
    "CREATE TABLE {0} (id INT PRIMARY KEY, t VARCHAR(20) CHARACTER SET utf8mb4, b VARBINARY(9), "
    "d DECIMAL(4,2), y YEAR, z BIT(12), j JSON)"
)


@pytest.fixture(
    scope="module",
    params=["stack_mariadb", pytest.param("stack_mysql", marks=pytest.mark.mysql)],
)
def stack(request: pytest.FixtureRequest) -> Stack:
    """Both kinds of server."""
    found: Stack = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def cursor(stack: Stack) -> Iterator[Cursor]:
    """A session as the pipeline's, with an empty temporary table `test.s`."""
    site = stack.site("b")
    connection = pymysql.connect(
        host=site["host"],
        port=site["port"],
        user="dts",
        password=stack.env["DTS_B_PASSWORD"],
        charset="utf8mb4",
        local_infile=True,
        init_command="SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO,STRICT_ALL_TABLES'",
    )
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMPORARY TABLE dts.s (c0 INT PRIMARY KEY, c1 VARCHAR(9) CHARACTER SET "
            "utf8mb4, c2 VARBINARY(9), c3 DECIMAL(4,2)) ENGINE=InnoDB"
        )
        yield cursor


NAMES = ["c0", "c1", "c2", "c3"]


def test_what_is_loaded_is_what_was_given(cursor: Cursor) -> None:
    assert load(cursor, "`dts`.`s`", NAMES, VALUES)

    cursor.execute("SELECT c0, c1, c2, CAST(c3 AS CHAR) FROM dts.s ORDER BY c0")
    given = [list(row) for row in zip(*VALUES, strict=True)]
    given[2][3] = "0.00"  # a DECIMAL has no minus zero
    assert [list(row) for row in cursor.fetchall()] == given


@pytest.mark.parametrize("bad", [(1, "0123456789"), (2, b"0123456789"), (3, "100.00"), (0, 2)])
def test_what_does_not_fit_is_not_taken_for_loaded(cursor: Cursor, bad: tuple[int, object]) -> None:
    column, value = bad
    values = [list(column) for column in VALUES]
    values[column][0] = value  # for the key: a duplicate

    assert not load(cursor, "`dts`.`s`", NAMES, values)


@pytest.mark.parametrize("staging", ["auto", "insert"])
def test_both_ways_give_the_same_rows_and_errors(
    stack: Stack, tmp_path: Path, staging: str
) -> None:
    rig = Rig(stack, f"st_{staging}", tmp_path)
    rig.changes = {"batch": {"staging": staging}}
    rig.create(TABLE.format("t"))
    rig.sql(
        "a",
        "INSERT INTO t VALUES (1, 'a\\tb\\\\\\n', X'00FF095C', 1.5, 0, b'101', "
        '\'{"a": "\\\\t"}\'), '
        "(2, NULL, NULL, NULL, NULL, NULL, NULL), (3, '', '', 0, 2000, 0, '[]')",
    )
    rig.sync()
    assert rig.checksums("a") == rig.checksums("b")

    rig.sql("b", "ALTER TABLE t MODIFY t VARCHAR(5) CHARACTER SET utf8mb4")
    rig.sql("a", "INSERT INTO t (id, t) VALUES (4, 'fits'), (5, 'too long')")
    rig.await_events("a")
    with pytest.raises(PoisonError) as caught:
        rig.run(rig.forth)
    assert (caught.value.code, caught.value.where["column"]) == ("value_refused", "t")
    assert rig.rows("b", "SELECT id FROM t WHERE id > 3") == []
