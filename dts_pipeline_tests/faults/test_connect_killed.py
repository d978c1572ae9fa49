"""Kafka Connect dies between transactions, and in the middle of one large one.

What was sent twice is not applied twice; the large one arrives whole, once, and as it is.

The connector then sends rows again, from the middle, under a second BEGIN; the transaction changes
every row twice, so rows of the first half that were taken for new would bring back old values.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from dts_pipeline.adapters.kafka_admin import KafkaAdmin
from dts_pipeline.adapters.kafka_reader import KafkaReader
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.core.transaction_messages import TransactionMessage, parse_transaction_messages
from dts_pipeline.stages.carry import carry
from dts_pipeline_tests.faults.load import assert_kept
from dts_pipeline_tests.faults.servers import Server
from dts_pipeline_tests.integration.rig import Rig, wait_for
from dts_pipeline_tests.sampling import IS_SAMPLE

pytestmark = pytest.mark.servers

ROWS = 30_000 if IS_SAMPLE else 150_000
EVENTS = 2 * ROWS
"""Each row is inserted and changed in the one transaction."""
SMALL = 40
"""Transactions that have ended when Connect is killed."""
_TRIES = 5
_DIGITS = "(SELECT 0 d" + "".join(f" UNION ALL SELECT {n}" for n in range(1, 10)) + ")"
_NUMBERS = "a.d + 10 * b.d + 100 * c.d + 1000 * e.d + 10000 * f.d + 100000 * g.d"
_FILL = (
    f"INSERT INTO bulk SELECT n, 1, REPEAT('x', 30) FROM (SELECT {_NUMBERS} AS n FROM "
    + ", ".join(f"{_DIGITS} {name}" for name in "abcefg")
    + f") numbers WHERE n < {ROWS}"
)


@dataclass(frozen=True)
class Wire:
    """What site a's connector has sent to Kafka."""

    rig: Rig

    @property
    def admin(self) -> KafkaAdmin:
        return KafkaAdmin({"bootstrap.servers": self.rig.stack.kafka})

    @property
    def rows(self) -> int:
        """The next offset of the bulk table's topic."""
        topic = TopicPartition(f"{self.rig.sites[0]}.{self.rig.name}.bulk", 0)
        return self.admin.offsets([topic])[topic][1]

    def transactions(self, since: int = 0) -> list[TransactionMessage]:
        """The BEGINs and ENDs from an offset on."""
        topic = TopicPartition(f"{self.rig.sites[0]}.transaction", 0)
        high = self.admin.offsets([topic])[topic][1]
        reader = KafkaReader({"bootstrap.servers": self.rig.stack.kafka})
        buffer = reader.read_to_end({topic: since}, {topic: high}, 1_000_000)[topic]
        reader.close()
        return parse_transaction_messages(topic, buffer.messages)

    def transaction_end(self) -> int:
        """The next offset of the transaction topic."""
        topic = TopicPartition(f"{self.rig.sites[0]}.transaction", 0)
        return self.admin.offsets([topic])[topic][1]


def has_ended(messages: list[TransactionMessage]) -> bool:
    """Whether nothing is under way."""
    return bool(messages) and messages[-1].is_end


def begun_twice(messages: list[TransactionMessage]) -> bool:
    """Whether a transaction was begun, not ended, and begun again."""
    open_ids: set[str] = set()
    for message in messages:
        if message.is_end:
            open_ids.discard(message.id)
        elif message.id in open_ids:
            return True
        else:
            open_ids.add(message.id)
    return False


