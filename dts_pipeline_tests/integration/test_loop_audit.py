"""The loop audit on real servers: rows written are counted as the server logs them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from dts_pipeline.adapters.loop_ledger import read_returned, read_written
from dts_pipeline.core.loop_audit import compare
from dts_pipeline.stages.loop_audit import audit_loop
from dts_pipeline_tests.integration.bad_bench import Bench
from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.sampling import IS_SAMPLE
from dts_pipeline_tests.stacks import Stack

pytestmark = pytest.mark.servers
_LONG = pytest.mark.skipif(IS_SAMPLE, reason="the sample has the mark by origin")

ITEM = "CREATE TABLE item (id INT PRIMARY KEY, name VARCHAR(100), n INT NOT NULL DEFAULT 0)"
MAIL = "CREATE TABLE mail (id INT PRIMARY KEY, address VARCHAR(100), UNIQUE KEY one (address))"
STOCK = "CREATE TABLE stock (id INT PRIMARY KEY, on_hand INT NOT NULL, name VARCHAR(9))"
PARENT = "CREATE TABLE parent (id INT PRIMARY KEY, name VARCHAR(9))"
CHILD = (
    "CREATE TABLE child (id INT PRIMARY KEY, parent INT, name VARCHAR(9), CONSTRAINT own "
    "FOREIGN KEY (parent) REFERENCES parent (id) ON DELETE CASCADE)"
)
DDL = (ITEM, MAIL, STOCK, PARENT, CHILD)


@pytest.fixture(
    scope="module",
    params=[
        "stack_mariadb",
        pytest.param("stack_mariadb_comment", marks=[pytest.mark.faults, _LONG]),
        pytest.param("stack_mysql", marks=pytest.mark.mysql),
    ],
)
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    stack: Stack = request.getfixturevalue(request.param)
    found = Rig(stack, "audit", tmp_path_factory.mktemp("audit"))
    table = {f"{found.name}.stock": {"delta": ["on_hand"], "policy": {"site": "A"}}}
    found.conflicts = {"policy": {"site": "A"}, "tables": table}
    yield found.create(*DDL)
    Bench(found).remove_connectors()


def settle(rig: Rig) -> None:
    """Both links until nothing is left, and what each wrote has come back to the other."""
    rig.sync()
    for side in "ab":
        rig.await_events(side)
    rig.sync()


def findings(rig: Rig) -> list[tuple[str, str, int, int]]:
    """(table, kind, written, returned) of all that was found at either site, emptied."""
    found: list[tuple[str, str, int, int]] = []
    for side in "ab":
        rows: Any = rig.rows(
            side,
            "SELECT table_name, kind, rows_written, rows_returned FROM dts.loop_finding "
            f"WHERE link IN ('{rig.forth}', '{rig.back}') ORDER BY table_name",
        )
        found += [(row[0].split(".")[1], *row[1:]) for row in rows]
        rig.sql(side, f"DELETE FROM dts.loop_finding WHERE link LIKE '{rig.name}%'")
    return found


def test_every_kind_of_write_comes_back_as_it_was_written(rig: Rig) -> None:
    for side, base in (("a", 0), ("b", 1000)):
        rows = ", ".join(f"({base + number}, 'x', 1)" for number in range(50))
        rig.sql(side, f"INSERT INTO item VALUES {rows}")
        rig.sql(side, f"INSERT INTO mail VALUES ({base + 1}, '{side}1'), ({base + 2}, '{side}2')")
        rig.sql(side, f"INSERT INTO stock VALUES ({base + 1}, 5, 'x'), ({base + 2}, 5, 'x')")
        rig.sql(side, f"INSERT INTO parent VALUES ({base + 1}, 'x'), ({base + 2}, 'x')")
        children = ", ".join(f"({base + n}, {base + n % 2 + 1}, 'x')" for n in range(10))
        rig.sql(side, f"INSERT INTO child VALUES {children}")
    settle(rig)
    rig.sql(
        "a",
        "UPDATE item SET n = n + 1 WHERE id < 20",
        "DELETE FROM item WHERE id BETWEEN 30 AND 39",
        "UPDATE item SET id = id + 500 WHERE id BETWEEN 40 AND 44",
        "UPDATE mail SET address = 'free' WHERE id = 1",
        "UPDATE mail SET address = 'a1' WHERE id = 2",
        "INSERT INTO mail VALUES (5, 'both')",
        "UPDATE stock SET on_hand = on_hand + 1",
        "UPDATE stock SET on_hand = on_hand - 1 WHERE id = 1",
        "DELETE FROM parent WHERE id = 1",
    )
    rig.sql(
        "b",
        "UPDATE item SET n = n + 2 WHERE id BETWEEN 10 AND 25",
        "UPDATE stock SET on_hand = on_hand + 3, name = 'b'",
        "INSERT INTO mail VALUES (1005, 'both')",
        "UPDATE parent SET name = 'b' WHERE id = 2",
    )
    settle(rig)

    assert findings(rig) == []
    for link, side in ((rig.forth, "b"), (rig.back, "a")):
        batches = rig.rows(side, f"SELECT COUNT(*) FROM dts.batch WHERE link = '{link}'")
        assert batches[0][0] > 2
        # All that was written has been compared but what came last.
        database = rig.database(rig.links[link].target)
        assert len(read_written(database, link)) <= 1
        assert len(read_returned(database, link)) == 0


@pytest.mark.faults
def test_rows_that_a_trigger_writes_under_our_mark_are_found(rig: Rig) -> None:
    rig.sql(
        "b",
        "CREATE TRIGGER copies AFTER INSERT ON item FOR EACH ROW "
        "INSERT INTO parent VALUES (NEW.id, 't')",
    )
    try:
        rig.sql("a", "INSERT INTO item VALUES (7001, 'x', 1), (7002, 'x', 1)")
        settle(rig)
    finally:
        rig.sql("b", "DROP TRIGGER copies")

    assert findings(rig) == [("parent", "more", 0, 2)]
    assert rig.rows("a", "SELECT id FROM parent WHERE id > 7000") == []
    rig.sql("b", "SET SESSION sql_log_bin = 0", "DELETE FROM parent WHERE id > 7000")


@pytest.mark.faults
def test_a_trigger_that_changes_the_row_itself_is_no_finding(rig: Rig) -> None:
    """The row is logged once, as it became; a row that it left as it was is not logged."""
    rig.sql("a", "INSERT INTO item VALUES (7101, 'x', 1), (7102, 'x', 1)")
    settle(rig)
    rig.sql(
        "b",
        "CREATE TRIGGER keeps BEFORE UPDATE ON item FOR EACH ROW "
        "SET NEW.n = IF(NEW.id = 7101, OLD.n, NEW.n)",
    )
    try:
        rig.sql("a", "UPDATE item SET n = 9 WHERE id IN (7101, 7102)")
        settle(rig)
    finally:
        rig.sql("b", "DROP TRIGGER keeps")

    assert findings(rig) == []
    assert rig.rows("b", "SELECT n FROM item WHERE id IN (7101, 7102)") == [(1,), (9,)]
    rig.sql("b", "SET SESSION sql_log_bin = 0", "UPDATE item SET n = 9 WHERE id = 7101")


@pytest.mark.faults
def test_rows_of_somebody_else_under_our_mark_are_found(rig: Rig) -> None:
    """A user's row that looks like ours is carried nowhere; the audit is what tells."""
    stamp = {
        "mariadb": "SET SESSION gtid_domain_id = 4711",
        "mysql": "SET gtid_next = '64747350-0000-8000-8000-000000000000:1'",
    }[rig.database(rig.sites[1]).facts.dialect.value]
    if rig.stack.mark == "comment":
        pytest.skip("there the statement shows whose it is: test_bad_marks.py")
    rig.sql("b", stamp, "INSERT INTO item VALUES (7201, 'theirs', 1)")
    settle(rig)

    assert findings(rig) == [("item", "unknown", 0, 1)]
    assert rig.rows("a", "SELECT id FROM item WHERE id = 7201") == []
    rig.sql("b", "SET SESSION sql_log_bin = 0", "DELETE FROM item WHERE id = 7201")


