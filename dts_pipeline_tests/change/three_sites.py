"""Rigs of three sites, a hub and a full mesh; and users who write at all three."""

from __future__ import annotations

import contextlib
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import pymysql

from dts_pipeline.adapters.kafka_admin import KafkaAdmin
from dts_pipeline.adapters.kafka_reader import KafkaReader
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.stages.carry import carry
from dts_pipeline.stages.pair import PairRuntime
from dts_pipeline.stages.settle import settle
from dts_pipeline_tests.integration.rig import Rig, _merged

PAIRS = ("left", "right")
KEYS = 12
_REFUSED = (1062, 1205, 1213, 1451, 1452)
"""What a user may meet among other users: a key or unique value that is there, a lock."""


@dataclass
class Hub(Rig):
    """Pairs `left` (a, b) and `right` (b, c) over the same tables."""

    SIDES: ClassVar[str] = "abc"

    def document(self) -> dict[str, Any]:
        made = super().document()
        left = made["pairs"].pop("pair")
        right = {**left, "sites": list(self.sites[1:]), "mark_domain_id": 4712}
        right["conflicts"] = {**left["conflicts"], "policy": {"site": self.sites[1]}}
        made["pairs"] = {"left": left, "right": right}
        return _merged(made, self.changes)

    @property
    def ways(self) -> tuple[str, ...]:
        return tuple(self.links)

    def pair(self, name: str) -> PairRuntime:
        """What a pair is settled with; its `close` ends it."""
        beside = self.links[_forth(self, name)].mesh_pairs
        return replace(self._pair(name), beside=tuple(map(self._pair, beside)))

    def _pair(self, name: str) -> PairRuntime:
        forth = _forth(self, name)
        return PairRuntime(self.runtime(forth), self.runtime(self.links[forth].reverse))

    def settle(self) -> None:
        """Settles all pairs, one after the other."""
        for name in self.config.pairs:
            made = self.pair(name)
            try:
                settle(made, carry=carry)
            finally:
                made.close()

    def come_to_rest(self, rounds: int = 8) -> None:
        """Everything written is carried, and no record is open any more."""
        self.sync(300)
        for _ in range(rounds):
            self.settle()
            self.sync(300)
            if not any(self.records(link) for link in self.links):
                return
        raise AssertionError({link: self.records(link) for link in self.links})

    def events(self, side: str, table: str) -> Counter[bytes]:
        """How many events of each key a side's connector has sent of a table."""
        topic = TopicPartition(f"{self.site(side)}.{self.name}.{table}", 0)
        admin = KafkaAdmin({"bootstrap.servers": self.stack.kafka})
        reader = KafkaReader({"bootstrap.servers": self.stack.kafka})
        low, high = admin.offsets([topic])[topic]
        messages = reader.read_to_end({topic: low}, {topic: high}, 10_000_000)[topic].messages
        reader.close()
        return Counter(json.dumps(json.loads(m.key)).encode() for m in messages if m.value)


def _forth(rig: Hub, pair: str) -> str:
    first, second = rig.config.pairs[pair].sites
    return f"{first}_to_{second}"


@dataclass
class Mesh(Hub):
    """Pairs `ab`, `ac` and `bc`; `a` is before `b`, and `b` before `c`."""

    def document(self) -> dict[str, Any]:
        made = Rig.document(self)
        pair = made["pairs"].pop("pair")
        for number, (one, two) in enumerate((("a", "b"), ("a", "c"), ("b", "c"))):
            sites = [self.site(one), self.site(two)]
            conflicts = {**pair["conflicts"], "policy": {"site": sites[0]}}
            made["pairs"][one + two] = {
                **pair,
                "mesh": "trio",
                "sites": sites,
                "mark_domain_id": 4711 + number,
                "conflicts": conflicts,
            }
        return _merged(made, self.changes)


