"""Columns under other names at one site: keys, unique and version columns, counters, references."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from dts_pipeline.commands import exits
from dts_pipeline_tests.integration.bad_bench import Bench
from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.integration.test_verify import unlogged
from dts_pipeline_tests.sampling import full_only
from dts_pipeline_tests.stacks import Stack

pytestmark = [pytest.mark.servers, pytest.mark.change]
SEED = 20261127
KEYS = 40
PERSON = (
    "CREATE TABLE person ({id} INT PRIMARY KEY, {name} VARCHAR(40), "
    "{email} VARCHAR(40) COLLATE utf8mb4_bin, n INT, UNIQUE KEY email ({email})) "
    "CHARACTER SET utf8mb4"
)
STOCK = (
    "CREATE TABLE stock ({code} VARCHAR(20) COLLATE utf8mb4_bin, place INT, "
    "{on_hand} INT NOT NULL, note VARCHAR(40), "
    "{changed} DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6), "
    "PRIMARY KEY (place, {code})) CHARACTER SET utf8mb4"
)
VISIT = (
    "CREATE TABLE visit ({id} INT PRIMARY KEY, {person} INT NULL, note VARCHAR(40), CONSTRAINT who "
    "FOREIGN KEY ({person}) REFERENCES person ({of}) ON DELETE CASCADE ON UPDATE CASCADE) "
    "CHARACTER SET utf8mb4"
)
ITEM = "CREATE TABLE item ({id} INT PRIMARY KEY, {region} VARCHAR(10), n INT) CHARACTER SET utf8mb4"
# What b calls them; each table's common names are those at a.
OWN = {
    "person": {"id": "person_id", "name": "full_name", "email": "mail"},
    "stock": {"code": "sku", "on_hand": "held", "changed": "touched"},
    "visit": {"id": "visit_id", "person": "visitor"},
    "late": {"name": "full_name"},
}
LATE = "CREATE TABLE {0} (id INT PRIMARY KEY, {1} VARCHAR(40) NULL) CHARACTER SET utf8mb4"


def called(side: str, table: str, name: str) -> str:
    """What a side calls a column."""
    return OWN[table].get(name, name) if side == "b" else name


def definition(side: str, table: str, text: str) -> str:
    names = {name: called(side, table, name) for name in OWN[table]}
    return text.format(**names, of=called(side, "person", "id"))


def document(rig: Rig) -> dict[str, Any]:
    name, (first, second) = rig.name, rig.sites
    columns = {f"{name}.{table}": {"rename": {second: own}} for table, own in OWN.items()}
    link = {
        "source": first,
        "target": second,
        "tables": [f"{name}_feed.*"],
        # Of a link, too, what is common need not be the source's.
        "columns": {
            f"{name}_feed.item": {
                "rename": {first: {"region": "area"}, second: {"id": "item_id"}},
            }
        },
        "where": {f"{name}_feed.item": "region = 'eu' AND n IS NOT NULL"},
        "detect": False,
        "mark_domain_id": 4712,
    }
    pair = {"columns": columns, "version": {f"{name}.stock": "changed"}, "on_poison": "quarantine"}
    return {"pairs": {"pair": pair}, "links": {feed(rig): link}}


def feed(rig: Rig) -> str:
    return f"{rig.name}_feed"


@pytest.fixture(
    scope="module",
    params=["stack_mariadb", pytest.param("stack_mixed", marks=pytest.mark.mysql)],
)
def bench(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    stack: Stack = request.getfixturevalue(request.param)
    rig = Rig(stack, "renc", tmp_path_factory.mktemp("renc"))
    rig.changes = document(rig)
    counted = {f"{rig.name}.stock": {"delta": ["on_hand"]}}
    rig.conflicts = {"policy": {"site": "A"}, "tables": counted}
    made = Bench(rig.create("CREATE TABLE warm (id INT PRIMARY KEY)"))
    for side in "ab":
        tables = {"person": PERSON, "stock": STOCK, "visit": VISIT}
        rig.sql(side, *(definition(side, table, text) for table, text in tables.items()))
        rig.sql(side, LATE.format("late", called(side, "late", "name")))
        rig.sql(side, LATE.format("moved", "name"))
        rig.sql(side, f"CREATE DATABASE IF NOT EXISTS {feed(rig)} CHARACTER SET utf8mb4")
        stack.grant(side, feed(rig))
    names = {"a": {"id": "id", "region": "area"}, "b": {"id": "item_id", "region": "region"}}
    for side, own in names.items():
        rig.sql(side, f"USE {feed(rig)}", ITEM.format(**own))
    rig.sync()
    yield made
    made.remove_connectors()


@pytest.fixture
def rig(bench: Bench) -> Rig:
    """With the same rows at both sides."""
    rig = bench.rig
    rig.sql("a", *(f"DELETE FROM {table}" for table in ("visit", "stock", "person")))
    rig.sync()
    for number in range(1, KEYS + 1):
        rig.sql("a", f"INSERT INTO person VALUES ({number}, 'p{number}', '{number}@x', 0)")
    visits = ", ".join(f"({n}, {n}, 'v')" for n in range(1, KEYS + 1))
    stock = ", ".join(f"('s{n}', {n % 3}, 100, 'x')" for n in range(1, KEYS + 1))
    rig.sql("a", f"INSERT INTO visit VALUES {visits}")
    rig.sql("a", f"INSERT INTO stock (code, place, on_hand, note) VALUES {stock}")
    rig.sync()
    return rig


def rows(rig: Rig, side: str, table: str, where: str = "TRUE") -> list[tuple[Any, ...]]:
    return list(rig.rows(side, f"SELECT * FROM {table} WHERE {where} ORDER BY 1, 2"))


def settled(rig: Rig, bench: Bench) -> None:
    """Everything is carried, conflicts are settled, and plain queries find the same at both."""
    rig.sync()
    bench.dts("settle", "pair", "--carry", "--json")
    rig.sync()
    for table in ("person", "stock", "visit"):
        assert rows(rig, "a", table) == rows(rig, "b", table), table
    assert rig.records(rig.forth) + rig.records(rig.back) == []


def both_written(rig: Rig) -> None:
    """Waits until Kafka has what both sides wrote, so that it meets."""
    for side in "ab":
        rig.await_events(side)
    rig.sync()


def records(rig: Rig) -> list[dict[str, Any]]:
    """Every row that was ever recorded of the rig's tables, as JSON objects."""
    query = f"SELECT key_json, before_json, after_json, found_json {OF} '{rig.name}.%'"
    found = [row for side in "ab" for row in rig.rows(side, query)]
    return [json.loads(text) for row in found for text in row if text]


