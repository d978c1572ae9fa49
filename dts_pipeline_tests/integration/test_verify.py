"""verify on real servers: what differs is named, and nothing else, while users write."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import dagster as dg
import pytest

from dts_pipeline.adapters.ledger import Ledger
from dts_pipeline.commands import exits
from dts_pipeline.core.verification import RECORDED, State, VerifyReport
from dts_pipeline.defs.build import build_definitions
from dts_pipeline.defs.comparing import TOUCHED_KEYS
from dts_pipeline.defs.contract import CONTRACT
from dts_pipeline.errors import TerminalError
from dts_pipeline.stages.at_rest import Patience
from dts_pipeline.stages.carry import carry
from dts_pipeline.stages.compare import Limits
from dts_pipeline.stages.repair import all_mended, check_winner, mend
from dts_pipeline.stages.touched import touched
from dts_pipeline.stages.verify import Comparison, verify
from dts_pipeline_tests.conftest import MakeRig
from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.stacks import Stack
from dts_pipeline_tests.test_cli import Dts

pytestmark = pytest.mark.servers

ROWS = 20_000
TABLE = (
    "CREATE TABLE item (id INT PRIMARY KEY, name VARCHAR(60), price DECIMAL(12,4), "
    "at DATETIME(3), ratio DOUBLE, note TEXT, n BIGINT NOT NULL DEFAULT 0)"
)
NAMES = (
    "CREATE TABLE named (region VARCHAR(10), name VARCHAR(30), v INT, PRIMARY KEY (region, name)) "
    "COLLATE utf8mb4_general_ci"
)
WORDS = (
    "CREATE TABLE words (word VARCHAR(30) PRIMARY KEY, v INT, ratio DOUBLE, doc JSON) "
    "CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci"
)
SEQUENCE = "seq_1_to_{}"


def fill(rig: Rig, rows: int = ROWS) -> None:
    """The same rows at both sites, before anything is carried; no connector sees them."""
    for side in "ab":
        unlogged(
            rig,
            side,
            f"INSERT INTO item (id, name, price, at, ratio, note) SELECT seq, "
            f"CONCAT('name ', seq), seq / 7, '2026-11-23 10:00:00.123', seq / 3, "
            f"REPEAT('x', seq % 50) FROM {SEQUENCE.format(rows)}",
            f"INSERT INTO named SELECT CONCAT('r', seq % 7), CONCAT('Name ', seq), seq "
            f"FROM {SEQUENCE.format(2_000)}",
        )


def unlogged(rig: Rig, side: str, *statements: str) -> None:
    """Writes that no connector sees: what a lost event or a careless hand leaves behind."""
    rig.sql(side, "SET SESSION sql_log_bin = 0", *statements)


@contextmanager
def comparison(rig: Rig, **limits: Any) -> Iterator[Comparison]:
    links = rig.runtime(rig.forth), rig.runtime(rig.back)
    try:
        yield Comparison("pair", links, replace(Limits(), **limits))
    finally:
        for link in links:
            link.close()


@contextmanager
def writing(rig: Rig, below: int = ROWS) -> Iterator[Callable[[], int]]:
    """Users at both sites who insert, update and delete; gives how many statements they ran."""
    ended, counts = threading.Event(), Counter[str]()

    def write(side: str) -> None:
        random = Random(side)
        with rig.user(side) as connection, connection.cursor() as cursor:
            while not ended.is_set():
                key = 2 * random.randrange(below // 2) + "ab".index(side)
                cursor.execute(
                    random.choice(
                        (
                            f"UPDATE item SET n = n + 1 WHERE id = {key}",
                            f"DELETE FROM item WHERE id = {key}",
                            f"INSERT INTO item (id, n) VALUES ({key}, 1) "
                            "ON DUPLICATE KEY UPDATE n = n + 1",
                        )
                    )
                )
                counts[side] += 1
                ended.wait(0.01)

    with running(*(partial(write, side) for side in "ab")):
        try:
            yield lambda: min(counts["a"], counts["b"])
        finally:
            ended.set()


@contextmanager
def syncing(rig: Rig) -> Iterator[None]:
    """Both links' runs one after the other, as their schedules start them."""
    ended = threading.Event()

    def run() -> None:
        while not ended.is_set():
            rig.run(rig.forth)
            rig.run(rig.back)

    with running(run):
        try:
            yield
        finally:
            ended.set()


