"""Counters on real servers: both sides add, and both end with the sum."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Iterator
from typing import Any

import pymysql
import pytest

from dts_pipeline.adapters.table_schema import read_tables
from dts_pipeline.core import delta
from dts_pipeline.core.delta import Counters
from dts_pipeline.core.statements import TableStatements
from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.stacks import Stack

pytestmark = pytest.mark.servers

TABLES = {
    "plain": "id INT PRIMARY KEY, n INT NOT NULL, note VARCHAR(20)",
    "versioned": "id INT PRIMARY KEY, n INT NOT NULL, note VARCHAR(20), at BIGINT NOT NULL",
    "exact": "id INT PRIMARY KEY, n BIGINT UNSIGNED NOT NULL, d DECIMAL(50,10) NOT NULL",
    "small": "id INT PRIMARY KEY, n TINYINT UNSIGNED",
    "coded": "id INT PRIMARY KEY, code VARCHAR(20) NOT NULL UNIQUE, n INT NOT NULL",
    "hot": "id INT PRIMARY KEY, n BIGINT NOT NULL",
    "judged": "id INT PRIMARY KEY, n TINYINT UNSIGNED, note INT, at INT",
}


@pytest.fixture(
    scope="module",
    params=["stack_mariadb", pytest.param("stack_mysql", marks=pytest.mark.mysql)],
)
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Rig:
    stack: Stack = request.getfixturevalue(request.param)
    rig = Rig(stack, "delta", tmp_path_factory.mktemp("delta"))
    counters = {name: ["n"] for name in TABLES} | {"exact": ["n", "d"]}
    rig.conflicts = {
        "policy": {"site": "A"},
        "tables": {f"{rig.name}.{t}": {"delta": columns} for t, columns in counters.items()},
    }
    rig.changes = {"pairs": {"pair": {"version": {f"{rig.name}.versioned": "at"}}}}
    return rig.create(*(f"CREATE TABLE {name} ({columns})" for name, columns in TABLES.items()))


@pytest.fixture(scope="module")
def keys() -> Iterator[int]:
    return itertools.count(1)


def settled(rig: Rig, table: str, key: int) -> tuple[Any, ...]:
    """The row that both sides hold once both links have carried everything."""
    rig.sync()
    rows = [rig.rows(side, f"SELECT * FROM {table} WHERE id = {key}") for side in "ab"]
    assert rows[0] == rows[1]
    return rows[0][0]


@pytest.mark.parametrize("order", ["forth", "back"])
def test_both_add_the_same_and_both_count(rig: Rig, keys: Iterator[int], order: str) -> None:
    key = next(keys)
    rig.sql("a", f"INSERT INTO plain VALUES ({key}, 0, 'x')")
    rig.sync()
    before = rig.records(rig.forth, "plain"), rig.records(rig.back, "plain")
    rig.both(f"UPDATE plain SET n = n + 1 WHERE id = {key}")
    rig.await_events("a")
    rig.await_events("b")
    rig.run(getattr(rig, order))
    assert settled(rig, "plain", key) == (key, 2, "x")
    assert (rig.records(rig.forth, "plain"), rig.records(rig.back, "plain")) == before


def test_an_update_before_our_mark_counts_too(rig: Rig, keys: Iterator[int]) -> None:
    """A +1; B +10; A→B adds 1 at B; B→A reads [+10, mark]."""
    key = next(keys)
    rig.sql("a", f"INSERT INTO versioned VALUES ({key}, 0, 'x', 1)")
    rig.sync()
    rig.sql("a", f"UPDATE versioned SET n = n + 1, at = 2 WHERE id = {key}")
    rig.sql("b", f"UPDATE versioned SET n = n + 10, at = 3 WHERE id = {key}")
    rig.await_events("a")
    rig.await_events("b")
    rig.run(rig.forth)
    assert rig.rows("b", f"SELECT n, at FROM versioned WHERE id = {key}") == [(11, 3)]
    assert settled(rig, "versioned", key) == (key, 11, "x", 3)
    # Versions that crossed need not be the same at both sites: settlement looks.
    assert rig.records(rig.back, "versioned") == [("versioned", "counter", "none")]


def test_other_columns_follow_the_policy_and_counters_add_up(rig: Rig, keys: Iterator[int]) -> None:
    key = next(keys)
    rig.sql("a", f"INSERT INTO versioned VALUES ({key}, 5, 'x', 1)")
    rig.sync()
    rig.sql("a", f"UPDATE versioned SET n = n + 1, note = 'a', at = 2 WHERE id = {key}")
    rig.sql("b", f"UPDATE versioned SET n = n + 10, note = 'b', at = 3 WHERE id = {key}")
    assert settled(rig, "versioned", key) == (key, 16, "a", 3)
    assert ("versioned", "update_update", "source") in rig.records(rig.forth)


def test_sums_are_exact(rig: Rig, keys: Iterator[int]) -> None:
    key = next(keys)
    rig.sql("a", f"INSERT INTO exact VALUES ({key}, 18446744073709551000, '0')")
    rig.sync()
    large = "1234567890123456789012345678901234567890.0000000001"
    rig.sql("a", f"UPDATE exact SET n = n - 9223372036854775808, d = d + {large} WHERE id = {key}")
    rig.sql("b", f"UPDATE exact SET n = n + 600, d = d - 0.0000000002 WHERE id = {key}")
    rig.sync()
    for side in "ab":
        found = rig.rows(side, f"SELECT n, CAST(d AS CHAR) FROM exact WHERE id = {key}")
        expected = 18446744073709551000 - 9223372036854775808 + 600
        assert found == [(expected, "1234567890123456789012345678901234567889.9999999999")]


@pytest.mark.parametrize(("start", "a", "b"), [(5, "n - 3", "n - 4"), (250, "n + 3", "n + 4")])
def test_a_counter_without_room_is_a_conflict_and_never_wraps(
    rig: Rig, keys: Iterator[int], start: int, a: str, b: str
) -> None:
    key = next(keys)
    rig.sql("a", f"INSERT INTO small VALUES ({key}, {start})")
    rig.sync()
    rig.sql("a", f"UPDATE small SET n = {a} WHERE id = {key}")
    rig.sql("b", f"UPDATE small SET n = {b} WHERE id = {key}")
    row = settled(rig, "small", key)
    assert row == (key, start - 3 if start == 5 else start + 3)
    assert ("small", "counter", "source") in rig.records(rig.forth)


def test_a_null_counter_goes_by_the_policy(rig: Rig, keys: Iterator[int]) -> None:
    key = next(keys)
    rig.sql("a", f"INSERT INTO small VALUES ({key}, 7)")
    rig.sync()
    rig.sql("a", f"UPDATE small SET n = 9 WHERE id = {key}")
    rig.sql("b", f"UPDATE small SET n = NULL WHERE id = {key}")
    assert settled(rig, "small", key) == (key, 9)
    assert ("small", "counter", "source") in rig.records(rig.forth)


def test_rows_that_are_deleted_and_inserted_again_keep_their_sums(
    rig: Rig, keys: Iterator[int]
) -> None:
    """A table with a secondary unique key: our own write is a delete and an insert in the log."""
    key = next(keys)
    rig.sql("a", f"INSERT INTO coded VALUES ({key}, 'c{key}', 0)")
    rig.sync()
    rig.sql("a", f"UPDATE coded SET n = n + 1 WHERE id = {key}")
    rig.sql("b", f"UPDATE coded SET n = n + 10 WHERE id = {key}")
    rig.await_events("a")
    rig.await_events("b")
    rig.run(rig.forth)
    assert settled(rig, "coded", key) == (key, f"c{key}", 11)
    assert rig.records(rig.back, "coded") == []


def test_an_absent_row_is_a_conflict(rig: Rig, keys: Iterator[int]) -> None:
    key = next(keys)
    rig.sql("a", f"INSERT INTO plain VALUES ({key}, 3, 'x')")
    rig.sync()
    rig.sql("a", f"UPDATE plain SET n = n + 1 WHERE id = {key}")
    rig.sql("b", f"DELETE FROM plain WHERE id = {key}")
    assert settled(rig, "plain", key) == (key, 4, "x")
    assert ("plain", "update_delete", "source") in rig.records(rig.forth)


def test_writers_on_both_sides_while_both_links_run(rig: Rig) -> None:
    keys, rounds = 20, 150
    rig.sql("a", *(f"INSERT INTO hot VALUES ({key}, 0)" for key in range(keys)))
    rig.sync()
    issued = [0] * keys
    lock = threading.Lock()

    def write(side: str, seed: int) -> None:
        chance = random.Random(seed)
        with rig.user(side) as connection, connection.cursor() as cursor:
            for _ in range(rounds):
                key, added = chance.randrange(keys), chance.randint(-9, 9)
                cursor.execute("UPDATE hot SET n = n + %s WHERE id = %s", (added, key))
                connection.commit()
                with lock:
                    issued[key] += added

    writers = [threading.Thread(target=write, args=(s, i)) for i, s in enumerate("aabb")]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        rig.run(rig.forth)
        rig.run(rig.back)
    rig.sync()
    for side in "ab":
        assert [row[0] for row in rig.rows(side, "SELECT n FROM hot ORDER BY id")] == issued


def test_the_server_judges_as_the_model_does(rig: Rig) -> None:
    """`delta.meet` and `delta.merge` against the SQL, on rows at random."""
    name = f"{rig.name}.judged"
    table = read_tables(rig.database(rig.sites[0]), name.__eq__)[name]
    counters = Counters(("n",), ("at",))
    dialect = rig.database(rig.sites[0]).facts.dialect
    statements = TableStatements(table, dialect, 0, "", counters=counters)
    changes = list(_changes(random.Random(7), 3_000))
    with rig.database(rig.sites[0]).raw() as connection:
        connection.select_db("dts")
        cursor = connection.cursor()
        there = [tuple(found.values()) for *_, found, _ in changes if found is not None]
        cursor.executemany(f"INSERT INTO {rig.name}.judged VALUES (%s, %s, %s, %s)", there)
        _stage(cursor, statements, changes)
        cursor.execute(statements.classify(detect=True))
        cursor.execute(f"SELECT meeting, adds FROM {statements.verdict} ORDER BY ord")
        judged = [(int(meeting), int(adds)) for meeting, adds in cursor.fetchall()]
        cursor.execute(statements.merge() or "")
        cursor.execute(f"SELECT a0, a1, a2, a3 FROM {statements.stage} ORDER BY ord")
        merged = [dict(zip(("id", "n", "note", "at"), row, strict=True)) for row in cursor]
        connection.rollback()
    for (before, after, sums, found, crossed), (meeting, adds), row in zip(
        changes, judged, merged, strict=True
    ):
        fits = found is None or found["n"] is None or 0 <= found["n"] + sums[0] <= 255
        expected = delta.meet(before, after, found, sums, counters, fits=fits, crossed=crossed)
        assert (meeting, adds) == (expected.meeting, expected.adds + expected.back)
        if adds:
            assert found is not None
            assert row == delta.merge(after, found, sums, counters, takes=meeting == 0)


def _changes(chance: random.Random, count: int) -> Iterator[tuple[Any, ...]]:
    """(before, after, sums, found, crossed) with small values, so that rows often meet."""
    for key in range(count):
        before, after, found = (
            dict[str, Any](
                {
                    "id": key,
                    "n": chance.randint(0, 2),
                    "note": chance.choice([None, 1, 2]),
                    "at": at,
                }
            )
            for at in (1, chance.choice([1, 2, 0, None]), chance.choice([1, 2, None]))
        )
        if chance.random() < 0.3:
            found = dict(before)
        if chance.random() < 0.1:
            found["n"] = chance.choice([None, 254, 255])
        sums = (after["n"] - before["n"] if chance.random() < 0.5 else chance.randint(-2, 2),)
        crossed = chance.random() < 0.2
        yield before, after, sums, None if chance.random() < 0.05 else found, crossed


def _stage(
    cursor: pymysql.cursors.Cursor, statements: TableStatements, changes: list[tuple[Any, ...]]
) -> None:
    for statement in statements.create():
        cursor.execute(statement)
    stage = [
        (o, 0, 1, after["id"], *after.values(), sums[0], int(crossed))
        for o, (_, after, sums, _, crossed) in enumerate(changes)
    ]
    cursor.executemany(statements.fill_stage(), stage)
    before = [(o, *row.values()) for o, (row, *_) in enumerate(changes)]
    cursor.executemany(statements.fill_before(), before)
