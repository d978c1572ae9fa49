"""Rows that come in, loaded straight into their table: the same rows, records and errors."""

from __future__ import annotations

import threading
import time

import pymysql
import pytest
from pymysql.cursors import Cursor

from dts_pipeline.adapters import direct_inserts
from dts_pipeline.adapters.direct_inserts import DirectInserts, NotAsExpectedError
from dts_pipeline.errors import PoisonError
from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.stacks import Stack

pytestmark = pytest.mark.servers

SECRET = "a-value-that-nobody-should-read"
ITEM = "CREATE TABLE {0} (id INT PRIMARY KEY, name VARCHAR(60), n INT) CHARACTER SET utf8mb4"
TYPED = """
CREATE TABLE typed (
    a INT NOT NULL, b VARCHAR(20) COLLATE utf8mb4_general_ci NOT NULL,
    twice BIGINT AS (a * 2) STORED, `odd %s``%` INT, u BIGINT UNSIGNED, f FLOAT, d DOUBLE,
    dc DECIMAL(20,6),
    bi BIT(12), bn BINARY(4), vb VARBINARY(20), bl BLOB, tx TEXT, js JSON, en ENUM('x','y z','ü'),
    st SET('p','q'), da DATE, dt DATETIME(6), ts TIMESTAMP(3) NULL, ti TIME(6), ye YEAR, pt POINT,
    PRIMARY KEY (b, a)
) CHARACTER SET utf8mb4
"""
TYPED_COLUMNS = (
    "a, b, `odd %s``%`, u, f, d, dc, bi, bn, vb, bl, tx, js, en, st, da, dt, ts, ti, ye, pt"
)
TYPED_ROWS = """
(1, 'b', 1, 18446744073709551615, 1.5, -0.1e-300, -12345678901234.567891, b'101', 'ab', x'00ff5c09',
 x'0a0d1a5c', 'tab\\t line\\n back\\\\ null\\0 quote'' 🐋 \\\\N', '{"k": [1, "\\\\n"]}', 'y z',
 'p,q', '2026-02-28', '2026-02-28 23:59:59.999999', '2026-02-28 23:59:59.999', '-838:59:59', 2026,
 ST_GeomFromText('POINT(1.5 -2)')),
(-2, 'B2', 2, 0, 0, 0, 0, b'0', '', '', '', '', '[]', 'ü', '', '1000-01-01', '1000-01-01', NULL,
 '00:00:00.000001', 1901, NULL),
(0, '', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
 NULL, NULL, NULL, NULL)
"""
NAMES = ("many", "met", "alike", "narrow", "raced", "wide", "again")