@contextmanager
def environment(given: Mapping[str, str]) -> Iterator[None]:
    """These variables, for Dagster's resources to read."""
    before = dict(os.environ)
    os.environ.update(given)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def running(*work: Callable[[], None]) -> Iterator[None]:
    """Threads that are waited for at the end, and whose errors are raised then."""
    with ThreadPoolExecutor(len(work)) as threads:
        futures = [threads.submit(each) for each in work]
        yield
    for future in futures:
        future.result()


def compared(rig: Rig, **limits: Any) -> VerifyReport:
    with comparison(rig, **limits) as pair:
        return verify(pair, carry=carry)


def keys_of(report: VerifyReport, table: str) -> set[tuple[object, ...]]:
    """(key…, state) of every key that was found."""
    frame = next(t.keys for t in report.tables if t.table.endswith(f".{table}"))
    return set(frame.drop(columns=[RECORDED]).itertuples(index=False, name=None))


@pytest.fixture
def rig(make_rig: MakeRig) -> Rig:
    made = make_rig("vfy", TABLE, NAMES)
    fill(made)
    made.sync()
    return made


def test_a_changed_byte_a_missing_and_an_extra_row_are_named(rig: Rig) -> None:
    unlogged(rig, "a", "UPDATE item SET note = CONCAT('y', SUBSTR(note, 2)) WHERE id = 12345")
    unlogged(rig, "b", "DELETE FROM item WHERE id = 777", "INSERT INTO item (id) VALUES (99999)")
    unlogged(rig, "b", "UPDATE named SET v = -1 WHERE region = 'r3' AND name = 'name 10'")
    unlogged(rig, "b", "UPDATE named SET name = 'NAME 11' WHERE region = 'r4' AND v = 11")

    report = compared(rig)

    assert keys_of(report, "item") == {
        (12345, State.CHANGED),
        (777, State.ONLY_FIRST),
        (99999, State.ONLY_SECOND),
    }
    assert keys_of(report, "named") >= {("r3", "Name 10", State.CHANGED)}
    assert not any(table.keys[RECORDED].any() for table in report.tables)


def test_equal_sides_while_users_write_at_both(rig: Rig) -> None:
    with writing(rig) as writes, syncing(rig):
        with comparison(rig, first_rows=500, max_rows=1_000) as pair:
            report = verify(pair)
            checked = touched(pair)

    assert report.different == 0, report
    assert (checked.different, checked.recorded) == (0, 0), checked
    assert checked.keys > 100
    assert writes() > 100


def test_a_key_that_is_written_all_the_time_is_moving_and_not_different(rig: Rig) -> None:
    unlogged(rig, "a", "UPDATE item SET note = 'other' WHERE id = 5")
    ended = threading.Event()

    def write() -> None:  # the loser's side: each of its changes is a conflict, and not carried
        with rig.user("b") as connection, connection.cursor() as cursor:
            while not ended.wait(0.01):
                cursor.execute("UPDATE item SET n = n + 1 WHERE id = 5")

    with comparison(rig) as pair:
        pair = replace(pair, patience=Patience(rounds=2))
        with running(write):
            try:
                moving = verify(pair, [f"{rig.name}.item"], carry=carry)
            finally:
                ended.set()
        rig.sync()
        resting = verify(pair, [f"{rig.name}.item"], carry=carry)

    assert keys_of(moving, "item") == {(5, State.MOVING)}
    assert (moving.different, moving.moving) == (0, 1)
    assert keys_of(resting, "item") == {(5, State.CHANGED)}
    assert resting.tables[0].keys[RECORDED].tolist() == [True]


