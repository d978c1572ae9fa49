"""Row filters on real servers: the target is what SELECT … WHERE gives at the source."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from dts_pipeline.adapters.database import Database
from dts_pipeline.adapters.table_schema import read_tables
from dts_pipeline.commands import exits
from dts_pipeline.core.condition_parser import parse_condition
from dts_pipeline.core.condition_sql import condition_sql
from dts_pipeline.core.row_filter import RowFilter
from dts_pipeline_tests.conditions import NUMBERS, TEXTS, Drawn, drawn_conditions, numbers
from dts_pipeline_tests.integration.bad_bench import Bench
from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.integration.test_verify import unlogged
from dts_pipeline_tests.sampling import full_only
from dts_pipeline_tests.stacks import Stack

pytestmark = [pytest.mark.servers, pytest.mark.change]
SEED = 20261126
WAY = "filtered"
KEYS = 60
ITEM = """
CREATE TABLE {0} (id INT PRIMARY KEY, region VARCHAR(10) COLLATE utf8mb4_general_ci,
  amount DECIMAL(20,2), n BIGINT UNSIGNED, day DATE, at DATETIME(3), kind ENUM('x','y','100%'),
  note TEXT, ratio DOUBLE, code INT UNIQUE)
CHARACTER SET utf8mb4
"""
# The second is what a server makes of it, its text compared by bytes.
CONDITION = (
    "(region IN ('eu', 'ü') AND amount >= 10.50 OR kind = '100%' AND at >= '2026-06-01') "
    "AND n IS NOT NULL"
)
WHERE = (
    "(CAST(region AS BINARY) IN (CAST('eu' AS BINARY), CAST('ü' AS BINARY)) AND amount >= 10.50 "
    "OR kind = '100%' AND at >= '2026-06-01 00:00:00') AND n IS NOT NULL"
)
EVERYTHING = "id, region, amount, n, day, at, kind, note, ratio, code"


def one_way(rig: Rig, **settings: Any) -> dict[str, Any]:
    return {
        "source": rig.sites[0],
        "target": rig.sites[1],
        "tables": [f"{rig.name}.*"],
        "mark_domain_id": 4712,
        "where": {f"{rig.name}.item": CONDITION},
        **settings,
    }


@pytest.fixture(
    scope="module",
    params=[
        "stack_mariadb",
        pytest.param("stack_mysql", marks=pytest.mark.mysql),
        pytest.param("stack_mixed", marks=pytest.mark.mysql),
    ],
)
def bench(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    stack: Stack = request.getfixturevalue(request.param)
    rig = Rig(stack, "filt", tmp_path_factory.mktemp("filt"))
    policy = {"policy": {"site": rig.sites[0]}}
    rig.changes = {"pairs": None, "links": {WAY: one_way(rig, conflicts=policy)}}
    made = Bench(rig.create(ITEM.format("item"), "CREATE TABLE plain (id INT PRIMARY KEY)"))
    rig.run(WAY)
    yield made
    made.remove_connectors()


@pytest.fixture
def rig(bench: Bench) -> Rig:
    """With some rows, carried."""
    rig = bench.rig
    rig.sql("a", "DELETE FROM item")
    carried(rig)
    chance = random.Random(SEED)
    rig.sql("a", *(write(chance, key) for key in range(1, KEYS + 1)))
    carried(rig)
    return rig


def carried(rig: Rig) -> None:
    rig.await_events("a")
    rig.run(WAY)


def text(value: object) -> str:
    return "NULL" if value is None else f"'{value}'"


def write(chance: random.Random, key: int) -> str:
    """An INSERT or UPDATE of a row that is inside about every third time."""
    values = {
        "region": chance.choice(["eu", "EU", "ü", "u", "eu ", None]),
        "amount": chance.choice(["10.49", "10.50", "99999.99", "-1", None]),
        "n": chance.choice([0, 2**64 - 1, None]),
        "day": chance.choice(["2026-01-01", None]),
        "at": chance.choice(["2026-05-31 23:59:59.999", "2026-06-01", "2026-06-01 00:00:01", None]),
        "kind": chance.choice(["x", "100%", None]),
        "note": chance.choice(["", "long " * 9, None]),
        "ratio": chance.choice(["0.1", None]),
    }
    names, listed = ", ".join(values), ", ".join(map(text, values.values()))
    updates = ", ".join(f"{name} = VALUES({name})" for name in values)
    return (
        f"INSERT INTO item (id, {names}, code) VALUES ({key}, {listed}, {chance.randrange(10**9)}) "
        f"ON DUPLICATE KEY UPDATE {updates}"
    )


def rows_at(rig: Rig, side: str, where: str = "TRUE") -> Sequence[tuple[Any, ...]]:
    return rig.rows(side, f"SELECT {EVERYTHING} FROM item WHERE {where} ORDER BY id")


def assert_filtered(rig: Rig) -> None:
    wanted = rows_at(rig, "a", WHERE)
    assert 0 < len(wanted) < rig.rows("a", "SELECT COUNT(*) FROM item")[0][0]
    assert rows_at(rig, "b") == wanted


def test_random_writes(rig: Rig) -> None:
    """Rows come and go across the filter's edge, keys change, transactions are large and small."""
    print(f"seed {SEED}")
    assert_filtered(rig)
    chance = random.Random(SEED + 1)
    for turn in range(12):
        for _ in range(25):
            key = chance.randint(1, KEYS)
            kind = chance.choice(["write", "write", "write", "delete", "move", "all"])
            if kind == "write":
                rig.sql("a", write(chance, key))
            elif kind == "delete":
                rig.sql("a", f"DELETE FROM item WHERE id = {key}")
            elif kind == "move":
                rig.sql(
                    "a", f"UPDATE IGNORE item SET id = {chance.randint(1, KEYS)} WHERE id = {key}"
                )
            else:
                back = [write(chance, other) for other in range(key, min(KEYS, key + 4))]
                rig.sql("a", "BEGIN", f"UPDATE item SET n = NULL WHERE id < {key}", *back, "COMMIT")
        for key in chance.sample(range(1, KEYS), 12):
            rig.sql("a", write(chance, key))
        rig.sql("a", f"INSERT INTO plain VALUES ({turn})")
        carried(rig)
        assert_filtered(rig)
    assert rig.rows("b", "SELECT COUNT(*) FROM plain") == [(12,)]
    assert rig.records(WAY, "item") == []


