"""max_allowed_packet at the target: statements are split by bytes, a row too large is named."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from dts_pipeline.errors import PoisonError, TerminalError
from dts_pipeline_tests.faults.applied_once import assert_at_the_ends, assert_unbroken
from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.stacks import Stack

pytestmark = pytest.mark.servers

SMALL = 64 * 1024
ROWS = 300
TABLE = "CREATE TABLE item (id INT PRIMARY KEY, v MEDIUMTEXT) CHARACTER SET utf8mb4"


@pytest.fixture(
    scope="module", params=["stack_mariadb", pytest.param("stack_mysql", marks=pytest.mark.mysql)]
)
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Rig:
    stack: Stack = request.getfixturevalue(request.param)
    rig = Rig(stack, "packet", tmp_path_factory.mktemp("packet")).create(TABLE)
    rig.both("INSERT INTO item VALUES (-1, 'here')")
    rig.sync()
    rig.drain()
    return rig


@contextlib.contextmanager
def max_allowed_packet(rig: Rig, value: int) -> Iterator[None]:
    """At the target, for sessions that begin within the block; without LOAD DATA LOCAL.

    Rows that are loaded need no statement of their own, and fit in any case.
    """
    ((before,),) = rig.rows("b", "SELECT @@GLOBAL.max_allowed_packet")
    rig.sql("b", f"SET GLOBAL max_allowed_packet = {value}", "SET GLOBAL local_infile = OFF")
    try:
        yield
    finally:
        rig.sql("b", f"SET GLOBAL max_allowed_packet = {before}", "SET GLOBAL local_infile = ON")


def test_statements_are_split_and_a_row_that_fits_into_none_stops_the_link_until_it_does(
    rig: Rig,
) -> None:
    before = rig.checkpoint(rig.forth)
    rows = ", ".join(f"({i}, REPEAT('x', 2000))" for i in range(ROWS))
    with max_allowed_packet(rig, SMALL):
        rig.sql("a", f"INSERT INTO item VALUES {rows}")
        rig.await_events("a")
        rig.sync()
        rig.drain()
        applied = rig.checkpoint(rig.forth)
        rig.sql("a", f"INSERT INTO item VALUES ({ROWS}, REPEAT('y', {SMALL}))")
        rig.await_events("a")
        with pytest.raises(PoisonError) as caught:
            rig.sync()
        assert rig.checkpoint(rig.forth) == applied
    error = caught.value
    assert error.code == "packet_too_large"
    assert error.where["topic"] == f"{rig.sites[0]}.{rig.name}.item"
    assert (error.where["table"], error.where["offset"]) == (f"{rig.name}.item", ROWS + 1)
    assert "yyy" not in str(error)
    assert "max_allowed_packet" in error.remedy
    assert rig.run(rig.forth).batches == 1
    assert_settled(rig)
    assert_unbroken(rig, rig.forth, before)


def test_a_record_that_does_not_fit_stops_the_link_until_it_does(rig: Rig) -> None:
    """Both sites wrote the row, which itself fits; the record of it holds it three times."""
    before = rig.checkpoint(rig.forth)
    for side, letter in ("a", "p"), ("b", "q"):
        rig.sql(side, f"UPDATE item SET v = REPEAT('{letter}', {SMALL // 2}) WHERE id = -1")
        rig.await_events(side)
    with max_allowed_packet(rig, SMALL):
        with pytest.raises(TerminalError) as caught:
            rig.run(rig.forth)
        assert caught.value.code == "packet_too_large"
        assert rig.checkpoint(rig.forth) == before
    assert rig.run(rig.forth).batches == 1
    assert rig.records(rig.forth, "item") == [("item", "update_update", "source")]
    assert_settled(rig)
    assert_unbroken(rig, rig.forth, before)


def assert_settled(rig: Rig) -> None:
    rig.sync()
    rig.assert_equal()
    assert_at_the_ends(rig, rig.forth)
