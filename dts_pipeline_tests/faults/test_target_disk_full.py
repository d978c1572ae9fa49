"""The target's disk is full: the link stops with `disk_full`, and goes on once there is space."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dts_pipeline.errors import DtsError
from dts_pipeline_tests.faults.applied_once import (
    assert_at_the_ends,
    assert_unbroken,
    marked_writes,
)
from dts_pipeline_tests.faults.mounts import small_disk
from dts_pipeline_tests.faults.test_target_fails import restart_capture
from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.sampling import IS_SAMPLE
from dts_pipeline_tests.stacks import Stack, running_stack

pytestmark = pytest.mark.servers

ROWS = 800
TABLE = "CREATE TABLE {0} (id INT PRIMARY KEY, v VARBINARY(4000) NOT NULL)"


@pytest.fixture(
    scope="module", params=["stack_mariadb", pytest.param("stack_mysql", marks=pytest.mark.mysql)]
)
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Rig:
    stack: Stack = request.getfixturevalue(request.param)
    rig = Rig(stack, "full", tmp_path_factory.mktemp("full")).create(TABLE.format("item"))
    rig.sql("a", "INSERT INTO item VALUES (-1, '')")
    rig.sync()
    rig.drain()
    return rig


@pytest.fixture
def doomed() -> Iterator[Stack]:
    """A stack of its own: a server that has lost a table's disk does not start again."""
    with running_stack("mariadb", "origin") as stack:
        yield stack


@pytest.mark.skipif(IS_SAMPLE, reason="takes a stack of its own")
def test_the_disk_of_a_table(doomed: Stack, tmp_path: Path, summary: list[str]) -> None:
    """MariaDB lets a table lie on a disk of its own; MySQL only if its settings name the folder.

    MariaDB 10.11 may end itself where it finds no space for a rollback: then it is away.
    """
    rig = Rig(doomed, "full", tmp_path).create()
    folder = doomed.directory / "site_b" / "small"
    folder.mkdir(mode=0o777, exist_ok=True)
    with small_disk(folder, "2m") as disk:
        rig.sql("a", TABLE.format("item"))
        rig.sql("b", f"{TABLE.format('item')} DATA DIRECTORY='{folder}'")
        rig.sql("a", "INSERT INTO item VALUES (-1, '')")
        rig.sync()
        rig.drain()
        before = rig.checkpoint(rig.forth)
        write(rig)
        codes = assert_stops(rig, "disk_full", "connection_lost", "server_unreachable")
        disk.resize("64m")
        rig.stack.command("start", "site_b")
        restart_capture(rig)
        assert rig.run(rig.forth).batches == 1
        assert_carried(rig)
        assert_unbroken(rig, rig.forth, before)
        rig.sql("b", "DROP TABLE item")
    summary.append(f"a table's disk full, mariadb: {codes}; goes on once there is space")


def test_the_disk_of_temporary_files(rig: Rig) -> None:
    """There the server keeps what a transaction writes to the binlog until its COMMIT."""
    before = rig.checkpoint(rig.forth)
    write(rig)
    with small_disk(rig.stack.directory / "site_b" / "tmp", "64k"):
        assert_stops(rig, "disk_full")
    assert rig.run(rig.forth).batches == 1
    assert_carried(rig)
    assert_unbroken(rig, rig.forth, before)


def write(rig: Rig) -> None:
    """Some three megabytes."""
    rows = ", ".join(f"({i}, RANDOM_BYTES(1000))" for i in range(ROWS))
    rig.sql("a", f"INSERT INTO item VALUES {rows}", "UPDATE item SET v = REPEAT(v, 4)")
    rig.await_events("a")


def assert_stops(rig: Rig, *codes: str) -> list[str]:
    """Run after run says so, and nothing is written."""
    before, found = rig.checkpoint(rig.forth), []
    for _ in range(2):
        with pytest.raises(DtsError) as caught:
            rig.run(rig.forth)
        found.append(caught.value.code)
    assert set(found) <= set(codes)
    if "server_unreachable" not in found:
        assert rig.checkpoint(rig.forth) == before
        assert rig.rows("b", "SELECT COUNT(*) FROM item") == [(1,)]
    return found


def assert_carried(rig: Rig) -> None:
    rig.assert_equal()
    assert_at_the_ends(rig, rig.forth)
    rig.await_events("b")
    assert set(marked_writes(rig, "b", "item").values()) == {1}
    assert rig.records(rig.forth) == []