@full_only
def test_a_target_s_own_row_is_a_conflict_of_a_row_that_comes_inside(rig: Rig) -> None:
    outside = "UPDATE item SET region = 'us', kind = 'x' WHERE id = 5"
    inside = "UPDATE item SET region = 'eu', amount = 11, n = 1 WHERE id = 5"
    rig.sql("a", outside)
    carried(rig)
    assert rig.rows("b", "SELECT COUNT(*) FROM item WHERE id = 5") == [(0,)]
    rig.sql("b", "INSERT INTO item (id, region) VALUES (5, 'mine')")
    rig.sql("a", "UPDATE item SET note = 'still outside' WHERE id = 5")
    carried(rig)
    assert rig.rows("b", "SELECT region FROM item WHERE id = 5") == [("mine",)]
    rig.sql("a", inside)
    carried(rig)
    assert rig.rows("b", "SELECT region FROM item WHERE id = 5") == [("eu",)]
    assert_filtered(rig)
    found = rig.rows("b", f"SELECT kind FROM dts.conflict WHERE link = '{WAY}' AND table_name = "
                     f"'{rig.name}.item' ORDER BY id DESC LIMIT 1")  # fmt: skip
    assert found == [("insert_insert",)]


def test_verify_repair_load_and_replay(bench: Bench, rig: Rig) -> None:
    table = ("--table", f"{rig.name}.item")

    def ended(*words: str, status: int = exits.DONE) -> dict[str, Any]:
        done = bench.dts(*words, "--carry", "--json")
        assert done.exit_code == status, done.output
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    ended("verify", WAY, *table)
    inside = [row[0] for row in rows_at(rig, "a", WHERE)]
    outside = [row[0] for row in rows_at(rig, "a", f"NOT COALESCE({WHERE}, FALSE)")]
    # What nobody carries: a row is missing, one is changed, one has left the filter, one came.
    unlogged(rig, "b", f"DELETE FROM item WHERE id = {inside[0]}")
    unlogged(rig, "b", f"UPDATE item SET note = 'of b' WHERE id = {inside[1]}")
    unlogged(rig, "a", f"UPDATE item SET n = NULL WHERE id = {inside[2]}")
    unlogged(rig, "b", f"INSERT INTO item (id, n) VALUES ({outside[0]}, 7)")
    found = ended("verify", WAY, *table, status=exits.FOUND)
    [told] = [t for t in found["comparisons"][0]["tables"] if t["table"].endswith(".item")]
    assert [told[s] for s in ("only_first", "changed", "only_second")] == [1, 1, 2], found
    ended("repair", WAY, *table, "--execute")
    assert_filtered(rig)
    ended("verify", WAY, *table)

    unlogged(rig, "b", "DELETE FROM item")
    ended("load", WAY, *table, "--execute")
    assert_filtered(rig)
    unlogged(rig, "b", f"DELETE FROM item WHERE id = {inside[0]}")
    done = bench.dts(
        "replay", WAY, *table, "--since", "2026-01-01T00:00:00Z", "--execute", "--json"
    )
    assert done.exit_code == exits.DONE, done.output
    # And the row that left the filter unseen: no event says so.
    assert {inside[0], inside[2]} <= {row[0] for row in rows_at(rig, "b")}
    ended("repair", WAY, *table, "--execute")
    assert_filtered(rig)


