"""Both sides change the same row: who wins, what is recorded, and that both sides end equal."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dts_pipeline.cli import main
from dts_pipeline.commands import exits
from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.stacks import Stack

pytestmark = pytest.mark.servers

ROW = "CREATE TABLE {0} (id INT PRIMARY KEY, v VARCHAR(50), at DATETIME(6)) CHARACTER SET utf8mb4"
Once = Callable[[str], None]


@pytest.fixture(
    scope="module",
    params=["stack_mariadb", pytest.param("stack_mixed", marks=pytest.mark.mysql)],
)
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Rig:
    """Policy: site A wins, but for `newest_*`, where the later `at` does."""
    stack: Stack = request.getfixturevalue(request.param)
    path: Path = tmp_path_factory.mktemp("conflicts")
    names = ("midway", "both_ways", "suffix", "newest_row", "newest_gone", "site_gone", "again")
    rig = Rig(stack, "conf", path)
    newest = {"policy": {"newest": "at", "ties": "A"}}
    rig.conflicts = {
        "policy": {"site": "A"},
        "tables": {f"{rig.name}.{t}": newest for t in ("newest_row", "newest_gone")},
    }
    return rig.create(*(ROW.format(name) for name in names))


def once(action: Callable[[], None]) -> Once:
    """Runs the action before the first batch only."""
    left = [action]
    return lambda _link: left.pop()() if left else None


def test_a_key_changed_on_both_sides_between_pull_and_apply(rig: Rig) -> None:
    rig.sql("a", "INSERT INTO midway VALUES (1,'old',NULL)")
    rig.sync()
    rig.sql("a", "UPDATE midway SET v = 'from a' WHERE id = 1")
    rig.await_events("a")
    rig.run(rig.forth, once(lambda: rig.sql("b", "UPDATE midway SET v = 'from b' WHERE id = 1")))
    rig.sync()
    rig.assert_equal()
    assert rig.rows("b", "SELECT v FROM midway") == [("from a",)]
    assert ("midway", "update_update", "source") in rig.records(rig.forth)


def test_concurrent_updates_do_not_swap(rig: Rig) -> None:
    rig.sql("a", "INSERT INTO both_ways VALUES (1,'old',NULL),(2,'old',NULL)")
    rig.sync()
    rig.sql("a", "UPDATE both_ways SET v = 'from a'")
    rig.sql("b", "UPDATE both_ways SET v = 'from b'")
    rig.await_events("a")  # so that the first run of a_to_b has them to carry
    rig.sync()
    rig.assert_equal()
    assert rig.rows("b", "SELECT v FROM both_ways ORDER BY id") == [("from a",), ("from a",)]
    assert rig.records(rig.forth, "both_ways") == [
        ("both_ways", "update_update", "source"),
        ("both_ways", "update_update", "source"),
    ]


def test_an_overwritten_value_is_not_brought_back(rig: Rig) -> None:
    """B's own change stands in B's log BEFORE the batch of A that overwrote it."""
    rig.sql("a", "INSERT INTO suffix VALUES (1,'old',NULL)")
    rig.sync()
    rig.sql("b", "UPDATE suffix SET v = 'overwritten' WHERE id = 1")
    rig.sql("a", "UPDATE suffix SET v = 'from a' WHERE id = 1")
    rig.await_events("a")
    rig.await_events("b")
    rig.run(rig.forth)
    rig.sync()
    rig.assert_equal()
    assert rig.rows("a", "SELECT v FROM suffix") == [("from a",)]
    assert rig.records(rig.back, "suffix") == [("suffix", "superseded", "none")]


@pytest.mark.parametrize("first", ["forth", "back"])
def test_the_newest_row_wins_whichever_link_runs_first(rig: Rig, first: str) -> None:
    key = {"forth": 1, "back": 2}[first]
    rig.sql("a", f"INSERT INTO newest_row VALUES ({key},'old','2026-01-01')")
    rig.sync()
    rig.sql("a", f"UPDATE newest_row SET v='early', at='2026-01-02 00:00:00.000001' WHERE id={key}")
    rig.sql("b", f"UPDATE newest_row SET v='later', at='2026-01-02 00:00:00.000002' WHERE id={key}")
    rig.await_events("a")
    rig.await_events("b")
    rig.run(getattr(rig, first))
    rig.sync()
    rig.assert_equal()
    assert rig.rows("a", f"SELECT v FROM newest_row WHERE id={key}") == [("later",)]


def test_under_newest_an_update_wins_over_a_delete(rig: Rig) -> None:
    rig.sql("a", "INSERT INTO newest_gone VALUES (1,'old','2026-01-01'),(2,'old','2026-01-01')")
    rig.sync()
    rig.sql("a", "UPDATE newest_gone SET v='kept', at='2026-01-02' WHERE id=1")
    rig.sql("b", "DELETE FROM newest_gone WHERE id=1")
    rig.sync()
    rig.assert_equal()
    assert rig.rows("b", "SELECT v FROM newest_gone WHERE id=1") == [("kept",)]


def test_the_named_sites_delete_wins_over_an_update(rig: Rig) -> None:
    rig.sql("a", "INSERT INTO site_gone VALUES (1,'old',NULL),(2,'old',NULL)")
    rig.sync()
    rig.sql("a", "DELETE FROM site_gone WHERE id=1", "UPDATE site_gone SET v='x' WHERE id=2")
    rig.sql("b", "UPDATE site_gone SET v='lost' WHERE id=1", "DELETE FROM site_gone WHERE id=2")
    rig.sync()
    rig.assert_equal()
    assert rig.rows("b", "SELECT id, v FROM site_gone") == [(2, "x")]


def test_a_key_has_one_open_record(rig: Rig) -> None:
    rig.sql("a", "INSERT INTO again VALUES (1,'old',NULL)")
    rig.sync()
    for number in range(3):
        rig.sql("a", f"UPDATE again SET v='a{number}' WHERE id=1")
        rig.sql("b", f"UPDATE again SET v='b{number}' WHERE id=1")
        rig.sync()
        rig.assert_equal()
    assert len(rig.records(rig.forth, "again")) == 1


def test_records_hold_the_rows_and_the_run_nothing_of_them(rig: Rig) -> None:
    rows = rig.database(rig.sites[1]).query(
        "SELECT key_json, before_json, after_json, found_json FROM dts.conflict "
        "WHERE table_name = :t",
        {"t": f"{rig.name}.both_ways"},
    )
    assert {row[0] for row in rows} == {'{"id":1}', '{"id":2}'}
    assert all('"old"' in r[1] and '"from a"' in r[2] and '"from b"' in r[3] for r in rows)


def dts(rig: Rig, *words: str, status: int = exits.FOUND) -> Any:
    environment = {"DAGSTER_HOME": None, **rig.stack.env, "DTS_CONFIG": str(rig.path)}
    result = CliRunner().invoke(main, [*words, "--json"], env=environment)
    assert result.exit_code == status, result.output
    return json.loads(result.stdout)


def test_records_are_listed_and_shown_on_the_command_line(rig: Rig) -> None:
    table = f"{rig.name}.both_ways"
    words = ("--link", rig.forth, "--table", table, "--kind", "update_update")
    # The other link may have met the same rows, before what this one wrote was in Kafka.
    listed = dts(rig, "conflicts", *words)["conflicts"]
    assert [entry["link"] for entry in listed] == [rig.forth] * 2
    assert {entry["key"] for entry in listed} == {'{"id":1}', '{"id":2}'}
    shown = dts(rig, "conflicts", "show", listed[0]["id"])
    assert shown["differing"] == ["v"]
    rows = {row["column"]: row for row in shown["rows"]}
    assert rows["v"] == {"column": "v", "before": "old", "after": "from a", "found": "from b"}
    assert rows["at"]["before"] == "NULL"


def test_filters_leave_out_what_does_not_fit(rig: Rig) -> None:
    table = f"{rig.name}.both_ways"
    for words in (
        ("--table", f"{rig.name}.nowhere"),
        ("--table", table, "--kind", "unique"),
        ("--table", table, "--state", "closed"),
    ):
        assert dts(rig, "conflicts", *words, status=exits.DONE)["conflicts"] == []
    one = dts(rig, "conflicts", "--link", rig.forth, "--table", table, "--limit", "1")
    assert len(one["conflicts"]) == 1
    assert one["more"] is True


def test_a_record_that_is_not_there(rig: Rig) -> None:
    error = dts(rig, "conflicts", "show", f"{rig.sites[1]}:999999999", status=exits.FAILED)
    assert error["error"]["code"] == "conflict_unknown"
