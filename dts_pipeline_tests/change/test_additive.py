"""`ddl: additive` from either side, while users write at both: carried, or stopped as told.

Every test holds a row of the table in docs/schema-changes.md.
"""

from __future__ import annotations

import json
import re
import threading
import time
import zlib
from collections.abc import Iterator

import pytest

from dts_pipeline.commands import exits
from dts_pipeline.errors import DtsError, TransientError
from dts_pipeline_tests.change.altering import (
    Swap,
    comes_to_rest,
    either_side,
    ends_equal,
    starts_anew,
    stopped,
    stopped_by,
    swap_by_gh_ost,
    swap_by_pt_osc,
    wait_for_writers,
)
from dts_pipeline_tests.change.writers import writing
from dts_pipeline_tests.integration.bad_bench import Bench
from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.sampling import full_only
from dts_pipeline_tests.stacks import Stack

pytestmark = [pytest.mark.servers, pytest.mark.change]
ITEM = """
CREATE TABLE {0} (id BIGINT PRIMARY KEY, n INT NOT NULL, name VARCHAR(20), amount DECIMAL(8,2),
kind ENUM('one','two')) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci
"""
PASSING = {"tables_changed", "ddl_waited", "ddl_busy", "ddl_awaits_events"}
"""What the next run gets over by itself."""