def test_repair_makes_the_keys_equal_while_users_write(rig: Rig) -> None:
    unlogged(rig, "a", "UPDATE item SET note = 'changed' WHERE id = 19998")
    unlogged(rig, "b", "DELETE FROM item WHERE id = 19996", "INSERT INTO item (id) VALUES (99999)")
    with comparison(rig) as pair:
        found = verify(pair, carry=carry)
        assert found.different == 3
        with writing(rig, ROWS // 2), syncing(rig):
            counts = mend(pair, found, rig.sites[1])
        again = verify(pair, carry=carry)

    assert all_mended(counts)
    assert counts[f"{rig.name}.item"]["written"] == counts[f"{rig.name}.item"]["equal"] == 3
    assert again.different == 0
    assert rig.rows("a", "SELECT COUNT(*) FROM item WHERE id IN (19996, 99999)") == [(1,)]
    assert rig.rows("a", "SELECT note = REPEAT('x', 48) FROM item WHERE id = 19998") == [(1,)]


def test_the_source_of_a_one_way_link_wins(make_rig: MakeRig) -> None:
    rig = make_rig("one", TABLE, NAMES)
    fill(rig)
    rig.sql("a", "UPDATE item SET n = 1 WHERE id < 100")
    unlogged(rig, "a", "UPDATE item SET note = 'changed' WHERE id = 200")
    unlogged(rig, "b", "DELETE FROM item WHERE id IN (300, 301)")
    rig.sql("b", "INSERT INTO item (id) VALUES (99999)")
    pair_link = rig.runtime(rig.forth)
    one_way = replace(pair_link.link, name=f"{rig.name}_one", pair=None, detect=False)
    link = replace(pair_link, link=one_way)
    single = Comparison("one", (link,))
    carry(link)
    found = verify(single, carry=carry)
    assert keys_of(found, "item") == {
        (200, State.CHANGED),
        (300, State.ONLY_FIRST),
        (301, State.ONLY_FIRST),
        (99999, State.ONLY_SECOND),
    }

    counts = mend(single, found, check_winner(single, None), carry=carry)

    assert counts[f"{rig.name}.item"]["written"] == 4
    assert verify(single, carry=carry).different == 0
    assert rig.rows("b", "SELECT note FROM item WHERE id = 200") == [("changed",)]
    with pytest.raises(TerminalError, match="winner_invalid"):
        check_winner(single, rig.sites[1])
    link.close()


def test_the_keys_of_the_last_batches_are_checked(rig: Rig) -> None:
    rig.sql("a", *(f"UPDATE item SET n = {n} WHERE id = {n}" for n in range(1, 21)))
    rig.sql("b", *(f"UPDATE item SET n = {n} WHERE id = {n}" for n in range(31, 41)))
    rig.sync()
    with comparison(rig) as pair:
        assert touched(pair, carry=carry).keys >= 20
        unlogged(rig, "b", "UPDATE item SET n = -1 WHERE id = 7")
        rig.sql("b", "UPDATE item SET n = -1 WHERE id = 8")  # on its way to the other site
        rig.await_events("b")
        impatient = replace(pair, patience=Patience(passed=0.0))
        unjudged = touched(impatient)
        judged = touched(pair, carry=carry)

    assert (unjudged.different, unjudged.unjudged) == (0, 2)
    assert unjudged.why == "watermark_missing"
    assert (judged.different, judged.unjudged, judged.recorded) == (1, 0, 0)


def test_a_comparison_is_taken_up_where_it_was_broken_off(rig: Rig) -> None:
    unlogged(rig, "b", "DELETE FROM item WHERE id IN (3, 19999)")
    seen: list[int] = []

    def broken_off(_table: str, done: int, _expected: int) -> None:
        seen.append(done)
        if done > 5_000:
            raise KeyboardInterrupt

    with comparison(rig, first_rows=1_000, max_rows=1_000) as pair:
        with pytest.raises(KeyboardInterrupt):
            verify(pair, [f"{rig.name}.item"], progress=broken_off)
        again: list[int] = []
        report = verify(
            pair,
            [f"{rig.name}.item"],
            resume=True,
            carry=carry,
            progress=lambda _table, done, _expected: again.append(done),
        )

    assert again[0] > seen[-1] > 5_000
    assert report.tables[0].rows == (ROWS, ROWS - 2)
    assert keys_of(report, "item") == {(3, State.ONLY_FIRST), (19999, State.ONLY_FIRST)}


def test_what_cannot_be_compared_is_an_error_that_names_it(rig: Rig) -> None:
    with comparison(rig) as pair:
        with pytest.raises(TerminalError, match="unknown_table"):
            verify(pair, [f"{rig.name}.nothing"])
        rig.sql("b", "CREATE TABLE alone (id INT PRIMARY KEY)")
        with pytest.raises(TerminalError, match=r"table_missing.*alone"):
            verify(pair)
        rig.sql("a", "CREATE TABLE alone (id INT)")
        with pytest.raises(TerminalError, match=r"key_missing.*alone"):
            verify(pair)
        assert verify(pair, [f"{rig.name}.named"], carry=carry).different == 0


def test_differences_of_a_paused_link_are_not_judged(rig: Rig) -> None:
    unlogged(rig, "b", "DELETE FROM item WHERE id = 3")
    Ledger(rig.database(rig.sites[1])).set_paused(rig.forth, "main", True)
    with comparison(rig) as pair:
        with pytest.raises(TerminalError, match="link_paused"):
            verify(pair)
        Ledger(rig.database(rig.sites[1])).set_paused(rig.forth, "main", False)
        read: list[str] = []
        report = verify(
            pair, resume=True, carry=carry, progress=lambda table, *_: read.append(table)
        )

    assert read == []  # the tables were read before
    assert keys_of(report, "item") == {(3, State.ONLY_FIRST)}


def test_a_key_with_an_open_record_is_told_apart(rig: Rig) -> None:
    rig.sql("a", "UPDATE item SET n = 1 WHERE id = 5")
    rig.sql("b", "UPDATE item SET n = 2 WHERE id = 5")
    rig.sync()
    unlogged(rig, "b", "UPDATE item SET n = 3 WHERE id IN (5, 6)")

    report = compared(rig)

    table = next(t for t in report.tables if t.table.endswith(".item"))
    assert dict(zip(table.keys["id"], table.keys[RECORDED], strict=True)) == {5: True, 6: False}


@pytest.mark.mysql
@pytest.mark.parametrize("flavour", ["mysql", "mixed"])
def test_other_servers(flavour: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """JSON, and text keys that the two kinds of servers need not order alike."""
    stack: Stack = request.getfixturevalue(f"stack_{flavour}")
    rig = Rig(stack, f"vfy{flavour}", tmp_path).create(WORDS)
    starts = [f"{a}{b}" for a in "aÄz_-" for b in "bB5"]
    rows = ", ".join(
        f"""('{starts[n % 15]} {n}', {n}, {n} / 3e0, '{{"b": {n}, "aa": [1, 2.50]}}')"""
        for n in range(600)
    )
    for side in "ab":
        unlogged(rig, side, f"INSERT INTO words VALUES {rows}")
    rig.sql("a", "UPDATE words SET v = v + 1 WHERE v % 5 = 0")
    rig.sql("b", "UPDATE words SET v = v - 1 WHERE v % 5 = 2")
    rig.sync()
    unlogged(rig, "b", "UPDATE words SET ratio = ratio * 1.0000000001 WHERE word = 'zb 6'")
    if flavour == "mysql":  # other text, the same value
        unlogged(rig, "a", """UPDATE words SET doc = '{"n": 1.0}' WHERE word = 'zb 21'""")
        unlogged(rig, "b", """UPDATE words SET doc = '{"n": 1}' WHERE word = 'zb 21'""")
        unlogged(rig, "b", """UPDATE words SET doc = '{"n": 2}' WHERE word = 'zb 36'""")

    report = compared(rig, first_rows=50, max_rows=100, leaf_rows=10)

    expected = {("zb 6", State.CHANGED)}
    expected |= {("zb 36", State.CHANGED)} if flavour == "mysql" else set()
    assert keys_of(report, "words") == expected
    not_compared = [left.column for table in report.tables for left in table.not_compared]
    assert not_compared == (["doc"] if flavour == "mixed" else [])


def ran(rig: Rig, job: str, config: dict[str, Any] | None = None) -> dg.ExecuteInProcessResult:
    """A job as Dagster runs it, with the secrets in its environment."""
    ops = {"ops": config} if config else {}
    definitions = build_definitions(rig.config)
    with dg.DagsterInstance.ephemeral() as instance, environment(rig.stack.env):
        return definitions.resolve_job_def(job).execute_in_process(
            run_config={**ops, "loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            instance=instance,
            raise_on_error=False,
        )


def test_the_jobs_tell_counts_and_no_keys(rig: Rig) -> None:
    unlogged(rig, "b", "UPDATE item SET name = 'secret name' WHERE id = 12321")
    rig.sql("a", "UPDATE item SET n = 1 WHERE id = 12321")
    rig.sync()
    unlogged(rig, "b", "UPDATE item SET name = 'another' WHERE id = 12321")
    with syncing(rig):
        compared_run = ran(rig, "verify", {"compare_sites": {"config": {"pair": "pair"}}})
        checked = ran(rig, f"check_{rig.forth}")
        chosen = {"pair": "pair", "winner": rig.sites[0], "execute": True}
        repaired = ran(rig, "repair", {"repair_sites": {"config": chosen}})
        again = ran(rig, "verify")

    assert not compared_run.success
    assert (repaired.success, again.success) == (True, True)
    evaluations = {e.check_name: e for e in checked.get_asset_check_evaluations()}
    assert evaluations.keys() == {TOUCHED_KEYS, CONTRACT}
    assert evaluations[CONTRACT].passed
    evaluation = evaluations[TOUCHED_KEYS]
    assert evaluation.severity is dg.AssetCheckSeverity.WARN
    assert evaluation.metadata["keys"].value >= 1
    told = "".join(
        str(event) for run in (compared_run, checked, repaired, again) for event in run.all_events
    )
    assert "sites_differ" in told
    assert f"{rig.name}.item" in told
    assert "12321" not in told
    assert "another" not in told


def test_tables_that_have_grown_apart_are_told_by_a_check(rig: Rig) -> None:
    def contract() -> dg.AssetCheckEvaluation:
        evaluations = ran(rig, f"check_{rig.forth}").get_asset_check_evaluations()
        return next(e for e in evaluations if e.check_name == CONTRACT)

    rig.both("CREATE TABLE apart (id INT PRIMARY KEY, name VARCHAR(9), at DATETIME(3))")
    try:
        unlogged(rig, "b", "ALTER TABLE apart MODIFY name VARCHAR(3)")
        narrower = contract()
        unlogged(rig, "b", "ALTER TABLE apart MODIFY at DATETIME")
        rounded = contract()
        unlogged(rig, "b", "DROP TABLE apart")
        missing = contract()
    finally:
        rig.both("DROP TABLE IF EXISTS apart")

    warning, error = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR
    assert [(e.passed, e.severity) for e in (narrower, rounded, missing)] == [
        (False, warning),
        (False, error),
        (False, error),
    ]
    assert rounded.metadata["lossy"].value == 2
    rows = [record.data for record in rounded.metadata["differences"].records]
    assert {(row["column"], row["stops"]) for row in rows} == {("name", "no"), ("at", "yes")}
    assert missing.metadata["missing_at_target"].value == f"{rig.name}.apart"
    assert contract().passed


def test_the_commands(rig: Rig) -> None:
    unlogged(rig, "b", "DELETE FROM item WHERE id = 12321")
    dts = Dts(rig.path, rig.stack.env)

    found = dts.json("verify", "pair", "--carry", status=exits.FOUND)["comparisons"][0]
    shown = dts("verify", rig.forth, "--carry", "--table", f"{rig.name}.item").output
    refused = dts.error("repair", "pair")
    planned = dts.json("repair", "pair", "--winner", rig.sites[0], "--carry", status=exits.FOUND)
    assert rig.rows("b", "SELECT COUNT(*) FROM item WHERE id = 12321") == [(0,)]
    done = dts.json("repair", "pair", "--winner", rig.sites[0], "--carry", "--execute")
    clean = dts.json("verify", "--carry")["comparisons"][0]

    item = next(table for table in found["tables"] if table["table"].endswith(".item"))
    state = f"only at {rig.sites[0]}"
    assert item["keys"] == [{"key": '{"id":12321}', "state": state, "recorded": False}]
    assert '{"id":12321}' in shown
    assert refused["code"] == "winner_invalid"
    assert (planned["executed"], done["executed"]) == (False, True)
    assert done["written"][f"{rig.name}.item"]["written"] == 1
    assert (clean["different"], clean["moving"]) == (0, 0)
    assert dts.error("verify", "nobody")["code"] == "unknown_link"
