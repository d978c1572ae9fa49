"""Kafka's disk is full: the broker ends itself, runs say so, and nothing that it took is lost."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dts_pipeline_tests.faults.load import Load, loaded
from dts_pipeline_tests.faults.servers import Server
from dts_pipeline_tests.faults.small_disk import SmallDisk, small_disk
from dts_pipeline_tests.integration.rig import Rig, wait_for
from dts_pipeline_tests.stacks import running_stack

pytestmark = [pytest.mark.servers, pytest.mark.matrix]


@pytest.fixture
def disk() -> Iterator[SmallDisk]:
    with tempfile.TemporaryDirectory(prefix="dts-disk-") as folder:
        Path(folder).chmod(0o755)
        with small_disk(Path(folder)) as made:
            yield made


@pytest.fixture
def rig(disk: SmallDisk, tmp_path: Path) -> Iterator[Rig]:
    """A pair on a stack of its own, whose broker has little room."""
    room = f"log.dirs={disk.folder}/data"
    with running_stack("mariadb", "origin", "--kafka-option", room) as stack:
        yield loaded(Rig(stack, "full", tmp_path))


def test_a_broker_whose_disk_is_full(rig: Rig, disk: SmallDisk, summary: list[str]) -> None:
    load = Load(rig=rig)
    broker = Server(rig.stack, "kafka")
    with load.running():
        load.await_progress()
        with disk.full():
            wait_for(lambda: not broker.runs, 120)
            wait_for(lambda: load.codes["kafka_unreachable"] > 1 or bool(load.failures), 60)
        broker.start()
    assert set(load.codes) <= {"kafka_unreachable", "connect_unreachable", "connector_starting"}
    summary.append(
        f"Kafka's disk full: {sum(load.committed.values())} transactions, "
        f"{load.counts['duplicates']} events sent twice, runs failed: {dict(load.codes)}; lost 0"
    )
