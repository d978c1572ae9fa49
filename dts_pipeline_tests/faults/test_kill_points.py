"""Runs killed again and again, at points drawn from a seed, while users write at both sites.

`own` has rows that only one site writes: how often each was written is known, so a change that was
lost or applied twice shows. `shared` has counters that both sites add to: a sum that was applied
twice shows. `fought` has keys that both sites write and delete: conflicts, which are settled.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pymysql
import pytest

from dts_pipeline.core.points import Point
from dts_pipeline.stages.carry import carry
from dts_pipeline.stages.pair import PairRuntime
from dts_pipeline.stages.settle import settle
from dts_pipeline_tests.faults.applied_once import assert_unbroken, marked_writes
from dts_pipeline_tests.faults.child_runs import ChildRun, Orders
from dts_pipeline_tests.faults.side_by_side import SideBySide
from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.sampling import IS_SAMPLE

pytestmark = [pytest.mark.servers, pytest.mark.timeout(7200)]

KILLS = 28 if IS_SAMPLE else 1_000
SEED = int(os.environ.get("SEED", "20261123"))
KEYS = 100  # a site in `own`, in all in the other tables
_TABLE = "CREATE TABLE {0} (id INT PRIMARY KEY, n BIGINT NOT NULL, v VARCHAR(40))"
_FORGIVEN = {1205, 1213, 1062}


@pytest.fixture(params=["stack_mariadb", pytest.param("stack_mysql", marks=pytest.mark.mysql)])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Rig:
    rig = Rig(request.getfixturevalue(request.param), "kills", tmp_path)
    rig.changes = {"batch": {"max_events": 100}}
    rig.conflicts = {"policy": {"site": "A"}, "tables": {f"{rig.name}.shared": {"delta": ["n"]}}}
    rig.create(*(_TABLE.format(name) for name in ("own", "shared", "fought")))
    for side, first in (("a", 0), ("b", 1000)):
        rows = ", ".join(f"({first + i}, 0, '-')" for i in range(KEYS))
        rig.sql(side, f"INSERT INTO own VALUES {rows}")
    rig.sql("a", "INSERT INTO shared VALUES " + ", ".join(f"({i}, 0, '-')" for i in range(KEYS)))
    rig.both("INSERT INTO fought VALUES (-1, 0, '-')")  # every topic is there from the start
    rig.sync()
    return rig


@dataclass(kw_only=True)
class Storm(SideBySide):
    """Users at both sites, and runs of both links that die."""

    rig: Rig
    directory: Path
    own: Counter[int] = field(default_factory=Counter)
    added: list[int] = field(default_factory=list)
    killed: Counter[Point] = field(default_factory=Counter)
    codes: Counter[int] = field(default_factory=Counter)

    def rage(self, kills: int) -> None:
        """Until so many runs were killed, half of them of each link."""
        users = [self.start(self._user, side) for side in "ab"]
        killers = [
            self.start(self._kill, link, kills // 2) for link in (self.rig.forth, self.rig.back)
        ]
        for thread in killers:
            thread.join()
        self.ended.set()
        for thread in users:
            thread.join(60)
        if self.failures:
            raise self.failures[0]

    def _user(self, side: str) -> None:
        chance = random.Random(f"{SEED}{side}")
        with self.rig.user(side) as connection, connection.cursor() as cursor:
            while not self.ended.is_set():
                connection.begin()
                try:
                    written, amount = self._write(cursor, chance, side)
                    self._fight(cursor, chance, side)
                except pymysql.MySQLError as error:
                    connection.rollback()
                    if error.args[0] not in _FORGIVEN:
                        raise
                    continue
                connection.commit()
                self.own.update(written)
                self.added.append(amount)
                time.sleep(0.1)  # the runs, most of which die, must keep up

    @staticmethod
    def _write(cursor: Any, chance: random.Random, side: str) -> tuple[list[int], int]:
        first = {"a": 0, "b": 1000}[side]
        written = chance.sample(range(first, first + KEYS), chance.choice((1, 3)))
        amount, counter = chance.randrange(1, 9), chance.randrange(KEYS)
        for key in written:
            cursor.execute("UPDATE own SET n = n + 1, v = %s WHERE id = %s", (side, key))
        cursor.execute("UPDATE shared SET n = n + %s WHERE id = %s", (amount, counter))
        return written, amount

    @staticmethod
    def _fight(cursor: Any, chance: random.Random, side: str) -> None:
        key = chance.randrange(KEYS)
        if chance.random() < 0.4:
            cursor.execute("DELETE FROM fought WHERE id = %s", (key,))
        else:
            text = f"{side}{chance.randrange(100)}"
            cursor.execute("REPLACE INTO fought VALUES (%s, 1, %s)", (key, text))

    def _kill(self, link: str, kills: int) -> None:
        chance = random.Random(f"{SEED}{link[-1]}")
        number = 0
        while kills and not self.ended.is_set():
            number += 1
            point = chance.choice(list(Point))
            folder = self.directory / f"{link}{number}"
            orders = Orders(link, folder, {point: signal.SIGKILL})
            run = ChildRun(self.rig, link, folder, orders.signals if chance.random() < 0.5 else {})
            if not any(folder.iterdir()):  # some batches later
                time.sleep(chance.random() * 0.3)
                orders.place()
            code = run.exit_code
            self.codes[code] += 1
            # The server that forks the runs can lose an exit code (255); the order tells for sure.
            struck = orders.faults.struck(link, point) is not None
            assert code in ((-signal.SIGKILL, 255) if struck else (0,))
            if struck:
                kills -= 1
                self.killed[point] += 1


def come_to_rest(rig: Rig) -> None:
    pair = PairRuntime(rig.runtime(rig.forth), rig.runtime(rig.back))
    try:
        for _ in range(10):
            rig.sync(300)
            rig.drain()
            settle(pair, carry=carry)
            if not (rig.records(rig.forth) or rig.records(rig.back)):
                return
    finally:
        pair.close()
    raise AssertionError("records stay open after ten settlements")


@pytest.mark.timeout(7200)
def test_nothing_is_lost_or_done_twice(rig: Rig, tmp_path: Path, summary: list[str]) -> None:
    before = {link: rig.checkpoint(link) for link in (rig.forth, rig.back)}
    storm = Storm(rig=rig, directory=tmp_path)
    began = time.monotonic()
    storm.rage(KILLS)
    seconds = time.monotonic() - began
    come_to_rest(rig)

    assert sum(storm.killed.values()) == KILLS
    assert IS_SAMPLE or storm.killed.keys() == set(Point)
    rig.assert_equal()
    for side in "ab":
        assert dict(rig.rows(side, "SELECT id, n FROM own WHERE n > 0")) == dict(storm.own)
        assert rig.rows(side, "SELECT SUM(n) FROM shared") == [(sum(storm.added),)]
        other = range(1000, 1000 + KEYS) if side == "a" else range(KEYS)
        assert {key for key, _ in marked_writes(rig, side, "own")} <= set(other)  # no loop
    for link, checkpoint in before.items():
        assert_unbroken(rig, link, checkpoint)
    points = ", ".join(f"{point} {storm.killed[point]}" for point in Point)
    batches = sum(rig.checkpoint(link).batch - c.batch for link, c in before.items())
    summary.append(
        f"{KILLS} runs killed ({points}) in {seconds:.0f} s, seed {SEED}: {len(storm.added)} "
        f"transactions, {batches} batches; lost 0, applied twice 0, loops 0, open conflicts 0"
    )
