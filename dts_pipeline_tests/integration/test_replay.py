"""A past range replayed on real servers: both sides end equal, and no row is ever taken back."""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from click.testing import CliRunner

from dts_pipeline.cli import main
from dts_pipeline.commands import exits
from dts_pipeline.core.links import Policy
from dts_pipeline.core.selection import Selection, parse_selection, spelled
from dts_pipeline.errors import DtsError, TransientError
from dts_pipeline.stages.carry import carry
from dts_pipeline.stages.pair import PairRuntime
from dts_pipeline.stages.reconcile import Patience
from dts_pipeline.stages.replay import ReplayReport, Step, replay, survey
from dts_pipeline_tests.integration.rig import Rig, wait_for
from dts_pipeline_tests.stacks import Stack

pytestmark = pytest.mark.servers

ITEM = "CREATE TABLE item (id INT PRIMARY KEY, v VARCHAR(40), version BIGINT NOT NULL)"
PAST = parse_selection(since="2020-01-01")
PATIENT = Patience(caught_up=60, hold=20, rounds=20)


@pytest.fixture(
    scope="module",
    params=["stack_mariadb", pytest.param("stack_mysql", marks=pytest.mark.mysql)],
)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Rig:
    """One pair for all tests of the module."""
    stack: Stack = request.getfixturevalue(request.param)
    return Rig(stack, "rpl", tmp_path_factory.mktemp("replay")).create(ITEM)


@pytest.fixture
def rig(pair: Rig) -> Rig:
    """Equal sites with 200 rows in `item`, half of them written at each side; no open record."""
    for side in "ab":
        pair.sql(side, "DELETE FROM item")
    pair.sync()
    for side, first in (("a", 1), ("b", 101)):
        rows = ", ".join(f"({i}, 'first', 1)" for i in range(first, first + 100))
        pair.sql(side, f"INSERT INTO item VALUES {rows}")
    pair.sync()
    pair.both("UPDATE dts.conflict SET state = 'closed', open_slot = NULL")
    return pair


@contextlib.contextmanager
def opened(rig: Rig) -> Iterator[PairRuntime]:
    found = PairRuntime(rig.runtime(rig.forth), rig.runtime(rig.back))
    try:
        yield found
    finally:
        found.close()


def run(
    rig: Rig,
    selection: Selection = PAST,
    *,
    link: str = "",
    in_process: bool = True,
    policy: Policy | None = None,
    step: Step = lambda report: None,
    piece_events: int = 50_000,
    patience: Patience = PATIENT,
) -> ReplayReport:
    with opened(rig) as pair:
        runtime = pair.back if link == rig.back else pair.forth
        return replay(
            runtime,
            pair,
            selection,
            policy=policy,
            carry=carry if in_process else None,
            patience=patience,
            step=step,
            piece_events=piece_events,
        )


def unlogged(rig: Rig, side: str, *statements: str) -> None:
    """As a restore does it: the connector sees nothing of it."""
    rig.sql(side, "SET SESSION sql_log_bin = 0", *statements)


def test_a_target_restored_from_an_old_copy_becomes_equal(rig: Rig) -> None:
    """Rows of both sides' users are missing at the target; the copy also has rows since deleted."""
    copy = rig.rows("b", "SELECT id, v, version FROM item ORDER BY id")
    rig.sql("a", "UPDATE item SET v = 'later', version = 2 WHERE id <= 50")
    rig.sql("b", "UPDATE item SET v = 'later', version = 2 WHERE id BETWEEN 101 AND 120")
    rig.sql(
        "a", "DELETE FROM item WHERE id BETWEEN 60 AND 69", "INSERT INTO item VALUES (300,'x',1)"
    )
    rig.sql("b", "INSERT INTO item VALUES (301,'y',1)")
    rig.sync()
    rows = ", ".join(f"({i}, '{v}', {n})" for i, v, n in copy)
    before = rig.checkpoint(rig.forth)
    unlogged(rig, "b", "DELETE FROM item", f"INSERT INTO item VALUES {rows}")

    seen = run(rig)

    counts = seen.tables[f"{rig.name}.item"]
    assert counts["written"] == 50 + 20 + 10 + 2
    assert not seen.wants_attention
    assert rig.rows("b", "SELECT COUNT(*) FROM item WHERE v = 'later'") == [(70,)]
    rig.assert_equal()
    rig.sync()
    rig.assert_equal()
    after = rig.checkpoint(rig.forth)
    assert all(
        after.partitions[tp].next_offset >= p.next_offset for tp, p in before.partitions.items()
    )
    assert rig.records(rig.forth, "item") == []


