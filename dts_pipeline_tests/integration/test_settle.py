"""Reconcile and settlement on real servers: records close, and no user's write is undone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pandas as pd
import pytest

from dts_pipeline.adapters.ledger import Ledger
from dts_pipeline.adapters.reconcile_records import open_records
from dts_pipeline.core.conflicts import Kind
from dts_pipeline.core.links import Policy
from dts_pipeline.errors import TerminalError, TransientError
from dts_pipeline.stages.carry import carry
from dts_pipeline.stages.lag import lag_seconds, mark_source
from dts_pipeline.stages.pair import PairRuntime
from dts_pipeline.stages.reconcile import (
    Patience,
    TableKeys,
    exclusive,
    reconcile,
    tables_at_sites,
)
from dts_pipeline.stages.reconcile_round import Held
from dts_pipeline.stages.reconcile_work import RoundKeys
from dts_pipeline.stages.settle import settle
from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.stacks import Stack

pytestmark = pytest.mark.servers

ROW = "CREATE TABLE {0} (id INT PRIMARY KEY, v VARCHAR(50)) CHARACTER SET utf8mb4"
TYPES = (
    "CREATE TABLE kinds (k VARCHAR(20) COLLATE utf8mb4_general_ci, n BIGINT UNSIGNED, f FLOAT, "
    "d DOUBLE, m DECIMAL(40,12), at DATETIME(6) NULL, day DATE, t TIME(3), ts TIMESTAMP(6) NULL, "
    "y YEAR, bits BIT(12), raw VARBINARY(20), txt TEXT, e ENUM('x','y'), s SET('p','q'), g POINT, "
    "PRIMARY KEY (k, n)) CHARACTER SET utf8mb4"
)
TABLES = ("meeting", "midway", "stubborn", "waits", "closed_late", "many", "narrow")


@pytest.fixture(
    scope="module",
    params=["stack_mariadb", pytest.param("stack_mixed", marks=pytest.mark.mysql)],
)
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Rig:
    """Policy: site A wins, but for `stubborn`, where nobody does."""
    stack: Stack = request.getfixturevalue(request.param)
    rig = Rig(stack, "settle", tmp_path_factory.mktemp("settle"))
    rig.conflicts = {
        "policy": {"site": "A"},
        "tables": {f"{rig.name}.stubborn": {"policy": "fail"}},
    }
    return rig.create(TYPES, *(ROW.format(name) for name in TABLES))


@pytest.fixture
def pair(rig: Rig) -> Iterator[PairRuntime]:
    made = PairRuntime(rig.runtime(rig.forth), rig.runtime(rig.back))
    yield made
    made.close()


def hidden(rig: Rig, side: str, *statements: str) -> None:
    """Writes that no connector sees."""
    script = "; ".join(("SET SESSION sql_log_bin = 0", f"USE {rig.name}", *statements))
    rig.stack.command("sql", "--admin", side, "--", "-e", script)


def left(rig: Rig, table: str) -> list[tuple[str, str, str]]:
    return rig.records(rig.forth, table) + rig.records(rig.back, table)


def test_records_close_once_both_sites_were_equal_through_a_round(
    rig: Rig, pair: PairRuntime
) -> None:
    rig.sql("a", "INSERT INTO meeting VALUES (1,'a'),(2,'same')")
    rig.sql("b", "INSERT INTO meeting VALUES (1,'b'),(2,'same')")
    rig.sync()
    assert len(left(rig, "meeting")) >= 3

    report = settle(pair, carry=carry)

    assert report.is_settled
    assert report.tables[f"{rig.name}.meeting"]["equal"] == 2
    assert left(rig, "meeting") == []
    assert rig.rows("b", "SELECT v FROM meeting ORDER BY id") == [("a",), ("same",)]
    rig.assert_equal()


def test_a_difference_that_nobody_logged_is_repaired_value_by_value(
    rig: Rig, pair: PairRuntime
) -> None:
    full = (
        "('Key', 18446744073709551615, 0.1, -0.0, -12345678901234567890123456.123456789012, "
        "'9999-12-31 23:59:59.999999', '1000-01-01', '-838:59:58.999', "
        "'2038-01-19 03:14:07.999999', 2155, b'101010101010', x'00ff27', 'it''s \\\\ 𝄞', 'y', "
        "'p,q', ST_GeomFromText('POINT(1.5 -2)'))"
    )
    empty = "('none', 0" + ", NULL" * 14 + ")"
    rig.sql("a", f"INSERT INTO kinds VALUES {full}, {empty}")
    # ENUM's error value, which no statement in strict mode can write.
    rig.sql("a", "SET SESSION sql_mode = ''", "UPDATE kinds SET e = 'none' WHERE k = 'none'")
    rig.sync()
    hidden(rig, "b", "DELETE FROM kinds WHERE k = 'Key'")
    hidden(rig, "b", "UPDATE kinds SET raw = x'01', f = 0.7, txt = '' WHERE k = 'none'")
    hidden(rig, "b", "INSERT INTO kinds (k, n) VALUES ('extra', 1)")
    keys = pd.DataFrame({"k": ["KEY", "none", "extra", "nowhere"], "n": [2**64 - 1, 0, 1, 5]})

    report = reconcile(
        pair,
        {f"{rig.name}.kinds": keys},
        reason=Kind.REPAIR,
        policy=Policy("site", rig.sites[0]),
        carry=carry,
    )

    counts = report.tables[f"{rig.name}.kinds"]
    assert (counts["written"], counts["equal"], counts["closed"]) == (3, 4, 3)
    assert left(rig, "kinds") == []
    assert rig.rows("b", "SELECT k FROM kinds WHERE e = 0") == [("none",)]
    rig.assert_equal()
    rig.drain()
    rig.assert_equal()  # what it wrote was marked: nothing of it came back


def test_a_user_s_write_between_read_and_end_is_never_undone(rig: Rig, pair: PairRuntime) -> None:
    """Without the second watermarks the guard alone would delete what the user just wrote."""
    rig.sql("a", "INSERT INTO midway VALUES (1,'old'),(2,'old')")
    rig.sync()
    hidden(rig, "b", "UPDATE midway SET v = 'wrong' WHERE id = 2")
    name = f"{rig.name}.midway"
    known = tables_at_sites(pair, [name])
    how = RoundKeys(Kind.REPAIR, Policy("site", rig.sites[0]))
    with ExitStack() as stack:
        held = Held(pair.star(pair.first.site), how, Patience(), stack)
        works = held.begin([TableKeys(name, [(1,), (2,)])], known)
        held.read(works)
        rig.sql("b", "DELETE FROM midway WHERE id = 1")
        held.catch_up(works, carry)
        result = held.decide(works)

    assert [table.keys for table in result.left] == [[(1,), (2,)]]
    assert result.counts[name]["written"] == 1  # the other key's
    rig.sync()
    assert rig.rows("a", "SELECT id, v FROM midway") == [(2, "old")]
    rig.assert_equal()


def test_sites_that_order_a_key_differently(rig: Rig, pair: PairRuntime) -> None:
    """(1, 2) at one site is (1, 2) at the other, not the row that its key's order makes of it."""
    for side, key in (("a", "x, y"), ("b", "y, x")):
        rig.sql(side, f"CREATE TABLE turned (x INT, y INT, v VARCHAR(20), PRIMARY KEY ({key}))")
    rig.sql("a", "INSERT INTO turned VALUES (1,2,'one'),(2,1,'two'),(3,4,'three')")
    rig.sync()
    rig.sql("a", "UPDATE turned SET v = 'a' WHERE x = 1", "DELETE FROM turned WHERE x = 3")
    rig.sql("b", "UPDATE turned SET v = 'b' WHERE x IN (1, 3)")
    rig.sync()
    assert len(left(rig, "turned")) >= 2
    assert settle(pair, carry=carry).is_settled
    rig.drain()
    assert left(rig, "turned") == []
    expected = [(1, 2, "a"), (2, 1, "two")]
    for side in "ab":
        assert rig.rows(side, "SELECT * FROM turned ORDER BY x") == expected
    hidden(rig, "b", "UPDATE turned SET v = 'wrong' WHERE x = 1")
    keys = {f"{rig.name}.turned": pd.DataFrame({"y": [2], "x": [1]})}
    reconcile(pair, keys, reason=Kind.REPAIR, policy=Policy("site", rig.sites[0]), carry=carry)
    assert rig.rows("b", "SELECT * FROM turned ORDER BY x") == expected


