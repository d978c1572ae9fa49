"""`dts checkpoint` on real servers: what is passed over, the generation, and who is under way."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from click.testing import CliRunner

from dts_pipeline import stages
from dts_pipeline.adapters.lane_lock import lane_lock
from dts_pipeline.cli import main
from dts_pipeline.commands import exits
from dts_pipeline.errors import TerminalError
from dts_pipeline_tests.conftest import MakeRig
from dts_pipeline_tests.integration.rig import Rig, reduce
from dts_pipeline_tests.sampling import full_only

pytestmark = pytest.mark.servers

ITEM = "CREATE TABLE item (id INT PRIMARY KEY, name VARCHAR(40))"


@pytest.fixture
def rig(make_rig: MakeRig) -> Rig:
    rig = make_rig("moved", ITEM)
    rig.sync()
    rig.drain()
    return rig


def dts(rig: Rig, *words: str, status: int = exits.DONE) -> dict[str, Any]:
    environment = {"DAGSTER_HOME": None, **rig.stack.env, "DTS_CONFIG": str(rig.path)}
    result = CliRunner().invoke(main, ["checkpoint", *words, "--json"], env=environment)
    assert result.exit_code == status, result.output
    return dict(json.loads(result.stdout))


def insert(rig: Rig, number: int) -> None:
    rig.sql("a", f"INSERT INTO item VALUES ({number}, 'x')")
    rig.await_events("a")


def ids(rig: Rig) -> list[int]:
    return [row[0] for row in rig.rows("b", "SELECT id FROM item ORDER BY id")]


def item(rig: Rig, plan: list[dict[str, Any]]) -> dict[str, Any]:
    """The line of the table's topic."""
    (found,) = (line for line in plan if line["topic"] == f"{rig.sites[0]}.{rig.name}.item")
    return found


@full_only
def test_it_shows_and_moves_nothing_without_execute(rig: Rig) -> None:
    insert(rig, 1)
    rig.run(rig.forth)
    insert(rig, 2)
    before = rig.checkpoint(rig.forth)

    shown = dts(rig, rig.forth)
    planned = dts(rig, rig.forth, "--to", "latest")

    assert (shown["generation"], shown["batch"]) == (before.generation, before.batch)
    assert planned["moved"] is False
    line = item(rig, planned["plan"])
    assert (line["from"], line["to"], line["passed_over"]) == (1, 2, 1)
    assert rig.checkpoint(rig.forth) == before


def test_to_latest_passes_over_what_was_there_and_carries_what_comes(rig: Rig) -> None:
    insert(rig, 1)
    rig.run(rig.forth)
    insert(rig, 2)
    before = rig.checkpoint(rig.forth)

    assert dts(rig, rig.forth, "--to", "latest", "--execute")["generation"] == before.generation + 1
    moved = rig.checkpoint(rig.forth)
    assert (moved.generation, moved.batch) == (before.generation + 1, 0)
    insert(rig, 3)
    rig.drain()
    assert ids(rig) == [1, 3]
    assert rig.checkpoint(rig.forth).batch >= 1
    assert not rig.records(rig.forth, "item")


@full_only
def test_to_a_time_passes_over_what_came_before_it(rig: Rig) -> None:
    insert(rig, 1)
    time.sleep(1.1)
    moment = datetime.now(UTC).isoformat()
    time.sleep(0.1)
    insert(rig, 2)

    dts(rig, rig.forth, "--to", moment, "--execute")
    rig.drain()

    assert ids(rig) == [2]


def test_it_does_not_move_back(rig: Rig) -> None:
    insert(rig, 1)
    moment = datetime.now(UTC).isoformat()
    rig.run(rig.forth)
    time.sleep(0.1)
    insert(rig, 2)
    rig.drain()
    before = rig.checkpoint(rig.forth)

    for at in (moment, "2020-01-01"):
        error = dts(rig, rig.forth, "--to", at, "--execute", status=exits.FAILED)["error"]
        assert error["code"] == "checkpoint_backwards"
    assert rig.checkpoint(rig.forth) == before


def test_a_batch_that_is_on_its_way_writes_nothing(rig: Rig) -> None:
    insert(rig, 1)
    runtime = rig.runtime(rig.forth)
    try:
        plan = stages.plan_ranges(runtime)
        batch = stages.pull(runtime, plan, 0)
        assert batch is not None
        changes = reduce(runtime, plan, batch)

        dts(rig, rig.forth, "--to", "latest", "--execute")

        with pytest.raises(TerminalError) as caught:
            stages.apply(runtime, plan, changes)
    finally:
        runtime.close()
    assert caught.value.code == "another_run_ahead"
    assert ids(rig) == []


@full_only
def test_it_waits_for_no_batch_that_is_being_written(rig: Rig) -> None:
    with rig.user("b") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT GET_LOCK(%s, 5)", (lane_lock(rig.forth, "main"),))
        error = dts(rig, rig.forth, "--to", "latest", "--execute", status=exits.FAILED)["error"]
    assert error["code"] == "lane_busy"


@full_only
def test_a_lost_checkpoint_is_made_anew_under_a_generation_of_its_own(rig: Rig) -> None:
    insert(rig, 1)
    rig.run(rig.forth)
    before = rig.checkpoint(rig.forth)
    rig.sql("b", f"DELETE FROM dts.checkpoint WHERE link = '{rig.forth}'")
    insert(rig, 2)

    assert dts(rig, rig.forth)["generation"] is None
    made = dts(rig, rig.forth, "--to", "latest", "--execute")
    assert made["generation"] == before.generation + 1
    insert(rig, 3)
    rig.drain()
    assert ids(rig) == [1, 3]


@full_only
def test_execute_needs_a_place(rig: Rig) -> None:
    assert dts(rig, rig.forth, "--execute", status=exits.FAILED)["error"]["code"] == "usage"
