"""Columns that each site keeps for itself: what is synced ends equal, the rest untouched."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import pytest

from dts_pipeline.commands import exits
from dts_pipeline_tests.integration.bad_bench import Bench
from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.stacks import Stack

pytestmark = [pytest.mark.servers, pytest.mark.change]
SEED = 20261126
KEYS = 40
# `note` is at both sites; `only_a` and `only_b` at one each, and in the middle of the columns.
ITEM = """
CREATE TABLE {0} (id INT PRIMARY KEY, note VARCHAR(20) DEFAULT 'unset', {1} n INT, name VARCHAR(20))
CHARACTER SET utf8mb4
"""
OWN = {
    "a": "only_a DECIMAL(8,2) NOT NULL DEFAULT 1.5,",
    "b": "only_b DATETIME(3) NULL,",
}
SYNCED = "SELECT id, n, name FROM {0} ORDER BY id"


@pytest.fixture(
    scope="module",
    params=[
        "stack_mariadb",
        pytest.param("stack_mixed", marks=pytest.mark.mysql),
    ],
)
def bench(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    stack: Stack = request.getfixturevalue(request.param)
    rig = Rig(stack, "excl", tmp_path_factory.mktemp("excl"))
    names = {"item": ["note", "only_a", "only_b"], "bad": ["note"]}
    columns = {f"{rig.name}.{name}": {"exclude": own} for name, own in names.items()}
    columns[f"{rig.name}.kept"] = {"include": ["n"]}
    rig.changes = {"pairs": {"pair": {"columns": columns}}}
    made = Bench(rig.create("CREATE TABLE warm (id INT PRIMARY KEY)"))
    rig.both("CREATE TABLE bad (id INT PRIMARY KEY, note INT, n INT)")
    rig.both("CREATE TABLE kept (id INT PRIMARY KEY, note INT, n INT)")
    for side in "ab":
        rig.sql(side, ITEM.format("item", OWN[side]))
    made.goes_on()
    yield made
    made.remove_connectors()


@pytest.fixture
def rig(bench: Bench) -> Rig:
    """With the same rows at both sides, and each side's own values in its own columns."""
    rig = bench.rig
    rig.sql("a", "DELETE FROM item")
    rig.sync()
    rows = ", ".join(f"({i}, {i}, 'x{i}')" for i in range(1, KEYS + 1))
    rig.sql("a", f"INSERT INTO item (id, n, name) VALUES {rows}")
    rig.sync()
    return rig


def synced(rig: Rig) -> list[list[tuple[object, ...]]]:
    return [list(rig.rows(side, SYNCED.format("item"))) for side in "ab"]


def test_inserts_take_the_sites_own_defaults(rig: Rig) -> None:
    rig.sql("a", "UPDATE item SET note = 'of a', only_a = 7 WHERE id = 1")
    rig.sql("b", "UPDATE item SET note = 'of b', only_b = '2026-01-02 03:04:05.678' WHERE id = 1")
    rig.sql("b", "INSERT INTO item (id, note, n) VALUES (1000, 'b alone', 5)")
    rig.sync()
    assert rig.rows("b", "SELECT note, only_b FROM item WHERE id = 2") == [("unset", None)]
    found = rig.rows("a", "SELECT note, CAST(only_a AS CHAR), n FROM item WHERE id = 1000")
    assert found == [("unset", "1.50", 5)]
    found = rig.rows("a", "SELECT note, CAST(only_a AS CHAR) FROM item WHERE id = 1")
    assert found == [("of a", "7.00")]
    found = rig.rows("b", "SELECT note, CAST(only_b AS CHAR) FROM item WHERE id = 1")
    assert found == [("of b", "2026-01-02 03:04:05.678")]
    assert rig.records(rig.forth, "item") + rig.records(rig.back, "item") == []


