"""`max_events_per_second` on real servers, told by the ledger's own times."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from dts_pipeline_tests.conftest import MakeRig
from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.sampling import full_only

pytestmark = pytest.mark.servers

ITEM = "CREATE TABLE item (id INT PRIMARY KEY, name VARCHAR(40))"
RATE = 50
TRANSACTION = 30


def committed(rig: Rig, link: str) -> list[tuple[float, int]]:
    """When each batch was committed, in seconds, and its events."""
    rows = rig.database(rig.links[link].target).query(
        "SELECT TIMESTAMPDIFF(MICROSECOND, '2020-01-01', committed_at) AS at, counts "
        "FROM dts.batch WHERE link = :link ORDER BY generation, batch",
        {"link": link},
    )
    return [(row.at / 1e6, json.loads(row.counts)["events"]) for row in rows]


def test_batches_are_small_and_wait_for_each_other_from_run_to_run(make_rig: MakeRig) -> None:
    changes = {"pairs": {"pair": {"max_events_per_second": RATE}}, "batch": {"max_seconds": 4}}
    rig = make_rig("paced", ITEM, changes=changes)
    for number in range(12):
        first = number * TRANSACTION
        values = ", ".join(f"({first + n}, 'x')" for n in range(TRANSACTION))
        rig.sql("a", f"INSERT INTO item VALUES {values}")
    rig.await_events("a")

    runs = 0
    while rig.run(rig.forth).behind:
        runs += 1

    assert runs >= 1  # what a run's time did not suffice for is left to the next
    batches = committed(rig, rig.forth)
    assert sum(events for _, events in batches) >= 12 * TRANSACTION
    assert max(events for _, events in batches) <= 2 * RATE
    for (before, events), (after, _) in pairwise(batches):
        assert after - before >= events / RATE
    assert rig.checksums("a")[f"{rig.name}.item"] == rig.checksums("b")[f"{rig.name}.item"]


@full_only
def test_a_large_transaction_is_taken_whole(make_rig: MakeRig) -> None:
    changes = {"pairs": {"pair": {"max_events_per_second": RATE}}, "batch": {"max_seconds": 1}}
    rig = make_rig("paced_large", ITEM, changes=changes)
    values = ", ".join(f"({n}, 'x')" for n in range(10 * RATE))
    rig.sql("a", f"INSERT INTO item VALUES {values}")
    rig.await_events("a")

    rig.run(rig.forth)
    assert rig.rows("b", "SELECT COUNT(*) FROM item") == [(10 * RATE,)]
    rig.sql("a", "INSERT INTO item VALUES (-1, 'x')")
    rig.await_events("a")
    assert rig.run(rig.forth).batches == 0  # ten seconds are to pass first
