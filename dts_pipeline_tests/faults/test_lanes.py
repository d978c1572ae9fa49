"""Lanes of a pair side by side: users write across them, runs of one are killed, one stands still.

`own_*` have rows that only one site writes: how often each was written is known. `fought_*` have
keys that both sites write and delete: conflicts, which are settled meanwhile.
"""

from __future__ import annotations

import json
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pymysql
import pytest
from click.testing import CliRunner
from confluent_kafka.admin import AdminClient, NewTopic

from dts_pipeline.adapters.ledger import Ledger
from dts_pipeline.cli import main
from dts_pipeline.core.points import Point
from dts_pipeline.errors import DtsError, TerminalError, TransientError
from dts_pipeline.stages.carry import carry
from dts_pipeline.stages.pair import PairRuntime
from dts_pipeline.stages.reconcile import Patience
from dts_pipeline.stages.settle import settle
from dts_pipeline_tests.faults.applied_once import assert_unbroken
from dts_pipeline_tests.faults.child_runs import ChildRun
from dts_pipeline_tests.faults.side_by_side import SideBySide
from dts_pipeline_tests.faults.test_kill_points import come_to_rest
from dts_pipeline_tests.integration.rig import Rig, wait_for
from dts_pipeline_tests.sampling import IS_SAMPLE, full_only
from dts_pipeline_tests.stacks import Stack

pytestmark = pytest.mark.servers

KILLS = 8 if IS_SAMPLE else 60
KEYS, PARTITIONS = 60, 4
NAMES = ("own_one", "own_two", "fought_one", "fought_two")
TABLES = tuple(
    f"CREATE TABLE {name} (id INT PRIMARY KEY, n BIGINT NOT NULL, v VARCHAR(40))" for name in NAMES
)
_FORGIVEN = {1205, 1213, 1062}
BY_TABLE, BY_PARTITION = "table", "partition"


def laned(stack: Stack, directory: Path, kind: str) -> Rig:
    """A pair of lanes; nothing is written yet."""
    rig = Rig(stack, f"lanes_{kind[0]}", directory)
    rig.marker_key = "VARBINARY(1)"  # lanes by partition carry no keys that a collation decides
    lanes: Any = {"one": [f"{rig.name}.*_one"], "two": [f"{rig.name}.*_two"], "rest": ["*"]}
    if kind == BY_PARTITION:
        lanes = {"by": "partition", "count": 2}
    rig.changes = {"pairs": {"pair": {"lanes": lanes}}, "batch": {"max_events": 200}}
    return rig


def created(rig: Rig, partitions: int = 1) -> Rig:
    """The rig with its topics, a row in each table, at rest."""
    admin = AdminClient({"bootstrap.servers": rig.stack.kafka})
    topics = [
        NewTopic(f"{site}.{rig.name}.{name}", partitions, 1) for site in rig.sites for name in NAMES
    ]
    for future in admin.create_topics(topics).values():
        future.result()
    rig.create(*TABLES)
    for side, first in (("a", 0), ("b", 1000)):
        rows = ", ".join(f"({first + i}, 0, '-')" for i in range(KEYS))
        rig.sql(side, *(f"INSERT INTO {name} VALUES {rows}" for name in NAMES if "own" in name))
    rig.both(*(f"INSERT INTO {name} VALUES (-1, 0, '-')" for name in NAMES if "fought" in name))
    rig.sync()
    return rig


@pytest.fixture(params=["stack_mariadb", pytest.param("stack_mysql", marks=pytest.mark.mysql)])
def stack(request: pytest.FixtureRequest) -> Stack:
    found: Stack = request.getfixturevalue(request.param)
    return found


