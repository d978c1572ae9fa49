"""A source that fails over to its replica: the link stops by name, and goes on after a new start.

With MySQL's GTIDs the connector finds its place at the promoted server by itself, if that has all
that the connector had read. MariaDB's GTIDs hold the id of the server that wrote, which the
connector minds: it does not find its place once the promoted server has written anything. The other
link's ledger stands at the same server as the rows that it wrote, so it goes on by itself, and
writes again what the new server never got.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dts_pipeline_tests.faults.load import KEYS, Load, loaded
from dts_pipeline_tests.faults.replica import Replica, following_replica
from dts_pipeline_tests.faults.servers import Server
from dts_pipeline_tests.integration.bad_bench import Bench
from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.stacks import Stack

pytestmark = [pytest.mark.servers, pytest.mark.matrix]


@pytest.fixture
def rig(fragile: Stack, tmp_path: Path) -> Iterator[Rig]:
    """A pair of its own, at rest; its connectors are removed again."""
    made = Rig(fragile, "failover", tmp_path)
    made.connector_changes = {"connect.keep.alive.interval.ms": "5000"}
    yield loaded(made)
    Bench(made).remove_connectors()


@pytest.fixture
def replica(rig: Rig) -> Iterator[Replica]:
    with following_replica(rig.stack) as made:
        yield made


def moved(rig: Rig, replica: Replica) -> Rig:
    """The pair with the promoted server behind site a, as dts.yaml then says."""
    made = replace(rig, stack=replica.promoted_stack)
    made.__dict__["name"] = rig.name  # a name is drawn once
    return made


@pytest.mark.parametrize("loses", [False, True], ids=["complete", "behind"])
def test_a_replica_in_the_source_s_place(rig: Rig, replica: Replica, loses: bool) -> None:
    rig.sql("a", f"UPDATE own SET v = 'seen by the replica' WHERE id < {KEYS}")
    rig.sync()
    rig.drain()
    replica.await_caught_up()
    if loses:
        replica.cut_off()
        rig.sql("a", f"UPDATE own SET v = 'lost with a' WHERE id < {KEYS // 2}")
        rig.sql("b", f"UPDATE own SET v = 'written again' WHERE id >= {1000}")
        rig.sync()
    server = Server(rig.stack, "site_a")
    with server.away():
        replica.promote()
        fail_over(moved(rig, replica), loses)


def fail_over(rig: Rig, loses: bool) -> None:
    """What the links say, what is to be done, and that both sites are equal afterwards."""
    bench, is_mariadb = Bench(rig), rig.stack.flavour == "mariadb"
    rig.tick("a")  # the promoted server is written to before the connector comes
    rig.put_connector(rig.sites[0], "a", rig.connector_changes)
    if loses or is_mariadb:
        bench.refused("connector_position_lost")
        bench.begin_anew()
    else:
        rig.await_capture("a")
    assert bench.refused("source_changed")["where"]["link"] == rig.forth
    bench.foreseen("source_changed")

    while rig.run(rig.back).batches:  # its ledger came with the server
        pass
    differ = {side: rig.checksums(side)[f"{rig.name}.own"] for side in "ab"}
    assert (differ["a"] != differ["b"]) == loses
    if loses:  # what the new server never got: b has it, and nobody will send it again
        rig.sql("a", f"UPDATE own SET v = 'lost with a' WHERE id < {KEYS // 2}")
    rig.await_events("a")
    rig.await_events("b")
    for link in (rig.forth, rig.back):
        bench.new_start(link)
    load = Load(rig=rig)
    with load.running():
        load.await_progress()
