"""`on_poison: quarantine` on real servers: the key waits, everything else goes on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dts_pipeline.cli import main
from dts_pipeline.commands import exits
from dts_pipeline.errors import PoisonError, TerminalError
from dts_pipeline.stages.carry import carry
from dts_pipeline.stages.pair import PairRuntime
from dts_pipeline.stages.settle import settle
from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.stacks import Stack

pytestmark = pytest.mark.servers

TABLE = "CREATE TABLE {0} (id INT PRIMARY KEY, name VARCHAR(50), n INT) CHARACTER SET utf8mb4"
SECRET = "a-value-that-nobody-should-read"
LIMIT = 3


@pytest.fixture(
    scope="module",
    params=["stack_mariadb", pytest.param("stack_mysql", marks=pytest.mark.mysql)],
)
def stack(request: pytest.FixtureRequest) -> Stack:
    """Both kinds of server."""
    found: Stack = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def rig(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Rig:
    """Site B would win every conflict, so that nothing is mended by the policy alone."""
    rig = Rig(stack, "quar", tmp_path_factory.mktemp("quar"))
    rig.conflicts = {"policy": {"site": "B"}, "tables": {f"{rig.name}.counted": {"delta": ["n"]}}}
    rig.changes = {
        "pairs": {"pair": {"on_poison": "quarantine", "quarantine_limit": LIMIT}},
    }
    return rig.create(
        *(TABLE.format(name) for name in ("item", "given_up", "full", "counted", "alike", "within"))
    )


def narrow(rig: Rig, table: str, width: int = 5) -> None:
    rig.sql("b", f"ALTER TABLE {table} MODIFY name VARCHAR({width}) CHARACTER SET utf8mb4")


def dts(rig: Rig, *words: str) -> Result:
    environment = {"DAGSTER_HOME": None, **rig.stack.env, "DTS_CONFIG": str(rig.path)}
    result = CliRunner().invoke(main, words, env=environment)
    assert SECRET not in result.output + result.stderr or words[0] == "conflicts"
    return result


def quarantine(rig: Rig, table: str) -> list[dict[str, Any]]:
    found = json.loads(dts(rig, "quarantine", "list", "--json").stdout)["quarantine"]
    return [entry for entry in found if entry["table"] == f"{rig.name}.{table}"]


def settle_once(rig: Rig) -> None:
    pair = PairRuntime(rig.runtime(rig.forth), rig.runtime(rig.back))
    try:
        settle(pair, carry=carry)
    finally:
        pair.close()


def test_a_key_waits_until_it_fits(rig: Rig) -> None:
    narrow(rig, "item")
    rig.sql(
        "a",
        f"INSERT INTO item VALUES (1, 'one', 1), (2, '{SECRET}', 2), (3, 'three', 3)",
    )
    rig.sync()
    assert list(rig.rows("b", "SELECT id FROM item ORDER BY id")) == [(1,), (3,)]
    ((entry),) = quarantine(rig, "item")
    assert (entry["code"], entry["link"]) == ("value_refused", rig.forth)
    assert rig.records(rig.forth, "item") == [("item", "quarantined", "none")]

    rig.sql("a", "UPDATE item SET name = 'short', n = 20 WHERE id = 2")
    rig.sql("a", "UPDATE item SET n = 30 WHERE id = 3")
    rig.sync()
    assert list(rig.rows("b", "SELECT id, n FROM item ORDER BY id")) == [(1, 1), (3, 30)]
    assert [e["id"] for e in quarantine(rig, "item")] == [entry["id"]]

    settle_once(rig)
    assert rig.records(rig.forth, "item") == [("item", "quarantined", "none")]
    assert list(rig.rows("a", "SELECT n FROM item WHERE id = 2")) == [(20,)]

    done = dts(rig, "quarantine", "retry", entry["id"], "--carry", "--json")
    assert done.exit_code == exits.DONE, done.output
    assert json.loads(done.stdout)["freed"] is True
    assert quarantine(rig, "item") == []
    assert rig.records(rig.forth, "item") == []
    assert list(rig.rows("b", "SELECT name, n FROM item WHERE id = 2")) == [("short", 20)]
    rig.sql("a", "UPDATE item SET n = 21 WHERE id = 2")
    rig.sync()
    assert list(rig.rows("b", "SELECT n FROM item WHERE id = 2")) == [(21,)]
    assert rig.records(rig.forth, "item") == []


def test_a_value_that_does_not_fit_takes_nothing_from_the_tables_staged_before(rig: Rig) -> None:
    narrow(rig, "within")
    with rig.user("a") as connection, connection.cursor() as cursor:
        connection.begin()
        cursor.execute("INSERT INTO alike VALUES (1, 'one', 1), (2, 'two', 2)")
        cursor.execute(f"INSERT INTO within VALUES (1, '{SECRET}', 1), (2, 'two', 2)")
        connection.commit()
    rig.sync()
    assert list(rig.rows("b", "SELECT id FROM alike ORDER BY id")) == [(1,), (2,)]
    assert list(rig.rows("b", "SELECT id FROM within")) == [(2,)]
    assert [entry["code"] for entry in quarantine(rig, "within")] == ["value_refused"]
    (entry,) = quarantine(rig, "within")
    narrow(rig, "within", 50)
    assert dts(rig, "quarantine", "retry", entry["id"], "--carry").exit_code == exits.DONE


def test_a_key_that_is_given_up_differs_on_record(rig: Rig) -> None:
    rig.sql("a", "INSERT INTO given_up VALUES (1, 'one', 1)")
    rig.sync()
    narrow(rig, "given_up")
    rig.sql("a", f"UPDATE given_up SET name = '{SECRET}' WHERE id = 1")
    rig.sync()
    (entry,) = quarantine(rig, "given_up")
    assert dts(rig, "quarantine", "discard", entry["id"]).exit_code == exits.DONE
    assert quarantine(rig, "given_up") == []
    settle_once(rig)
    assert rig.records(rig.forth, "given_up") == [("given_up", "quarantined", "target")]
    # The next change builds on a row that does not fit either; once it is gone, so is the record.
    rig.sql("a", "DELETE FROM given_up WHERE id = 1")
    rig.sync()
    (entry,) = quarantine(rig, "given_up")
    assert dts(rig, "quarantine", "retry", entry["id"], "--carry").exit_code == exits.DONE
    assert rig.rows("b", "SELECT id FROM given_up") == []
    assert rig.records(rig.forth, "given_up") == []


def test_past_the_limit_the_link_stops(rig: Rig) -> None:
    narrow(rig, "full")
    values = ", ".join(f"({key}, '{SECRET}', 1)" for key in range(LIMIT + 1))
    rig.sql("a", f"INSERT INTO full VALUES {values}, (9, 'fine', 1)")
    rig.await_events("a")
    before = rig.checkpoint(rig.forth)
    with pytest.raises(TerminalError) as caught:
        rig.run(rig.forth)
    assert caught.value.code == "quarantine_full"
    assert SECRET not in str(caught.value)
    assert rig.checkpoint(rig.forth).batch == before.batch
    assert rig.rows("b", "SELECT id FROM full") == []
    narrow(rig, "full", 50)
    rig.sync()
    assert rig.checksums("a")[f"{rig.name}.full"] == rig.checksums("b")[f"{rig.name}.full"]


def test_rows_that_cannot_be_decoded_and_counters(rig: Rig) -> None:
    rig.sql("a", f"INSERT INTO counted VALUES (1, '{SECRET}', 1), (2, 'two', 1)")
    rig.sql("a", "UPDATE counted SET n = 5 WHERE id = 1")
    rig.await_events("a")
    rig.both("ALTER TABLE counted DROP name, ADD name DATETIME")
    rig.sql("a", "INSERT INTO counted VALUES (3, 1, '2026-01-01')")
    rig.sync()
    assert {e["code"] for e in quarantine(rig, "counted")} == {"undecodable_value"}
    assert list(rig.rows("b", "SELECT id FROM counted")) == [(3,)]
    for entry in quarantine(rig, "counted"):
        assert dts(rig, "quarantine", "retry", entry["id"], "--carry").exit_code == exits.DONE
    rig.sync()
    assert rig.rows("b", "SELECT id, n FROM counted ORDER BY id") == [(1, 5), (2, 1), (3, 1)]
    assert quarantine(rig, "counted") == []


def test_an_id_that_is_not_there(rig: Rig) -> None:
    result = dts(rig, "quarantine", "retry", f"{rig.sites[1]}:999999999", "--json")
    assert json.loads(result.stdout)["error"]["code"] == "quarantine_unknown"
    result = dts(rig, "quarantine", "discard", "7", "--json")
    assert json.loads(result.stdout)["error"]["code"] == "usage"


def test_a_one_way_link_writes_what_it_held(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rig = Rig(stack, "qone", tmp_path_factory.mktemp("qone"))
    way = f"{rig.name}_way"
    link = {
        "source": rig.sites[0],
        "target": rig.sites[1],
        "tables": [f"{rig.name}.*"],
        "detect": False,
        "on_poison": "quarantine",
        "mark_domain_id": 4712,
    }
    rig.changes = {"pairs": None, "links": {way: link}}
    rig.create(TABLE.format("item"))
    narrow(rig, "item")
    rig.sql("a", f"INSERT INTO item VALUES (1, '{SECRET}', 1), (2, 'two', 2)")
    rig.await_events("a")
    rig.run(way)
    rig.sql("a", "UPDATE item SET n = n + 10")
    rig.await_events("a")
    rig.run(way)
    assert list(rig.rows("b", "SELECT id, n FROM item")) == [(2, 12)]
    (entry,) = quarantine(rig, "item")
    refused = dts(rig, "quarantine", "retry", entry["id"], "--json")
    assert json.loads(refused.stdout)["error"]["code"] == "value_refused"
    narrow(rig, "item", 50)
    assert dts(rig, "quarantine", "retry", entry["id"]).exit_code == exits.DONE
    assert list(rig.rows("b", "SELECT n FROM item WHERE id = 1")) == [(11,)]
    assert quarantine(rig, "item") == []
    assert rig.records(way, "item") == []


def test_without_it_the_link_stops(rig: Rig) -> None:
    """The same, `on_poison: stop`."""
    stop = Rig(rig.stack, "qstop", rig.directory).create(TABLE.format("item"))
    narrow(stop, "item")
    stop.sql("a", f"INSERT INTO item VALUES (1, '{SECRET}', 1)")
    stop.await_events("a")
    with pytest.raises(PoisonError) as caught:
        stop.run(stop.forth)
    assert caught.value.code == "value_refused"