@pytest.mark.faults
def test_rows_that_do_not_come_back_are_found(rig: Rig) -> None:
    """Somebody filters events between the binlog and the link: told by what was written."""
    rig.sql("a", "INSERT INTO item VALUES (7301, 'x', 1), (7302, 'x', 1)")
    rig.await_events("a")
    rig.run(rig.forth)
    target, source = rig.database(rig.sites[1]), rig.database(rig.sites[0])
    item = f"{rig.name}.item"
    (own,) = [w for w in read_written(target, rig.forth) if item in w.tables]
    noted = json.dumps({**own.tables, item: 3})
    rig.sql("b", f"UPDATE dts.written SET tables = '{noted}' WHERE mark = '{own.mark}'")
    settle(rig)

    assert findings(rig) == [("item", "fewer", 3, 2)]
    runtime = rig.runtime(rig.back)
    assert audit_loop(runtime) == {}
    runtime.close()
    assert compare(read_written(target, rig.forth), read_returned(source, rig.back)).findings == ()


def test_status_and_summary_show_what_was_found(rig: Rig) -> None:
    rig.sql(
        "a",
        "INSERT INTO dts.loop_finding VALUES "
        f"('{rig.back}', '1-1-1', '{rig.name}.item', 'more', 1, 2, UTC_TIMESTAMP(6))",
    )
    bench = Bench(rig)
    summary = rig.run(rig.back)
    links = {e["link"]: e for e in json.loads(bench.dts("status", "--json").stdout)["links"]}

    assert summary.loop == {"more": 1}
    assert (links[rig.forth]["loop"], links[rig.back]["loop"]) == ({}, {"more": 1})
    assert "the loop audit found 1 table(s) `more`" in bench.dts("status").stdout
    assert findings(rig) == [("item", "more", 1, 2)]
