"""Half an hour of everything at once: users at both sites, and faults drawn from a seed.

Runs of both links die at their points, sessions are KILLed at both sites; the databases, the broker
and Kafka Connect are killed and started again, stand still, or are slow for a while. Users write
rows of their own, counters, fought keys, unique values and keys that move; each transaction says in
`trail` what it did, so that it is known also where nobody can tell whether a COMMIT came through.
`DTS_MIXED_SECONDS` is how long it lasts.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pymysql
import pytest

from dts_pipeline.core.points import Point
from dts_pipeline_tests.faults.applied_once import assert_unbroken, marked_writes
from dts_pipeline_tests.faults.child_runs import ChildRun, Orders
from dts_pipeline_tests.faults.servers import Server
from dts_pipeline_tests.faults.side_by_side import SideBySide
from dts_pipeline_tests.faults.test_kill_points import come_to_rest
from dts_pipeline_tests.integration.rig import Rig, wait_for
from dts_pipeline_tests.sampling import IS_SAMPLE
from dts_pipeline_tests.stacks import Stack, running_stack

pytestmark = pytest.mark.servers

SECONDS = float(os.environ.get("DTS_MIXED_SECONDS", "40" if IS_SAMPLE else "1800"))
SEED = int(os.environ.get("SEED", "20261124"))
KEYS = 60
FIRST = {"a": 0, "b": 1000}
SERVERS = ("site_a", "site_b", "connect", "kafka")
TABLES = (
    "CREATE TABLE own (id INT PRIMARY KEY, n BIGINT NOT NULL, v VARCHAR(40))",
    "CREATE TABLE shared (id INT PRIMARY KEY, n BIGINT NOT NULL, v VARCHAR(40))",
    "CREATE TABLE fought (id INT PRIMARY KEY, n BIGINT NOT NULL, v VARCHAR(40))",
    "CREATE TABLE mail (id INT PRIMARY KEY, address VARCHAR(40) UNIQUE)",
    "CREATE TABLE moved (id INT PRIMARY KEY, v VARCHAR(40))",
    "CREATE TABLE trail (id BIGINT PRIMARY KEY AUTO_INCREMENT, side CHAR(1) NOT NULL, "
    "touched INT NOT NULL, added INT NOT NULL)",
)
_FORGIVEN = {1062, 1205, 1213}
_GONE = {1053, 1317, 1927, 2003, 2006, 2013}
_MEANWHILE = {
    "another_run_ahead",
    "connect_unreachable",
    "connection_killed",
    "connection_lost",
    "connector_failed",
    "connector_missing",  # Connect has just started and has not read which it has
    "connector_starting",
    "kafka_unreachable",
    "lane_busy",
    "lock_wait_timeout",
    "query_interrupted",
    "server_shutdown",
    "server_unreachable",
}
"""What runs may end with while servers die; nobody has to do a thing but start them again."""


@pytest.fixture(scope="module", params=["mariadb", pytest.param("mysql", marks=pytest.mark.mysql)])
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """Servers of its own: they die."""
    with running_stack(request.param, "origin") as stack:
        yield stack


@pytest.fixture
def rig(stack: Stack, tmp_path: Path) -> Rig:
    rig = Rig(stack, "mixed", tmp_path)
    rig.changes = {"batch": {"max_events": 500, "max_seconds": 20}}
    rig.conflicts = {"policy": {"site": "A"}, "tables": {f"{rig.name}.shared": {"delta": ["n"]}}}
    rig.connector_changes = {"connect.keep.alive.interval.ms": "3000"}
    rig.create(*TABLES)
    for side, first in FIRST.items():
        own = ", ".join(f"({first + i}, 0, '-')" for i in range(KEYS))
        moved = ", ".join(f"({first + i}, '-')" for i in range(KEYS))
        rig.sql(side, f"INSERT INTO own VALUES {own}", f"INSERT INTO moved VALUES {moved}")
        rig.sql(side, f"INSERT INTO mail VALUES ({first}, '{side}@example')")
        rig.sql(side, f"INSERT INTO trail VALUES ({1 + (side == 'b')}, '{side}', 0, 0)")
    rig.sql("a", "INSERT INTO shared VALUES " + ", ".join(f"({i}, 0, '-')" for i in range(KEYS)))
    rig.both("INSERT INTO fought VALUES (-1, 0, '-')")  # every topic is there from the start
    rig.sync()
    return rig


@dataclass(kw_only=True)
class Weather(SideBySide):
    """Users, runs and faults, each in threads of their own, for so many seconds."""

    rig: Rig
    directory: Path
    committed: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    peaks: list[tuple[float, float]] = field(default_factory=list)

    def last(self, seconds: float) -> None:
        """Until the time is up; servers and connectors run again afterwards."""
        threads = [self.start(self._user, side) for side in FIRST]
        threads += [self.start(self._runs, link) for link in (self.rig.forth, self.rig.back)]
        threads += [self.start(self._kill_sessions), self.start(self._fail_servers)]
        self.ended.wait(seconds)
        self.ended.set()
        for thread in threads:
            thread.join(300)
        if self.failures:
            raise self.failures[0]
        for site in self.rig.sites:
            self._revive(site)

    # -- users ------------------------------------------------------------------------------

    def _user(self, side: str) -> None:
        chance = random.Random(f"{SEED}{side}")
        while not self.ended.is_set():
            try:
                with self.rig.user(side) as connection:
                    self._write_on(connection, chance, side)
            except (pymysql.OperationalError, pymysql.InterfaceError) as error:
                if error.args[0] not in _GONE | {0}:
                    raise
                time.sleep(0.2)

    def _write_on(
        self, connection: pymysql.Connection[Any], chance: random.Random, side: str
    ) -> None:
        with connection.cursor() as cursor:
            # Each site has numbers of its own.
            cursor.execute(
                "SET SESSION auto_increment_increment = 2, auto_increment_offset = %s",
                (1 + "ab".index(side),),
            )
            while not self.ended.is_set():
                connection.begin()
                try:
                    write(cursor, chance, side)
                    connection.commit()
                except pymysql.MySQLError as error:
                    if error.args[0] not in _FORGIVEN:
                        raise
                    connection.rollback()
                    continue
                self.committed[side] += 1
                time.sleep(0.05)  # the runs, many of which die, must keep up

    # -- runs -------------------------------------------------------------------------------

    def _runs(self, link: str) -> None:
        chance = random.Random(f"{SEED}{link[-1]}")
        number, began = 0, time.monotonic()
        while not self.ended.is_set():
            number += 1
            point, folder = chance.choice(list(Point)), self.directory / f"{link}{number}"
            doomed = chance.random() < 0.3
            orders = Orders(link, folder, {point: signal.SIGKILL} if doomed else {})
            run = ChildRun(self.rig, link, folder, orders.signals)
            code = run.exit_code
            if orders.faults.struck(link, point) is not None:
                assert code in (-signal.SIGKILL, 255)
                self.struck[f"run {point}"] += 1
                continue
            assert code in (0, 255)  # the server that forks the runs can lose a code
            if run.outcome.code:
                self.codes[run.outcome.code] += 1
            self.peaks.append((time.monotonic() - began, run.outcome.peak))

    # -- faults -----------------------------------------------------------------------------

    def _kill_sessions(self) -> None:
        """One of the pipeline's or of the users', now and then."""
        chance = random.Random(f"{SEED}sessions")
        while not self.ended.wait(chance.uniform(0.2, 2)):
            side = chance.choice("ab")
            with suppress(pymysql.MySQLError), self.rig.user(side) as connection:
                cursor = connection.cursor()
                own = connection.thread_id()  # type: ignore[no-untyped-call]
                cursor.execute("SHOW PROCESSLIST")
                found = [row[0] for row in cursor.fetchall() if row[1] in ("dts", "app")]
                victims = sorted(set(found) - {own})
                if victims:
                    cursor.execute(f"KILL {chance.choice(victims)}")
                    self.struck["session"] += 1

    def _fail_servers(self) -> None:
        chance = random.Random(f"{SEED}servers")
        longest = min(60.0, SECONDS / 4)
        while not self.ended.wait(chance.uniform(longest / 4, longest)):
            server = Server(self.rig.stack, chance.choice(SERVERS))
            how = chance.choice((server.away, server.away, server.paused, server.slowed))
            with how():
                time.sleep(chance.uniform(0, 8))
            self.struck[f"{server.name} {how.__name__}"] += 1

    def _revive(self, site: str) -> None:
        """Starts a connector again that gave up while its server was away; most don't."""
        with suppress(AssertionError):
            wait_for(lambda: self.rig.connector_state(site) == ["RUNNING"] * 2, 20)
            return
        url = f"{self.rig.stack.connect}/connectors/dts-{site}/restart?includeTasks=true"
        httpx.post(url, timeout=30).raise_for_status()
        self.struck[f"connector of {site[-1]} given up"] += 1
        wait_for(lambda: self.rig.connector_state(site) == ["RUNNING"] * 2, 60)