def test_a_record_brought_up_to_date_meanwhile_stays_open(rig: Rig, pair: PairRuntime) -> None:
    rig.both("INSERT INTO closed_late VALUES (1,'same')")
    rig.sync()
    name = f"{rig.name}.closed_late"
    records = open_records(pair.second, rig.forth, 10, table=name)
    assert records
    known = tables_at_sites(pair, [name])
    with ExitStack() as stack:
        held = Held(pair.star(pair.first.site), RoundKeys(None, None), Patience(), stack)
        keys = TableKeys(name, [(1,)], {0: records})
        works = held.begin([keys], known)
        held.read(works)
        with pair.second.connect() as connection:
            touch = "UPDATE dts.conflict SET times = times + 1 WHERE table_name = %s"
            connection.exec_driver_sql(touch, (name,))
            connection.commit()
        held.catch_up(works, carry)
        counts = held.decide(works).counts[name]

    assert (counts["equal"], counts["closed"]) == (1, 0)
    assert rig.records(rig.forth, "closed_late")
    assert settle(pair, carry=carry).is_settled
    assert left(rig, "closed_late") == []


def test_nobody_decides_under_the_policy_fail(rig: Rig, pair: PairRuntime) -> None:
    rig.sql("a", "INSERT INTO stubborn VALUES (1,'old')")
    rig.sync()
    hidden(rig, "b", "UPDATE stubborn SET v = 'other'")
    keys = {f"{rig.name}.stubborn": pd.DataFrame({"id": [1]})}

    report = reconcile(pair, keys, reason=Kind.REPAIR, carry=carry)

    assert not report.is_settled
    assert report.tables[f"{rig.name}.stubborn"]["undecided"] == 1
    assert rig.rows("b", "SELECT v FROM stubborn") == [("other",)]
    chosen = reconcile(
        pair, keys, reason=Kind.REPAIR, policy=Policy("site", rig.sites[1]), carry=carry
    )
    assert chosen.is_settled
    assert rig.rows("a", "SELECT v FROM stubborn") == [("other",)]