def test_what_was_restored_at_the_source_is_taken_with_another_policy(rig: Rig) -> None:
    """The range of the link that goes the other way names the keys; the target's rows win."""
    rig.sql("a", "UPDATE item SET v = 'later', version = 2 WHERE id <= 10")
    rig.sync()
    unlogged(rig, "a", "UPDATE item SET v = 'first', version = 1 WHERE id <= 10")

    run(rig, policy=Policy("site", rig.sites[1]))

    assert rig.rows("a", "SELECT COUNT(*) FROM item WHERE v = 'later'") == [(10,)]
    rig.assert_equal()


def test_a_deleted_row_is_not_brought_back_by_the_range_that_inserted_it(rig: Rig) -> None:
    """The other side's delete is newer than anything in the range, and not read at the source."""
    rig.sql("a", "INSERT INTO item VALUES (400, 'a', 1)")
    rig.sync()
    with opened(rig) as pair:
        before = {tp: p.next_offset for tp, p in rig.checkpoint(rig.forth).partitions.items()}
        topic = next(tp for tp in before if tp.topic.endswith(".item"))
        past = parse_selection([topic.topic], [0], [before[topic] - 1], [before[topic]])
        rig.sql("b", "DELETE FROM item WHERE id = 400")
        replay(pair.forth, pair, past, carry=carry, patience=PATIENT)

    assert rig.rows("a", "SELECT id FROM item WHERE id = 400") == []
    assert rig.rows("b", "SELECT id FROM item WHERE id = 400") == []


def test_a_stopped_replay_goes_on_with_what_is_left(rig: Rig) -> None:
    """Every piece that was told of is done for good; the words of the rest are the rest."""
    rig.sql("a", "UPDATE item SET v = 'later', version = 2 WHERE id <= 100")
    rig.sync()
    unlogged(rig, "b", "UPDATE item SET v = 'first', version = 1 WHERE id <= 100")
    seen: list[ReplayReport] = []

    def stop(report: ReplayReport) -> None:
        seen.append(report)
        if len(seen) == 2:
            raise KeyboardInterrupt

    topic = f"{rig.sites[0]}.{rig.name}.item"
    end = rig.checkpoint(rig.forth).partitions
    until = next(p.next_offset for tp, p in end.items() if tp.topic == topic)
    mine = parse_selection([topic], [0], [until - 100], [until])
    with pytest.raises(KeyboardInterrupt):
        run(rig, mine, step=stop, piece_events=30)
    words = spelled(seen[-1].rest).split()
    done = rig.rows("b", "SELECT COUNT(*) FROM item WHERE v = 'later'")[0][0]

    assert words == ["--topic", topic, "--partition", "0", "--from", str(until - 40),
                     "--until", str(until)]  # fmt: skip
    assert done == 60
    rest = parse_selection([topic], [0], [until - 40], [until])
    assert run(rig, rest).tables[f"{rig.name}.item"]["keys"] == 40
    rig.assert_equal()


def test_a_survey_counts_and_writes_nothing(rig: Rig) -> None:
    unlogged(rig, "b", "DELETE FROM item WHERE id <= 10")
    runtime = rig.runtime(rig.forth)

    found = survey(runtime, PAST)
    runtime.close()

    counts = found.tables[f"{rig.name}.item"]
    assert counts["events"] >= counts["keys"] >= 200
    assert rig.rows("b", "SELECT COUNT(*) FROM item WHERE id <= 10") == [(0,)]