def write_and_kill(rig: Rig, wire: Wire, meanwhile: Callable[[], None] = lambda: None) -> bool:
    """The transaction, and Connect killed while it sends; whether that was in the middle.

    `meanwhile` is called while Connect is away.
    """
    since, first = wire.transaction_end(), wire.rows
    with rig.user("a") as connection, connection.cursor() as cursor:
        connection.begin()
        cursor.execute("DELETE FROM bulk WHERE id >= 0")
        cursor.execute(_FILL)
        cursor.execute("UPDATE bulk SET n = 2, v = REVERSE(v) WHERE id >= 0")
        connection.commit()
    wait_for(lambda: wire.rows - first > EVENTS * 0.4, 300)
    with Server(rig.stack, "connect").away():
        assert_nothing_of_it_is_applied(rig)
        meanwhile()
    wait_for(lambda: wire.rows - first >= EVENTS and has_ended(wire.transactions(since)), 300)
    return begun_twice(wire.transactions(since))


def assert_nothing_of_it_is_applied(rig: Rig) -> None:
    """What is there of the transaction waits for the rest."""
    before = rig.checksums("b")[f"{rig.name}.bulk"]
    runtime = replace(rig.runtime(rig.forth), connect_url=None)
    try:
        carry(runtime)
    finally:
        runtime.close()
    assert rig.checksums("b")[f"{rig.name}.bulk"] == before


@pytest.mark.timeout(1800)
def test_a_transaction_that_is_sent_again_from_its_middle(shaken: Rig, summary: list[str]) -> None:
    since = {link: shaken.checkpoint(link) for link in (shaken.forth, shaken.back)}
    wire, counts = Wire(shaken), Counter[str]()
    began = time.monotonic()
    for _ in range(_TRIES):
        middle = write_and_kill(shaken, wire)
        counts.update(shaken.run(shaken.forth).counts)
        if middle and counts["duplicates"]:
            break
    assert middle
    assert counts["duplicates"] > 0
    assert shaken.rows("b", "SELECT COUNT(*), MIN(n), MAX(n) FROM bulk WHERE id >= 0") == [
        (ROWS, 2, 2)
    ]
    shaken.sync(300)
    assert_kept(shaken, since)
    summary.append(
        f"Connect killed in a transaction of {EVENTS} row events: "
        f"{counts['duplicates']} sent twice, none applied twice; {time.monotonic() - began:.0f} s"
    )


def write_and_kill_behind(rig: Rig, wire: Wire) -> bool:
    """Small transactions, and Connect killed when it has sent all; whether none was under way."""
    since = wire.transaction_end()
    with rig.user("a") as connection, connection.cursor() as cursor:
        for _ in range(SMALL):
            cursor.execute("UPDATE bulk SET n = n + 1 WHERE id < 0")

    def ended() -> int:
        return sum(message.is_end for message in wire.transactions(since))

    wait_for(lambda: ended() >= SMALL, 60)
    with Server(rig.stack, "connect").away():
        runtime = replace(rig.runtime(rig.forth), connect_url=None)
        try:
            carry(runtime)
        finally:
            runtime.close()
    rig.await_events("a")
    return not begun_twice(wire.transactions(since))


@pytest.mark.timeout(900)
def test_whole_transactions_that_are_sent_again(shaken: Rig, summary: list[str]) -> None:
    """They were applied while Connect was away, so that the copies come behind the checkpoint."""
    since = {link: shaken.checkpoint(link) for link in (shaken.forth, shaken.back)}
    wire, counts, written = Wire(shaken), Counter[str](), 0
    ((before,),) = shaken.rows("a", "SELECT MAX(n) FROM bulk WHERE id < 0")
    for _ in range(_TRIES):
        between = write_and_kill_behind(shaken, wire)
        written += SMALL
        counts.update(shaken.run(shaken.forth).counts)
        if between and counts["duplicates"]:
            break
    assert between
    assert counts["duplicates"] > 0
    shaken.sync(300)
    for side in "ab":
        assert shaken.rows(side, "SELECT MAX(n) FROM bulk WHERE id < 0") == [(before + written,)]
    assert_kept(shaken, since)
    summary.append(
        f"Connect killed between transactions, {shaken.stack.flavour}: {counts['duplicates']} "
        "events sent twice, none applied twice"
    )
