"""The ledger forgets what is old enough, and nothing that is still asked for."""

from __future__ import annotations

import pytest
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient

from dts_pipeline.adapters.ledger_prune import KEPT_BATCHES
from dts_pipeline.core.batches import RunSummary
from dts_pipeline.stages.prune import Pruned, prune_ledger
from dts_pipeline_tests.conftest import MakeRig
from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.sampling import full_only

pytestmark = pytest.mark.servers

ITEM = "CREATE TABLE item (id INT PRIMARY KEY, name VARCHAR(40))"


@pytest.fixture
def rig(make_rig: MakeRig) -> Rig:
    rig = make_rig("pruned", ITEM)
    rig.sync()
    rig.drain()
    return rig


def prune(rig: Rig, link: str, batch_days: float = 30, conflict_days: float = 90) -> Pruned:
    runtime = rig.runtime(link)
    try:
        return prune_ledger(runtime, batch_days=batch_days, conflict_days=conflict_days)
    finally:
        runtime.close()


def batches(rig: Rig, link: str) -> list[tuple[int, int]]:
    rows = rig.database(rig.links[link].target).query(
        "SELECT generation, batch FROM dts.batch WHERE link = :link ORDER BY generation, batch",
        {"link": link},
    )
    return [(row.generation, row.batch) for row in rows]


_DIGITS = "(" + " UNION ALL ".join(f"SELECT {n} AS n" for n in range(10)) + ")"


def aged(rig: Rig, link: str) -> None:
    """A hundred copies of each batch of the link, in an older generation, of forty days ago."""
    rig.sql(
        "b",
        "INSERT INTO dts.batch (link, lane, generation, batch, from_offsets, until_offsets, mark, "
        "counts, committed_at) SELECT link, lane, 0, batch * 1000 + x.n * 10 + y.n, from_offsets, "
        "until_offsets, 'old', counts, committed_at - INTERVAL 40 DAY "
        f"FROM dts.batch JOIN {_DIGITS} x JOIN {_DIGITS} y WHERE link = '{link}'",
    )


def emptied(rig: Rig, link: str) -> None:
    """Kafka lets go of everything that the link has read."""
    admin = AdminClient({"bootstrap.servers": rig.stack.kafka})
    asked = [
        KafkaPartition(tp.topic, tp.partition, at.next_offset)
        for tp, at in rig.checkpoint(link).partitions.items()
    ]
    for future in admin.delete_records(asked).values():
        future.result()


def test_batches_stay_while_kafka_holds_their_messages(rig: Rig) -> None:
    aged(rig, rig.forth)
    before = batches(rig, rig.forth)
    old = len(before) - KEPT_BATCHES
    assert old > 0

    held = prune(rig, rig.forth)
    assert (held.batches, held.held) == (0, old)
    assert batches(rig, rig.forth) == before

    emptied(rig, rig.forth)
    gone = prune(rig, rig.forth)
    assert (gone.batches, gone.held) == (old, 0)
    assert batches(rig, rig.forth) == before[old:]
    assert prune(rig, rig.forth) == Pruned(0, 0, 0)


@full_only
def test_young_batches_and_the_newest_of_a_lane_stay(rig: Rig) -> None:
    emptied(rig, rig.forth)
    before = batches(rig, rig.forth)
    at_once = 1e-9
    assert prune(rig, rig.forth, batch_days=at_once).batches == 0  # fewer than are kept anyway
    aged(rig, rig.forth)
    assert prune(rig, rig.forth, batch_days=50).batches == 0
    prune(rig, rig.forth, batch_days=at_once)
    assert len(batches(rig, rig.forth)) == KEPT_BATCHES
    assert set(before) < set(batches(rig, rig.forth))


@full_only
def test_a_link_goes_on_after_everything_old_went(rig: Rig) -> None:
    aged(rig, rig.forth)
    emptied(rig, rig.forth)
    prune(rig, rig.forth, batch_days=1e-9)
    rig.sql("a", "INSERT INTO item VALUES (1, 'one')")
    rig.sync()
    rig.assert_equal()
    summary: RunSummary = rig.run(rig.forth)
    assert summary.caught_up
    applied = "SELECT COUNT(*) FROM dts.batch WHERE link = :link AND batch = :batch"
    checkpoint = rig.checkpoint(rig.forth)
    place = {"link": rig.forth, "batch": checkpoint.batch}
    ((count,),) = rig.database(rig.sites[1]).query(applied, place)
    assert count == 1


@full_only
def test_of_records_only_those_closed_long_ago_go(rig: Rig) -> None:
    rig.sql("b", "INSERT INTO item VALUES (1, 'b'), (2, 'b'), (3, 'b')")
    rig.sql("a", "INSERT INTO item VALUES (1, 'a'), (2, 'a'), (3, 'a')")
    rig.sync()
    records = f"link = '{rig.forth}' AND table_name = '{rig.name}.item'"
    first, second, third = (
        row[0] for row in rig.rows("b", f"SELECT id FROM dts.conflict WHERE {records} ORDER BY id")
    )
    closed = "state = 'closed', open_slot = NULL"
    long_ago = "changed_at = UTC_TIMESTAMP(6) - INTERVAL 100 DAY"
    rig.sql("b", f"UPDATE dts.conflict SET {closed}, {long_ago} WHERE id = {first}")
    rig.sql("b", f"UPDATE dts.conflict SET {closed} WHERE id = {second}")
    rig.sql("b", f"UPDATE dts.conflict SET {long_ago} WHERE id = {third}")

    assert prune(rig, rig.forth).records == 1
    left = rig.rows("b", f"SELECT id FROM dts.conflict WHERE {records} ORDER BY id")
    assert [row[0] for row in left] == [second, third]
