"""A small batch with every kind of change in two tables, and what must be seen of it afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from dts_pipeline_tests.faults.applied_once import (
    Writes,
    assert_at_the_ends,
    marked_writes,
)
from dts_pipeline_tests.integration.rig import Rig

TABLES = (
    "CREATE TABLE item (id INT PRIMARY KEY, v VARCHAR(50), n INT) CHARACTER SET utf8mb4",
    "CREATE TABLE mail (id INT PRIMARY KEY, address VARCHAR(50), UNIQUE KEY one (address)) "
    "CHARACTER SET utf8mb4",
)


@dataclass(frozen=True)
class SmallBatch:
    """Rows of their own that side `a` or `b` writes; batches of a rig differ by their number."""

    number: int
    side: str

    @property
    def first(self) -> int:
        return self.number * 10

    @property
    def target(self) -> str:
        return "b" if self.side == "a" else "a"

    def seed(self, rig: Rig) -> None:
        """The rows that the batch changes and deletes."""
        n = self.first
        rig.sql(self.side, f"INSERT INTO item VALUES ({n},'old',1),({n + 1},'old',1)")

    def write(self, rig: Rig) -> None:
        """What a run has to carry; returns when it is in Kafka."""
        n = self.first
        rig.sql(
            self.side,
            f"UPDATE item SET v = 'new', n = n + 1 WHERE id = {n}",
            f"DELETE FROM item WHERE id = {n + 1}",
            f"INSERT INTO item VALUES ({n + 2},'fresh',1)",
            f"INSERT INTO mail VALUES ({n},'{n}@example'),({n + 1},'{n + 1}@example')",
        )
        rig.await_events(self.side)

    def assert_written_once(self, rig: Rig) -> None:
        """The target's binlog holds the seed and each change once, under our mark."""
        n = self.first
        rig.await_events(self.target)
        item = [(n, "c"), (n, "u"), (n + 1, "c"), (n + 1, "d"), (n + 2, "c")]
        assert self._own(marked_writes(rig, self.target, "item")) == Counter(item)
        mail = [(n, "c"), (n + 1, "c")]
        assert self._own(marked_writes(rig, self.target, "mail")) == Counter(mail)

    def assert_arrived(self, rig: Rig) -> None:
        """Both tables equal, everything read, written once, and nothing found there already."""
        link = rig.forth if self.side == "a" else rig.back
        self.assert_written_once(rig)
        sides = [rig.checksums(side) for side in "ab"]
        for table in ("item", "mail"):
            name = f"{rig.name}.{table}"
            assert sides[0][name] == sides[1][name]
        assert_at_the_ends(rig, link)
        assert rig.records(link) == []

    def _own(self, writes: Writes) -> Writes:
        return Counter({k: n for k, n in writes.items() if k[0] // 10 == self.number})


def warm_up(rig: Rig, batches: Collection[SmallBatch]) -> Rig:
    """The rig, created: every topic there, the rows on both sides, both links at rest."""
    rig.create(*TABLES)
    for batch in batches:
        batch.seed(rig)
    for side, number in ("a", 1), ("b", 2):
        rig.sql(side, f"INSERT INTO item VALUES ({number},'{side}',0)")
        rig.sql(side, f"INSERT INTO mail VALUES ({number},'{side}@example')")
    rig.sync()
    rig.drain()
    return rig