@dataclass
class User:
    """Writes at one side: own rows, and rows that all sides fight for."""

    rig: Hub
    side: str
    seed: int
    added: Counter[int] = field(default_factory=Counter)
    own: int = 0
    writes: int = 0
    failure: Exception | None = None
    end: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Until it is told to end."""
        chance = random.Random(self.seed)
        try:
            with self.rig.user(self.side) as connection, connection.cursor() as cursor:
                while not self.end.wait(0.01):
                    with contextlib.suppress(pymysql.err.DataError):
                        self._write(cursor, chance)
        except Exception as error:
            self.failure = error

    def _write(self, cursor: pymysql.cursors.Cursor, chance: random.Random) -> None:
        key, other = chance.randrange(KEYS), chance.randrange(KEYS)
        text = f"{self.side}{self.writes}"
        statement, values = chance.choice(
            [
                ("INSERT INTO fought VALUES (%s, %s)", (key, text)),
                ("UPDATE fought SET v = %s WHERE id = %s", (text, key)),
                ("DELETE FROM fought WHERE id = %s", (key,)),
                ("UPDATE fought SET id = %s WHERE id = %s", (key, other)),
                ("UPDATE counted SET n = n + %s WHERE id = %s", (chance.randint(-9, 9), key)),
                ("INSERT INTO own VALUES (%s, %s)", (self.side, self.own)),
                ("INSERT INTO parent VALUES (%s, %s)", (key, text)),
                ("DELETE FROM parent WHERE id = %s", (key,)),
                ("INSERT INTO child VALUES (%s, %s)", (other, key)),
                ("UPDATE child SET parent = %s WHERE id = %s", (key, other)),
            ]
        )
        try:
            done = cursor.execute(statement, values)
        except pymysql.MySQLError as error:
            if error.args[0] not in _REFUSED:
                raise
            return
        self.writes += done
        if " own " in statement:
            self.own += 1
        elif " counted " in statement and done:
            self.added[key] += values[0]  # type: ignore[operator]


@contextlib.contextmanager
def users(rig: Hub, seed: int) -> Iterator[list[User]]:
    """One user a side for the time of the block; each must have written, and never failed."""
    made = [User(rig, side, seed + number) for number, side in enumerate(rig.SIDES)]
    threads = [threading.Thread(target=user.run) for user in made]
    for thread in threads:
        thread.start()
    try:
        yield made
    finally:
        for user in made:
            user.end.set()
        for thread in threads:
            thread.join(60)
    assert [user.failure for user in made] == [None] * len(made)
    assert all(user.writes > 20 and user.own for user in made)


def all_write(rig: Hub, seconds: float, seed: int, *, settles: bool) -> str:
    """Users at all sites for so long while the links run, and what must be so then; as a line.

    `settles`: settlement runs meanwhile, too; it takes long while users write the same keys.
    """
    rig.sql("b", *(f"INSERT INTO counted VALUES ({key}, 0)" for key in range(KEYS)))
    rig.sync()
    began = time.monotonic()
    with users(rig, seed) as made:
        while time.monotonic() < began + seconds:
            for way in rig.ways:
                rig.run(way)
            if settles:
                rig.settle()
    wrote = time.monotonic() - began
    rig.come_to_rest()
    rig.assert_equal()
    total = {key: sum(user.added[key] for user in made) for key in range(KEYS)}
    for side in rig.SIDES:
        assert dict(rig.rows(side, "SELECT id, n FROM counted")) == total
        times = rig.events(side, "own")
        assert len(times) == sum(user.own for user in made)
        assert set(times.values()) == {1}  # a user's insert at its own site, else one of ours
        findings = ", ".join(f"'{link}'" for link in rig.links)
        assert not rig.rows(side, f"SELECT * FROM dts.loop_finding WHERE link IN ({findings})")
    return (
        f"({rig.stack.flavour}, {rig.stack.mark}): {sum(user.writes for user in made):,} writes by "
        f"users in {wrote:.0f} s, all equal and settled after {time.monotonic() - began:.0f} s"
    )