def write(cursor: Any, chance: random.Random, side: str) -> None:
    """The statements of one transaction, with its line in `trail`."""
    first = FIRST[side]
    touched = chance.sample(range(first, first + KEYS), chance.choice((1, 3)))
    amount = chance.randrange(1, 9)
    for key in touched:
        cursor.execute("UPDATE own SET n = n + 1, v = %s WHERE id = %s", (side, key))
    cursor.execute("UPDATE shared SET n = n + %s WHERE id = %s", (amount, chance.randrange(KEYS)))
    cursor.execute(
        "INSERT INTO trail (side, touched, added) VALUES (%s, %s, %s)",
        (side, len(touched), amount),
    )
    more: list[Callable[[Any, random.Random, str], None]] = [_fight, _mail, _move]
    for act in chance.sample(more, 2):
        act(cursor, chance, side)


def _fight(cursor: Any, chance: random.Random, side: str) -> None:
    key = chance.randrange(KEYS)
    if chance.random() < 0.4:
        cursor.execute("DELETE FROM fought WHERE id = %s", (key,))
    else:
        text = f"{side}{chance.randrange(100)}"
        cursor.execute("REPLACE INTO fought VALUES (%s, 1, %s)", (key, text))


def _mail(cursor: Any, chance: random.Random, side: str) -> None:
    """Both sites give out the same addresses, to keys of their own."""
    key = FIRST[side] + chance.randrange(KEYS)
    address = f"{chance.randrange(3 * KEYS)}@example"
    if chance.random() < 0.3:
        cursor.execute("DELETE FROM mail WHERE id = %s", (key,))
    else:
        cursor.execute(
            "INSERT INTO mail VALUES (%s, %s) ON DUPLICATE KEY UPDATE id = id", (key, address)
        )


