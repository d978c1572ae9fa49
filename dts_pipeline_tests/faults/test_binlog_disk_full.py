"""The disk of the target's binlog is full: its COMMIT waits for space, and the run with it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from dts_pipeline.core.batches import RunSummary
from dts_pipeline.errors import TerminalError
from dts_pipeline_tests.faults.applied_once import assert_unbroken
from dts_pipeline_tests.faults.small_disk import SmallDisk, small_disk
from dts_pipeline_tests.faults.test_target_disk_full import TABLE, assert_carried, write
from dts_pipeline_tests.integration.rig import Rig, wait_for
from dts_pipeline_tests.stacks import running_stack

pytestmark = [pytest.mark.servers, pytest.mark.matrix, pytest.mark.timeout(900)]

LONGER = 20.0
"""Than after what a session without a statement is taken for half-dead, 15 s."""
NEXT_LOOK = 60.0
"""Servers look for space again each minute."""


@pytest.fixture
def disk() -> Iterator[SmallDisk]:
    with tempfile.TemporaryDirectory(prefix="dts-disk-") as folder:
        Path(folder).chmod(0o755)
        with small_disk(Path(folder)) as made:
            yield made


@pytest.fixture(params=["mariadb", pytest.param("mysql", marks=pytest.mark.mysql)])
def rig(request: pytest.FixtureRequest, disk: SmallDisk, tmp_path: Path) -> Iterator[Rig]:
    """A pair on a stack of its own, whose site b has little room for its binlog."""
    room = f"b:log-bin={disk.folder}/binlog"
    with running_stack(request.param, "origin", "--server-option", room) as stack:
        made = Rig(stack, "binlog", tmp_path).create(TABLE.format("item"))
        made.sql("a", "INSERT INTO item VALUES (-1, '')")
        made.sync()
        made.drain()
        yield made


def test_a_run_waits_for_space_and_goes_on(rig: Rig, disk: SmallDisk, summary: list[str]) -> None:
    before = rig.checkpoint(rig.forth)
    write(rig)
    with ThreadPoolExecutor() as pool:
        with disk.full():
            began = time.monotonic()
            waiting = pool.submit(rig.run, rig.forth)
            wait_for(lambda: is_committing(rig), 60)
            time.sleep(LONGER)
            assert not waiting.done()
            with pytest.raises(TerminalError) as caught:
                rig.run(rig.forth)
            assert caught.value.code == "lane_busy"
        assert_goes_on(waiting)
    assert_carried(rig)
    assert_unbroken(rig, rig.forth, before)
    summary.append(
        f"binlog's disk full, {rig.stack.flavour}: the run waited {time.monotonic() - began:.0f} s"
    )


def is_committing(rig: Rig) -> bool:
    rows = rig.rows("b", "SELECT info FROM information_schema.processlist WHERE user = 'dts'")
    return any(str(row[0]).upper() == "COMMIT" for row in rows)


def assert_goes_on(waiting: Future[RunSummary]) -> None:
    assert waiting.result(timeout=2 * NEXT_LOOK).batches == 1
