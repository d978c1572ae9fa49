"""A key that somebody at each site rewrites in his own way goes round, until it is isolated."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from dts_pipeline.commands import exits
from dts_pipeline_tests.integration.bad_bench import Bench
from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.sampling import IS_SAMPLE
from dts_pipeline_tests.stacks import Stack

pytestmark = [pytest.mark.servers, pytest.mark.faults]
_LONG = pytest.mark.skipif(IS_SAMPLE, reason="the sample has the key that is isolated")

ITEM = (
    "CREATE TABLE item (id INT PRIMARY KEY, name VARCHAR(100), at DATETIME(6) NOT NULL DEFAULT "
    "CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6)) CHARACTER SET utf8mb4"
)
# What a scheduled job, a tool or an application does at each site after our writes: unmarked.
UPPER = "UPDATE item SET name = UPPER(name) WHERE id IN ({}) AND BINARY name <> BINARY UPPER(name)"
LOWER = UPPER.replace("UPPER", "LOWER")
RETURNS = 3


@pytest.fixture(
    params=[
        "stack_mariadb",
        pytest.param("stack_mysql", marks=pytest.mark.mysql),
    ]
)
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    stack: Stack = request.getfixturevalue(request.param)
    pair = {"max_returns": RETURNS, "quarantine_limit": 2, "version": "at"}
    path = tmp_path_factory.mktemp("ping")
    found = Rig(stack, "ping", path, changes={"pairs": {"pair": pair}})
    yield found.create(ITEM)
    Bench(found).remove_connectors()


def play(rig: Rig, keys: str, number: int) -> None:
    """A round: each link runs, and each site's job rewrites what has come; key 9 is a user's."""
    rig.sql("a", f"REPLACE INTO item (id, name) VALUES (9, 'round {number}')")
    rig.await_events("a")
    rig.run(rig.forth)
    rig.sql("b", UPPER.format(keys))
    rig.await_events("b")
    rig.run(rig.back)
    rig.sql("a", LOWER.format(keys))


def quarantined(rig: Rig) -> list[tuple[str, int, str]]:
    """(link, key, code) of what is isolated at either site."""
    found = []
    for side in "ab":
        rows = rig.rows(
            side,
            "SELECT link, event, code FROM dts.quarantine "
            f"WHERE link IN ('{rig.forth}', '{rig.back}')",
        )
        found += [(link, int(json.loads(event)["key"]["id"]), code) for link, event, code in rows]
    return found


def test_a_key_that_goes_round_is_isolated_and_nothing_else_stops(rig: Rig) -> None:
    rig.sql("a", "INSERT INTO item (id, name) VALUES (1, 'one'), (2, 'two')")
    for number in range(RETURNS + 1):
        assert quarantined(rig) == []
        play(rig, "1", number)

    found = quarantined(rig)
    assert [(key, code) for _, key, code in found] == [(1, "ping_pong")]
    bench, held = Bench(rig), found[0][0]
    status = bench.dts("status", "--json")
    assert status.exit_code == exits.FOUND
    links = {entry["link"]: entry for entry in json.loads(status.stdout)["links"]}
    assert links[held]["open_conflicts"] == {f"{rig.name}.item": {"quarantined": 1}}
    assert "ping_pong" in bench.dts("quarantine", "list").stdout

    play(rig, "1", 100)
    before = rig.checkpoint(held)
    play(rig, "1", 101)
    names = dict(rig.rows("b", "SELECT id, name FROM item"))
    assert (names[2], names[9]) == ("two", "round 101")
    assert rig.checkpoint(held).batch > before.batch
    assert [key for _, key, _ in quarantined(rig)] == [1]
    # It came to rest: the site that does not get the other's version any more has nothing to redo.
    sides = {rig.rows(side, "SELECT name FROM item WHERE id = 1")[0][0] for side in "ab"}
    assert sides == {"one", "ONE"}

    target = rig.links[held].target
    side = "ab"[rig.sites.index(target)]
    number = rig.rows(side, f"SELECT id FROM dts.quarantine WHERE link = '{held}'")[0][0]
    done = bench.dts("quarantine", "retry", f"{target}:{number}", "--carry")
    assert done.exit_code == exits.DONE, done.output
    rig.sync()
    rig.assert_equal()
    assert quarantined(rig) == []


@_LONG
def test_more_keys_than_quarantine_has_room_for_do_not_stop_the_link(rig: Rig) -> None:
    rows = ", ".join(f"({key}, 'k{key}')" for key in range(1, 6))
    rig.sql("a", f"INSERT INTO item (id, name) VALUES {rows}")
    for number in range(RETURNS + 2):
        play(rig, "1, 2, 3, 4, 5", number)

    assert {code for _, _, code in quarantined(rig)} == {"ping_pong"}
    links = [link for link, _, _ in quarantined(rig)]
    assert max(links.count(link) for link in links) == 2
    play(rig, "1, 2, 3, 4, 5", 100)
    assert rig.rows("b", "SELECT name FROM item WHERE id = 9") == [("round 100",)]


@_LONG
def test_two_users_who_write_in_turns_are_left_alone(rig: Rig) -> None:
    """As often as a key that goes round, but never back to what it was."""
    rig.sql("a", "INSERT INTO item (id, name) VALUES (1, 'one')")
    for number in range(RETURNS + 2):
        play(rig, "0", number)
        rig.sql("a", f"UPDATE item SET name = 'a{number}' WHERE id = 1")
        rig.await_events("a")
        rig.run(rig.forth)
        rig.sql("b", f"UPDATE item SET name = 'b{number}' WHERE id = 1")

    assert quarantined(rig) == []
    rig.sync()
    rig.assert_equal()