OF = "FROM dts.conflict WHERE table_name LIKE"


@full_only
def test_preflight_finds_nothing_wrong(bench: Bench, rig: Rig) -> None:
    found = json.loads(bench.dts("preflight", "--json").stdout)["findings"]
    assert [f for f in found if f["severity"] == "error"] == []


def test_writes_at_both_sides_meet(bench: Bench, rig: Rig) -> None:
    rig.sql("a", "UPDATE person SET name = 'of a', email = 'a@y' WHERE id = 1")
    rig.sql("a", "UPDATE person SET id = 101 WHERE id = 2", "DELETE FROM person WHERE id = 3")
    rig.sql("b", "UPDATE person SET full_name = 'of b', mail = 'b@y' WHERE person_id = 4")
    rig.sql("b", "UPDATE person SET person_id = 105 WHERE person_id = 5")
    rig.sql("b", "DELETE FROM person WHERE person_id = 6")
    rig.sql("b", "INSERT INTO person VALUES (500, 'new', 'new@x', 5)")
    rig.sql("b", "INSERT INTO stock (sku, place, held, note) VALUES ('sb', 1, 7, 'b')")
    rig.sql("b", "UPDATE stock SET sku = 't1' WHERE sku = 's1'")
    # A unique value wanders from row to row.
    rig.sql("b", "UPDATE person SET mail = NULL WHERE person_id = 8")
    rig.sql("b", "UPDATE person SET mail = '8@x' WHERE person_id = 7")
    rig.sync()
    assert rows(rig, "a", "person", "id IN (4, 6, 7, 8, 105, 500)") == [
        (4, "of b", "b@y", 0),
        (7, "p7", "8@x", 0),
        (8, "p8", None, 0),
        (105, "p5", "5@x", 0),
        (500, "new", "new@x", 5),
    ]
    assert rows(rig, "b", "person", "person_id IN (1, 2, 3, 101)") == [
        (1, "of a", "a@y", 0),
        (101, "p2", "2@x", 0),
    ]
    found = [row[:4] for row in rows(rig, "a", "stock", "code IN ('s1', 't1', 'sb')")]
    assert found == [("sb", 1, 7, "b"), ("t1", 1, 100, "x")]
    assert rig.rows("a", "SELECT person FROM visit WHERE id IN (2, 3, 5, 6)") == [(101,), (105,)]
    settled(rig, bench)