def _move(cursor: Any, chance: random.Random, side: str) -> None:
    """A key moves to another place, within the site's own."""
    old, new = (FIRST[side] + place for place in chance.sample(range(3 * KEYS), 2))
    cursor.execute("UPDATE IGNORE moved SET id = %s, v = %s WHERE id = %s", (new, side, old))


@pytest.mark.timeout(SECONDS + 3600)
def test_after_everything_both_sites_are_equal_and_runs_have_not_grown(
    rig: Rig, tmp_path: Path, summary: list[str]
) -> None:
    since = {link: rig.checkpoint(link) for link in (rig.forth, rig.back)}
    weather = Weather(rig=rig, directory=tmp_path / "runs")
    weather.last(SECONDS)
    assert set(weather.codes) <= _MEANWHILE
    rig.sync(1800)  # what has piled up on a busy machine
    records = len(rig.records(rig.forth)) + len(rig.records(rig.back))
    come_to_rest(rig)

    rig.assert_equal()
    for side in "ab":
        assert sums(rig, side, "own", "n") == sums(rig, side, "trail", "touched")
        ((counted,),) = rig.rows(side, "SELECT SUM(n) FROM shared")
        assert counted == sum(sums(rig, side, "trail", "added").values())
        # What the other site's users wrote, and nothing that came from here.
        other = FIRST["b" if side == "a" else "a"]
        written = {key for key, _ in marked_writes(rig, side, "own")}
        assert written <= set(range(other, other + KEYS))
    assert sum(sums(rig, "a", "trail", "touched").values()) >= sum(weather.committed.values())
    for link, checkpoint in since.items():
        assert_unbroken(rig, link, checkpoint)
    memory = assert_flat(weather.peaks)
    batches = sum(rig.checkpoint(link).batch - c.batch for link, c in since.items())
    summary.append(
        f"mixed load, {rig.stack.flavour}, {SECONDS:.0f} s, seed {SEED}: "
        f"{sum(weather.committed.values())} transactions, {batches} batches; faults: "
        f"{dict(sorted(weather.struck.items()))}; runs that failed meanwhile: "
        f"{dict(sorted(weather.codes.items()))}; lost 0, applied twice 0, loops 0; {records} "
        f"records settled; {memory}"
    )


def sums(rig: Rig, side: str, table: str, column: str) -> dict[str, int]:
    """The column's sum over each site's rows."""
    whose = "side" if table == "trail" else f"IF(id < {FIRST['b']}, 'a', 'b')"
    query = f"SELECT {whose}, SUM({column}) FROM {table} GROUP BY 1"
    return {str(name): int(total) for name, total in rig.rows(side, query)}


def assert_flat(peaks: list[tuple[float, float]]) -> str:
    """The most memory that runs took towards the end is that of the beginning; in words."""
    seconds, found = (np.array(values) for values in zip(*sorted(peaks), strict=True))
    third = len(found) // 3
    assert third > 2
    early, late = float(found[:third].max()), float(found[-third:].max())
    assert late <= 1.3 * early
    slope = float(np.polyfit(seconds, found, 1)[0]) * 3600
    return (
        f"memory of {len(found)} runs: at most {early:.0f} MiB in the first third, {late:.0f} MiB "
        f"in the last, slope {slope:+.1f} MiB an hour"
    )