@pytest.fixture(scope="module")
def rig(each_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Rig:
    """Site A wins every conflict."""
    rig = Rig(each_stack, "direct", tmp_path_factory.mktemp("direct"))
    rig.conflicts = {"policy": {"site": "A"}}
    unique = ITEM.format("taken").replace("n INT)", "n INT UNIQUE)")
    return rig.create(TYPED, unique, *(ITEM.format(name) for name in NAMES))


@pytest.fixture(autouse=True)
def written(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Any number of rows is worth it; whether each write went well."""
    found: list[bool] = []
    write = DirectInserts.write

    def noted(self: DirectInserts, cursor: Cursor) -> int:
        try:
            count = write(self, cursor)
        except NotAsExpectedError:
            found.append(False)
            raise
        found.append(True)
        return count

    monkeypatch.setattr(direct_inserts, "LEAST", 1)
    monkeypatch.setattr(DirectInserts, "write", noted)
    return found


def test_many_rows_arrive_whole_and_do_not_come_back(rig: Rig, written: list[bool]) -> None:
    digits = " UNION ALL ".join(f"SELECT {digit} AS d" for digit in range(10))
    number = "a.d + 10 * b.d + 100 * c.d + 1000 * e.d + 10000 * f.d + 1"
    places = ", ".join(f"({digits}) AS {place}" for place in "abcef")
    rig.sql(
        "a",
        f"INSERT INTO many SELECT IF(n MOD 3, -n, n), CONCAT('row\\t', n), n MOD 7 "
        f"FROM (SELECT {number} AS n FROM {places}) AS numbers WHERE n <= 25000",
    )
    rig.await_events("a")
    rig.run(rig.forth)
    assert set(written) == {True}
    rig.await_events("b")
    back = rig.run(rig.back)
    assert (back.counts["marked"] >= 25_000, back.counts["changes"]) == (True, 1)  # the marker's
    rig.sync()
    rig.assert_equal()
    assert list(rig.rows("b", "SELECT COUNT(*), SUM(n) FROM many")) == [
        (25_000, sum(n % 7 for n in range(1, 25_001)))
    ]
    assert rig.records(rig.forth, "many") == rig.records(rig.back, "many") == []


def test_every_type_arrives_as_it_was(rig: Rig, written: list[bool]) -> None:
    rig.sql("a", f"INSERT INTO typed ({TYPED_COLUMNS}) VALUES {TYPED_ROWS}")
    rig.sync()
    assert set(written) == {True}
    rig.assert_equal()
    assert list(rig.rows("b", "SELECT COUNT(*), SUM(twice) FROM typed")) == [(3, -2)]


def test_a_row_that_is_there_is_a_conflict_as_ever(rig: Rig, written: list[bool]) -> None:
    rig.sql("a", "INSERT INTO met VALUES (1, 'a', 1), (2, 'a', 2), (3, 'a', 3)")
    rig.sql("b", "INSERT INTO met VALUES (2, 'b', 2)")
    rig.sync()
    assert False in written
    assert list(rig.rows("b", "SELECT id, name FROM met ORDER BY id")) == [
        (1, "a"),
        (2, "a"),
        (3, "a"),
    ]
    assert rig.records(rig.forth, "met") == [("met", "insert_insert", "source")]
    rig.assert_equal()


def test_an_equal_row_is_recorded_as_ever(rig: Rig, written: list[bool]) -> None:
    rig.both("INSERT INTO alike VALUES (1, 'same', 1)")
    rig.sync()
    assert False in written
    assert ("alike", "same", "none") in rig.records(rig.forth, "alike")


def test_a_row_that_was_deleted_comes_in_again(rig: Rig, written: list[bool]) -> None:
    rig.sql("a", "INSERT INTO again VALUES (0, 'zero', 0), (1, 'one', 1)")
    rig.sync()
    rig.sql("a", "DELETE FROM again WHERE id = 0")
    rig.sync()
    rig.sql("a", "INSERT INTO again VALUES (0, 'zero', 2)")
    rig.sync()
    assert set(written) == {True}
    rig.assert_equal()
    assert list(rig.rows("b", "SELECT id, n FROM again ORDER BY id")) == [(0, 2), (1, 1)]


def test_unique_values_go_by_the_stages(rig: Rig, written: list[bool]) -> None:
    rig.sql("a", "INSERT INTO taken VALUES (1, 'a', 1)")
    rig.sync()
    written.clear()
    rig.sql("a", "INSERT INTO taken VALUES (2, 'a', 2)")
    rig.await_events("a")
    rig.run(rig.forth)
    assert list(rig.rows("b", "SELECT id FROM taken ORDER BY id")) == [(1,), (2,)]
    assert written == []


def test_a_row_whose_key_a_user_is_about_to_insert_waits_for_it(
    rig: Rig, written: list[bool]
) -> None:
    rig.sql("a", "INSERT INTO raced VALUES (1, 'a', 1), (2, 'a', 2)")
    rig.await_events("a")
    with rig.user("b") as user, user.cursor() as cursor:
        user.begin()
        cursor.execute("INSERT INTO raced VALUES (2, 'b', 2)")
        run = threading.Thread(target=rig.run, args=(rig.forth,))
        run.start()
        time.sleep(1.5)
        assert run.is_alive()
        user.commit()
        run.join(60)
    assert written == [False]
    rig.sync()
    rig.assert_equal()
    assert rig.records(rig.forth, "raced") == [("raced", "insert_insert", "source")]


def test_a_value_that_does_not_fit_is_named_and_nothing_is_written(
    rig: Rig, written: list[bool]
) -> None:
    rig.sql("b", "ALTER TABLE narrow MODIFY name VARCHAR(5) CHARACTER SET utf8mb4")
    rig.sql("a", f"INSERT INTO narrow VALUES (1, 'a', 1), (2, '{SECRET}', 2)")
    rig.await_events("a")
    with pytest.raises(PoisonError) as refused:
        rig.run(rig.forth)
    assert refused.value.code == "value_refused"
    assert refused.value.where["column"] == "name"
    assert SECRET not in str(refused.value)
    assert list(rig.rows("b", "SELECT * FROM narrow")) == []
    rig.sql("b", "ALTER TABLE narrow MODIFY name VARCHAR(60) CHARACTER SET utf8mb4")
    rig.sync()
    assert written[-1]
    rig.assert_equal()


def test_rows_are_seen_all_at_once(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two pieces of a table nobody else sees the first one."""
    monkeypatch.setattr("dts_pipeline.adapters.bulk_load._VALUES", 6)
    seen: list[int] = []
    execute = pymysql.cursors.Cursor.execute

    def watched(self: Cursor, query: str | bytearray, args: object = None) -> int:
        done = execute(self, query, args)
        if isinstance(query, str) and query.startswith("LOAD") and "`wide`" in query:
            seen.append(int(rig.rows("b", "SELECT COUNT(*) FROM wide")[0][0]))
        return done

    rig.sql("a", "INSERT INTO wide VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3), (4, NULL, 4)")
    rig.await_events("a")
    with monkeypatch.context() as patched:
        patched.setattr(pymysql.cursors.Cursor, "execute", watched)
        rig.run(rig.forth)
    assert seen == [0, 0]
    rig.assert_equal()
