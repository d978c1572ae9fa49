"""The target's own columns on a one-way link: with counters, quarantine, filters and replay."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from dts_pipeline.commands import exits
from dts_pipeline_tests.integration.bad_bench import Bench
from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.sampling import full_only
from dts_pipeline_tests.stacks import Stack

pytestmark = [pytest.mark.servers, pytest.mark.change, full_only]
WAY = "own_columns"
ITEM = """
CREATE TABLE {0} (id INT PRIMARY KEY, note VARCHAR(20) DEFAULT 'unset', {1} n INT, name VARCHAR(20))
CHARACTER SET utf8mb4
"""
OWN = {"a": "only_a INT NOT NULL DEFAULT 1,", "b": "only_b DATETIME(3) NULL,"}
TABLES = ("item", "counted", "narrow", "some")


@pytest.fixture(
    scope="module",
    params=["stack_mariadb", pytest.param("stack_mixed", marks=pytest.mark.mysql)],
)
def bench(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    stack: Stack = request.getfixturevalue(request.param)
    rig = Rig(stack, "exone", tmp_path_factory.mktemp("exone"))
    own = {"exclude": ["note", "only_a", "only_b"]}
    link = {
        "source": rig.sites[0],
        "target": rig.sites[1],
        "tables": [f"{rig.name}.*"],
        "mark_domain_id": 4712,
        "columns": {f"{rig.name}.{table}": own for table in TABLES},
        "where": {f"{rig.name}.some": "n > 0"},
        "on_poison": "quarantine",
        "conflicts": {
            "policy": {"site": rig.sites[0]},
            "tables": {f"{rig.name}.counted": {"delta": ["n"]}},
        },
    }
    rig.changes = {"pairs": None, "links": {WAY: link}}
    made = Bench(rig.create("CREATE TABLE warm (id INT PRIMARY KEY)"))
    for side in "ab":
        rig.sql(side, *(ITEM.format(table, OWN[side]) for table in TABLES))
    rig.run(WAY)
    yield made
    made.remove_connectors()


@pytest.fixture
def rig(bench: Bench) -> Rig:
    """Three rows in each table, carried, to which each side then gave a note of its own."""
    rig = bench.rig
    for table in TABLES:
        rig.sql(
            "a",
            f"DELETE FROM {table}",
            f"INSERT INTO {table} (id, n, name) VALUES (1, 10, 'x'), (2, 10, 'x'), (3, 10, 'x')",
        )
    carried(rig)
    for table in TABLES:
        rig.sql("a", f"UPDATE {table} SET note = 'of a', only_a = 7")
        rig.sql("b", f"UPDATE {table} SET note = 'of b', only_b = '2026-01-02 03:04:05.678'")
    carried(rig)
    return rig


def carried(rig: Rig) -> None:
    rig.await_events("a")
    rig.run(WAY)


def at_target(rig: Rig, table: str) -> list[tuple[Any, ...]]:
    return list(rig.rows("b", f"SELECT id, n, name, note FROM {table} ORDER BY id"))


def own_values(rig: Rig, table: str) -> set[tuple[Any, ...]]:
    return set(rig.rows("b", f"SELECT note, CAST(only_b AS CHAR) FROM {table}"))


KEPT = {("of b", "2026-01-02 03:04:05.678")}


def test_rows_change_and_the_target_s_own_values_stay(rig: Rig) -> None:
    rig.sql("a", "UPDATE item SET n = 11, note = 'again' WHERE id = 1")
    rig.sql("a", "DELETE FROM item WHERE id = 2", "INSERT INTO item (id, n) VALUES (4, 40)")
    carried(rig)
    assert at_target(rig, "item") == [
        (1, 11, "x", "of b"),
        (3, 10, "x", "of b"),
        (4, 40, None, "unset"),
    ]
    assert rig.rows("a", "SELECT note FROM item WHERE id = 1") == [("again",)]
    assert rig.records(WAY, "item") == []


def test_a_note_is_no_conflict_beside_a_change_at_the_target(rig: Rig) -> None:
    rig.sql("b", "UPDATE item SET name = 'mine' WHERE id = 3")
    rig.sql("a", "UPDATE item SET note = 'only a note' WHERE id = 3")
    carried(rig)
    assert at_target(rig, "item")[2] == (3, 10, "mine", "of b")
    assert rig.records(WAY, "item") == []


def test_counters_are_added_and_notes_count_for_nothing(rig: Rig) -> None:
    rig.sql("b", "UPDATE counted SET n = n + 100")
    rig.sql(
        "a",
        "UPDATE counted SET n = n + 1, note = 'n' WHERE id = 1",
        "UPDATE counted SET note = 'm'",
        "UPDATE counted SET n = n + 2 WHERE id = 1",
        "UPDATE counted SET n = n - 5, name = 'new' WHERE id = 2",
    )
    carried(rig)
    assert at_target(rig, "counted") == [
        (1, 113, "x", "of b"),
        (2, 105, "new", "of b"),
        (3, 110, "x", "of b"),
    ]
    assert own_values(rig, "counted") == KEPT
    assert rig.records(WAY, "counted") == []


def test_a_key_in_quarantine_and_its_retry(bench: Bench, rig: Rig) -> None:
    rig.sql("b", "ALTER TABLE narrow MODIFY name VARCHAR(5) CHARACTER SET utf8mb4")
    try:
        rig.sql("a", "UPDATE narrow SET name = 'much too long', note = 'held' WHERE id = 1")
        carried(rig)
        # A note alone is let go; it is no later change that would be held, nor one that is written.
        rig.sql("a", "UPDATE narrow SET note = 'later'", "UPDATE narrow SET n = 20 WHERE id = 1")
        carried(rig)
        assert at_target(rig, "narrow")[0] == (1, 10, "x", "of b")
        found = json.loads(bench.dts("quarantine", "list", "--json").stdout)["quarantine"]
        [entry] = [e for e in found if e["table"] == f"{rig.name}.narrow"]
    finally:
        rig.sql("b", "ALTER TABLE narrow MODIFY name VARCHAR(20) CHARACTER SET utf8mb4")
    done = bench.dts("quarantine", "retry", entry["id"])
    assert done.exit_code == exits.DONE, done.output
    assert at_target(rig, "narrow")[0] == (1, 20, "much too long", "of b")
    assert own_values(rig, "narrow") == KEPT


def test_a_replay_makes_what_is_synced_right_and_leaves_the_rest(bench: Bench, rig: Rig) -> None:
    rig.sql("b", "UPDATE item SET name = 'broken' WHERE id = 1", "DELETE FROM item WHERE id = 2")
    words = ("--table", f"{rig.name}.item", "--since", "2026-01-01T00:00:00Z", "--execute")
    done = bench.dts("replay", WAY, *words, "--json")
    assert done.exit_code == exits.DONE, done.output
    assert at_target(rig, "item") == [
        (1, 10, "x", "of b"),
        (2, 10, "x", "unset"),
        (3, 10, "x", "of b"),
    ]


def test_a_row_that_comes_inside_a_filter_begins_with_defaults(rig: Rig) -> None:
    rig.sql("a", "UPDATE some SET n = 0 WHERE id = 1", "UPDATE some SET note = 'x' WHERE id = 2")
    carried(rig)
    assert at_target(rig, "some") == [(2, 10, "x", "of b"), (3, 10, "x", "of b")]
    rig.sql("a", "UPDATE some SET n = 5 WHERE id = 1")
    carried(rig)
    assert at_target(rig, "some")[0] == (1, 5, "x", "unset")
    assert rig.records(WAY, "some") == []


def test_verify_and_repair_of_a_one_way_link(bench: Bench, rig: Rig) -> None:
    words = ("--table", f"{rig.name}.item", "--carry", "--json")
    done = bench.dts("verify", WAY, *words)
    assert done.exit_code == exits.DONE, done.output
    rig.sql("b", "UPDATE item SET name = 'broken' WHERE id = 1", "DELETE FROM item WHERE id = 2")
    done = bench.dts("repair", WAY, *words, "--execute")
    assert done.exit_code == exits.DONE, done.output
    assert at_target(rig, "item") == [
        (1, 10, "x", "of b"),
        (2, 10, "x", "unset"),
        (3, 10, "x", "of b"),
    ]