@full_only
def test_conflicts_are_recorded_under_the_common_names_and_settled(bench: Bench, rig: Rig) -> None:
    rig.sql("a", "UPDATE person SET name = 'a' WHERE id = 7")
    rig.sql("b", "UPDATE person SET full_name = 'b' WHERE person_id = 7")
    rig.sql("a", "DELETE FROM person WHERE id = 8")
    rig.sql("b", "UPDATE person SET mail = 'late@x' WHERE person_id = 8")
    both_written(rig)
    names = {name for found in records(rig) for name in found}
    assert {"id", "name", "email", "n"} <= names
    assert not names & {own for table in OWN.values() for own in table.values()}
    settled(rig, bench)
    assert rows(rig, "b", "person", "person_id IN (7, 8)") == [(7, "a", "7@x", 0)]


@full_only
def test_unique_values_in_dispute(bench: Bench, rig: Rig) -> None:
    rig.sql("a", "INSERT INTO person VALUES (201, 'a', 'one@x', 1)")
    rig.sql("b", "INSERT INTO person VALUES (202, 'b', 'one@x', 2)")
    rig.sql("a", "UPDATE person SET email = 'two@x' WHERE id = 9")
    rig.sql("b", "UPDATE person SET mail = 'two@x' WHERE person_id = 10")
    both_written(rig)
    settled(rig, bench)
    assert rows(rig, "b", "person", "mail = 'one@x'") == [(201, "a", "one@x", 1)]
    assert [row[0] for row in rows(rig, "b", "person", "mail = 'two@x'")] == [9]


@full_only
def test_a_counter_keeps_what_both_sides_add(bench: Bench, rig: Rig) -> None:
    for number in range(1, 4):
        rig.sql("a", f"UPDATE stock SET on_hand = on_hand + {number} WHERE place = 1")
        rig.sql("b", f"UPDATE stock SET held = held - 1{number} WHERE place = 1")
    rig.sql("b", "UPDATE stock SET note = 'of b' WHERE sku = 's4'")
    both_written(rig)
    settled(rig, bench)
    assert {row[2] for row in rows(rig, "a", "stock", "place = 1")} == {100 + 6 - 36}
    assert [row[3] for row in rows(rig, "a", "stock", "code = 's4'")] == ["of b"]


@pytest.mark.parametrize("side", ["a", "b"])
def test_cascades_that_no_log_has(bench: Bench, rig: Rig, side: str) -> None:
    """A parent goes, one gets another key, and one goes and comes again with a child."""
    other = "ab".replace(side, "")
    key = called(side, "person", "id")
    late = called(other, "visit", "person")
    rig.sql(other, f"UPDATE visit SET note = 'late' WHERE {late} = 14")
    rig.sql(side, f"DELETE FROM person WHERE {key} = 12")
    rig.sql(side, f"UPDATE person SET {key} = 113 WHERE {key} = 13")
    rig.sql(side, f"DELETE FROM person WHERE {key} = 14")
    rig.sql(side, "INSERT INTO person VALUES (14, 'again', 'again@x', 1)")
    rig.sql(side, "INSERT INTO visit VALUES (900, 14, 'new')")
    both_written(rig)
    settled(rig, bench)
    assert [row[1:] for row in rows(rig, other, "visit", f"{late} IN (12, 13, 113)")] == [
        (113, "v")
    ]
    assert (900, 14, "new") in rows(rig, other, "visit", f"{late} = 14")


