"""Bad input in tables, accounts, rows and the ledger: each refused by its code, and mended."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dts_pipeline.commands import exits
from dts_pipeline_tests.integration.bad_bench import PLANTED, Bench
from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.stacks import ROOT, Stack

pytestmark = pytest.mark.servers

ITEM = "CREATE TABLE {0} (id INT PRIMARY KEY, name VARCHAR(100), n INT) CHARACTER SET utf8mb4"
MAIL = """
CREATE TABLE mail (id INT PRIMARY KEY, address VARCHAR(100) NOT NULL, UNIQUE KEY one (address))
CHARACTER SET utf8mb4
"""


@pytest.fixture(scope="module")
def bench(stack_mariadb: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One pair for the module; each test breaks a table of its own, and mends it."""
    tables = [ITEM.format(name) for name in ("item", "rights", "gone", "wiped")]
    rig = Rig(stack_mariadb, "badtab", tmp_path_factory.mktemp("bad"))
    made = Bench(rig.create(*tables, MAIL))
    made.rig.sql("a", f"INSERT INTO item VALUES (1, '{PLANTED}', 1)")
    made.goes_on()
    yield made
    made.remove_connectors()


def test_a_sound_pair_is_refused_nothing(bench: Bench) -> None:
    # Otherwise every "preflight finds it" below could be somebody else's finding.
    bench.foreseen()
    assert bench.dts("sync", bench.rig.forth, "--json").exit_code == exits.DONE


def test_a_table_that_is_missing_at_the_target(bench: Bench) -> None:
    bench.rig.sql("a", ITEM.format("only_a"), f"INSERT INTO only_a VALUES (1, '{PLANTED}', 1)")

    error = bench.refused("table_missing")

    assert error["where"]["tables"] == f"{bench.rig.name}.only_a"
    assert bench.foreseen("table_missing")["where"]["table"] == f"{bench.rig.name}.only_a"
    bench.rig.sql("b", ITEM.format("only_a"))
    bench.rig.sql("a", "UPDATE only_a SET n = 2")


@pytest.mark.parametrize(
    ("table", "at_a", "at_b", "code", "column", "mend"),
    [
        (
            "wider",
            "(id INT PRIMARY KEY, extra INT)",
            "(id INT PRIMARY KEY)",
            "column_missing",
            "extra",
            "ALTER TABLE wider ADD extra INT",
        ),
        (
            "narrower",
            "(id INT PRIMARY KEY)",
            "(id INT PRIMARY KEY, extra INT)",
            "column_missing",
            "extra",
            "ALTER TABLE narrower DROP extra",
        ),
        (
            "other_type",
            "(id INT PRIMARY KEY, at DATETIME)",
            "(id INT PRIMARY KEY, at INT)",
            "type_mismatch",
            "at",
            "ALTER TABLE other_type MODIFY at DATETIME",
        ),
        (
            "other_key",
            "(id INT NOT NULL, n INT NOT NULL DEFAULT 0, PRIMARY KEY (id))",
            "(id INT NOT NULL, n INT NOT NULL DEFAULT 0, PRIMARY KEY (id, n))",
            "key_mismatch",
            None,
            "ALTER TABLE other_key DROP PRIMARY KEY, ADD PRIMARY KEY (id)",
        ),
        (
            "no_rollback",
            "(id INT PRIMARY KEY)",
            "(id INT PRIMARY KEY) ENGINE=MyISAM",
            "engine_unsupported",
            None,
            "ALTER TABLE no_rollback ENGINE=InnoDB",
        ),
        (
            "rounded",
            "(id INT PRIMARY KEY, at DATETIME(6))",
            "(id INT PRIMARY KEY, at DATETIME)",
            "type_narrower",
            "at",
            "ALTER TABLE rounded MODIFY at DATETIME(6)",
        ),
        (
            "key_told_apart",
            "(id VARCHAR(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PRIMARY KEY)",
            "(id VARCHAR(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci PRIMARY KEY)",
            "collation_differs",
            "id",
            "ALTER TABLE key_told_apart MODIFY id VARCHAR(9) COLLATE utf8mb4_bin",
        ),
    ],
)
def test_tables_that_do_not_fit(
    bench: Bench, table: str, at_a: str, at_b: str, code: str, column: str | None, mend: str
) -> None:
    bench.rig.sql("a", f"CREATE TABLE {table} {at_a}")
    bench.rig.sql("b", f"CREATE TABLE {table} {at_b}")
    try:
        error = bench.refused(code)
        assert error["where"]["table"] == f"{bench.rig.name}.{table}"
        assert error["where"].get("column") == column
        assert bench.foreseen(code)["where"]["table"] == f"{bench.rig.name}.{table}"
    finally:
        bench.rig.sql("b", mend)
    bench.rig.sql("a", f"INSERT INTO {table} SET id = 7")


