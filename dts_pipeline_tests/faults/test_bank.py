"""Money moves between accounts at both sites; whoever looks, at whatever moment, sees all of it.

Each transfer is a transaction over two tables, whose topics have three partitions. A batch that
held a part of one would show another total at the other site for a while, even if all came right
in the end.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from dts_pipeline.errors import TransientError
from dts_pipeline.stages.carry import carry
from dts_pipeline_tests.faults.side_by_side import SideBySide
from dts_pipeline_tests.integration.rig import Rig, wait_for
from dts_pipeline_tests.sampling import IS_SAMPLE

pytestmark = [pytest.mark.servers, pytest.mark.timeout(7200)]

TRANSFERS = 1_500 if IS_SAMPLE else 10_000  # a site
ACCOUNTS = 50  # a site and table
TOTAL = 2 * 2 * ACCOUNTS * 1_000
MOVES = 2 * 2 * TRANSFERS
TABLES = ("checking", "savings")
ACCOUNT = (
    "CREATE TABLE {0} (id INT PRIMARY KEY, site CHAR(1) NOT NULL, balance BIGINT NOT NULL, "
    "moves INT NOT NULL DEFAULT 0)"
)


@pytest.fixture(params=["stack_mariadb", pytest.param("stack_mysql", marks=pytest.mark.mysql)])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Rig:
    """Accounts 0 … of site a, 1000 … of site b, in both tables; small batches."""
    rig = Rig(request.getfixturevalue(request.param), "bank", tmp_path)
    rig.changes = {"batch": {"max_events": 300}}
    admin = AdminClient({"bootstrap.servers": rig.stack.kafka})
    topics = [NewTopic(f"{s}.{rig.name}.{t}", 3, 1) for s in rig.sites for t in TABLES]
    for future in admin.create_topics(topics).values():
        future.result()
    rig.create(*(ACCOUNT.format(table) for table in TABLES))
    for side, first in (("a", 0), ("b", 1000)):
        rows = ", ".join(f"({first + i}, '{side}', 1000, 0)" for i in range(ACCOUNTS))
        for table in TABLES:
            rig.sql(side, f"INSERT INTO {table} VALUES {rows}")
    rig.sync()
    return rig


@dataclass(kw_only=True)
class Bank(SideBySide):
    """Clerks at both sites, who move money between accounts of their own site; auditors at both."""

    rig: Rig
    totals: dict[str, list[int]] = field(default_factory=lambda: {"a": [], "b": []})
    moves: set[int] = field(default_factory=set)

    def run(self) -> None:
        """Until all transfers are done, and were carried; auditors look until then."""
        clerks = [self.start(self._clerk, side) for side in "ab"]
        others = [self.start(self._audit, side) for side in "ab"]
        others += [self.start(self._carry, link) for link in (self.rig.forth, self.rig.back)]
        for thread in clerks:
            thread.join()
        wait_for(lambda: self.ended.is_set() or self._is_carried(), 3000)
        self.ended.set()
        for thread in others:
            thread.join(60)
        if self.failures:
            raise self.failures[0]

    def _is_carried(self) -> bool:
        query = " UNION ALL ".join(f"SELECT SUM(moves) FROM {table}" for table in TABLES)
        time.sleep(1)
        return all(sum(n for (n,) in self.rig.rows(side, query)) == MOVES for side in "ab")

    def _clerk(self, side: str) -> None:
        chance = random.Random(side)
        first = {"a": 0, "b": 1000}[side]
        with self.rig.user(side) as connection, connection.cursor() as cursor:
            for _ in range(TRANSFERS):
                if self.ended.is_set():
                    return
                connection.begin()
                amount = chance.randrange(1, 90)
                for table, change in zip(chance.sample(TABLES, 2), (-amount, amount), strict=True):
                    account = first + chance.randrange(ACCOUNTS)
                    cursor.execute(
                        f"UPDATE {table} SET balance = balance + %s, moves = moves + 1 "
                        "WHERE id = %s",
                        (change, account),
                    )
                connection.commit()

    def _audit(self, side: str) -> None:
        """Looks at both sites' accounts as they are at this side, in one snapshot."""
        with self.rig.user(side) as connection, connection.cursor() as cursor:
            while not self.ended.is_set():
                cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
                found = []
                for table in TABLES:
                    cursor.execute(f"SELECT SUM(balance), SUM(moves) FROM {table}")
                    found.append(cursor.fetchone() or (0, 0))
                connection.rollback()
                self.totals[side].append(sum(int(balance) for balance, _ in found))
                self.moves.add(sum(int(count) for _, count in found))

    def _carry(self, link: str) -> None:
        runtime = self.rig.runtime(link)
        try:
            while not self.ended.is_set():
                try:
                    carry(runtime)
                except TransientError:
                    continue
        finally:
            runtime.close()


def test_the_total_is_the_same_in_every_snapshot(rig: Rig, summary: list[str]) -> None:
    bank = Bank(rig=rig)
    bank.run()
    rig.sync()
    rig.assert_equal()
    wrong = {side: [t for t in found if t != TOTAL] for side, found in bank.totals.items()}
    assert wrong == {"a": [], "b": []}
    # Each side saw money move in many steps, or the above would say nothing.
    assert min(map(len, bank.totals.values())) > 50
    assert len(bank.moves) > 50
    batches = sum(rig.checkpoint(link).batch for link in (rig.forth, rig.back))
    summary.append(
        f"bank, {rig.stack.flavour}: {2 * TRANSFERS} transfers, {batches} batches, "
        f"{sum(map(len, bank.totals.values()))} snapshots, each with the whole total"
    )
