"""A hub with two spokes: what is written at any site reaches the others once, and all end equal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dts_pipeline.commands import exits
from dts_pipeline.stages.carry import carry
from dts_pipeline.stages.settle import settle
from dts_pipeline_tests.change.three_sites import Hub, all_write
from dts_pipeline_tests.integration.bad_bench import Bench
from dts_pipeline_tests.integration.rig import wait_for
from dts_pipeline_tests.sampling import IS_SAMPLE, full_only
from dts_pipeline_tests.stacks import Stack, running_stack

pytestmark = [pytest.mark.servers, pytest.mark.change, pytest.mark.timeout(1800)]
SECONDS = 10 if IS_SAMPLE else 300
SEED = 20261126
TABLES = (
    "CREATE TABLE fought (id INT PRIMARY KEY, v VARCHAR(20))",
    "CREATE TABLE counted (id INT PRIMARY KEY, n BIGINT NOT NULL)",
    "CREATE TABLE own (side CHAR(1) COLLATE utf8mb4_bin, id INT, PRIMARY KEY (side, id))",
    "CREATE TABLE parent (id INT PRIMARY KEY, v VARCHAR(20))",
    "CREATE TABLE child (id INT PRIMARY KEY, parent INT, "
    "FOREIGN KEY (parent) REFERENCES parent (id) ON DELETE CASCADE)",
)


@pytest.fixture(
    scope="module",
    params=[
        ("mariadb", "mariadb", "origin"),
        pytest.param(("mysql", "mysql", "origin"), marks=pytest.mark.mysql),
        pytest.param(("mixed", "mariadb", "comment"), marks=pytest.mark.mysql),
    ],
    ids=["mariadb", "mysql", "mixed by comment"],
)
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    flavour, third, mark = request.param
    with running_stack(flavour, mark, "--third-site", third) as stack:
        yield stack


def hub(stack: Stack, directory: Path, label: str) -> Hub:
    rig = Hub(stack, label, directory)
    rig.conflicts = {
        "policy": {"site": "A"},
        "tables": {f"{rig.name}.counted": {"delta": ["n"]}},
    }
    return rig


@pytest.fixture
def rig(stack: Stack, tmp_path: Path) -> Iterator[Hub]:
    made = hub(stack, tmp_path, "hub")
    made.create(*TABLES)
    yield made
    Bench(made).remove_connectors()


def test_users_at_all_three_sites(rig: Hub, summary: list[str]) -> None:
    Bench(rig).foreseen()
    found = all_write(rig, SECONDS, SEED, settles=not IS_SAMPLE)
    summary.append(f"three sites {found}")


def test_a_pair_settles_its_own_records_and_no_other_s(rig: Hub) -> None:
    """Both spokes' links meet the hub's row: what proves b and c equal says nothing of a."""
    rig.sql("b", "INSERT INTO fought VALUES (1, 'v')")
    rig.sync()
    for side in rig.SIDES:
        rig.sql(side, f"UPDATE fought SET v = '{side}' WHERE id = 1")
    for side in rig.SIDES:
        rig.await_events(side)
    left, right = (f"{rig.site(side)}_to_{rig.site('b')}" for side in "ac")
    for link in (left, right):
        rig.run(link)
    assert len(rig.records(left)) == len(rig.records(right)) == 1
    pair = rig.pair("right")
    try:
        settle(pair, carry=carry)
    finally:
        pair.close()
    assert not rig.records(right)
    assert len(rig.records(left)) == 1

    rig.come_to_rest()
    rig.assert_equal()


def test_what_a_load_writes_at_the_hub_goes_on_to_the_other_spoke(rig: Hub) -> None:
    rows = ", ".join(f"({key}, 'v{key}')" for key in range(500))
    script = f"SET SESSION sql_log_bin = 0; INSERT INTO {rig.name}.fought VALUES {rows}"
    rig.stack.command("sql", "--admin", "a", "--", "-e", script)
    rig.sync()
    assert rig.rows("c", "SELECT COUNT(*) FROM fought") == [(0,)]

    done = Bench(rig).dts("load", "left", "--table", f"{rig.name}.fought", "--execute", "--carry")

    assert done.exit_code == exits.DONE, done.output
    rig.sync()
    rig.assert_equal()
    for side in "bc":
        assert list(rig.events(side, "fought").values()) == [1] * 500


def test_a_copy_of_one_site_of_a_pair_has_what_both_write(stack: Stack, tmp_path: Path) -> None:
    rig = hub(stack, tmp_path, "copy")
    copy = {
        "source": rig.sites[1],
        "target": rig.sites[2],
        "tables": [f"{rig.name}.*"],
        "detect": False,
        "mark_domain_id": 4713,
    }
    rig.changes = {"pairs": {"right": None}, "links": {"copy": copy}}
    rig.create("CREATE TABLE item (id INT PRIMARY KEY, v VARCHAR(20))")
    rig.sql("a", "INSERT INTO item VALUES (1, 'a'), (2, 'a')")
    rig.sql("b", "INSERT INTO item VALUES (3, 'b')")

    def arrived() -> bool:
        for way in rig.ways:
            rig.run(way)
        return len(rig.rows("c", "SELECT 1 FROM item")) == 3

    wait_for(arrived, 60)
    wait_for(lambda: arrived() and len(rig.rows("a", "SELECT 1 FROM item")) == 3, 60)
    rig.sql("a", "UPDATE item SET v = 'again' WHERE id IN (1, 3)", "DELETE FROM item WHERE id = 2")
    rows = "SELECT id, v FROM item ORDER BY id"

    def again() -> bool:
        arrived()
        return rig.rows("c", rows) == rig.rows("a", rows)

    wait_for(again, 60)
    assert rig.rows("b", rows) == rig.rows("c", rows) == [(1, "again"), (3, "again")]
    Bench(rig).remove_connectors()


@full_only
def test_a_hub_that_calls_a_table_otherwise(stack: Stack, tmp_path: Path) -> None:
    rig = hub(stack, tmp_path, "hubn")
    rig.conflicts = {"policy": {"site": "A"}}
    names = {rig.site("b"): {f"{rig.name}.item": f"{rig.name}.item_of_all"}}
    turned = {"sites": [rig.site("c"), rig.site("b")], "rename": names}  # c's names are the common
    rig.changes = {"pairs": {"left": {"rename": names}, "right": turned}}
    rig.create("CREATE TABLE warm (id INT PRIMARY KEY)")
    called = {"a": "item", "b": "item_of_all", "c": "item"}
    for side, name in called.items():
        rig.sql(side, f"CREATE TABLE {name} (id INT PRIMARY KEY, v VARCHAR(20))")
        rig.sql(side, f"INSERT INTO {name} VALUES ({ord(side)}, '{side}'), (1, 'fought by {side}')")
    rig.come_to_rest()
    rig.sql("a", f"UPDATE item SET v = 'a again' WHERE id = {ord('c')}")
    rig.sql("b", f"DELETE FROM item_of_all WHERE id = {ord('a')}")
    rig.sql("c", "UPDATE item SET id = 2 WHERE id = 1")
    rig.come_to_rest()

    expected = [(2, "fought by a"), (ord("b"), "b"), (ord("c"), "a again")]
    for side, name in called.items():
        assert rig.rows(side, f"SELECT id, v FROM {name} ORDER BY id") == expected
    Bench(rig).remove_connectors()