def test_thousands_of_keys_in_one_round(rig: Rig, pair: PairRuntime) -> None:
    rows = ", ".join(f"({n}, 'v{n}')" for n in range(5_000))
    rig.sql("a", f"INSERT INTO many VALUES {rows}")
    rig.sync()
    hidden(rig, "b", "UPDATE many SET v = 'wrong' WHERE id % 2 = 0")
    hidden(rig, "a", "DELETE FROM many WHERE id % 5 = 1")
    keys = {f"{rig.name}.many": pd.DataFrame({"id": range(5_000)})}

    report = reconcile(
        pair, keys, reason=Kind.REPAIR, policy=Policy("site", rig.sites[0]), carry=carry
    )

    counts = report.tables[f"{rig.name}.many"]
    assert (counts["written"], counts["equal"], counts["closed"]) == (3_000, 5_000, 3_000)
    assert report.rounds == 2
    rig.assert_equal()


def test_a_row_that_does_not_fit_stops_its_own_key_only(rig: Rig, pair: PairRuntime) -> None:
    rig.sql("a", "INSERT INTO narrow VALUES " + ", ".join(f"({n}, 'v')" for n in range(9)))
    rig.sync()
    hidden(rig, "a", "ALTER TABLE narrow MODIFY v VARCHAR(100)")
    hidden(rig, "a", "UPDATE narrow SET v = REPEAT('x', 90) WHERE id = 4")
    hidden(rig, "b", "UPDATE narrow SET v = 'wrong' WHERE id IN (1, 7)")
    name = f"{rig.name}.narrow"
    site = Policy("site", rig.sites[0])
    keys = pd.DataFrame({"id": range(9)})

    report = reconcile(pair, {name: keys}, reason=Kind.REPAIR, policy=site, carry=carry)

    counts = report.tables[name]
    assert (counts["written"], counts["equal"], counts["again"]) == (2, 8, 1)
    assert report.reasons["row_refused"] > 0
    hidden(rig, "a", "UPDATE narrow SET v = 'v' WHERE id = 4")
    hidden(rig, "a", "ALTER TABLE narrow MODIFY v VARCHAR(50)")
    rig.assert_equal()