def test_the_command_shows_first_and_replays_on_demand(rig: Rig) -> None:
    unlogged(rig, "b", "DELETE FROM item WHERE id <= 10")
    environment = {**rig.stack.env, "DTS_CONFIG": str(rig.path)}

    def dts(*words: str) -> dict[str, Any]:
        words = ("replay", rig.forth, "--since", "2020-01-01", *words, "--json")
        result = CliRunner().invoke(main, words, env=environment)
        assert result.exit_code == exits.DONE, result.output
        document: dict[str, Any] = json.loads(result.stdout)
        return document

    shown = dts("--table", f"{rig.name}.item")
    missing = rig.rows("b", "SELECT COUNT(*) FROM item WHERE id <= 10")
    done = dts("--table", f"{rig.name}.item", "--execute", "--carry")

    assert (shown["executed"], missing, done["executed"]) == (False, [(0,)], True)
    assert shown["tables"].keys() == done["tables"].keys() == {f"{rig.name}.item"}
    assert done["tables"][f"{rig.name}.item"]["written"] == 10
    rig.assert_equal()


def test_a_replay_needs_a_range(rig: Rig) -> None:
    with pytest.raises(DtsError) as caught:
        run(rig, parse_selection())

    assert caught.value.code == "range_missing"


@dataclass
class Traffic:
    """Users who write at both sides, each side its own keys, and readers who watch the versions."""

    rig: Rig
    stop: threading.Event = field(default_factory=threading.Event)
    older: list[str] = field(default_factory=list)
    writes: int = 0
    reads: int = 0
    failures: list[BaseException] = field(default_factory=list)

    @contextlib.contextmanager
    def going_on(self) -> Iterator[None]:
        """Writers, readers and both links for the time of the block."""
        jobs: list[tuple[Callable[..., None], Any]] = [
            *((self._write, side) for side in "ab"),
            *((self._read, side) for side in "ab"),
            *((self._carry, link) for link in (self.rig.forth, self.rig.back)),
        ]
        threads = [threading.Thread(target=self._kept, args=job, daemon=True) for job in jobs]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.stop.set()
            for thread in threads:
                thread.join(60)
        assert not self.failures, self.failures

    def _kept(self, target: Callable[..., None], argument: Any) -> None:
        try:
            target(argument)
        except BaseException as error:
            self.failures.append(error)

    def _write(self, side: str) -> None:
        chance = random.Random(side)
        first = 1 if side == "a" else 101
        with self.rig.user(side) as connection, connection.cursor() as cursor:
            for number in itertools.count():
                if self.stop.is_set():
                    return
                key = first + chance.randrange(100)
                cursor.execute(
                    f"UPDATE item SET v = 'w{number}', version = version + 1 WHERE id = {key}"
                )
                self.writes += 1
                time.sleep(0.005)

    def _read(self, side: str) -> None:
        newest: dict[int, int] = {}
        with self.rig.user(side) as connection, connection.cursor() as cursor:
            while not self.stop.is_set():
                cursor.execute("SELECT id, version FROM item")
                rows = {int(i): int(n) for i, n in cursor.fetchall()}
                gone = newest.keys() - rows.keys()
                back = [i for i, n in rows.items() if n < newest.get(i, 0)]
                self.older += [f"{side}: row {i} went back or away" for i in (*gone, *back)]
                newest.update(rows)
                self.reads += 1

    def _carry(self, link: str) -> None:
        runtime = self.rig.runtime(link)
        try:
            while not self.stop.is_set():
                with contextlib.suppress(TransientError):
                    carry(runtime)
        finally:
            runtime.close()


def test_while_users_write_no_row_is_ever_seen_older(rig: Rig) -> None:
    """All of the past of both links, again and again, under traffic that touches every key.

    A few rounds each: most keys are still changing when they are used up, and that is no error.
    """
    few = Patience(caught_up=60, hold=20, rounds=3)
    traffic = Traffic(rig)
    reports = []
    with traffic.going_on():
        for link in (rig.forth, rig.back, rig.forth):
            reports.append(run(rig, link=link, in_process=False, patience=few))

    assert traffic.older == []
    assert traffic.writes > 500
    assert traffic.reads > 100
    assert not any(report.tables[f"{rig.name}.item"]["undecided"] for report in reports)
    rig.sync()
    rig.assert_equal()


