"""Whole transactions on real servers: lost events, ones larger than a batch, none at all."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from dts_pipeline.commands import exits
from dts_pipeline_tests.integration.bad_bench import START_LATEST, Bench
from dts_pipeline_tests.integration.rig import Rig, wait_for
from dts_pipeline_tests.stacks import Stack

pytestmark = pytest.mark.servers

TABLE = "CREATE TABLE {0} (id INT PRIMARY KEY, name VARCHAR(1000)) CHARACTER SET utf8mb4"
PATIENCE = 5


class Copy:
    """A source's topics copied under another prefix, as a broker that lost messages has them.

    Data topics get two partitions. `lost` says which messages of a table are left out; they are
    kept in `left_out`.
    """

    def __init__(self, rig: Rig, prefix: str) -> None:
        self.rig, self.prefix = rig, prefix
        servers = {"bootstrap.servers": rig.stack.kafka}
        self.admin = AdminClient(servers)
        self.producer = Producer(servers)
        self.consumer = Consumer({**servers, "group.id": "copy", "enable.auto.commit": False})
        self.left_out: list[tuple[str, int, Message]] = []
        self.newest = 0

    def make(self, tables: list[str], lost: Callable[[str, dict[str, Any]], bool]) -> None:
        own = [f"{self.rig.name}.{table}" for table in tables]
        topics = [NewTopic(f"{self.prefix}.{name}", 2, 1) for name in own]
        topics.append(NewTopic(f"{self.prefix}.transaction", 1, 1))
        for future in self.admin.create_topics(topics).values():
            future.result()
        for name in [*own, "transaction"]:
            count = 1 if name == "transaction" else 2
            for message in self._messages(f"{self.rig.sites[0]}.{name}"):
                self.newest = max(self.newest, message.timestamp()[1])
                partition = zlib.crc32(message.key() or b"") % count
                value = json.loads(message.value()) if message.value() else {}
                if count == 2 and lost(name.split(".")[1], value):
                    self.left_out.append((f"{self.prefix}.{name}", partition, message))
                else:
                    self._send(f"{self.prefix}.{name}", partition, message)
        self.producer.flush(20)

    def find(self) -> None:
        """What was left out comes after all."""
        for topic, partition, message in self.left_out:
            self._send(topic, partition, message)
        self.producer.flush(20)

    def wait(self, seconds: float) -> None:
        """The connector goes on, so much later, with a transaction that no link carries."""
        self.newest += round(seconds * 1000)
        shown: list[Mapping[str, Any]] = [
            {"status": "BEGIN", "id": "later"},
            {"status": "END", "id": "later", "event_count": 0, "data_collections": []},
        ]
        for value in shown:
            topic = f"{self.prefix}.transaction"
            self.producer.produce(topic, json.dumps(value), timestamp=self.newest)
        self.producer.flush(20)

    def _messages(self, topic: str) -> list[Message]:
        low, high = self.consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=20)
        self.consumer.assign([TopicPartition(topic, 0, low)])
        found: list[Message] = []
        while not found or int(found[-1].offset() or 0) < high - 1:
            message = self.consumer.poll(20)
            assert message is not None
            assert message.error() is None
            found.append(message)
        return found

    def _send(self, topic: str, partition: int, message: Message) -> None:
        self.producer.produce(
            topic,
            message.value(),
            message.key(),
            partition,
            timestamp=message.timestamp()[1],
            headers=message.headers() or [],
        )


def lossy(rig: Rig, copy: Copy, directory: Path) -> Bench:
    """The same pair, its first site read from the copy."""
    changes = {
        "sites": {rig.sites[0]: {"topic_prefix": copy.prefix}},
        "pairs": {"pair": {"tables": [f"{rig.name}.*", f"!{rig.name}.zz_marker"]}},
        "batch": {"max_wait_seconds": PATIENCE},
        "connect": None,
    }
    found = Rig(rig.stack, rig.label, directory, changes=changes)
    found.__dict__["name"] = rig.name
    return Bench(found)


@pytest.mark.faults
def test_a_lost_event(stack_mariadb: Stack, tmp_path: Path) -> None:
    """Of a transaction over two tables and four partitions: seen, named, found, or given up."""
    rig = Rig(stack_mariadb, "lostev", tmp_path).create(TABLE.format("one"), TABLE.format("two"))
    many = ", ".join(f"({number}, 'secret')" for number in range(10, 30))
    rig.sql("a", "INSERT INTO one VALUES (1, 'before')")
    rig.sql("a", "BEGIN", *(f"INSERT INTO {t} VALUES {many}" for t in ("one", "two")), "COMMIT")
    rig.sql("a", "INSERT INTO one VALUES (2, 'behind')")
    rig.await_events("a")
    copy = Copy(rig, f"{rig.name}x")
    copy.make(["one", "two"], lambda table, value: table == "two" and value["after"]["id"] > 27)
    (tmp_path / "x").mkdir()
    bench = lossy(rig, copy, tmp_path / "x")

    assert bench.dts("sync", rig.forth).exit_code == exits.DONE
    assert rig.rows("b", "SELECT id FROM one") == [(1,)]
    status = bench.dts("status", "--json")
    assert status.exit_code == exits.DONE
    forth = json.loads(status.stdout)["links"][0]
    assert forth["consistency"] == "transactional"
    assert forth["waiting"]["missing"] == {f"{rig.name}.two": 2}

    copy.wait(PATIENCE + 5)
    where = bench.refused("transaction_incomplete")["where"]
    partition = "partition 0/1"
    assert where["missing"] == f"{rig.name}.two: 2 in {copy.prefix}.{rig.name}.two {partition}"
    assert where["topic"] == f"{copy.prefix}.transaction"
    text = bench.dts("status")
    assert text.exit_code == exits.FOUND
    assert f"{rig.forth} waits for transaction" in text.stdout
    assert "transaction_incomplete" in text.stdout + text.stderr
    assert "secret" not in text.stdout

    copy.find()
    assert bench.dts("sync", rig.forth).exit_code == exits.DONE
    for table, count in (("one", 22), ("two", 20)):
        assert rig.rows("b", f"SELECT COUNT(*) FROM {table}") == [(count,)]
    bench.remove_connectors()


@pytest.mark.faults
def test_an_event_that_is_lost_for_good(stack_mariadb: Stack, tmp_path: Path) -> None:
    """A new start behind it, then what differs is found and made equal, as the document says."""
    rig = Rig(stack_mariadb, "lostgd", tmp_path).create(TABLE.format("one"), TABLE.format("two"))
    rig.sql("a", "INSERT INTO one VALUES (1, 'x'), (2, 'x'), (3, 'x')")
    rig.await_events("a")
    copy = Copy(rig, f"{rig.name}x")
    copy.make(["one"], lambda _, value: bool(value["after"]) and value["after"]["id"] == 2)
    copy.wait(PATIENCE + 5)
    (tmp_path / "x").mkdir()
    error = lossy(rig, copy, tmp_path / "x").error("sync", rig.forth)
    assert error["code"] == "transaction_incomplete"
    bench = Bench(rig)
    bench.rig.sql("b", f"DELETE FROM dts.checkpoint WHERE link = '{rig.forth}'")
    assert bench.dts("sync", rig.forth, changes=START_LATEST).exit_code == exits.DONE
    assert bench.dts("sync", rig.back).exit_code == exits.DONE

    found = bench.dts("verify", rig.forth, "--carry", "--json")
    assert found.exit_code == exits.FOUND, found.output
    winner = ("--winner", rig.sites[0])
    done = bench.dts("repair", rig.forth, *winner, "--carry", "--execute", "--json")
    assert done.exit_code in (exits.DONE, exits.FOUND), done.output

    rig.sync()
    rig.assert_equal()
    assert rig.rows("b", "SELECT COUNT(*) FROM one") == [(3,)]
    bench.remove_connectors()


@pytest.mark.faults
@pytest.mark.parametrize(
    "stack_name",
    ["stack_mariadb", pytest.param("stack_mysql", marks=pytest.mark.mysql)],
)
def test_a_transaction_larger_than_a_batch(
    stack_name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Taken whole past both limits; past the memory's limit the link stops and says how large."""
    small = {"max_events": 100, "max_bytes": "64KiB", "max_transaction_bytes": "4MiB"}
    rig = Rig(request.getfixturevalue(stack_name), "large", tmp_path, changes={"batch": small})
    bench = Bench(rig.create(TABLE.format("one"), TABLE.format("two")))
    rows = ", ".join(f"({number}, REPEAT('s', 200))" for number in range(1_500))
    statements = [f"INSERT INTO {table} VALUES {rows}" for table in ("one", "two")]
    rig.sql("a", "INSERT INTO one VALUES (-1, 'before')", "BEGIN", *statements, "COMMIT")
    rig.sql("a", "INSERT INTO one VALUES (-2, 'behind')")
    rig.await_events("a")

    rig.run(rig.forth)
    batches = [
        json.loads(row[0])["events"]
        for row in rig.rows("b", f"SELECT counts FROM dts.batch WHERE link = '{rig.forth}'")
    ]
    assert max(batches) == 3_000
    assert rig.rows("b", "SELECT COUNT(*) FROM one") == [(1_502,)]

    rig.sql(
        "a",
        "BEGIN",
        *(f"UPDATE {table} SET name = REPEAT('t', 900)" for table in ("one", "two")),
        "COMMIT",
    )
    rig.await_events("a")
    where = bench.refused("transaction_too_large")["where"]
    assert int(where["events"]) == 3_002
    assert int(where["limit_bytes"]) == 4 * 2**20
    larger = {"batch": {"max_transaction_bytes": "64MiB"}}
    for link in (rig.forth, rig.back):  # what was written at b comes back as large
        assert bench.dts("sync", link, changes=larger).exit_code == exits.DONE
    rig.assert_equal()
    bench.remove_connectors()


