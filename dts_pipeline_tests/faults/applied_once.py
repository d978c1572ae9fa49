"""Evidence that a link applied everything, in order, exactly once.

The ledger's batches join without a gap or an overlap from an earlier checkpoint to the present
one; the present one stands at the ends of the topics; and the target's own binlog, as its
connector sent it, holds each marked row change as often as it was due.
"""

from __future__ import annotations

import json
from collections import Counter

import pandas as pd

from dts_pipeline.adapters.kafka_admin import KafkaAdmin
from dts_pipeline.adapters.kafka_reader import KafkaReader
from dts_pipeline.core.batches import Checkpoint
from dts_pipeline.core.envelope import parse_events
from dts_pipeline.core.marks import recognise
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline_tests.integration.rig import Rig, wait_for

Writes = Counter[tuple[int, str]]
"""How often a row, by the number in its key, was written by which operation: c, u or d."""


def assert_unbroken(rig: Rig, link: str, since: Checkpoint) -> None:
    """Each batch after `since` goes on where the last one ended, up to the checkpoint."""
    now = rig.checkpoint(link)
    name, _, lane = link.partition("/")
    rows = rig.database(rig.links[name].target).query(
        "SELECT batch, from_offsets, until_offsets FROM dts.batch WHERE link = :link "
        "AND lane = :lane AND generation = :g AND batch > :since ORDER BY batch",
        {"link": name, "lane": lane or "main", "g": now.generation, "since": since.batch},
    )
    assert [row[0] for row in rows] == list(range(since.batch + 1, now.batch + 1))
    reached = json.loads(since.offsets_json())
    for number, begins, ends in rows:
        begins = json.loads(begins)
        appeared = dict.fromkeys(begins.keys() - reached.keys(), 0)  # topics with their first event
        assert (number, begins) == (number, reached | appeared)
        reached = json.loads(ends)
    assert reached == json.loads(now.offsets_json())


def assert_at_the_ends(rig: Rig, link: str) -> None:
    """The checkpoint's next offsets come to be the ends of the tables' topics.

    What the other link wrote last may still be on its way to Kafka, so the links run until then.
    """

    def there() -> bool:
        partitions = rig.checkpoint(link).partitions
        tables = [tp for tp in partitions if tp.topic != rig.links[link].transaction_topic]
        offsets = KafkaAdmin({"bootstrap.servers": rig.stack.kafka}).offsets(tables)
        ends = {tp: high for tp, (_, high) in offsets.items()}
        if tables and {tp: partitions[tp].next_offset for tp in tables} == ends:
            return True
        rig.drain()
        return False

    wait_for(there, 60)


def marked_writes(rig: Rig, side: str, table: str) -> Writes:
    """What the pipeline wrote into a table of a side, all that its connector has sent so far."""
    events = _events(rig, side, table)
    ours = events[recognise(events, rig.links[rig.forth].all_mark_domains)]
    keys = [next(iter(_payload(key).values())) for key in ours["key"]]
    return Counter(zip(keys, ours["op"], strict=True))


def _events(rig: Rig, side: str, table: str) -> pd.DataFrame:
    topic = TopicPartition(f"{rig.sites['ab'.index(side)]}.{rig.name}.{table}", 0)
    reader = KafkaReader({"bootstrap.servers": rig.stack.kafka})
    low, high = KafkaAdmin({"bootstrap.servers": rig.stack.kafka}).offsets([topic])[topic]
    buffer = reader.read_to_end({topic: low}, {topic: high}, 10_000_000)[topic]
    reader.close()
    return parse_events(topic, buffer.messages)


def _payload(key: bytes) -> dict[str, int]:
    found: dict[str, int] = json.loads(key)
    return found