def way(rig: Rig) -> str:
    """The one-way link's name; names of earlier rigs still stand in the stack's ledger."""
    return f"w_{rig.name}"


class TestOneWay:
    """A link without a pair: what the checkpoint has reached is written again."""

    @pytest.fixture
    def one_way(self, stack_mariadb: Stack, tmp_path_factory: pytest.TempPathFactory) -> Rig:
        rig = Rig(stack_mariadb, "one", tmp_path_factory.mktemp("one"))
        link = {
            "source": rig.sites[0],
            "target": rig.sites[1],
            "tables": [f"{rig.name}.*"],
            "detect": False,
            "mark_domain_id": 4712,
        }
        rig.changes = {"pairs": None, "links": {way(rig): link}}
        rig.create(ITEM)
        rows = ", ".join(f"({i}, 'first', 1)" for i in range(1, 101))
        rig.sql("a", f"INSERT INTO item VALUES {rows}")
        self.sync(rig)
        return rig

    @staticmethod
    def sync(rig: Rig) -> None:
        number = time.time_ns()
        rig.sql("a", f"REPLACE INTO zz_marker VALUES ('a', {number})")
        arrived = f"SELECT 1 FROM zz_marker WHERE side = 'a' AND n = {number}"
        wait_for(lambda: bool(rig.run(way(rig)) and rig.rows("b", arrived)), 60)

    @staticmethod
    def assert_equal(rig: Rig) -> None:
        rows = "SELECT id, v, version FROM item ORDER BY id"
        assert rig.rows("a", rows) == rig.rows("b", rows)

    @staticmethod
    def again(rig: Rig, selection: Selection = PAST) -> ReplayReport:
        runtime = rig.runtime(way(rig))
        try:
            return replay(runtime, None, selection)
        finally:
            runtime.close()

    def test_the_state_of_the_checkpoint_is_written_never_a_newer_or_older_one(
        self, one_way: Rig
    ) -> None:
        rig = one_way
        rig.sql("a", "UPDATE item SET v = 'later', version = 2 WHERE id <= 50")
        rig.sql("a", "DELETE FROM item WHERE id BETWEEN 51 AND 60")
        self.sync(rig)
        rig.sql("b", "UPDATE item SET v = 'broken', version = 0 WHERE id <= 20")
        rig.sql("b", "DELETE FROM item WHERE id BETWEEN 90 AND 94")
        rig.sql("b", "INSERT INTO item VALUES (55, 'broken', 0)")
        rig.sql("a", "UPDATE item SET v = 'not read yet', version = 3 WHERE id <= 5")
        rig.await_events("a")
        before = rig.checkpoint(way(rig))

        found = self.again(rig)

        after = rig.checkpoint(way(rig))
        counts = found.tables[f"{rig.name}.item"]
        assert (counts["updated"], counts["inserted"], counts["deleted"]) == (20, 5, 1)
        assert rig.rows("b", "SELECT COUNT(*) FROM item WHERE v = 'later'") == [(50,)]
        assert (after.batch, after.offsets_json()) == (before.batch, before.offsets_json())
        self.sync(rig)
        self.assert_equal(rig)

    def test_while_users_write_no_row_is_ever_seen_older(self, one_way: Rig) -> None:
        rig = one_way
        traffic = Traffic(rig)
        jobs = [(traffic._write, "a"), (traffic._read, "b"), (traffic._carry, way(rig))]
        threads = [threading.Thread(target=traffic._kept, args=job, daemon=True) for job in jobs]
        for thread in threads:
            thread.start()
        for _ in range(5):
            self.again(rig)
        traffic.stop.set()
        for thread in threads:
            thread.join(60)

        assert not traffic.failures
        assert traffic.older == []
        assert traffic.writes > 200
        self.sync(rig)
        self.assert_equal(rig)