def test_a_one_way_link_without_metadata_says_that_it_is_eventual(
    stack_mariadb: Stack, tmp_path: Path
) -> None:
    rig = Rig(stack_mariadb, "ev", tmp_path)
    one_way = {
        "source": rig.sites[0],
        "target": rig.sites[1],
        "tables": [f"{rig.name}.*"],
        "mark_domain_id": 4711,
        "detect": False,
    }
    rig.changes = {"pairs": None, "links": {rig.forth: one_way}}
    bench = Bench(rig.create(TABLE.format("one")))
    site = rig.sites[0]
    bench.stop_connector()
    topic = f"{site}.transaction"
    for future in bench.admin.delete_topics([topic]).values():
        future.result()
    wait_for(lambda: topic not in bench.admin.list_topics(timeout=10).topics, 20)
    rig.put_connector(site, "a", {"provide.transaction.metadata": "false"})
    bench.resume_connector()

    bench.carries("INSERT INTO one VALUES (1, 'x')", "SELECT id FROM one WHERE id = 1")

    summary = rig.run(rig.forth)
    assert summary.consistency == "eventual"
    found = json.loads(bench.dts("status", "--json").stdout)["links"][0]
    assert (found["consistency"], found["waiting"]) == ("eventual", None)
    assert "eventual" in bench.dts("status").stdout
    bench.remove_connectors()