def test_a_table_without_a_key(bench: Bench) -> None:
    bench.rig.both("CREATE TABLE keyless (id INT NOT NULL, n INT)")

    error = bench.refused("key_missing")

    assert error["where"]["table"] == f"{bench.rig.name}.keyless"
    bench.foreseen("key_missing")
    bench.rig.both("ALTER TABLE keyless ADD PRIMARY KEY (id)")
    bench.rig.sql("a", "INSERT INTO keyless VALUES (1, 1)")


def test_tables_that_were_mended_are_carried(bench: Bench) -> None:
    """Whatever of the tables above was broken: their rows of meanwhile arrive."""
    bench.goes_on()
    assert bench.foreseen() == {}


def test_rows_that_were_written_before_the_table_had_a_key(bench: Bench) -> None:
    bench.rig.both("CREATE TABLE late_key (id INT NOT NULL, name VARCHAR(100))")
    bench.rig.sql("a", f"INSERT INTO late_key VALUES (1, '{PLANTED}')")
    bench.rig.await_events("a")
    bench.rig.both("ALTER TABLE late_key ADD PRIMARY KEY (id)")

    error = bench.refused("key_missing")

    assert error["where"]["topic"] == bench.topic("late_key")
    assert error["where"]["offset"] == "0"
    bench.rig.sql("b", f"INSERT INTO late_key VALUES (1, '{PLANTED}')")
    bench.rig.await_events("b")
    bench.new_start(bench.rig.forth)
    bench.goes_on()


def test_privileges_that_are_missing(bench: Bench) -> None:
    """INSERT is missed in the middle of the transaction: after the fence, deletes and updates."""
    rows = f"(1, '{PLANTED}', 1), (2, 'two', 2)"
    bench.carries(f"INSERT INTO rights VALUES {rows}", "SELECT id FROM rights WHERE id = 2")
    bench.rig.sql(
        "a",
        "UPDATE rights SET n = n + 1 WHERE id = 1",
        "DELETE FROM rights WHERE id = 2",
        f"INSERT INTO rights VALUES (3, '{PLANTED}', 3)",
    )
    bench.rig.await_events("a")
    schema = bench.rig.name.replace("_", "\\_")  # as `dts init --print` grants it
    for right, place in (
        ("BINLOG REPLAY", "*.*"),
        ("INSERT", f"`{schema}`.*"),
        ("INSERT", "`dts`.*"),
    ):
        bench.rig.sql("b", f"REVOKE {right} ON {place} FROM 'dts'@'%'")
        try:
            bench.refused("privilege_missing")
            finding = bench.foreseen("privilege_missing")
            assert right in finding["message"] + finding["remedy"]
        finally:
            bench.rig.sql("b", f"GRANT {right} ON {place} TO 'dts'@'%'")
    bench.goes_on()


@pytest.mark.parametrize(
    ("domain", "code"), [(None, "mark_domain_missing"), (1, "mark_domain_taken")]
)
def test_a_mark_domain_that_is_not_the_pipelines_own(
    bench: Bench, domain: int | None, code: str
) -> None:
    """1 is the GTID domain under which users write at site a: their rows would pass for ours."""
    changes = {"pairs": {"pair": {"mark_domain_id": domain}}}
    bench.refused(code, changes=changes)
    bench.foreseen(code, changes=changes)


def test_a_value_that_does_not_fit_the_targets_column(bench: Bench) -> None:
    bench.rig.sql("a", "CREATE TABLE tight (id INT PRIMARY KEY, name VARCHAR(50), n INT)")
    bench.rig.sql("b", "CREATE TABLE tight (id INT PRIMARY KEY, name VARCHAR(5), n INT)")
    # 0, 1 and 2 fit; offset 2 is the poison, in one transaction with the others.
    bench.rig.sql(
        "a",
        f"INSERT INTO tight VALUES (1, 'fits', 1), (2, '', 2), (3, '{PLANTED}', 3), (4, 'x', 4)",
    )
    bench.rig.await_events("a")

    error = bench.refused("value_refused")

    assert error["where"] == {
        "topic": bench.topic("tight"),
        "partition": "0",
        "offset": "2",
        "table": f"{bench.rig.name}.tight",
        "column": "name",
    }
    warned = bench.foreseen("type_narrower", "binlog_durability", severity="warning")
    assert warned["where"]["column"] == "name"
    bench.rig.sql("b", "ALTER TABLE tight MODIFY name VARCHAR(50)")
    bench.goes_on()


