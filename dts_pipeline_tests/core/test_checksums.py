"""Which columns a row's hash speaks of, and when two sites order keys alike."""

from __future__ import annotations

import pytest

from dts_pipeline.core.checksums import TablePair, same_order
from dts_pipeline.core.schema import Column, Dialect, Table

MARIADB, MYSQL = Dialect.MARIADB, Dialect.MYSQL


def text(name: str, collation: str = "utf8mb4_general_ci", kind: str = "varchar(20)") -> Column:
    data_type = kind.partition("(")[0]
    return Column(name, data_type, kind, False, collation.partition("_")[0], collation)


def pair(
    one: Column, two: Column, dialects: tuple[Dialect, Dialect] = (MARIADB, MARIADB)
) -> TablePair:
    tables = tuple(Table("shop", "item", (column,), (column.name,)) for column in (one, two))
    return TablePair((tables[0], tables[1]), dialects)


@pytest.mark.parametrize(
    ("one", "two", "dialects", "expected"),
    [
        (Column("k", "int", "int"), Column("k", "bigint", "bigint"), (MARIADB, MYSQL), True),
        (text("k"), text("k"), (MARIADB, MARIADB), True),
        (text("k"), text("k", "utf8mb4_unicode_ci"), (MARIADB, MARIADB), False),
        (text("k"), text("k"), (MARIADB, MYSQL), False),
        (text("k", "utf8mb4_bin"), text("k", "utf8mb4_bin"), (MARIADB, MYSQL), True),
        (text("k", kind="enum('a','b')"), text("k", kind="enum('b','a')"), (MYSQL, MYSQL), False),
        (text("k", kind="enum('a','b')"), text("k", kind="enum('a','b')"), (MYSQL, MYSQL), True),
        (Column("k", "int", "int"), text("k"), (MYSQL, MYSQL), False),
    ],
)
def test_same_order(
    one: Column, two: Column, dialects: tuple[Dialect, Dialect], expected: bool
) -> None:
    assert same_order(pair(one, two, dialects)) is expected


def test_json_between_two_kinds_of_servers_is_named_as_not_compared() -> None:
    one = Column("doc", "longtext", "longtext", is_json=True)
    two = Column("doc", "json", "json", is_json=True)

    assert [left.column for left in pair(one, two, (MARIADB, MYSQL)).not_compared()] == ["doc"]
    assert pair(one, one).not_compared() == []
    assert pair(two, two, (MYSQL, MYSQL)).not_compared() == []


def test_a_column_of_one_site_is_named_as_not_compared() -> None:
    one = Table("shop", "item", (Column("id", "int", "int"), Column("a", "int", "int")), ("id",))
    two = Table("shop", "item", (Column("id", "int", "int"), Column("b", "int", "int")), ("id",))

    found = TablePair((one, two), (MYSQL, MYSQL)).not_compared()

    assert [left.column for left in found] == ["a", "b"]


def test_generated_columns_are_left_out() -> None:
    both = Table(
        "shop", "item", (Column("id", "int", "int"), Column("g", "int", "int", generated=True)), ()
    )

    assert "`g`" not in TablePair((both, both), (MYSQL, MYSQL)).hashes()[0].sql


def test_a_set_in_another_order_is_spelled_by_sorted_labels() -> None:
    one, two = text("s", kind="set('b','a')"), text("s", kind="set('a','b','c')")

    first, second = pair(one, two).hashes()

    assert first.sql.index("& 2") < first.sql.index("& 1")
    assert second.sql.index("& 1") < second.sql.index("& 2")