WRITES = [
    "UPDATE person SET {name} = '{turn}' WHERE {id} = {key}",
    "UPDATE IGNORE person SET {email} = '{other}@x' WHERE {id} = {key}",
    "DELETE FROM person WHERE {id} = {key}",
    "REPLACE INTO person VALUES ({key}, '{turn}', '{other}@x', {turn})",
    "UPDATE IGNORE person SET {id} = {key} + 1000 WHERE {id} = {key}",
    "UPDATE IGNORE visit SET {person} = {other} WHERE {person} = {key}",
    "UPDATE stock SET {on_hand} = {on_hand} + {turn} WHERE {code} = 's{key}'",
    "UPDATE stock SET {on_hand} = 0, note = '{turn}' WHERE {code} = 's{key}'",
    "UPDATE IGNORE stock SET {code} = 't{key}' WHERE {code} = 's{key}'",
    "DELETE FROM stock WHERE {code} = 's{key}'",
]


def test_random_writes_at_both_sides(bench: Bench, rig: Rig) -> None:
    """What plain queries find at both sides is the same, whatever users wrote."""
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    for turn in range(150):
        side, write = chance.choice("ab"), chance.choice(WRITES)
        table = next(table for table in ("person", "stock", "visit") if f" {table} " in write)
        names = {name: called(side, table, name) for name in OWN[table]}
        numbers = {"key": chance.randint(1, KEYS), "other": chance.randint(1, KEYS), "turn": turn}
        rig.sql(side, write.format(**names, **numbers))
        if turn % 50 == 49:
            rig.sync()
    settled(rig, bench)
    done = bench.dts("verify", "pair", "--carry", "--json")
    assert done.exit_code == exits.DONE, done.output


def test_verify_repair_trace_replay_and_preview(bench: Bench, rig: Rig) -> None:
    table = f"{rig.name}.person"
    unlogged(rig, "b", "UPDATE person SET full_name = 'drifted' WHERE person_id IN (20, 21)")
    unlogged(rig, "b", "DELETE FROM person WHERE person_id = 22")
    done = bench.dts("verify", "pair", "--table", table, "--carry", "--json")
    assert done.exit_code == exits.FOUND, done.output
    winner = rig.sites[0]
    done = bench.dts("repair", "pair", "--winner", winner, "--execute", "--carry", "--json")
    assert done.exit_code == exits.DONE, done.output
    settled(rig, bench)
    assert [row[1] for row in rows(rig, "b", "person", "person_id IN (20, 21, 22)")] == [
        "p20",
        "p21",
        "p22",
    ]
    rig.sql("b", "UPDATE person SET full_name = 'traced' WHERE person_id = 23")
    rig.sync()
    done = bench.dts("trace", table, "23", "--json")
    assert done.exit_code == exits.DONE, done.output
    assert {touch["link"] for touch in json.loads(done.stdout)["touches"]} == {rig.forth, rig.back}
    unlogged(rig, "b", "UPDATE person SET full_name = 'drifted', mail = NULL WHERE n = 0")
    words = ("--topic", rig.links[rig.forth].topic_of(table), "--from", "0", "--table", table)
    done = bench.dts("preview", rig.forth, *words, "--json")
    assert done.exit_code in (exits.DONE, exits.FOUND), done.output
    done = bench.dts("replay", rig.forth, *words, "--execute", "--carry", "--json")
    assert done.exit_code == exits.DONE, done.output
    settled(rig, bench)
    assert rows(rig, "b", "person", "full_name = 'drifted'") == []


@full_only
def test_a_load_into_empty_tables(bench: Bench, rig: Rig) -> None:
    unlogged(rig, "b", *(f"DELETE FROM {table}" for table in ("visit", "stock", "person")))
    done = bench.dts("load", "pair", "--from", rig.sites[0], "--execute", "--carry", "--json")
    assert done.exit_code == exits.DONE, done.output
    settled(rig, bench)
    assert [len(rows(rig, "b", table)) for table in ("person", "stock", "visit")] == [KEYS] * 3


@full_only
def test_a_key_in_quarantine_goes_on_when_it_fits(bench: Bench, rig: Rig) -> None:
    rig.sql("b", "ALTER TABLE late MODIFY full_name VARCHAR(5) NULL")
    rig.sql("a", "INSERT INTO late VALUES (1, 'longer than that'), (2, 'short')")
    rig.sync()
    assert rows(rig, "b", "late") == [(2, "short")]
    [entry] = json.loads(bench.dts("quarantine", "list", "--json").stdout)["quarantine"]
    assert entry["code"] == "value_refused"
    rig.sql("b", "ALTER TABLE late MODIFY full_name VARCHAR(40) NULL")
    done = bench.dts("quarantine", "retry", entry["id"], "--carry", "--json")
    assert done.exit_code == exits.DONE, done.output
    assert rows(rig, "b", "late") == rows(rig, "a", "late")
    assert len(rows(rig, "b", "late")) == 2


