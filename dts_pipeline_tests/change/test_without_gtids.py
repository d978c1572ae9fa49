"""MySQL without GTIDs at both sites (`gtid_mode=OFF`), marks in comments."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from dts_pipeline.commands import exits
from dts_pipeline_tests.change.writers import writing
from dts_pipeline_tests.faults.servers import Server
from dts_pipeline_tests.integration.bad_bench import Bench
from dts_pipeline_tests.integration.rig import Rig, wait_for
from dts_pipeline_tests.stacks import Stack, running_stack

pytestmark = [pytest.mark.servers, pytest.mark.change, pytest.mark.mysql]
ITEM = "CREATE TABLE {0} (id BIGINT PRIMARY KEY, n INT NOT NULL, name VARCHAR(20))"
_GTID_SETTINGS = ("gtid-mode", "enforce-gtid-consistency")


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    off = [f"{site}:{name}=OFF" for site in "ab" for name in _GTID_SETTINGS]
    options = [word for option in off for word in ("--server-option", option)]
    with running_stack("mysql", "comment", *options) as stack:
        yield stack


@pytest.fixture(scope="module")
def bench(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    rig = Rig(stack, "nogtid", tmp_path_factory.mktemp("nogtid"))
    rig.connector_changes = {"connect.keep.alive.interval.ms": "3000"}
    rig.create(*(ITEM.format(name) for name in ("item", "torn", "later", "shared")))
    assert rig.rows("a", "SELECT @@GLOBAL.gtid_mode") == [("OFF",)]
    return Bench(rig)


def test_a_pair_is_kept_equal(bench: Bench) -> None:
    rig = bench.rig
    rig.both("INSERT INTO shared VALUES (1, 0, 'both')")
    rig.sync()
    with writing(rig, "item"):
        for _ in range(3):
            time.sleep(1)
            rig.run(rig.forth)
            rig.run(rig.back)
        rig.sql("a", "UPDATE shared SET name = 'from a'")
        rig.sql("b", "UPDATE shared SET name = 'from b'")
    rig.sync()
    done = bench.dts("settle", "pair", "--carry", "--json")
    assert done.exit_code == exits.DONE, done.output
    rig.assert_equal()
    assert rig.rows("b", "SELECT name FROM shared") == [("from a",)]


def test_a_connect_and_a_server_that_die_lose_and_repeat_nothing(bench: Bench) -> None:
    """Without GTIDs a repeated event is told by its file and position."""
    rig = bench.rig
    with writing(rig, "torn"):
        time.sleep(1)
        with Server(rig.stack, "connect").away():
            time.sleep(1)
        for site in rig.sites:
            wait_for(lambda site=site: rig.connector_state(site) == ["RUNNING"] * 2, 60)  # type: ignore[misc]
        rig.run(rig.forth)
        rig.run(rig.back)
    rig.sync()
    rig.assert_equal()

    with Server(rig.stack, "site_a").away():
        time.sleep(1)
    bench.restart_connectors()  # MySQL's gives up when its server goes
    with writing(rig, "later"):
        time.sleep(1)
    rig.sync()
    rig.assert_equal()


def test_marks_by_origin_are_refused(bench: Bench) -> None:
    bench.rig.sql("a", "REPLACE INTO shared VALUES (2, 0, 'unseen')")
    bench.refused("mark_unseen", changes={"mark": "origin"})
    bench.foreseen("gtid_off", "privilege_missing", changes={"mark": "origin"})
    bench.rig.sync()
    bench.rig.assert_equal()
