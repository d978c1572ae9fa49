"""A one-way link whose source is a read-only replica of the server that users write to."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pymysql
import pytest

from dts_pipeline_tests.change.writers import writing
from dts_pipeline_tests.faults.replica import Replica, following_replica
from dts_pipeline_tests.integration.bad_bench import Bench
from dts_pipeline_tests.integration.rig import Rig, wait_for
from dts_pipeline_tests.stacks import Stack, running_stack

pytestmark = [pytest.mark.servers, pytest.mark.change]
ITEM = "CREATE TABLE {0} (id BIGINT PRIMARY KEY, n INT NOT NULL, name VARCHAR(20))"
ONE_WAY = "from_replica"


class Primary(Rig):
    """The server that users write to, as site a; nobody captures it."""

    def register(self) -> None:
        """Its replica's connector is registered instead."""


@dataclass
class Follower(Rig):
    """The same link, with the replica as site a."""

    primary: Rig | None = None

    def tick(self, side: str) -> None:
        """The replica's connector sees what the primary's users write."""
        assert self.primary is not None
        self.primary.tick(side)


@pytest.fixture(scope="module", params=["mariadb", pytest.param("mysql", marks=pytest.mark.mysql)])
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    with running_stack(request.param, "origin") as stack:
        yield stack


@pytest.fixture
def primary(stack: Stack, tmp_path: Path) -> Rig:
    """The server that users write to, and the target."""
    rig = Primary(stack, "replica", tmp_path)
    link = {
        "source": rig.sites[0],
        "target": rig.sites[1],
        "tables": [f"{rig.name}.*"],
        "detect": False,
        "mark_domain_id": 4712,
    }
    rig.changes = {"pairs": None, "links": {ONE_WAY: link}}
    return rig.create(ITEM.format("item"))


@pytest.fixture
def replica(primary: Rig) -> Iterator[Replica]:
    with following_replica(primary.stack) as made:
        yield made


def test_its_rows_arrive_and_it_is_never_written(primary: Rig, replica: Replica) -> None:
    rig = behind(primary, replica)
    with administrator(rig) as cursor:
        cursor.execute("SET GLOBAL read_only = ON")
    bench = Bench(rig)
    bench.foreseen("read_only", "binlog_durability", severity="warning")

    with writing(primary, "item"):
        for _ in range(4):
            time.sleep(1)
            rig.run(ONE_WAY)
    replica.await_caught_up()
    wait_for(lambda: arrived(primary, rig), 60)
    with administrator(rig) as cursor:
        cursor.execute(f"SELECT COUNT(*) FROM dts.watermark WHERE name LIKE '%{ONE_WAY}%'")
        assert cursor.fetchone() == (0,)
    assert bench.error("verify", ONE_WAY)["code"] == "read_only"


def behind(primary: Rig, replica: Replica) -> Follower:
    """The link from the replica, its connectors registered."""
    made = Follower(replica.promoted_stack, "replica", primary.directory, primary=primary)
    made.changes = primary.changes
    made.__dict__["name"] = primary.name  # a name is drawn once
    made.register()
    return made


def arrived(primary: Rig, rig: Rig) -> bool:
    """Whether the target holds what the primary's users have written, after one more run."""
    rig.run(ONE_WAY)
    rows = "SELECT id, n, name FROM item WHERE id < 2000000 ORDER BY id"
    return list(primary.rows("a", rows)) == list(rig.rows("b", rows)) != []


@contextlib.contextmanager
def administrator(rig: Rig) -> Iterator[pymysql.cursors.Cursor]:
    """A session at the replica."""
    with rig.stack.application("a") as connection, connection.cursor() as cursor:
        yield cursor
