"""Bad input in Kafka and Connect: each refused by its code, and mended as the remedy says."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import NewPartitions, NewTopic  # type: ignore[attr-defined]

from dts_pipeline_tests.integration.bad_bench import PLANTED, Bench
from dts_pipeline_tests.integration.rig import Rig, wait_for
from dts_pipeline_tests.stacks import Stack

pytestmark = pytest.mark.servers

TABLES = ("item", "packed", "cut", "anew", "more", "broken", "odd", "bare")
DDL = "CREATE TABLE {0} (id INT PRIMARY KEY, name VARCHAR(100)) CHARACTER SET utf8mb4"


@pytest.fixture(scope="module")
def bench(stack_mariadb: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One pair for the module; each test breaks a topic of its own, and mends it."""
    rig = Rig(stack_mariadb, "badtop", tmp_path_factory.mktemp("bad"))
    made = Bench(rig.create(*(DDL.format(name) for name in TABLES)))
    made.rig.sql("a", *(f"INSERT INTO {name} VALUES (1, '{PLANTED}')" for name in TABLES))
    made.goes_on()
    made.foreseen()
    yield made
    made.remove_connectors()


def write_at_both(bench: Bench, table: str, key: int) -> None:
    """The same row at both sides: what an operator does before a new start."""
    bench.rig.both(f"REPLACE INTO {table} VALUES ({key}, '{PLANTED}')")
    bench.rig.await_events("a")
    bench.rig.await_events("b")


def test_a_compacted_topic(bench: Bench) -> None:
    topic = bench.topic("packed")
    bench.topic_setting(topic, "cleanup.policy", "compact")
    try:
        assert bench.refused("topic_compacted")["where"]["topic"] == topic
        assert bench.foreseen("topic_compacted")["where"]["topic"] == topic
    finally:
        bench.topic_setting(topic, "cleanup.policy", "delete")
    bench.foreseen()
    bench.carries(
        f"INSERT INTO packed VALUES (2, '{PLANTED}')", "SELECT id FROM packed WHERE id = 2"
    )


def test_offsets_that_kafka_has_removed(bench: Bench) -> None:
    topic = bench.topic("cut")
    write_at_both(bench, "cut", 2)
    _, high = bench.offsets(topic)
    done = bench.admin.delete_records([TopicPartition(topic, 0, high)])
    assert [future.result().low_watermark for future in done.values()] == [high]

    error = bench.refused("offsets_lost")

    assert error["where"]["topic"] == topic
    assert int(error["where"]["next"]) < int(error["where"]["low"]) == high
    bench.foreseen("offsets_lost")
    bench.new_start(bench.rig.forth)
    bench.carries(f"INSERT INTO cut VALUES (3, '{PLANTED}')", "SELECT id FROM cut WHERE id = 3")


def test_a_topic_that_was_deleted_and_then_made_anew(bench: Bench) -> None:
    topic = bench.topic("anew")
    for future in bench.admin.delete_topics([topic]).values():
        future.result()
    wait_for(lambda: topic not in bench.admin.list_topics(timeout=10).topics, 20)
    assert bench.refused("topic_missing")["where"]["topic"] == topic
    bench.foreseen("topic_missing")

    for future in bench.admin.create_topics([NewTopic(topic, 1, 1)]).values():
        future.result()
    wait_for(lambda: topic in bench.admin.list_topics(timeout=10).topics, 20)
    assert bench.refused("topic_recreated")["where"]["topic"] == topic
    bench.foreseen("topic_recreated")

    bench.new_start(bench.rig.forth)
    bench.carries(f"INSERT INTO anew VALUES (5, '{PLANTED}')", "SELECT id FROM anew WHERE id = 5")


def test_partitions_that_were_added(bench: Bench) -> None:
    topic = bench.topic("more")
    for future in bench.admin.create_partitions([NewPartitions(topic, 2)]).values():
        future.result()
    described = bench.admin.list_topics
    wait_for(lambda: len(described(timeout=10).topics[topic].partitions) == 2, 20)

    assert bench.refused("partitions_added")["where"]["topic"] == topic

    bench.foreseen("partitions_added")
    bench.new_start(bench.rig.forth)
    rows = ", ".join(f"({key}, '{PLANTED}')" for key in range(10, 40))
    bench.rig.sql("a", f"INSERT INTO more VALUES {rows}")
    bench.goes_on()


def test_a_message_that_is_not_json(bench: Bench) -> None:
    topic = bench.topic("broken")
    offset = bench.produce(topic, f'{{"op": "c", "after": {{"name": "{PLANTED}'.encode())
    write_at_both(bench, "broken", 2)

    error = bench.refused("malformed_event")

    assert error["where"] == {"topic": topic, "partition": "0", "offset": str(offset)}
    bench.new_start(bench.rig.forth)
    bench.carries(
        f"INSERT INTO broken VALUES (3, '{PLANTED}')", "SELECT id FROM broken WHERE id = 3"
    )


