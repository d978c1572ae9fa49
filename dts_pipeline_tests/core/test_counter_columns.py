"""Which columns can be counters, which keep the larger value, and what they hold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dts_pipeline.core.counter_columns import counter_problems, counters_of, limits
from dts_pipeline.core.delta import Counters
from dts_pipeline.core.links import Link, MarkKind, Policy
from dts_pipeline.core.schema import Column, Table

LINK = Link("a_to_b", "a", "b", ("shop.*",), "a", MarkKind.ORIGIN, pair="shop")
STOCK = Table(
    "shop",
    "stock",
    (
        Column("id", "int", "int(11)"),
        Column("n", "int", "int(11)"),
        Column("d", "decimal", "decimal(10,2)"),
        Column("f", "float", "float"),
        Column("u", "int", "int(11)"),
        Column("g", "int", "int(11)", generated=True),
        Column("at", "datetime", "datetime(6)"),
        Column("tag", "varchar", "varchar(9)"),
    ),
    ("id",),
    unique_keys=(("u", ("u",)),),
)


def test_the_columns_that_change_with_every_write_keep_the_larger_value() -> None:
    link = replace(
        LINK,
        counters={"shop.stock": ("n",)},
        table_policies={"shop.stock": Policy("newest", "a", "at")},
        version_columns={"*": "v"},
    )
    assert counters_of(link, "shop.stock") == Counters(("n",), ("v", "at"))
    assert counters_of(link, "shop.orders") is None


@pytest.mark.parametrize(
    ("column", "smallest", "largest"),
    [
        ("tinyint(4)", "-128", "127"),
        ("tinyint(3) unsigned", "0", "255"),
        ("bigint(20) unsigned", "0", "18446744073709551615"),
        ("bigint(20)", "-9223372036854775808", "9223372036854775807"),
        ("decimal(5,2)", "-999.99", "999.99"),
        ("decimal(2,2) unsigned", "0", "0.99"),
        ("decimal(3,0)", "-999", "999"),
    ],
)
def test_limits(column: str, smallest: str, largest: str) -> None:
    assert limits(Column("n", column.partition("(")[0], column)) == (smallest, largest)


@pytest.mark.parametrize("name", ["id", "f", "u", "g", "tag", "absent", "at"])
def test_what_cannot_be_a_counter(name: str) -> None:
    ((column, _),) = counter_problems(Counters((name,)), STOCK, STOCK)
    assert column == name


def test_what_can_be_a_counter_must_be_alike_at_both_sites() -> None:
    wide = replace(STOCK, columns=(*STOCK.columns[:2], Column("d", "decimal", "decimal(10,4)")))
    assert list(counter_problems(Counters(("n", "d"), ("at",)), STOCK, STOCK)) == []
    assert [name for name, _ in counter_problems(Counters(("n", "d")), STOCK, wide)] == ["d"]


def test_a_version_must_have_an_order_that_both_sites_share() -> None:
    assert [n for n, _ in counter_problems(Counters(("n",), ("tag",)), STOCK, STOCK)] == ["tag"]