def test_a_filter_names_a_column_that_the_source_calls_otherwise(bench: Bench, rig: Rig) -> None:
    """Rows come inside and go outside; verify, repair and load look at the same ones."""
    item, inside = f"{feed(rig)}.item", "area = 'eu' AND n IS NOT NULL"

    def ended(*words: str, status: int = exits.DONE) -> None:
        done = bench.dts(*words, "--carry", "--json")
        assert done.exit_code == status, done.output

    def carried() -> None:
        rig.await_events("a")
        rig.run(feed(rig))
        assert_same()

    def assert_same() -> None:
        assert rows(rig, "b", item) == rows(rig, "a", item, inside)
        assert rows(rig, "b", item)

    first = "(1, 'eu', 1), (2, 'us', 2), (3, 'eu', 3), (4, 'eu', 4)"
    rig.sql("a", f"INSERT INTO {item} VALUES {first}")
    carried()
    rig.sql("a", f"UPDATE {item} SET area = 'eu' WHERE id = 2", f"DELETE FROM {item} WHERE id = 3")
    rig.sql("a", f"UPDATE {item} SET area = 'us' WHERE id = 1")
    rig.sql("a", f"UPDATE {item} SET id = 40, n = 40 WHERE id = 4")
    carried()
    ended("verify", feed(rig))
    unlogged(rig, "b", f"UPDATE {item} SET n = 0 WHERE item_id = 2")
    ended("verify", feed(rig), status=exits.FOUND)
    ended("repair", feed(rig), "--execute")
    assert_same()
    unlogged(rig, "b", f"DELETE FROM {item}")
    ended("load", feed(rig), "--execute")
    assert_same()
    unlogged(rig, "b", f"DELETE FROM {item} WHERE item_id = 40")
    done = bench.dts("replay", feed(rig), "--since", "2026-01-01T00:00:00Z", "--execute", "--json")
    assert done.exit_code == exits.DONE, done.output
    assert_same()


@full_only
def test_a_column_that_is_renamed_while_nobody_writes(bench: Bench, rig: Rig) -> None:
    """As docs/configuration.md says: catch up, rename it, change dts.yaml, go on."""
    rig.sql("a", "INSERT INTO moved VALUES (1, 'one')")
    rig.sync()
    renamed = {f"{rig.name}.moved": {"rename": {rig.sites[1]: {"name": "full_name"}}}}
    changes = {"pairs": {"pair": {"columns": renamed}}}
    rig.sql("b", "ALTER TABLE moved RENAME COLUMN name TO full_name")
    assert bench.error("sync", rig.forth)["code"] == "column_missing"
    rig.sql("a", "INSERT INTO moved VALUES (2, 'of a')")
    rig.sql("b", "UPDATE moved SET full_name = 'of b' WHERE id = 1")
    for side, link in (("a", rig.forth), ("b", rig.back)):
        rig.await_events(side)
        done = bench.dts("sync", link, "--until-caught-up", changes=changes)
        assert done.exit_code == exits.DONE, done.output
    assert rows(rig, "a", "moved") == rows(rig, "b", "moved") == [(1, "of b"), (2, "of a")]
    rig.sql("b", "ALTER TABLE moved RENAME COLUMN full_name TO name")
    rig.sync()


@full_only
def test_what_the_tables_lack_is_told_by_the_sites_own_names(bench: Bench, rig: Rig) -> None:
    """Without the column the link stops, and with a second one that has the common name."""
    rig.sync()
    rig.sql("b", "ALTER TABLE late ADD COLUMN name VARCHAR(40)")
    for link in (rig.forth, rig.back):
        error = bench.refused("column_name_taken", link)
        assert "full_name" in error["message"]
    rig.sql("b", "ALTER TABLE late DROP COLUMN full_name, DROP COLUMN name")
    error = bench.refused("column_missing")
    assert "full_name" in error["message"]
    assert "ADD COLUMN `full_name`" in error["remedy"]
    rig.sql("b", "ALTER TABLE late ADD COLUMN full_name VARCHAR(40)")
    rig.sync()