def test_rows_from_before_a_column_got_another_type(bench: Bench) -> None:
    bench.rig.both("CREATE TABLE retyped (id INT PRIMARY KEY, v VARCHAR(50))")
    bench.rig.sql("a", f"INSERT INTO retyped VALUES (1, '{PLANTED}')")
    bench.rig.await_events("a")
    bench.rig.both("ALTER TABLE retyped DROP v, ADD v DATETIME")

    error = bench.refused("undecodable_value")

    assert error["where"] == {
        "topic": bench.topic("retyped"),
        "partition": "0",
        "offset": "0",
        "table": f"{bench.rig.name}.retyped",
        "column": "v",
    }
    bench.rig.sql("b", "INSERT INTO retyped VALUES (1, NULL)")
    bench.rig.await_events("b")
    bench.new_start(bench.rig.forth)
    bench.goes_on()


def test_a_truncate_stops_the_link(bench: Bench) -> None:
    rows = f"(1, '{PLANTED}', 1), (2, 'two', 2)"
    bench.carries(f"INSERT INTO wiped VALUES {rows}", "SELECT id FROM wiped")
    bench.rig.sql("a", "TRUNCATE wiped")
    bench.rig.await_events("a")

    error = bench.refused("truncate_event")

    assert error["where"]["table"] == f"{bench.rig.name}.wiped"
    assert error["where"]["topic"] == bench.topic("wiped")
    # As the remedy says; the target's truncate is an event of the other link.
    bench.rig.sql("b", "TRUNCATE wiped")
    bench.rig.await_events("b")
    ignore = {"pairs": {"pair": {"truncate": "ignore"}}}
    for link in (bench.rig.forth, bench.rig.back):
        assert bench.dts("sync", link, changes=ignore).exit_code == exits.DONE
    bench.rig.sql("a", "INSERT INTO wiped VALUES (3, 'three', 3)")
    bench.goes_on()
    assert bench.rig.rows("b", "SELECT id FROM wiped") == [(3,)]


@pytest.mark.parametrize(
    ("table", "code"),
    [("installation", "ledger_missing"), ("batch", "table_missing")],
)
def test_a_ledger_that_is_missing(bench: Bench, table: str, code: str) -> None:
    """`batch` is missed at the very end of a batch's transaction, when everything is written."""
    bench.rig.sql("a", f"INSERT INTO gone VALUES ({len(table)}, '{PLANTED}', 1)")
    bench.rig.await_events("a")
    before = bench.standing()
    bench.rig.sql("b", f"RENAME TABLE dts.{table} TO dts.away")
    try:
        error = bench.error("sync", bench.rig.forth)
        finding = bench.foreseen("ledger_missing")
    finally:
        bench.rig.sql("b", f"RENAME TABLE dts.away TO dts.{table}")
    assert error["code"] == code
    assert "dts init" in error["remedy"]
    assert table in finding["message"]
    assert bench.standing() == before
    bench.goes_on()


def test_a_unique_value_that_both_sides_gave_to_different_keys(
    bench: Bench, tmp_path: Path
) -> None:
    """The server's words quote the value; Dagster's storage would show them in the UI for ever."""
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(ROOT / "deploy" / "dagster.yaml", home)
    bench.rig.sql("a", f"INSERT INTO mail VALUES (1, '{PLANTED}@a')")
    bench.rig.sql("b", f"INSERT INTO mail VALUES (2, '{PLANTED}@a')")
    bench.rig.await_events("a")
    before = bench.standing()

    nobody = {"pairs": {"pair": {"conflicts": {"policy": "fail"}}}}

    error = bench.at_once(("sync", bench.rig.forth), changes=nobody, home=home)[0]["error"]

    assert error["code"] == "unique_conflict"
    assert error["where"]["table"] == f"{bench.rig.name}.mail"
    assert bench.standing() == before
    stored = [path.read_bytes() for path in home.rglob("*") if path.is_file()]
    assert any(b"unique_conflict" in content for content in stored)  # the run is kept there
    for content in stored:
        bench.assert_silent(content.decode("latin-1"))
    bench.rig.sql("b", f"UPDATE mail SET address = '{PLANTED}@b' WHERE id = 2")
    bench.goes_on()
