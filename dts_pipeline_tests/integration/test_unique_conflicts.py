"""Both sides give one unique value to different keys: the loser's row goes, at both sides alike."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from dts_pipeline.errors import TerminalError
from dts_pipeline.stages.carry import carry
from dts_pipeline.stages.pair import PairRuntime
from dts_pipeline.stages.settle import settle
from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.stacks import Stack

pytestmark = pytest.mark.servers

ROW = (
    "CREATE TABLE {0} (id INT PRIMARY KEY, code VARCHAR(30) UNIQUE, pin INT UNIQUE, at INT) "
    "CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"
)
COUNTED = "CREATE TABLE counted (id INT PRIMARY KEY, code VARCHAR(30) UNIQUE, n INT NOT NULL)"


@pytest.fixture(
    scope="module",
    params=["stack_mariadb", pytest.param("stack_mysql", marks=pytest.mark.mysql)],
)
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Rig:
    """Who wins stands in the table's name; of `newest_wins` the later `at`, of ties site A."""
    stack: Stack = request.getfixturevalue(request.param)
    rig = Rig(stack, "uniq", tmp_path_factory.mktemp("uniq"))
    policies = {
        "a_wins": {"policy": {"site": "A"}},
        "b_wins": {"policy": {"site": "B"}},
        "newest_wins": {"policy": {"newest": "at", "ties": "A"}},
        "counted": {"policy": {"site": "A"}, "delta": ["n"]},
        "nobody": {"policy": "fail"},
    }
    rig.conflicts = {
        "policy": {"site": "A"},
        "tables": {f"{rig.name}.{table}": policy for table, policy in policies.items()},
    }
    tables = [ROW.format(name) for name in ("a_wins", "b_wins", "newest_wins", "nobody")]
    return rig.create(*tables, COUNTED)


@pytest.fixture(scope="module")
def keys() -> Iterator[int]:
    return itertools.count(1)


def both_carry(rig: Rig, first: str = "forth") -> None:
    """Everything is in Kafka when the first link runs; both sides are equal afterwards."""
    rig.await_events("a")
    rig.await_events("b")
    rig.run(getattr(rig, first))
    rig.sync()


def ids(rig: Rig, table: str, *keys: int) -> list[int]:
    rig.assert_equal()
    listed = ", ".join(map(str, keys))
    query = f"SELECT id FROM {table} WHERE id IN ({listed}) ORDER BY id"
    return [row[0] for row in rig.rows("a", query)]


def kinds(rig: Rig, link: str, table: str) -> list[tuple[str, str]]:
    return [(kind, decision) for _, kind, decision in rig.records(link, table)]


def settled(rig: Rig) -> None:
    """Both links have carried everything, and every record is closed."""
    pair = PairRuntime(rig.runtime(rig.forth), rig.runtime(rig.back))
    try:
        for _ in range(4):
            rig.sync()
            if not rig.records(rig.forth) + rig.records(rig.back):
                break
            settle(pair, carry=carry)
    finally:
        pair.close()
    assert rig.records(rig.forth) + rig.records(rig.back) == []
    rig.assert_equal()


@pytest.mark.parametrize("first", ["forth", "back"])
@pytest.mark.parametrize(
    ("table", "survivor"), [("a_wins", "a"), ("b_wins", "b"), ("newest_wins", "b")]
)
def test_two_inserts(rig: Rig, keys: Iterator[int], table: str, survivor: str, first: str) -> None:
    mine, theirs = next(keys), next(keys)
    rig.sql("a", f"INSERT INTO {table} VALUES ({mine}, 'c{mine}', NULL, 1)")
    rig.sql("b", f"INSERT INTO {table} VALUES ({theirs}, 'C{mine}', NULL, 2)")
    both_carry(rig, first)
    assert ids(rig, table, mine, theirs) == [mine if survivor == "a" else theirs]
    recorded = kinds(rig, rig.forth, table) + kinds(rig, rig.back, table)
    assert ("unique", "source") in recorded
    assert ("unique_holder", "source") in recorded


@pytest.mark.parametrize("first", ["forth", "back"])
@pytest.mark.parametrize(
    ("table", "survivor"), [("a_wins", "a"), ("b_wins", "b"), ("newest_wins", "b")]
)
def test_two_updates(rig: Rig, keys: Iterator[int], table: str, survivor: str, first: str) -> None:
    """The loser's row goes; settlement decides about what is left of it."""
    mine, theirs = next(keys), next(keys)
    for key in (mine, theirs):
        rig.sql("a", f"INSERT INTO {table} VALUES ({key}, 'old{key}', {key}, 1)")
    rig.sync()
    rig.sql("a", f"UPDATE {table} SET code = 'new{mine}', at = 2 WHERE id = {mine}")
    rig.sql("b", f"UPDATE {table} SET code = 'new{mine}', at = 3 WHERE id = {theirs}")
    rig.await_events("a")
    rig.await_events("b")
    rig.run(getattr(rig, first))
    settled(rig)
    holder = rig.rows("a", f"SELECT id FROM {table} WHERE code = 'new{mine}'")
    assert holder == [(mine if survivor == "a" else theirs,)]