def test_a_write_of_an_own_column_wins_over_nothing(rig: Rig) -> None:
    """Site a wins conflicts, but a note of its own is none: b's new name stays."""
    rig.sql("a", "UPDATE item SET note = 'mine' WHERE id = 3")
    rig.sql("b", "UPDATE item SET name = 'newer' WHERE id = 3")
    rig.sync()
    assert rig.rows("a", "SELECT name, note FROM item WHERE id = 3") == [("newer", "mine")]
    assert rig.rows("b", "SELECT name, note FROM item WHERE id = 3") == [("newer", "unset")]
    assert rig.records(rig.forth, "item") + rig.records(rig.back, "item") == []


def test_random_writes_at_both_sides(rig: Rig) -> None:
    """What is synced ends equal, and every surviving row has the values its own site gave last."""
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    own: dict[str, dict[int, str]] = {"a": {}, "b": {}}
    deleted: set[int] = set()
    for turn in range(150):
        side, key = chance.choice("ab"), chance.randint(1, KEYS)
        kind = chance.choice(["note", "note", "both", "synced", "synced", "delete"])
        if kind == "delete" and key > KEYS - 8:
            rig.sql(side, f"DELETE FROM item WHERE id = {key}")
            deleted.add(key)
        elif kind in ("note", "both"):
            text = f"{side}{turn}"
            also = f", n = {turn}" if kind == "both" else ""
            rig.sql(side, f"UPDATE item SET note = '{text}'{also} WHERE id = {key}")
            own[side][key] = text
        else:
            rig.sql(side, f"UPDATE item SET n = {turn}, name = '{side}' WHERE id = {key}")
        if turn % 40 == 39:
            rig.sync()
    rig.sync()
    rig.sync()
    first, second = synced(rig)
    assert first == second
    assert len(first) >= KEYS - 8
    for side in "ab":
        notes = dict(rig.rows(side, "SELECT id, note FROM item"))
        for key in set(notes) - deleted:
            assert notes[key] == own[side].get(key, "unset"), (SEED, side, key)


def test_a_load_gives_rows_without_the_columns_of_the_other_site(bench: Bench, rig: Rig) -> None:
    with rig.user("a") as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION sql_log_bin = 0")  # as if it had been there before the pair
        cursor.execute("INSERT INTO item (id, note, only_a, n) VALUES (2001, 'of a', 9, 1)")
    words = ("--table", f"{rig.name}.item", "--from", rig.sites[0], "--execute", "--carry")
    done = bench.dts("load", "pair", *words, "--json")
    assert done.exit_code == exits.DONE, done.output
    found = rig.rows("b", "SELECT note, only_b, n FROM item WHERE id = 2001")
    assert found == [("unset", None, 1)]
    rig.sql("a", "DELETE FROM item WHERE id = 2001")
    rig.sync()
    assert rig.rows("b", "SELECT 1 FROM item WHERE id = 2001") == []


def test_verify_repair_and_trace(bench: Bench, rig: Rig) -> None:
    rig.sql("a", "UPDATE item SET note = 'a keeps'")
    rig.sql("b", "UPDATE item SET note = 'b keeps'")
    rig.sync()
    done = bench.dts("verify", "pair", "--carry", "--json")
    assert done.exit_code == exits.DONE, done.output
    # A difference that no link carries: the event is passed over.
    rig.sql("b", "UPDATE item SET name = 'lost' WHERE id = 5", "DELETE FROM item WHERE id = 6")
    rig.await_events("b")
    moved = bench.dts("checkpoint", rig.back, "--to", "latest", "--execute", "--json")
    assert moved.exit_code == exits.DONE, moved.output
    done = bench.dts("verify", "pair", "--carry", "--json")
    assert done.exit_code == exits.FOUND, done.output
    winner = rig.sites[0]
    done = bench.dts("repair", "pair", "--winner", winner, "--execute", "--carry", "--json")
    assert done.exit_code == exits.DONE, done.output
    rig.sync()
    first, second = synced(rig)
    assert first == second
    assert rig.rows("b", "SELECT name, note FROM item WHERE id = 5") == [("x5", "b keeps")]
    assert rig.rows("b", "SELECT name, note FROM item WHERE id = 6") == [("x6", "unset")]
    assert set(rig.rows("a", "SELECT note FROM item")) == {("a keeps",)}
    done = bench.dts("trace", f"{rig.name}.item", "5", "--json")
    assert done.exit_code == exits.DONE, done.output
    assert json.loads(done.stdout)