@dataclass(kw_only=True)
class Storm(SideBySide):
    """Users at both sites; each lane of both links carried by itself, and settle beside them."""

    rig: Rig
    directory: Path
    doomed: str
    own: dict[str, Counter[int]] = field(default_factory=lambda: {n: Counter() for n in NAMES[:2]})
    killed: int = 0
    codes: Counter[str] = field(default_factory=Counter)

    def rage(self, kills: int) -> None:
        """Until so many runs of lane `doomed` were killed, half of them of each link."""
        users = [self.start(self._user, side) for side in "ab"]
        links = (self.rig.forth, self.rig.back)
        killers = [self.start(self._kill, link, kills // 2) for link in links]
        lanes = [lane.lane for lane in self.rig.links[self.rig.forth].each_lane()]
        others = [
            self.start(self._carry, f"{link}/{lane}")
            for link in links
            for lane in lanes
            if lane != self.doomed
        ]
        others.append(self.start(self._settle))
        for thread in killers:
            thread.join()
        self.ended.set()
        for thread in (*users, *others):
            thread.join(120)
        if self.failures:
            raise self.failures[0]

    def _user(self, side: str) -> None:
        chance = random.Random(side)
        with self.rig.user(side) as connection, connection.cursor() as cursor:
            while not self.ended.is_set():
                connection.begin()
                try:
                    written = [
                        (name, key)
                        for name in NAMES[:2]
                        for key in _write(cursor, chance, side, name)
                    ]
                    for name in NAMES[2:]:
                        _fight(cursor, chance, side, name)
                except pymysql.MySQLError as error:
                    connection.rollback()
                    if error.args[0] not in _FORGIVEN:
                        raise
                    continue
                connection.commit()
                for name, key in written:
                    self.own[name][key] += 1
                time.sleep(0.15)

    def _carry(self, lane: str) -> None:
        runtime = self.rig.runtime(lane)
        try:
            while not self.ended.is_set():
                try:
                    carry(runtime)
                except TransientError as error:
                    self.codes[error.code] += 1
                time.sleep(0.2)
        finally:
            runtime.close()

    def _settle(self) -> None:
        pair = PairRuntime(self.rig.runtime(self.rig.forth), self.rig.runtime(self.rig.back))
        try:
            while not self.ended.wait(1.0):
                try:
                    settle(pair, patience=Patience(caught_up=20, rounds=2))
                except TransientError as error:
                    self.codes[error.code] += 1
        finally:
            pair.close()

    def _kill(self, link: str, kills: int) -> None:
        chance = random.Random(link[-1])
        while kills and not self.ended.is_set():
            point = chance.choice(list(Point))
            folder = self.directory / f"{link}_{kills}_{time.monotonic_ns()}"
            run = ChildRun(self.rig, f"{link}/{self.doomed}", folder, {point: signal.SIGKILL})
            code = run.exit_code
            struck = code in (-signal.SIGKILL, 255) and any(folder.iterdir())
            kills -= int(struck)
            self.killed += int(struck)
            if not struck:
                time.sleep(0.1)


def _write(cursor: Any, chance: random.Random, side: str, name: str) -> list[int]:
    first = {"a": 0, "b": 1000}[side]
    written = chance.sample(range(first, first + KEYS), 3)
    for key in written:
        cursor.execute(f"UPDATE {name} SET n = n + 1, v = %s WHERE id = %s", (side, key))
    return written


def _fight(cursor: Any, chance: random.Random, side: str, name: str) -> None:
    key = chance.randrange(KEYS)
    if chance.random() < 0.4:
        cursor.execute(f"DELETE FROM {name} WHERE id = %s", (key,))
    else:
        text = f"{side}{chance.randrange(100)}"
        cursor.execute(f"REPLACE INTO {name} VALUES (%s, 1, %s)", (key, text))


def findings(rig: Rig) -> list[Any]:
    """What the loop audit found at either site."""
    query = "SELECT table_name, kind, rows_written, rows_returned FROM dts.loop_finding "
    where = f"WHERE link IN ('{rig.forth}', '{rig.back}')"
    return [row for side in "ab" for row in rig.rows(side, query + where)]


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", [pytest.param(BY_TABLE, marks=full_only), BY_PARTITION])
def test_lanes_side_by_side_end_equal_while_runs_of_one_are_killed(
    stack: Stack, tmp_path: Path, summary: list[str], kind: str
) -> None:
    rig = created(laned(stack, tmp_path, kind), PARTITIONS)
    lanes = [lane.lane for lane in rig.links[rig.forth].each_lane()]
    titles = [f"{link}/{lane}" for link in (rig.forth, rig.back) for lane in lanes]
    before = {title: rig.checkpoint(title) for title in titles}
    storm = Storm(rig=rig, directory=tmp_path, doomed=lanes[0])
    storm.rage(KILLS)
    at = {title: rig.checkpoint(title).batch - before[title].batch for title in titles}
    come_to_rest(rig)

    assert storm.killed == KILLS
    assert all(at[f"{link}/{lanes[1]}"] > 0 for link in (rig.forth, rig.back))
    rig.assert_equal()
    for side in "ab":
        for name, counts in storm.own.items():
            found = dict(rig.rows(side, f"SELECT id, n FROM {name} WHERE n > 0"))
            assert found == dict(counts)
    for title in titles:
        assert_unbroken(rig, title, before[title])
    assert findings(rig) == []
    summary.append(f"lanes by {kind}, {KILLS} runs of {lanes[0]} killed: batches {at}")


def test_a_lane_that_is_stopped_leaves_the_others_running(
    make_rig_of_lanes: Rig, tmp_path: Path
) -> None:
    rig = make_rig_of_lanes
    rig.sql("b", "ALTER TABLE own_one MODIFY v VARCHAR(3)")
    rig.sql("a", "UPDATE own_one SET v = 'too long for that' WHERE id = 1")
    rig.sql("a", "UPDATE own_two SET v = 'good' WHERE id = 1")
    rig.both("UPDATE fought_two SET n = n + 1 WHERE id = -1")
    rig.sql("a", "UPDATE fought_two SET v = 'of a' WHERE id = -1")
    for side in "ab":
        rig.await_events(side)

    def stops() -> bool:
        with suppress(TransientError):
            rig.run(f"{rig.forth}/one")
        return False

    with pytest.raises(DtsError, match="value_refused"):
        wait_for(stops, 60)
    for _ in range(3):
        for lane in ("two", "rest"):
            for link in (rig.forth, rig.back):
                rig.run(f"{link}/{lane}")
    assert rig.rows("b", "SELECT v FROM own_two WHERE id = 1") == [("good",)]
    # Settlement of the other lanes' keys needs neither the stopped lane nor its batches.
    Ledger(rig.database(rig.sites[1])).set_paused(rig.forth, "one", True)
    pair = PairRuntime(rig.runtime(f"{rig.forth}/two"), rig.runtime(f"{rig.back}/two"))
    wait_for(lambda: _settled(pair, rig), 60)
    pair.close()
    assert rig.rows("a", "SELECT * FROM fought_two") == rig.rows("b", "SELECT * FROM fought_two")
    assert rig.rows("b", "SELECT v FROM own_one WHERE id = 1") == [("-",)]

    rig.sql("b", "ALTER TABLE own_one MODIFY v VARCHAR(40)")
    Ledger(rig.database(rig.sites[1])).set_paused(rig.forth, "one", False)
    rig.sync()
    rig.assert_equal()


def _settled(pair: PairRuntime, rig: Rig) -> bool:
    settle(pair, carry=carry)
    return not [r for link in (rig.forth, rig.back) for r in rig.records(link) if "two" in r[0]]


@pytest.fixture
def make_rig_of_lanes(stack: Stack, tmp_path: Path) -> Rig:
    return created(laned(stack, tmp_path, BY_TABLE))


def test_a_link_of_one_lane_is_split_where_it_stands(stack: Stack, tmp_path: Path) -> None:
    rig = laned(stack, tmp_path, BY_TABLE)
    lanes = rig.changes["pairs"]["pair"].pop("lanes")
    created(rig)
    rig.sql("a", "UPDATE own_one SET n = 7 WHERE id = 1", "UPDATE own_two SET n = 7 WHERE id = 1")
    old = rig.checkpoint(rig.forth)
    rig.changes["pairs"]["pair"]["lanes"] = lanes
    split = again(rig)
    split.sync()
    split.assert_equal()
    assert split.rows("b", "SELECT n FROM own_one WHERE id = 1") == [(7,)]
    rows = Ledger(split.database(split.sites[1])).lanes(split.forth)
    assert rows.keys() == {"main", "one", "two", "rest"}
    assert {tp.topic for tp in rows["main"].partitions} == {f"{split.sites[0]}.transaction"}
    assert {rows[lane].batch >= old.batch for lane in ("one", "two", "rest")} == {True}
    for lane in ("one", "two", "rest"):
        query = "SELECT COUNT(*) FROM dts.batch WHERE link = '{}' AND lane = '{}' AND batch <= {}"
        asked = query.format(split.forth, lane, old.batch)
        assert split.rows("b", asked) == [(0,)]

    split.changes["pairs"]["pair"].pop("lanes")
    with pytest.raises(TerminalError, match="lanes_changed"):
        again(split).run(split.forth)


def again(rig: Rig) -> Rig:
    """The same pair with its dts.yaml as it is now."""
    found = Rig(rig.stack, rig.label, rig.directory, rig.changes, rig.conflicts)
    found.__dict__["name"] = rig.name
    return found


@pytest.mark.parametrize("kind", [BY_TABLE, pytest.param(BY_PARTITION, marks=full_only)])
def test_commands_take_a_link_s_lanes_as_they_come(stack: Stack, tmp_path: Path, kind: str) -> None:
    rig = created(laned(stack, tmp_path, kind), PARTITIONS)
    lanes = [lane.lane for lane in rig.links[rig.forth].each_lane()]
    since = datetime.now(UTC).isoformat()
    rig.sql("a", "UPDATE own_one SET n = 5 WHERE id < 20", "UPDATE own_two SET n = 5 WHERE id < 9")
    rig.await_events("a")
    one = dts(rig, "sync", rig.forth, "--lane", lanes[1], "--until-caught-up")
    assert [lane["lane"] for lane in one["lanes"]] == [lanes[1]]
    both = dts(rig, "sync", rig.forth, "--until-caught-up")
    assert [lane["lane"] for lane in both["lanes"]] == lanes
    assert rig.rows("b", "SELECT COUNT(*) FROM own_one WHERE n = 5") == [(20,)]

    dts(rig, "pause", rig.forth, "--lane", lanes[0])
    shown = dts(rig, "status")["links"]
    states = {(e["link"], e["lane"]): e["state"] for e in shown}
    assert states[rig.forth, lanes[0]] == "paused"
    assert states[rig.forth, lanes[1]] == "running"
    dts(rig, "resume", rig.forth)
    assert (
        dts(rig, "checkpoint", rig.forth, "--lane", lanes[1])["link"] == f"{rig.forth}/{lanes[1]}"
    )
    assert failed(rig, "checkpoint", rig.forth) == "unknown_lane"
    assert failed(rig, "sync", rig.forth, "--lane", "none") == "unknown_lane"

    # Settle until nothing waits, so that what differs then is no conflict.
    dts(rig, "settle", "--carry")
    with rig.user("b") as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_log_bin = 0")
        cursor.execute("UPDATE own_one SET n = 6 WHERE id = 3")
        cursor.execute("DELETE FROM own_two WHERE id = 4")
    found = dts(rig, "verify", "pair", "--carry")
    assert found["comparisons"][0]["different"] == 2
    told = dts(rig, "replay", rig.forth, "--since", since, "--carry", "--execute")
    assert told["executed"]
    after = dts(rig, "verify", "pair", "--carry")
    assert after["comparisons"][0]["different"] == 0
    touches = dts(rig, "trace", f"{rig.name}.own_one", "3")["touches"]
    assert {t["link"].partition("/")[2] for t in touches} <= set(lanes)
    assert {t["state"] for t in touches} <= {"applied", "own"}
    assert any(t["link"].startswith(f"{rig.forth}/") and t["batch"] for t in touches)
    rig.drain()
    rig.assert_equal()
    assert findings(rig) == []


def dts(rig: Rig, *words: str) -> Any:
    """The JSON document of a command."""
    document = _answer(rig, *words)
    assert "error" not in document, document
    return document


def failed(rig: Rig, *words: str) -> str:
    """The code of a command's error."""
    return str(_answer(rig, *words)["error"]["code"])


def _answer(rig: Rig, *words: str) -> Any:
    environment = {"DAGSTER_HOME": None, **rig.stack.env, "DTS_CONFIG": str(rig.path)}
    result = CliRunner().invoke(main, [*words, "--json"], env=environment)
    return json.loads(result.stdout)