def test_nulls_do_not_collide(rig: Rig, keys: Iterator[int]) -> None:
    mine, theirs = next(keys), next(keys)
    rig.sql("a", f"INSERT INTO a_wins VALUES ({mine}, NULL, NULL, 1)")
    rig.sql("b", f"INSERT INTO a_wins VALUES ({theirs}, NULL, NULL, 1)")
    both_carry(rig)
    assert ids(rig, "a_wins", mine, theirs) == [mine, theirs]
    assert kinds(rig, rig.forth, "a_wins") == []


def test_a_value_that_the_batch_frees_is_nobodys(rig: Rig, keys: Iterator[int]) -> None:
    one, two = next(keys), next(keys)
    rig.sql(
        "b", f"INSERT INTO b_wins VALUES ({one}, 'x{one}', {one}, 1), ({two}, 'x{two}', {two}, 1)"
    )
    settled(rig)
    rig.sql(
        "a",
        f"UPDATE b_wins SET code = NULL WHERE id = {two}",
        f"UPDATE b_wins SET code = 'x{two}' WHERE id = {one}",
        f"UPDATE b_wins SET code = 'x{one}' WHERE id = {two}",
    )
    both_carry(rig)
    rig.assert_equal()
    found = rig.rows("b", f"SELECT id, code FROM b_wins WHERE id IN ({one}, {two}) ORDER BY id")
    assert list(found) == [(one, f"x{two}"), (two, f"x{one}")]
    assert "unique" not in dict(kinds(rig, rig.forth, "b_wins"))


@pytest.mark.parametrize("first", ["forth", "back"])
def test_a_row_in_the_way_of_two_and_one_that_stays(
    rig: Rig, keys: Iterator[int], first: str
) -> None:
    """A's row beats one of B's and loses to another: it is not written, and neither goes."""
    mine, old, late = next(keys), next(keys), next(keys)
    rig.sql("a", f"INSERT INTO newest_wins VALUES ({mine}, 'two{mine}', {mine}, 5)")
    rig.sql(
        "b",
        f"INSERT INTO newest_wins VALUES ({old}, 'two{mine}', {old}, 4)",
        f"INSERT INTO newest_wins VALUES ({late}, 'late{mine}', {mine}, 6)",
    )
    rig.await_events("a")
    rig.await_events("b")
    rig.run(getattr(rig, first))
    settled(rig)
    assert ids(rig, "newest_wins", mine, old, late) == [old, late]


def test_a_loser_keeps_its_old_row_and_with_it_its_old_value(rig: Rig, keys: Iterator[int]) -> None:
    """A gives the value of `one` to `two`; `one` itself loses to B's, so its value is not free."""
    one, two, theirs = next(keys), next(keys), next(keys)
    rig.sql(
        "a",
        f"INSERT INTO b_wins VALUES ({one}, 'first{one}', {one}, 1)",
        f"INSERT INTO b_wins VALUES ({two}, 'second{one}', {two}, 1)",
    )
    settled(rig)
    rig.sql(
        "a",
        f"UPDATE b_wins SET code = 'taken{one}' WHERE id = {one}",
        f"UPDATE b_wins SET code = 'first{one}' WHERE id = {two}",
    )
    rig.sql("b", f"INSERT INTO b_wins VALUES ({theirs}, 'taken{one}', {theirs}, 1)")
    rig.await_events("a")
    rig.await_events("b")
    rig.run(rig.forth)
    found = rig.rows("b", f"SELECT id, code FROM b_wins WHERE id >= {one} ORDER BY id")
    assert list(found) == [
        (one, f"first{one}"),
        (two, f"second{one}"),
        (theirs, f"taken{one}"),
    ]
    assert kinds(rig, rig.forth, "b_wins") == [("unique", "target")] * 2
    settled(rig)


def test_a_counted_row_that_kept_the_value_in_dispute(rig: Rig, keys: Iterator[int]) -> None:
    """Its counter is added, its value is the target's own: it meets the other as such."""
    one, two = next(keys), next(keys)
    rig.sql("a", f"INSERT INTO counted VALUES ({one}, 'o{one}', 0), ({two}, 'o{two}', 0)")
    rig.sync()
    rig.sql("b", f"UPDATE counted SET code = 'new{one}' WHERE id = {two}")
    rig.sql(
        "a",
        f"UPDATE counted SET code = 'new{one}' WHERE id = {one}",
        f"UPDATE counted SET n = n + 1 WHERE id = {two}",
    )
    rig.await_events("a")
    rig.await_events("b")
    rig.run(rig.forth)
    settled(rig)
    found = rig.rows("b", f"SELECT id, code, n FROM counted WHERE id IN ({one}, {two})")
    assert list(found) == [(one, f"new{one}", 0), (two, f"o{two}", 1)]


def test_under_fail_the_link_stops_until_one_row_is_changed(rig: Rig, keys: Iterator[int]) -> None:
    mine, theirs = next(keys), next(keys)
    rig.sql("b", f"INSERT INTO nobody VALUES ({theirs}, 'f{mine}', NULL, 1)")
    rig.sql("a", f"INSERT INTO nobody VALUES ({mine}, 'f{mine}', NULL, 1)")
    rig.await_events("a")
    with pytest.raises(TerminalError) as caught:
        rig.run(rig.forth)
    assert caught.value.code == "unique_conflict"
    assert "f" + str(mine) not in str(caught.value)
    rig.sql("b", f"UPDATE nobody SET code = 'other' WHERE id = {theirs}")
    rig.sync()
    assert ids(rig, "nobody", mine, theirs) == [mine, theirs]