@full_only
def test_another_condition(bench: Bench, rig: Rig) -> None:
    """Narrower and wider at once: repair makes the target what it says now."""
    changes = {"links": {WAY: {"where": {f"{rig.name}.item": "region = 'EU' OR region IS NULL"}}}}
    done = bench.dts(
        "repair", WAY, "--table", f"{rig.name}.item", "--execute", "--carry", changes=changes
    )
    assert done.exit_code == exits.DONE, done.output
    wanted = rows_at(rig, "a", "CAST(region AS BINARY) = CAST('EU' AS BINARY) OR region IS NULL")
    assert rows_at(rig, "b") == wanted != []
    done = bench.dts("repair", WAY, "--table", f"{rig.name}.item", "--execute", "--carry")
    assert done.exit_code == exits.DONE, done.output
    assert_filtered(rig)


@pytest.mark.parametrize(
    ("condition", "code", "column"),
    [
        ("Region = 'eu'", "where_unknown", "Region"),
        ("ratio > 1", "where_unfit", "ratio"),
        ("amount = '1'", "where_unfit", "amount"),
    ],
)
@full_only
def test_what_is_refused(bench: Bench, rig: Rig, condition: str, code: str, column: str) -> None:
    changes = {"links": {WAY: {"where": {f"{rig.name}.item": condition}}}}
    rig.sql("a", "UPDATE item SET note = 'more' WHERE id = 1")
    rig.await_events("a")
    assert bench.refused(code, WAY, changes=changes)["where"]["column"] == column
    table = ("--table", f"{rig.name}.item")
    for words in (("verify",), ("repair", "--execute"), ("load", "--execute")):
        assert bench.error(words[0], WAY, *table, *words[1:], changes=changes)["code"] == code
    found = json.loads(bench.dts("preflight", "--json", changes=changes).stdout)["findings"]
    assert code in {f["check"] for f in found if f["severity"] == "error"}
    carried(rig)
    assert_filtered(rig)