def test_a_conflict_is_decided_and_recorded_without_them(rig: Rig) -> None:
    rig.sql("a", "UPDATE item SET n = 1, note = 'a1' WHERE id = 7")
    rig.sql("b", "UPDATE item SET n = 2, note = 'b2' WHERE id = 7")
    rig.await_events("a")
    rig.await_events("b")
    rig.sync()
    rig.sync()
    assert rig.rows("a", "SELECT n, note FROM item WHERE id = 7") == [(1, "a1")]
    assert rig.rows("b", "SELECT n, note FROM item WHERE id = 7") == [(1, "b2")]
    recorded = []
    for site in rig.sites:
        recorded += rig.database(site).query(
            "SELECT * FROM dts.conflict WHERE table_name = :name",
            {"name": f"{rig.name}.item"},
        )
    assert recorded
    assert not any(name in str(tuple(row)) for name in ("note", "only_") for row in recorded)


@pytest.mark.parametrize(
    ("alter", "back", "code"),
    [
        ("ADD UNIQUE KEY by_n (n)", "DROP KEY by_n", "exclude_with_unique_key"),
        ("MODIFY note INT NOT NULL", "MODIFY note INT", "exclude_needs_default"),
        ("DROP PRIMARY KEY, ADD PRIMARY KEY (id, note)", "", "exclude_in_key"),
    ],
)
def test_what_is_refused(bench: Bench, alter: str, back: str, code: str) -> None:
    """By the run and by preflight, and the link goes on when it is mended."""
    back = back or "DROP PRIMARY KEY, MODIFY note INT NULL, ADD PRIMARY KEY (id)"
    bench.rig.both(f"ALTER TABLE bad {alter}")
    try:
        error = bench.refused(code)
        assert error["where"]["column"] == "note"
        found = json.loads(bench.dts("preflight", "--json").stdout)["findings"]
        assert code in {finding["check"] for finding in found}
    finally:
        bench.rig.both(f"ALTER TABLE bad {back}")
    bench.rig.sql("a", "INSERT INTO bad VALUES (1, 1, 1)")
    bench.rig.sync()
    assert bench.rig.rows("b", "SELECT id, note, n FROM bad") == [(1, None, 1)]
    bench.rig.sql("b", "DELETE FROM bad")
    bench.rig.sync()


def test_only_included_columns_are_synced(bench: Bench, rig: Rig) -> None:
    """Also beside a column that one site gets later, or both."""
    rig.sql("a", "INSERT INTO kept VALUES (1, 10, 100), (2, 20, 200)")
    rig.sync()
    rig.sql("b", "UPDATE kept SET note = 7")
    rig.sql("a", "ALTER TABLE kept ADD COLUMN later INT NULL FIRST")
    rig.sql("a", "UPDATE kept SET later = 1, n = 101 WHERE id = 1")
    rig.sync()
    assert rig.rows("b", "SELECT id, note, n FROM kept ORDER BY id") == [(1, 7, 101), (2, 7, 200)]
    rig.sql("b", "ALTER TABLE kept ADD COLUMN later INT NULL")
    rig.sql("b", "UPDATE kept SET later = 2", "UPDATE kept SET n = 201, note = 8 WHERE id = 2")
    rig.sync()
    found = rig.rows("a", "SELECT id, note, n, later FROM kept ORDER BY id")
    assert found == [(1, 10, 101, 1), (2, 20, 201, None)]
    done = bench.dts("verify", "pair", "--table", f"{rig.name}.kept", "--carry", "--json")
    assert done.exit_code == exits.DONE, done.output


def test_a_misspelt_name_is_refused(bench: Bench) -> None:
    columns = {f"{bench.rig.name}.bad": {"exclude": ["Note"]}}
    changes = {"pairs": {"pair": {"columns": columns}}}
    assert bench.refused("exclude_unknown", changes=changes)["where"]["column"] == "Note"
    found = json.loads(bench.dts("preflight", "--json", changes=changes).stdout)["findings"]
    assert "exclude_unknown" in {f["check"] for f in found if f["severity"] == "error"}