def test_what_a_reconcile_refuses(rig: Rig, pair: PairRuntime) -> None:
    rig.sql("a", "INSERT INTO waits VALUES (1,'a')")
    rig.sync()
    rig.sql("a", "UPDATE waits SET v = 'on its way'")
    keys = {f"{rig.name}.waits": pd.DataFrame({"id": [1]})}
    impatient = Patience(caught_up=3, rounds=1)

    with pytest.raises(TransientError) as caught:  # nobody carries it
        reconcile(pair, keys, reason=Kind.REPAIR, patience=impatient)
    assert caught.value.code == "link_behind"

    with exclusive(pair), pytest.raises(TerminalError) as caught_busy:
        reconcile(pair, keys, reason=Kind.REPAIR, carry=carry)
    assert caught_busy.value.code == "reconcile_busy"

    pair.forth.ledger.set_paused(rig.forth, "main", True)
    with pytest.raises(TerminalError) as caught_paused:
        reconcile(pair, keys, reason=Kind.REPAIR, carry=carry)
    pair.forth.ledger.set_paused(rig.forth, "main", False)
    assert caught_paused.value.code == "link_paused"

    with pytest.raises(TerminalError) as caught_missing:
        reconcile(pair, {f"{rig.name}.gone": pd.DataFrame({"id": [1]})}, reason=Kind.REPAIR)
    assert caught_missing.value.code == "table_missing"
    rig.sync()
    rig.assert_equal()


def test_lag_is_the_age_of_the_newest_watermark_that_the_link_is_past(
    rig: Rig, pair: PairRuntime
) -> None:
    rig.sync()  # each run writes a watermark, the next one finds it
    rig.sync()
    before = lag_seconds(pair.forth, rig.checkpoint(rig.forth))
    assert before is not None

    rig.sql("a", "INSERT INTO waits VALUES (99,'not carried yet')")
    mark_source(pair.forth)  # behind the row: the link is not past it
    rig.await_events("a")
    stuck = lag_seconds(pair.forth, rig.checkpoint(rig.forth))
    assert stuck is not None
    assert stuck > before

    rig.sync()
    after = lag_seconds(pair.forth, rig.checkpoint(rig.forth))
    assert after is not None
    assert after < stuck


def test_a_ledger_of_an_earlier_version_gets_a_record_for_each_link(rig: Rig) -> None:
    database = rig.database(rig.sites[0])
    key = "ALTER TABLE dts.conflict DROP INDEX one_open_row_a_key, ADD UNIQUE one_open_row_a_key "
    with database.connect() as connection:
        connection.exec_driver_sql(f"{key} (table_name, key_hash, open_slot)")

    Ledger(database).create("test")

    columns = database.query(
        "SELECT column_name FROM information_schema.statistics WHERE table_schema = 'dts' "
        "AND index_name = 'one_open_row_a_key' ORDER BY seq_in_index"
    )
    assert [name for (name,) in columns] == ["link", "table_name", "key_hash", "open_slot"]