@full_only
def test_unlogged_cascades_are_refused(bench: Bench, rig: Rig) -> None:
    """Where the server logs them, the link carries what they do."""
    child = "CREATE TABLE child (id INT PRIMARY KEY, item INT, FOREIGN KEY (item) REFERENCES item (id) ON DELETE CASCADE)"  # noqa: E501
    rig.both(child)
    try:
        rig.sql("a", "UPDATE item SET note = 'parent' WHERE id = 2")
        if rig.database(rig.sites[0]).facts.dialect == "mariadb":
            assert bench.refused("where_with_cascade", WAY)["where"]["table"].endswith(".item")
    finally:
        rig.both("DROP TABLE child")
    carried(rig)
    assert_filtered(rig)


COLUMNS = {
    "n": numbers(*NUMBERS),
    "d": numbers(*NUMBERS),
    "t": TEXTS,
    "c": TEXTS,
    "l": TEXTS,
    "e": ("eu", "EU", ""),
    "y": numbers("0", "70", "2026"),
    "day": ("2026-11-23", "1000-01-01"),
    "at": ("2026-11-23", "2026-11-23 10:00:00.5", "2026-11-23 10:00:00.123456"),
    "st": ("2026-11-23", "2026-11-23 10:00:00.500"),
}
DRAWN = """
CREATE TABLE drawn (id INT PRIMARY KEY, n BIGINT, d DECIMAL(30,4),
  t VARCHAR(20) COLLATE utf8mb4_general_ci, c CHAR(20) COLLATE utf8mb4_unicode_ci,
  l VARCHAR(20) CHARACTER SET latin1, e ENUM('eu','us') COLLATE utf8mb4_general_ci, y YEAR,
  day DATE, at DATETIME(6), st TIMESTAMP(3) NULL) CHARACTER SET utf8mb4
"""


@pytest.fixture(scope="module")
def drawn_table(bench: Bench) -> Iterator[tuple[Database, Any, list[tuple[Any, ...]]]]:
    """The same rows as the server has them, and as its connector sent them."""
    rig = bench.rig
    rig.both(DRAWN)
    chance = random.Random(SEED)
    pools = {name: [None, *map(str, values)] for name, values in COLUMNS.items()}
    pools["n"] = [None, "-1", "0", "1", "2", "10", str(2**63 - 1), str(-(2**63))]
    pools["e"] = [None, "eu", "us"]
    for key in range(150):
        listed = ", ".join(literal(chance.choice(pool)) for pool in pools.values())
        rig.sql("a", f"INSERT INTO drawn VALUES ({key}, {listed})")
    rig.await_events("a")
    runtime = rig.runtime(WAY)
    from dts_pipeline.stages.plan import plan_ranges
    from dts_pipeline.stages.pull import pull

    plan = plan_ranges(runtime)
    batch = pull(runtime, plan, 0)
    assert batch is not None
    own = batch.frame[batch.frame["table"] == f"{rig.name}.drawn"]
    database = rig.database(rig.sites[0])
    table = read_tables(database, f"{rig.name}.drawn".__eq__)[f"{rig.name}.drawn"]
    yield database, (table, plan.modes), list(zip(own["key"], own["after"], strict=True))
    runtime.close()
    carried(rig)
    rig.both("DROP TABLE drawn")


def literal(value: str | None) -> str:
    if value is None:
        return "NULL"
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(drawn_conditions(COLUMNS))
def test_a_condition_means_the_same_to_events_and_to_the_server(
    drawn_table: tuple[Database, Any, list[tuple[Any, ...]]], drawn: Drawn
) -> None:
    database, (table, modes), sent = drawn_table
    condition = parse_condition(drawn.text)
    inside = RowFilter(condition, table, modes).inside([after for _, after in sent])
    told = sorted(
        json.loads(key)["id"] for (key, _), is_in in zip(sent, inside, strict=True) if is_in
    )
    name = f"`{table.schema}`.`{table.name}`"
    with database.raw() as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT id FROM {name} AS t WHERE {condition_sql(condition, table)}")
        assert sorted(row[0] for row in cursor.fetchall()) == told, drawn.text