@pytest.fixture(
    scope="module",
    params=[
        "stack_mariadb",
        pytest.param("stack_mysql", marks=pytest.mark.mysql),
        pytest.param("stack_mixed", marks=pytest.mark.mysql),
    ],
)
def bench(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    stack: Stack = request.getfixturevalue(request.param)
    rig = Rig(stack, "add", tmp_path_factory.mktemp("add"))
    patterns = [f"{rig.name}.*", f"!{rig.name}._*"]
    rig.changes = {"pairs": {"pair": {"ddl": "additive", "tables": patterns}}}
    made = Bench(rig.create(ITEM.format("warm")))
    made.goes_on()
    yield made
    made.remove_connectors()


def table(bench: Bench, name: str, here: str) -> str:
    """A new table at both sides, with rows that both sides have."""
    name = f"{name}_{here}"
    bench.rig.both(ITEM.format(name))
    bench.rig.sql("a", f"INSERT INTO {name} VALUES (1,1,'x',1.5,'one'), (2,1,NULL,NULL,NULL)")
    bench.rig.sync()
    bench.rig.assert_equal()
    return name


def forward(rig: Rig, here: str) -> str:
    """The link that reads from this side."""
    return rig.forth if here == "a" else rig.back


def carried(rig: Rig) -> None:
    """Runs of both links, as a schedule has them: what passes by itself is tried again."""
    for link in (rig.forth, rig.back):
        for _ in range(20):
            try:
                rig.run(link)
                break
            except TransientError as error:
                if error.code not in PASSING:
                    raise
                time.sleep(0.3)
        else:
            raise AssertionError(f"{link} does not get over it")


def columns(rig: Rig, side: str, name: str) -> dict[str, str]:
    """The table's columns and their types, without display widths."""
    rows = rig.rows(side, f"SHOW COLUMNS FROM {name}")
    return {row[0]: re.sub(r"(int)\(\d+\)", r"\1", row[1]) for row in rows}


def indexes(rig: Rig, side: str, name: str) -> set[str]:
    return {row[2] for row in rig.rows(side, f"SHOW INDEX FROM {name}")}


def by_hand(bench: Bench, error: DtsError, words: str) -> None:
    """Runs the statement of the remedy that begins with `words`, at the site that it names."""
    found = re.search(rf"[Aa]t site (\w+):? ({words}.*?)(?:\.? If |\.? Or |\. |\.$)", error.remedy)
    assert found is not None, error.remedy
    bench.rig.sql("ab"[bench.rig.sites.index(found[1])], found[2])


@either_side
@pytest.mark.parametrize(
    ("alter", "value"),
    [
        pytest.param("ADD COLUMN extra INT", "5", marks=full_only),
        ("ADD COLUMN extra VARCHAR(10) AFTER id", "'five'"),
        ("ADD COLUMN extra INT NOT NULL DEFAULT 7", "5"),
        pytest.param(
            "ADD COLUMN extra VARCHAR(30) NOT NULL DEFAULT 'it''s \\\\ so' FIRST",
            "'five'",
            marks=full_only,
        ),
        pytest.param("ADD COLUMN extra DECIMAL(9,3) DEFAULT -1.5", "5.125", marks=full_only),
        ("ADD COLUMN extra DATE DEFAULT '2026-01-31', ADD COLUMN other JSON", "'2026-02-01'"),
    ],
    ids=["plain", "middle", "default", "text", "decimal", "two"],
)
def test_an_added_column(bench: Bench, alter: str, value: str, here: str, there: str) -> None:
    """Carried before the first event of the new shape, older events with the constant."""
    rig, name = bench.rig, table(bench, f"col_{zlib.crc32(alter.encode())}", here)
    with writing(rig, name):
        wait_for_writers()
        rig.sql(here, f"ALTER TABLE {name} {alter}")
        wait_for_writers()
        carried(rig)
        assert columns(rig, here, name).keys() == columns(rig, there, name).keys()
        rig.sql(here, f"UPDATE {name} SET extra = {value} WHERE id = 1")
        rig.sql(there, f"UPDATE {name} SET extra = {value} WHERE id = 2")
        wait_for_writers()
        carried(rig)
    ends_equal(bench)
    for side in "ab":
        found = rig.rows(side, f"SELECT COUNT(*) FROM {name} WHERE id < 3 AND extra = {value}")
        assert found == [(2,)]


@either_side
@full_only
def test_an_added_column_that_must_be_named(bench: Bench, here: str, there: str) -> None:
    """NOT NULL without a default: rows from before it hold what the servers give them."""
    rig, name = bench.rig, table(bench, "must", here)
    rig.sql("a", f"UPDATE {name} SET n = 11 WHERE id = 1")
    rig.sql("b", f"UPDATE {name} SET n = 12 WHERE id = 2")
    rig.sql(
        here, f"ALTER TABLE {name} ADD COLUMN extra INT NOT NULL, ADD COLUMN word CHAR(3) NOT NULL"
    )
    rig.sql(here, f"INSERT INTO {name} (id, n, extra, word) VALUES (3, 3, 3, 'abc')")
    ends_equal(bench)
    assert rig.rows(there, f"SELECT id, n, extra, word FROM {name} ORDER BY id") == [
        (1, 11, 0, ""),
        (2, 12, 0, ""),
        (3, 3, 3, "abc"),
    ]


@either_side
@full_only
def test_either_link_may_be_the_first(bench: Bench, here: str, there: str) -> None:
    """Also the one that writes to the changed side."""
    rig, name = bench.rig, table(bench, "first", here)
    rig.sql(here, f"ALTER TABLE {name} ADD COLUMN extra INT NOT NULL DEFAULT 7")
    rig.run(forward(rig, there))
    assert "extra" in columns(rig, there, name)
    ends_equal(bench)


def test_both_sides_add_and_both_links_run_at_once(bench: Bench) -> None:
    """Each column is made once; neither link ends with more than what passes."""
    rig, name = bench.rig, table(bench, "crossed", "a")
    with writing(rig, name):
        wait_for_writers()
        rig.sql("a", f"ALTER TABLE {name} ADD COLUMN of_a INT NOT NULL DEFAULT 1")
        rig.sql("b", f"ALTER TABLE {name} ADD COLUMN of_b VARCHAR(5)")
        found: list[Exception] = []

        def run(link: str) -> None:
            try:
                rig.run(link)
            except Exception as error:
                found.append(error)

        threads = [threading.Thread(target=run, args=(link,)) for link in (rig.forth, rig.back)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert {getattr(error, "code", error) for error in found} <= PASSING
        carried(rig)
    ends_equal(bench)
    for side in "ab":
        assert {"of_a", "of_b"} <= columns(rig, side, name).keys()


@either_side
def test_wider_types(bench: Bench, here: str, there: str) -> None:
    rig, name = bench.rig, table(bench, "wide", here)
    alter = (
        f"ALTER TABLE {name} MODIFY n BIGINT NULL, MODIFY name VARCHAR(60), "
        "MODIFY amount DECIMAL(12,2), MODIFY kind ENUM('one','two','three')"
    )
    values = f"n = 5000000000, name = '{'y' * 50}', amount = 123456789.12, kind = 'three'"
    with writing(rig, name):
        wait_for_writers()
        rig.sql(here, alter, f"UPDATE {name} SET {values} WHERE id = 1")
        rig.sql(here, f"UPDATE {name} SET n = NULL WHERE id = 2")
        wait_for_writers()
        carried(rig)
    ends_equal(bench)
    assert columns(rig, here, name) == columns(rig, there, name)
    assert rig.rows(there, f"SELECT n, kind FROM {name} WHERE id < 3 ORDER BY id") == [
        (5000000000, "three"),
        (None, None),
    ]


@either_side
@full_only
def test_a_narrower_type_is_not_carried_nor_undone(bench: Bench, here: str, there: str) -> None:
    rig, name = bench.rig, table(bench, "narrow", here)
    rig.sql(here, f"ALTER TABLE {name} MODIFY n SMALLINT NOT NULL, MODIFY name VARCHAR(10)")
    with writing(rig, name):
        wait_for_writers()
        carried(rig)
    ends_equal(bench)
    assert columns(rig, here, name)["n"] == "smallint"
    assert columns(rig, there, name)["n"] == "int"
    rig.sql(there, f"UPDATE {name} SET n = 100000 WHERE id = 1")
    rig.await_events(there)
    error = stopped(rig)[forward(rig, there)]
    assert error is not None
    assert error.code == "value_refused"
    rig.sql(here, f"ALTER TABLE {name} MODIFY n INT NOT NULL")
    ends_equal(bench)


@either_side
@full_only
def test_indexes(bench: Bench, here: str, there: str) -> None:
    """A plain one is carried; a unique one stops both links until the other side has it."""
    rig, name = bench.rig, table(bench, "indexed", here)
    with writing(rig, name):
        wait_for_writers()
        rig.sql(here, f"CREATE INDEX by_n ON {name} (n, name(5))")
        carried(rig)
        assert "by_n" in indexes(rig, there, name)
        rig.sql(there, f"DROP INDEX by_n ON {name}")
        carried(rig)
        assert "by_n" not in indexes(rig, there, name)
        rig.sql(here, f"CREATE UNIQUE INDEX by_name ON {name} (name)")
        by_hand(bench, stopped_by(bench, "ddl_by_hand"), "CREATE UNIQUE INDEX")
        wait_for_writers()
    ends_equal(bench)
    assert "by_name" in indexes(rig, there, name)


@either_side
def test_a_new_table(bench: Bench, here: str, there: str) -> None:
    """Made at the other side with its indexes, and all its rows arrive; both may write then."""
    rig, name = bench.rig, f"fresh_{here}"
    rig.sql(here, ITEM.format(name), f"CREATE INDEX by_n ON {name} (n)")
    rig.sql(here, f"INSERT INTO {name} (id, n) VALUES (1, 1)")
    carried(rig)
    assert columns(rig, here, name) == columns(rig, there, name)
    assert "by_n" in indexes(rig, there, name)
    with writing(rig, name):
        wait_for_writers()
        carried(rig)
    ends_equal(bench)
    assert rig.rows(there, f"SELECT n FROM {name} WHERE id = 1") == [(1,)]


@either_side
def test_a_dropped_column(bench: Bench, here: str, there: str) -> None:
    """Not added again: both links stop, and go on once the other side has dropped it, too."""
    rig, name = bench.rig, table(bench, "dropped", here)
    with writing(rig, name):
        wait_for_writers()
        rig.sql(here, f"ALTER TABLE {name} DROP COLUMN name")
        wait_for_writers()
        error = stopped_by(bench, "column_missing")
        assert error.where["site"] == rig.sites["ab".index(here)]
        by_hand(bench, error, "ALTER TABLE")
        wait_for_writers()
        carried(rig)
    ends_equal(bench)
    assert "name" not in columns(rig, there, name)


@either_side
@full_only
def test_a_column_that_was_made_up_and_then_dropped(bench: Bench, here: str, there: str) -> None:
    """What a link made up itself is remembered, too."""
    rig, name = bench.rig, table(bench, "regret", here)
    rig.sql(here, f"ALTER TABLE {name} ADD COLUMN extra INT")
    carried(rig)
    rig.sql(there, f"ALTER TABLE {name} DROP COLUMN extra")
    by_hand(bench, stopped_by(bench, "column_missing"), "ALTER TABLE")
    ends_equal(bench)
    assert "extra" not in columns(rig, here, name)


@either_side
@full_only
def test_a_renamed_column(bench: Bench, here: str, there: str) -> None:
    """Never taken for a drop and an add; the statement of the error ends it."""
    rig, name = bench.rig, table(bench, "renamed", here)
    rig.sql(here, f"ALTER TABLE {name} RENAME COLUMN name TO label")
    with writing(rig, name):
        error = stopped_by(bench, "column_missing")
        rename = re.search(r"ALTER TABLE \S+ RENAME COLUMN `name` TO `label`", error.remedy)
        assert rename is not None
        rig.sql(there, rename[0])
        wait_for_writers()
    starts_anew(bench)
    assert columns(rig, here, name) == columns(rig, there, name)
    assert rig.rows(there, f"SELECT label FROM {name} WHERE id = 1") == [("x",)]


@either_side
@full_only
def test_a_default_that_is_a_time_is_left_to_somebody(bench: Bench, here: str, there: str) -> None:
    rig, name = bench.rig, table(bench, "timed", here)
    alter = f"ALTER TABLE {name} ADD COLUMN at DATETIME DEFAULT CURRENT_TIMESTAMP"
    with writing(rig, name):
        wait_for_writers()
        rig.sql(here, alter)
        error = stopped_by(bench, "ddl_by_hand")
        assert "ADD COLUMN `at` datetime" in error.remedy
        rig.sql(there, alter)
        wait_for_writers()
    starts_anew(bench)


@pytest.mark.parametrize(
    "bench", [pytest.param("stack_mixed", marks=pytest.mark.mysql)], indirect=True
)
@pytest.mark.parametrize(
    ("here", "there", "collation"),
    [("b", "a", "utf8mb4_0900_ai_ci"), ("a", "b", "utf8mb4_general_nopad_ci")],
)
def test_a_collation_that_the_other_server_lacks(
    bench: Bench, here: str, there: str, collation: str
) -> None:
    """Not guessed: another one would tell other values apart."""
    rig, name = bench.rig, table(bench, "collated", here)
    column = "extra VARCHAR(9) CHARACTER SET utf8mb4 COLLATE"
    rig.sql(here, f"ALTER TABLE {name} ADD COLUMN {column} {collation}")
    error = stopped_by(bench, "ddl_by_hand")
    assert collation in error.message
    rig.sql(there, f"ALTER TABLE {name} ADD COLUMN {column} utf8mb4_bin")
    ends_equal(bench)


@either_side
@pytest.mark.parametrize(
    ("alter", "code"),
    [
        ("MODIFY kind VARCHAR(10)", "type_mismatch"),
        ("DROP PRIMARY KEY, ADD PRIMARY KEY (id, n)", "key_mismatch"),
    ],
    ids=["type", "key"],
)
@full_only
def test_another_type_or_key(bench: Bench, alter: str, code: str, here: str, there: str) -> None:
    rig, name = bench.rig, table(bench, code, here)
    with writing(rig, name):
        wait_for_writers()
        rig.sql(here, f"ALTER TABLE {name} {alter}")
        wait_for_writers()
        stopped_by(bench, code)
        rig.sql(there, f"ALTER TABLE {name} {alter}")
        wait_for_writers()
    starts_anew(bench)


@either_side
@full_only
def test_a_dropped_table_is_not_made_again(bench: Bench, here: str, there: str) -> None:
    rig, name = bench.rig, table(bench, "gone", here)
    comes_to_rest(bench)
    rig.sql(here, f"DROP TABLE {name}")
    by_hand(bench, stopped_by(bench, "table_missing"), "DROP TABLE")
    ends_equal(bench)
    rig.sql(here, ITEM.format(name))
    carried(rig)
    assert columns(rig, here, name) == columns(rig, there, name)


@either_side
@full_only
def test_a_renamed_table(bench: Bench, here: str, there: str) -> None:
    """At rest; the new name is carried from then on."""
    rig, name = bench.rig, table(bench, "old", here)
    comes_to_rest(bench)
    rig.sql(here, f"RENAME TABLE {name} TO new_{name}")
    error = stopped_by(bench, "table_missing")
    rename = re.search(rf"RENAME TABLE \S+`{name}` TO \S+`new_{name}`", error.remedy)
    assert rename is not None, error.remedy
    rig.sql(there, rename[0])
    with writing(rig, f"new_{name}"):
        wait_for_writers()
        carried(rig)
    ends_equal(bench)
    assert rig.rows(there, f"SELECT name FROM new_{name} WHERE id = 1") == [("x",)]


@full_only
def test_a_table_that_is_renamed_into_the_patterns(bench: Bench) -> None:
    """Its rows have no events: not made as if it were new; by hand, then `dts load`."""
    rig, other = bench.rig, f"{bench.rig.name}_else"
    fresh = ITEM.format(f"{other}.moved")
    rig.sql(
        "a", f"CREATE DATABASE {other}", fresh, f"INSERT INTO {other}.moved (id, n) VALUES (1,1)"
    )
    rig.sql("a", f"RENAME TABLE {other}.moved TO moved", f"DROP DATABASE {other}")
    found = stopped(rig)
    assert [error and error.code for error in found.values()] == ["ddl_awaits_events", None]
    rig.sql("b", ITEM.format("moved"))
    ends = bench.dts(
        "load", "pair", "--table", f"{rig.name}.moved", "--execute", "--carry", "--json"
    )
    assert ends.exit_code == exits.DONE, ends.output
    ends_equal(bench)
    assert rig.rows("b", "SELECT n FROM moved") == [(1,)]


@either_side
@pytest.mark.parametrize("swap", [swap_by_gh_ost, swap_by_pt_osc])
@full_only
def test_a_table_that_a_tool_copies_and_swaps_in(
    bench: Bench, swap: Swap, here: str, there: str
) -> None:
    """To the links it is the ALTER, at the moment of the swap; the copies are left out."""
    rig, name = bench.rig, table(bench, swap.__name__[8:10], here)
    with writing(rig, name):
        wait_for_writers()
        carried(rig)
        swap(rig, here, name, "ADD COLUMN extra INT NOT NULL DEFAULT 7, MODIFY name VARCHAR(60)")
        wait_for_writers()
        carried(rig)
        rig.sql(here, f"UPDATE {name} SET extra = 8 WHERE id = 1")
    ends_equal(bench)
    assert columns(rig, here, name) == columns(rig, there, name)
    assert rig.rows(there, f"SELECT extra FROM {name} WHERE id < 3 ORDER BY id") == [(8,), (7,)]
    assert not [n for (n,) in rig.rows(there, "SHOW TABLES") if n.startswith("_")]


@full_only
def test_users_of_the_target_are_not_held_up(bench: Bench) -> None:
    """A transaction that holds the table: the ALTER is given up, and carried by a later run."""
    rig, name = bench.rig, table(bench, "held", "a")
    rig.sql("a", f"ALTER TABLE {name} ADD COLUMN extra INT")
    with rig.user("b") as holder, holder.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(f"UPDATE {name} SET n = 9 WHERE id = 2")
        began = time.monotonic()
        error = stopped(rig)[rig.forth]
        assert error is not None
        assert error.code == "ddl_waited"
        assert time.monotonic() - began < 30  # both links have tried
        cursor.execute("COMMIT")
    ends_equal(bench)
    assert "extra" in columns(rig, "b", name)


@full_only
def test_an_account_without_the_right(bench: Bench) -> None:
    """The error has the statement and the site; whoever may runs it, and the link goes on."""
    rig, name = bench.rig, table(bench, "refused", "a")
    place = rig.name.replace("_", "\\_")
    with rig.stack.application("b") as admin, admin.cursor() as cursor:
        cursor.execute(f"REVOKE ALTER ON `{place}`.* FROM 'dts'@'%'")
    try:
        rig.sql("a", f"ALTER TABLE {name} ADD COLUMN extra INT")
        found = json.loads(bench.dts("preflight", "--json").stdout)["findings"]
        warnings = [one for one in found if one["severity"] == "warning"]
        lacking = [one for one in warnings if one["check"] == "ddl_rights_unseen"]
        assert {one["where"]["site"] for one in lacking} == {rig.sites[1]}
        assert "ALTER:" in lacking[0]["message"]
        error = stopped_by(bench, "ddl_refused")
        by_hand(bench, error, "ALTER TABLE")
        ends_equal(bench)
    finally:
        rig.stack.grant("b", rig.name, alters=True)


def test_what_was_made_up_is_shown(bench: Bench) -> None:
    """By `dts status`, and once: what comes back through the target's connector does nothing."""
    rig, name = bench.rig, table(bench, "shown", "a")
    rig.sql("a", f"ALTER TABLE {name} ADD COLUMN extra INT")
    ends_equal(bench)
    for side in "ab":
        rig.await_events(side)
    ends_equal(bench)
    result = bench.dts("status", "--json")
    links = {one["link"]: one for one in json.loads(result.stdout)["links"]}
    mine = [one["statement"] for one in links[rig.forth]["altered"] if name in one["statement"]]
    assert len(mine) == 1
    assert mine[0].startswith("ALTER TABLE")
    assert not [o for o in links[rig.back]["altered"] if name in o["statement"]]