def test_an_op_that_nobody_knows(bench: Bench) -> None:
    topic = bench.topic("odd")
    offset = bench.produce(topic, last_value(bench, topic).replace(b'"op":"c"', b'"op":"m"'))
    write_at_both(bench, "odd", 2)

    error = bench.refused("unknown_op")

    assert error["where"] == {"topic": topic, "partition": "0", "offset": str(offset)}
    bench.new_start(bench.rig.forth)
    bench.carries(f"INSERT INTO odd VALUES (3, '{PLANTED}')", "SELECT id FROM odd WHERE id = 3")


def last_value(bench: Bench, topic: str) -> bytes:
    value = bench.last_message(topic)
    assert b'"op":"c"' in value
    return value


def test_a_source_whose_topics_were_never_made(bench: Bench) -> None:
    """Its connector was never registered, or `topic_prefix` is not the connector's."""
    changes = {"sites": {bench.rig.sites[0]: {"topic_prefix": f"{bench.rig.name}x"}}}
    error = bench.refused("connector_missing", changes=changes)
    assert "dts connectors --register" in error["remedy"]
    bench.foreseen("connector_missing", "topic_missing", changes=changes)
    error = bench.refused("topic_missing", changes={**changes, "connect": None})
    assert error["where"]["topic"] == f"{bench.rig.name}x.transaction"


def test_a_source_without_transaction_metadata(bench: Bench) -> None:
    bench.stop_connector()
    bench.rig.sql("a", f"INSERT INTO bare VALUES (2, '{PLANTED}')")
    changes = {"provide.transaction.metadata": "false"}
    bench.rig.put_connector(bench.rig.sites[0], "a", changes)
    bench.resume_connector()
    bench.rig.await_events("a", ended=False)

    error = bench.refused("transaction_metadata_missing")

    assert "provide.transaction.metadata=true" in error["remedy"]
    bench.foreseen("transaction_metadata_missing")
    bench.revive()
    bench.rig.sql("b", f"INSERT INTO bare VALUES (2, '{PLANTED}')")
    bench.rig.sql("a", f"REPLACE INTO item VALUES (3, '{PLANTED}')")
    bench.rig.sql("b", f"REPLACE INTO item VALUES (3, '{PLANTED}')")
    for side in "ab":
        bench.rig.await_events(side)
    bench.new_start(bench.rig.forth)
    bench.goes_on()


@pytest.mark.parametrize(
    ("setting", "value", "code"),
    [
        ("decimal.handling.mode", "double", "lossy_mode"),
        ("value.converter.replace.null.with.default", "true", "null_replaced"),
        ("skipped.operations", "d", "operations_skipped"),
    ],
)
def test_a_connector_that_alters_or_drops_changes(
    bench: Bench, setting: str, value: str, code: str
) -> None:
    bench.rig.put_connector(bench.rig.sites[0], "a", {setting: value})
    bench.await_connector("RUNNING", "RUNNING")
    try:
        error = bench.refused(code)
        assert setting in error["message"]
        assert bench.foreseen(code)["fit"] == "lossy"
    finally:
        bench.revive()
    bench.goes_on()


@pytest.mark.parametrize(("word", "states"), [("pause", ["PAUSED"] * 2), ("stop", ["STOPPED"])])
def test_a_connector_that_was_stopped(bench: Bench, word: str, states: list[str]) -> None:
    httpx.put(f"{bench.connector_url()}/{word}", timeout=30).raise_for_status()
    bench.await_connector(*states)
    try:
        error = bench.refused("connector_stopped")
        assert error["where"]["connector"] == f"dts-{bench.rig.sites[0]}"
        bench.foreseen("connector_stopped")
    finally:
        bench.resume_connector()
    bench.carries(
        f"INSERT INTO item VALUES ({100 + len(word)}, '{PLANTED}')",
        f"SELECT id FROM item WHERE id = {100 + len(word)}",
    )


def test_a_connector_that_failed(bench: Bench) -> None:
    """Its producer cannot be made, and the task gives up."""
    site = bench.rig.sites[0]
    bench.stop_connector()
    bench.rig.sql("a", f"INSERT INTO item VALUES (5, '{PLANTED}')")
    bench.rig.put_connector(site, "a", {"producer.override.compression.type": "odd"})
    httpx.put(f"{bench.connector_url()}/resume", timeout=30).raise_for_status()
    bench.await_connector("RUNNING", "FAILED")

    error = bench.refused("connector_failed")

    assert error["where"]["connector"] == f"dts-{site}"
    assert bench.foreseen("connector_failed")["where"]["connector"] == f"dts-{site}"
    bench.revive()
    bench.goes_on()


def test_a_connector_that_was_removed(bench: Bench) -> None:
    httpx.delete(bench.connector_url()).raise_for_status()
    bench.await_connector()

    bench.refused("connector_missing")

    bench.foreseen("connector_missing")
    bench.rig.sql("a", f"REPLACE INTO item VALUES (6, '{PLANTED}')")
    bench.revive()
    bench.goes_on()
