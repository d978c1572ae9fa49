"""Tables under other names at one site: a schema, a single table of it, and a one-way link."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from dts_pipeline.commands import exits
from dts_pipeline_tests.integration.bad_bench import Bench
from dts_pipeline_tests.integration.rig import Rig, wait_for
from dts_pipeline_tests.sampling import full_only
from dts_pipeline_tests.stacks import Stack

pytestmark = [pytest.mark.servers, pytest.mark.change]
SEED = 20261126
CUSTOMERS, ORDERS = 12, 60
FED = ("item", "part", "fresh")
CUSTOMER = (
    "CREATE TABLE {0} (id INT PRIMARY KEY, name VARCHAR(20), email VARCHAR(40) UNIQUE) "
    "CHARACTER SET utf8mb4"
)
ORDER = (
    "CREATE TABLE {0} (id INT PRIMARY KEY, customer INT NULL, n INT, note VARCHAR(20), "
    "CONSTRAINT of_customer FOREIGN KEY (customer) REFERENCES {1} (id) ON DELETE CASCADE) "
    "CHARACTER SET utf8mb4"
)
PART = "CREATE TABLE {0} (id INT PRIMARY KEY, n INT)"


def feed(rig: Rig) -> str:
    """The one-way link; the ledger of a stack has those of other tests, too."""
    return f"{rig.name}_feed"


def place(rig: Rig, side: str, table: str) -> str:
    """What a side calls a table of the pair; those of FED are the one-way link's."""
    schema = f"{rig.name}_feed" if table in FED else rig.name
    if side == "a":
        return f"{schema}.{table}"
    return f"{schema}_x.{'orders_eu' if table == 'orders' else table}"


def document(rig: Rig) -> dict[str, Any]:
    name, (first, second) = rig.name, rig.sites
    pair = {
        f"{name}.*": f"{name}_x.*",
        f"{name}.orders": f"{name}_x.orders_eu",
        f"{name}.zz_marker": f"{name}.zz_marker",
        f"{name}.warm": f"{name}.warm",
    }
    link = {
        "source": first,
        "target": second,
        "tables": [f"{name}_feed.*"],
        "rename": {second: {f"{name}_feed.*": f"{name}_feed_x.*"}},
        "lanes": {"items": [f"{name}_feed.item"], "rest": ["*"]},
        "detect": False,
        "ddl": "additive",
        "mark_domain_id": 4712,
    }
    return {"pairs": {"pair": {"rename": {second: pair}}}, "links": {feed(rig): link}}


