"""Schema changes from either side, while users write at both: stopped as told, then equal.

Every test holds a row of the table in docs/schema-changes.md.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import pytest

from dts_pipeline.errors import DtsError
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
kind ENUM('one','two')) CHARACTER SET utf8mb4
"""


@pytest.fixture(
    scope="module", params=["stack_mariadb", pytest.param("stack_mixed", marks=pytest.mark.mysql)]
)
def bench(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    stack: Stack = request.getfixturevalue(request.param)
    rig = Rig(stack, "ddl", tmp_path_factory.mktemp("ddl"))
    rig.changes = {"pairs": {"pair": {"tables": [f"{rig.name}.*", f"!{rig.name}._*"]}}}
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


@either_side
@pytest.mark.parametrize(
    "alter",
    ["ADD COLUMN extra INT", "ADD COLUMN extra VARCHAR(10) AFTER id", "DROP COLUMN name"],
    ids=["added", "added_in_the_middle", "dropped"],
)
def test_a_column_that_came_or_went(bench: Bench, alter: str, here: str, there: str) -> None:
    """Both links stop before the first event of the new shape, and go on by themselves."""
    name = table(bench, f"col_{zlib.crc32(alter.encode())}", here)
    with writing(bench.rig, name):
        wait_for_writers()
        bench.rig.sql(here, f"ALTER TABLE {name} {alter}")
        wait_for_writers()
        error = stopped_by(bench, "column_missing")
        assert "ALTER TABLE" in error.remedy
        assert name in error.remedy
        wait_for_writers()
        bench.rig.sql(there, f"ALTER TABLE {name} {alter}")
        wait_for_writers()
    ends_equal(bench)


@either_side
@pytest.mark.parametrize(
    "alter",
    ["ADD COLUMN extra INT NOT NULL DEFAULT 7", "RENAME COLUMN name TO label"],
    ids=["not_null", "renamed"],
)
def test_a_column_whose_older_events_cannot_be_told(
    bench: Bench, alter: str, here: str, there: str
) -> None:
    """Events from before it stop the links also when both tables are changed; nothing is lost."""
    name = table(bench, f"told_{zlib.crc32(alter.encode())}", here)
    with writing(bench.rig, name):
        wait_for_writers()
        bench.rig.sql(here, f"ALTER TABLE {name} {alter}")
        stopped_by(bench, "column_missing")
        bench.rig.sql(there, f"ALTER TABLE {name} {alter}")
        wait_for_writers()
        stopped_by(bench, "column_missing")
    starts_anew(bench)


@either_side
def test_the_same_between_two_writes_needs_nothing_more(
    bench: Bench, here: str, there: str
) -> None:
    """Where no event from before it is left, such a column needs only the two ALTERs."""
    name = table(bench, "quiet", here)
    alters = "ADD COLUMN extra INT NOT NULL DEFAULT 7", "RENAME COLUMN name TO label"
    bench.rig.sql(here, *(f"ALTER TABLE {name} {alter}" for alter in alters))
    stopped_by(bench, "column_missing")
    bench.rig.sql(there, *(f"ALTER TABLE {name} {alter}" for alter in alters))
    with writing(bench.rig, name):
        wait_for_writers()
        bench.rig.sql("a", f"UPDATE {name} SET label = 'new', extra = 8 WHERE id = 1")
    ends_equal(bench)
    assert bench.rig.rows("b", f"SELECT label, extra FROM {name} WHERE id = 1") == [("new", 8)]


@either_side
def test_wider_types(bench: Bench, here: str, there: str) -> None:
    """The link from the wider side stops at a value that the other cannot hold, then goes on."""
    name = table(bench, "wide", here)
    alter = (
        f"ALTER TABLE {name} MODIFY n BIGINT NOT NULL, MODIFY name VARCHAR(60), "
        "MODIFY amount DECIMAL(12,2), MODIFY kind ENUM('one','two','three')"
    )
    values = f"n = 5000000000, name = '{'y' * 50}', amount = 123456789.12, kind = 'three'"
    towards = bench.rig.forth if here == "a" else bench.rig.back
    with writing(bench.rig, name):
        wait_for_writers()
        bench.rig.sql(here, alter)
        wait_for_writers()
        assert list(stopped(bench.rig).values()) == [None, None]
        bench.rig.sql(here, f"UPDATE {name} SET {values} WHERE id = 1")
        wait_for_writers()
        found = stopped(bench.rig)
        error = found.pop(towards)
        assert error is not None
        assert error.code == "value_refused"
        assert list(found.values()) == [None]
        bench.rig.sql(there, alter)
        wait_for_writers()
    ends_equal(bench)
    assert bench.rig.rows(there, f"SELECT n, kind FROM {name} WHERE id = 1") == [
        (5000000000, "three")
    ]


@either_side
def test_indexes(bench: Bench, here: str, there: str) -> None:
    """An index stops nothing, at one side or at both."""
    name = table(bench, "indexed", here)
    with writing(bench.rig, name):
        wait_for_writers()
        bench.rig.sql(here, f"CREATE INDEX by_n ON {name} (n)")
        bench.rig.sql(here, f"CREATE UNIQUE INDEX by_name ON {name} (name)")
        wait_for_writers()
        assert list(stopped(bench.rig).values()) == [None, None]
        bench.rig.sql(there, f"CREATE UNIQUE INDEX by_name ON {name} (name)")
        wait_for_writers()
    ends_equal(bench)


@either_side
def test_a_new_table(bench: Bench, here: str, there: str) -> None:
    """The link from its side stops until the other has it too; from its first row, all arrive."""
    name = f"fresh_{here}"
    towards = bench.rig.forth if here == "a" else bench.rig.back
    bench.rig.sql(here, ITEM.format(name), f"INSERT INTO {name} (id, n) VALUES (1, 1)")
    wait_for_writers()
    found = stopped(bench.rig)
    error = found.pop(towards)
    assert error is not None
    assert error.code == "table_missing"
    assert list(found.values()) == [None]
    bench.rig.sql(there, ITEM.format(name))
    with writing(bench.rig, name):
        wait_for_writers()
    ends_equal(bench)
    assert bench.rig.rows(there, f"SELECT n FROM {name} WHERE id = 1") == [(1,)]


@either_side
@pytest.mark.parametrize(
    ("alter", "code"),
    [
        ("MODIFY kind VARCHAR(10)", "type_mismatch"),
        ("DROP PRIMARY KEY, ADD PRIMARY KEY (id, n)", "key_mismatch"),
    ],
    ids=["type", "key"],
)
def test_another_type_or_key(bench: Bench, alter: str, code: str, here: str, there: str) -> None:
    """Both links stop; nothing is read before both sides are alike."""
    name = table(bench, code, here)
    with writing(bench.rig, name):
        wait_for_writers()
        bench.rig.sql(here, f"ALTER TABLE {name} {alter}")
        wait_for_writers()
        stopped_by(bench, code)
        bench.rig.sql(there, f"ALTER TABLE {name} {alter}")
        wait_for_writers()
    starts_anew(bench)


@either_side
@full_only
def test_a_dropped_table(bench: Bench, here: str, there: str) -> None:
    """The link from the other side stops until that has dropped it, too."""
    name = table(bench, "gone", here)
    comes_to_rest(bench)
    bench.rig.sql(here, f"DROP TABLE {name}")
    found = stopped(bench.rig)
    error = found.pop(bench.rig.back if here == "a" else bench.rig.forth)
    assert error is not None
    assert error.code == "table_missing"
    assert list(found.values()) == [None]
    bench.rig.sql(there, f"DROP TABLE {name}")
    ends_equal(bench)


@either_side
@full_only
def test_a_renamed_table(bench: Bench, here: str, there: str) -> None:
    """At rest: both links stop until the other side has renamed it, too."""
    name = table(bench, "old", here)
    rename = f"RENAME TABLE {name} TO new_{name}"
    comes_to_rest(bench)
    bench.rig.sql(here, rename)
    stopped_by(bench, "table_missing")
    bench.rig.sql(there, rename)
    with writing(bench.rig, f"new_{name}"):
        wait_for_writers()
    ends_equal(bench)


@either_side
@pytest.mark.parametrize("swap", [swap_by_gh_ost, swap_by_pt_osc])
@full_only
def test_a_table_that_a_tool_copies_and_swaps_in(
    bench: Bench, swap: Swap, here: str, there: str
) -> None:
    """To the links it is the ALTER, at the moment of the swap; the copies are left out."""
    name = table(bench, swap.__name__[8:10], here)
    alter = "ADD COLUMN extra INT"
    with writing(bench.rig, name):
        wait_for_writers()
        swap(bench.rig, here, name, alter)
        wait_for_writers()
        stopped_by(bench, "column_missing")
        bench.rig.sql(there, f"ALTER TABLE {name} {alter}")
        wait_for_writers()
    ends_equal(bench)


def test_a_column_that_comes_between_plan_and_write(bench: Bench) -> None:
    """Rows with a secondary unique key are deleted and inserted again, without what is new.

    What a user writes in the new column is a conflict, which site a wins.
    """
    rig, name = bench.rig, table(bench, "replaced", "b")
    rig.both(f"ALTER TABLE {name} ADD UNIQUE (name)")
    rig.sql("b", f"UPDATE {name} SET n = 2 WHERE id = 1")
    rig.await_events("b")

    def alter(_link: str) -> None:
        rig.sql("a", f"ALTER TABLE {name} ADD COLUMN extra INT")
        rig.sql("a", f"UPDATE {name} SET extra = 5 WHERE id = 1")

    with pytest.raises(DtsError) as refused:
        rig.run(rig.back, before_apply=alter)
    assert refused.value.code == "tables_changed"
    rig.sql("b", f"ALTER TABLE {name} ADD COLUMN extra INT")
    ends_equal(bench)
    assert rig.rows("b", f"SELECT n, extra FROM {name} WHERE id = 1") == [(1, 5)]


@either_side
def test_a_column_that_goes_while_older_events_are_applied(
    bench: Bench, here: str, there: str
) -> None:
    """What an event lacks is not taken for older when the table changed since it was read."""
    name = table(bench, "raced", here)
    towards = bench.rig.forth if here == "a" else bench.rig.back
    bench.rig.sql(here, f"UPDATE {name} SET n = 2 WHERE id = 1")
    bench.rig.await_events(here)
    bench.rig.both(f"ALTER TABLE {name} ADD COLUMN extra INT")
    drop = f"ALTER TABLE {name} DROP COLUMN extra"
    with pytest.raises(DtsError) as refused:
        bench.rig.run(towards, before_apply=lambda _: bench.rig.sql(here, drop))
    assert refused.value.code == "column_missing"
    assert bench.rig.rows(there, f"SELECT n FROM {name} WHERE id = 1") == [(1,)]
    bench.rig.sql(there, drop)
    ends_equal(bench)
