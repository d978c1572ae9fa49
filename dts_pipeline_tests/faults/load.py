"""Users who write at both sites while links carry, and what must be so afterwards.

`own` has rows that only one site writes, `trail` one row a transaction that says how many rows of
`own` it changed. So a change that was lost, applied twice or without the rest of its transaction
shows at either site by itself, also where nobody can tell whether a COMMIT came through.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import pymysql

from dts_pipeline.core.batches import Checkpoint
from dts_pipeline.errors import TransientError
from dts_pipeline_tests.faults.applied_once import (
    assert_at_the_ends,
    assert_unbroken,
    marked_writes,
)
from dts_pipeline_tests.faults.side_by_side import SideBySide
from dts_pipeline_tests.integration.rig import Rig, wait_for

KEYS = 100  # a site
FIRST = {"a": 0, "b": 1000}
_AWAY = {1053, 2003, 2006, 2013}
TABLES = (
    "CREATE TABLE own (id INT PRIMARY KEY, n BIGINT NOT NULL, v VARCHAR(200)) "
    "CHARACTER SET utf8mb4",
    "CREATE TABLE trail (id BIGINT PRIMARY KEY, side CHAR(1) NOT NULL, touched INT NOT NULL) "
    "CHARACTER SET utf8mb4",
    "CREATE TABLE bulk (id INT PRIMARY KEY, n INT NOT NULL, v VARCHAR(50)) CHARACTER SET utf8mb4",
)


def loaded(rig: Rig) -> Rig:
    """The rig, created: every topic there, both links at rest."""
    rig.create(*TABLES)
    for side, first in FIRST.items():
        rows = ", ".join(f"({first + i}, 0, '-')" for i in range(KEYS))
        rig.sql(side, f"INSERT INTO own VALUES {rows}", f"INSERT INTO trail VALUES {trail(side)}")
        rig.sql(side, f"INSERT INTO bulk VALUES ({-1 - first}, 0, '-')")  # every topic is there
    rig.sync()
    rig.drain()
    return rig


def trail(side: str, number: int = 0, touched: int = 0) -> str:
    """A row of `trail`."""
    return f"({number * 2 + 'ab'.index(side)}, '{side}', {touched})"


@dataclass(kw_only=True)
class Load(SideBySide):
    """Users at both sites and both links, until the block ends.

    `committed` are the transactions that a site has confirmed, `codes` the errors of runs that the
    next run got over; any other error of a run ends the load and is raised.
    """

    rig: Rig
    seed: int = 0
    committed: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Users and links for the time of the block; then both are at rest and are compared."""
        since = {link: self.rig.checkpoint(link) for link in self._links}
        numbers = {side: self._last(side) for side in FIRST}
        threads = [self.start(self._user, side, numbers[side]) for side in FIRST]
        threads += [self.start(self._carry, link) for link in self._links]
        try:
            yield
            self.await_progress()
        finally:
            self.ended.set()
            for thread in threads:
                thread.join(90)
        if self.failures:
            raise self.failures[0]
        self.rig.sync(180)
        for side in FIRST:
            assert self._last(side) - numbers[side] >= self.committed[side] > 0
        assert_kept(self.rig, since)

    def await_progress(self, seconds: float = 120) -> None:
        """Waits until each link has carried what its source wrote after this call."""
        for here, there in ("ab", "ba"):
            goal = self._last(here) + 1
            query = f"SELECT 1 FROM trail WHERE id >= {goal * 2} AND side = '{here}' LIMIT 1"
            wait_for(lambda q=query, s=there: bool(self.failures or self.rig.rows(s, q)), seconds)  # type: ignore[misc]

    @property
    def _links(self) -> tuple[str, str]:
        return self.rig.forth, self.rig.back

    def _last(self, side: str) -> int:
        query = f"SELECT COALESCE(MAX(id), 0) DIV 2 FROM trail WHERE side = '{side}'"
        return int(self.rig.rows(side, query)[0][0])

    def _user(self, side: str, last: int) -> None:
        """Writes, also after its connection was lost; a number is never given to two writes."""
        chance = random.Random(f"{self.seed}{side}")
        while not self.ended.is_set():
            try:
                connection = self.rig.user(side)
            except pymysql.OperationalError as error:
                if error.args[0] not in _AWAY:
                    raise
                time.sleep(0.1)
                continue
            with suppress(pymysql.OperationalError), connection:
                while not self.ended.is_set():
                    last += 1
                    self._write(connection, chance, side, last)
                    self.committed[side] += 1
                    time.sleep(0.1)  # two links and four servers share the machine

    @staticmethod
    def _write(
        connection: pymysql.Connection, chance: random.Random, side: str, number: int
    ) -> None:
        keys = chance.sample(range(FIRST[side], FIRST[side] + KEYS), chance.choice((1, 3, 20)))
        connection.begin()
        with connection.cursor() as cursor:
            for key in keys:
                text = f"{side}{number} " + "x" * chance.randrange(150)
                cursor.execute("UPDATE own SET n = n + 1, v = %s WHERE id = %s", (text, key))
            cursor.execute(f"INSERT INTO trail VALUES {trail(side, number, len(keys))}")
        connection.commit()

    def _carry(self, link: str) -> None:
        while not self.ended.is_set():
            try:
                self.counts.update(self.rig.run(link).counts)
            except TransientError as error:
                self.codes[error.code] += 1


def assert_kept(rig: Rig, since: dict[str, Checkpoint]) -> None:
    """Both sites equal, nothing lost, applied twice, torn apart or carried in a circle."""
    rig.assert_equal()
    for side, first in FIRST.items():
        mine = f"id BETWEEN {first} AND {first + KEYS - 1}"
        query = (
            f"SELECT (SELECT SUM(n) FROM own WHERE {mine}), "
            f"(SELECT SUM(touched) FROM trail WHERE side = '{side}')"
        )
        changed, told = rig.rows(side, query)[0]
        assert changed == told
    for link, checkpoint in since.items():
        assert_unbroken(rig, link, checkpoint)
        assert_at_the_ends(rig, link)
        # The rig's own marker is written at both sites to give a link a new start.
        assert [record for record in rig.records(link) if record[0] != "zz_marker"] == []
    for side, other in ("ab", "ba"):
        foreign = range(FIRST[other], FIRST[other] + KEYS)
        assert {key for key, _ in marked_writes(rig, side, "own")} <= set(foreign)  # no loop