@pytest.fixture(
    scope="module",
    params=["stack_mariadb", pytest.param("stack_mixed", marks=pytest.mark.mysql)],
)
def bench(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    stack: Stack = request.getfixturevalue(request.param)
    rig = Rig(stack, "renm", tmp_path_factory.mktemp("renm"))
    rig.changes = document(rig)
    made = Bench(rig.create("CREATE TABLE warm (id INT PRIMARY KEY)"))
    for side in "ab":
        for schema in {place(rig, side, table).split(".")[0] for table in ("orders", "item")}:
            rig.sql(side, f"CREATE DATABASE IF NOT EXISTS {schema} CHARACTER SET utf8mb4")
            stack.grant(side, schema, alters=True)
        customer, orders = (place(rig, side, table) for table in ("customer", "orders"))
        rig.sql(side, CUSTOMER.format(customer), ORDER.format(orders, customer))
        rig.sql(side, *(PART.format(place(rig, side, table)) for table in ("item", "part")))
    # Not carried: at b these are tables of its own, under names that are the pair's elsewhere.
    rig.sql("b", CUSTOMER.format(f"{rig.name}.customer"), PART.format(f"{rig.name}.orders"))
    rig.sql("b", f"INSERT INTO {rig.name}.orders VALUES (1, 1)")
    rig.sync()
    yield made
    made.remove_connectors()


@pytest.fixture
def rig(bench: Bench) -> Rig:
    """With the same rows at both sides."""
    rig = bench.rig
    customer, orders = (place(rig, "a", table) for table in ("customer", "orders"))
    rig.sql("a", f"DELETE FROM {orders}", f"DELETE FROM {customer}")
    rig.sync()
    for number in range(1, CUSTOMERS + 1):
        rig.sql("a", f"INSERT INTO {customer} VALUES ({number}, 'c{number}', 'c{number}@x')")
    rows = ", ".join(f"({n}, {1 + n % CUSTOMERS}, {n}, 'x')" for n in range(1, ORDERS + 1))
    rig.sql("a", f"INSERT INTO {orders} VALUES {rows}")
    rig.sync()
    return rig


def rows(rig: Rig, side: str, table: str, where: str = "TRUE") -> list[tuple[Any, ...]]:
    return list(
        rig.rows(side, f"SELECT * FROM {place(rig, side, table)} WHERE {where} ORDER BY id")
    )


def settled(rig: Rig, bench: Bench) -> None:
    """Everything is carried, conflicts are settled, and plain queries find the same at both."""
    rig.sync()
    bench.dts("settle", "pair", "--carry", "--json")
    rig.sync()
    for table in ("customer", "orders"):
        assert rows(rig, "a", table) == rows(rig, "b", table), table
    assert rig.records(rig.forth) + rig.records(rig.back) == []


def unlogged(rig: Rig, side: str, *statements: str) -> None:
    """As if it had been so before the pair."""
    with rig.user(side) as connection, connection.cursor() as cursor:
        for statement in ("SET SESSION sql_log_bin = 0", *statements):
            cursor.execute(statement)


@full_only
def test_preflight_finds_nothing_wrong(bench: Bench, rig: Rig) -> None:
    found = json.loads(bench.dts("preflight", "--json").stdout)["findings"]
    assert [f for f in found if f["severity"] == "error"] == []


def test_writes_at_both_sides_meet(bench: Bench, rig: Rig) -> None:
    """Inserts, updates and deletes both ways; tables of the other name stay as they are."""
    own = f"{rig.name}.orders"
    before = rig.rows("b", f"SELECT * FROM {own}")
    rig.sql("a", f"UPDATE {place(rig, 'a', 'orders')} SET note = 'of a' WHERE id = 1")
    rig.sql("b", f"UPDATE {place(rig, 'b', 'orders')} SET note = 'of b' WHERE id = 2")
    rig.sql("b", f"DELETE FROM {place(rig, 'b', 'orders')} WHERE id = 3")
    rig.sql("b", f"INSERT INTO {place(rig, 'b', 'customer')} VALUES (500, 'b', 'b@x')")
    rig.sql("b", f"INSERT INTO {place(rig, 'b', 'orders')} VALUES (500, 500, 1, 'b')")
    rig.sql("b", f"UPDATE {own} SET n = n + 1")
    rig.sync()
    assert rows(rig, "a", "orders", "id IN (1, 2, 3, 500)") == [
        (1, 2, 1, "of a"),
        (2, 3, 2, "of b"),
        (500, 500, 1, "b"),
    ]
    settled(rig, bench)
    assert rig.rows("b", f"SELECT * FROM {own}") == [(i, n + 1) for i, n in before]
    assert rig.rows("b", f"SELECT COUNT(*) FROM {rig.name}.customer") == [(0,)]


@full_only
def test_a_conflict_is_recorded_under_the_common_name(bench: Bench, rig: Rig) -> None:
    rig.sql("a", f"UPDATE {place(rig, 'a', 'orders')} SET n = 1001 WHERE id = 7")
    rig.sql("b", f"UPDATE {place(rig, 'b', 'orders')} SET n = 1002 WHERE id = 7")
    for side in "ab":
        rig.await_events(side)
    rig.sync()
    found = {row[0] for site in rig.sites for row in rig.database(site).query(NAMED)}
    assert f"{rig.name}.orders" in found
    assert not any("orders_eu" in name for name in found)
    settled(rig, bench)
    assert [row[2] for row in rows(rig, "b", "orders", "id = 7")] == [1001]


NAMED = "SELECT DISTINCT table_name FROM dts.conflict"


@pytest.mark.parametrize("side", ["a", "b"])
def test_a_cascade_that_no_log_has(bench: Bench, rig: Rig, side: str) -> None:
    """Orders of a customer that is deleted, and of one that is taken away and given again."""
    other = "b" if side == "a" else "a"
    customer, orders = (place(rig, side, table) for table in ("customer", "orders"))
    rig.sql(other, f"UPDATE {place(rig, other, 'orders')} SET note = 'late' WHERE customer = 4")
    rig.sql(side, f"DELETE FROM {customer} WHERE id = 5")
    rig.sql(side, f"DELETE FROM {customer} WHERE id = 4")
    rig.sql(side, f"INSERT INTO {customer} VALUES (4, 'again', 'again@x')")
    rig.sql(side, f"INSERT INTO {orders} VALUES (900, 4, 1, 'new')")
    settled(rig, bench)
    assert rows(rig, other, "orders", "customer = 5") == []
    assert (900, 4, 1, "new") in rows(rig, other, "orders", "customer = 4")


def test_random_writes_at_both_sides(bench: Bench, rig: Rig) -> None:
    """What plain queries find at both sides is the same, whatever users wrote."""
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    for turn in range(200):
        side = chance.choice("ab")
        customer, orders = (place(rig, side, table) for table in ("customer", "orders"))
        key, parent = chance.randint(1, ORDERS + 20), chance.randint(1, CUSTOMERS)
        held = f"(SELECT id FROM {customer} WHERE id = {parent})"
        rig.sql(
            side,
            chance.choice(
                [
                    f"UPDATE {orders} SET n = {turn}, note = '{side}' WHERE id = {key}",
                    f"UPDATE {orders} SET customer = {held} WHERE id = {key}",
                    f"DELETE FROM {orders} WHERE id = {key}",
                    f"REPLACE INTO {orders} SELECT {key}, {held}, {turn}, '{side}'",
                    f"UPDATE {customer} SET name = '{side}{turn}' WHERE id = {parent}",
                    f"UPDATE {customer} SET email = '{turn}@x' WHERE id = {parent}",
                ]
            ),
        )
        if turn == 120:
            rig.sql("b", f"DELETE FROM {place(rig, 'b', 'customer')} WHERE id = {parent}")
        if turn % 50 == 49:
            rig.sync()
    settled(rig, bench)
    done = bench.dts("verify", "pair", "--carry", "--json")
    assert done.exit_code == exits.DONE, done.output


def test_verify_repair_trace_and_replay(bench: Bench, rig: Rig) -> None:
    table = f"{rig.name}.orders"
    orders = place(rig, "b", "orders")
    rig.sql(
        "b", f"UPDATE {orders} SET note = 'lost' WHERE id = 8", f"DELETE FROM {orders} WHERE id = 9"
    )
    rig.await_events("b")
    moved = bench.dts("checkpoint", rig.back, "--to", "latest", "--execute", "--json")
    assert moved.exit_code == exits.DONE, moved.output
    done = bench.dts("verify", "pair", "--table", table, "--carry", "--json")
    assert done.exit_code == exits.FOUND, done.output
    winner = rig.sites[0]
    done = bench.dts("repair", "pair", "--winner", winner, "--execute", "--carry", "--json")
    assert done.exit_code == exits.DONE, done.output
    settled(rig, bench)
    assert [row[3] for row in rows(rig, "b", "orders", "id IN (8, 9)")] == ["x", "x"]
    done = bench.dts("trace", table, "9", "--json")
    assert done.exit_code == exits.DONE, done.output
    assert orders in done.stdout  # the topic is b's own
    unlogged(rig, "b", f"UPDATE {orders} SET note = 'drifted' WHERE id BETWEEN 20 AND 29")
    topic = rig.links[rig.forth].topic_of(table)
    words = ("--topic", topic, "--from", "0", "--table", table, "--execute", "--carry", "--json")
    done = bench.dts("replay", rig.forth, *words)
    assert done.exit_code == exits.DONE, done.output
    settled(rig, bench)


def test_a_load_into_the_empty_tables(bench: Bench, rig: Rig) -> None:
    orders, customer = (place(rig, "b", table) for table in ("orders", "customer"))
    unlogged(rig, "b", f"DELETE FROM {orders}", f"DELETE FROM {customer}")
    done = bench.dts("load", "pair", "--from", rig.sites[0], "--execute", "--carry", "--json")
    assert done.exit_code == exits.DONE, done.output
    settled(rig, bench)
    assert len(rows(rig, "b", "orders")) == ORDERS


@full_only
def test_a_one_way_link_with_lanes(bench: Bench, rig: Rig) -> None:
    for table in ("item", "part"):
        name = place(rig, "a", table)
        rig.sql("a", f"INSERT INTO {name} VALUES (1, 1), (2, 2), (3, 3)")
        rig.sql("a", f"UPDATE {name} SET n = 30 WHERE id = 3", f"DELETE FROM {name} WHERE id = 2")
    for table in ("item", "part"):
        wait_for(lambda table=table: carried(rig, table, [(1, 1), (3, 30)]), 60)
    done = bench.dts("verify", feed(rig), "--carry", "--json")
    assert done.exit_code == exits.DONE, done.output
    status = bench.dts("status", "--json")
    assert "_feed_x" not in json.dumps(json.loads(status.stdout).get("links", []))


@full_only
def test_an_additive_link_makes_up_what_the_target_calls_otherwise(bench: Bench, rig: Rig) -> None:
    """A table that is new, then a column of it."""
    fresh = place(rig, "a", "fresh")
    rig.sql("a", PART.format(fresh), f"INSERT INTO {fresh} VALUES (1, 1)")
    wait_for(lambda: carried(rig, "fresh", [(1, 1)]), 60)
    rig.sql(
        "a", f"ALTER TABLE {fresh} ADD COLUMN more INT", f"INSERT INTO {fresh} VALUES (2, 2, 3)"
    )
    wait_for(lambda: carried(rig, "fresh", [(1, 1, None), (2, 2, 3)]), 60)


def carried(rig: Rig, table: str, expected: list[tuple[Any, ...]]) -> bool:
    """Whether the one-way link's target has these rows after a run."""
    rig.run(feed(rig))
    return rows(rig, "b", table) == expected
