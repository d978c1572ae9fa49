"""100,000 rows in one statement at each side at the same time, then updates and deletes of part.

What the first script of this kind lost. On every flavour, with both marks: `make test-matrix`;
one of them in `make test`, one in `make test-mysql`.
"""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.stacks import Stack, running_stack

pytestmark = pytest.mark.servers

ROWS = 100_000
TABLE = (
    "CREATE TABLE big (id INT PRIMARY KEY, name VARCHAR(100), price DECIMAL(12,4), "
    "at DATETIME(3), ref VARCHAR(40), n BIGINT UNSIGNED, ratio DOUBLE, note TEXT, KEY (ref)) "
    "CHARACTER SET utf8mb4"
)
DIGITS = "SELECT 0 AS d UNION ALL " + " UNION ALL ".join(f"SELECT {d}" for d in range(1, 10))


def fill(rig: Rig, side: str, base: int) -> None:
    """One statement with all rows, then an update of a quarter and a delete of a fifth."""
    powers = " + ".join(f"{chr(97 + p)}.d * {10**p}" for p in range(5))
    tables = ", ".join(f"({DIGITS}) AS {chr(97 + p)}" for p in range(5))
    rig.sql(
        side,
        f"INSERT INTO big SELECT {base} + i, CONCAT('name ', i), i / 7, "
        f"'2026-11-23 10:00:00.123', CONCAT('ref', i % 1000), i * i, i / 3, REPEAT('x', i % 50) "
        f"FROM (SELECT {powers} AS i FROM {tables}) AS numbers",
        f"UPDATE big SET price = price + 1, name = 'changed' "
        f"WHERE id BETWEEN {base} AND {base + ROWS // 2 - 1} AND id % 2 = 0",
        f"DELETE FROM big WHERE id BETWEEN {base} AND {base + ROWS - 1} AND id % 5 = 0",
    )


def check_large_statements(stack: Stack, path: Path) -> None:
    rig = Rig(stack, "big", path).create(TABLE)
    sides = {"a": 1_000_000, "b": 2_000_000}
    writers = [threading.Thread(target=fill, args=(rig, *item)) for item in sides.items()]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    rig.sync(seconds=400)
    rig.sync(seconds=100)
    rig.assert_equal()
    assert rig.checksums("a")[f"{rig.name}.big"][0] == 2 * ROWS * 4 // 5
    keys = {side: rig.marked_keys(side, "big") for side in "ab"}
    for side, other in ("ab", "ba"):
        ours, users = keys[side][True], keys[other][False]
        assert len(users) == ROWS
        # Due are the keys that still changed when their batch was compacted; a row that was
        # inserted and deleted within one batch was never due.
        survivors = {key for key in users if int(key[6:-1]) % 5}
        assert survivors <= ours <= users
        assert not ours & keys[side][False]
        assert not keys[other][True] & users
    assert rig.records(rig.forth) == rig.records(rig.back) == []


def test_large_statements_on_mariadb(stack_mariadb: Stack, tmp_path: Path) -> None:
    check_large_statements(stack_mariadb, tmp_path)


@pytest.mark.mysql
def test_large_statements_on_mysql(stack_mysql: Stack, tmp_path: Path) -> None:
    check_large_statements(stack_mysql, tmp_path)


@pytest.mark.matrix
@pytest.mark.parametrize("flavour", ["mariadb", "mysql", "mixed"])
@pytest.mark.parametrize("mark", ["origin", "comment"])
def test_large_statements_everywhere(flavour: str, mark: str, tmp_path: Path) -> None:
    with running_stack(flavour, mark) as stack:
        check_large_statements(stack, tmp_path)
