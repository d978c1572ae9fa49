"""Conditions: how they are read, SQL's logic of three values, and whether they fit a table."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dts_pipeline.core.condition_fit import divided_by_cascade, kinds_of, unfit
from dts_pipeline.core.condition_parser import ConditionError, parse_condition
from dts_pipeline.core.condition_sql import condition_sql
from dts_pipeline.core.condition_values import Values, is_true
from dts_pipeline.core.conditions import And, Comparison, IsIn, IsNull, Kind, Not, Or, columns_of
from dts_pipeline.core.schema import Column, ForeignKey, Table
from dts_pipeline_tests.conditions import NUMBERS, TEXTS, Drawn, drawn_conditions, numbers

A, B, C = (Comparison(name, "=", Decimal(1)) for name in "abc")
TEXT = {"charset": "utf8mb4", "collation": "utf8mb4_general_ci"}
TABLE = Table(
    "s",
    "t",
    (
        Column("id", "bigint", "bigint(20) unsigned", nullable=False),
        Column("region", "varchar", "varchar(10)", **TEXT),
        Column("price", "decimal", "decimal(12,2)"),
        Column("kind", "enum", "enum('x','y')", **TEXT),
        Column("y", "year", "year(4)"),
        Column("day", "date", "date"),
        Column("at", "datetime", "datetime(3)"),
        Column("of", "timestamp", "timestamp(6)"),
        Column("ratio", "double", "double"),
        Column("doc", "longtext", "longtext", is_json=True, **TEXT),
        Column("raw", "varbinary", "varbinary(9)"),
        Column("flags", "set", "set('a')", **TEXT),
        Column("twice", "int", "int", generated=True),
        Column("own", "int", "int", excluded=True),
        Column("odd `%` name", "int", "int"),
    ),
    ("id",),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = 1", A),
        ("1=a", A),
        ("`a`=1.0", A),
        ("a = TRUE", A),
        ("((a = 1))", A),
        ("a = 1 OR b = 1 AND c = 1", Or((A, And((B, C))))),
        ("(a = 1 or b = 1) and c = 1", And((Or((A, B)), C))),
        ("a=1 AND b=1 AND c=1", And((A, B, C))),
        ("NOT a = 1 AND b = 1", And((Not(A), B))),
        ("NOT NOT a = 1", Not(Not(A))),
        ("a != 'it''s'", Comparison("a", "<>", "it's")),
        ("5 < a", Comparison("a", ">", Decimal(5))),
        ("a >= -0.50", Comparison("a", ">=", Decimal("-0.50"))),
        ("a IS NULL", IsNull("a")),
        ("a is not null", Not(IsNull("a"))),
        ("a IN (1, NULL, 'x')", IsIn("a", (Decimal(1), None, "x"))),
        ("a NOT IN ('')", Not(IsIn("a", ("",)))),
        ("`odd ``name` = FALSE", Comparison("odd `name", "=", Decimal(0))),
        ("größe = 'a\\'", Comparison("größe", "=", "a\\")),
    ],
)
def test_what_is_read(text: str, expected: object) -> None:
    assert parse_condition(text) == expected


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", 1),
        ("a", 2),
        ("a =", 4),
        ("a = b", 5),
        ("1 = 1", 5),
        ("a == 1", 4),
        ("a = 1 b = 2", 7),
        ("a = 1)", 6),
        ("(a = 1", 7),
        ("a = 'x", 5),
        ("`a = 1", 1),
        ("a IN ()", 7),
        ("a IN 1", 6),
        ("a IN (1 2)", 9),
        ("a IS 1", 6),
        ("a IS NOT 1", 10),
        ("a NOT 1", 7),
        ("NULL", 5),
        ("and = 1", 1),
        ("a = 1; DROP TABLE t", 6),
        ("a = 1 -- x", 7),
        ('a = "x"', 5),
        ("lower(a) = 'x'", 6),
        ("a + 1 = 2", 3),
        ("a LIKE 'x%'", 3),
        ("a = 1e3", 6),
        ("a = 0x10", 6),
        (f"a = {'1' * 66}", 5),
        (f"a = 0.{'1' * 31}", 5),
        ("a = '\ud800'", 5),
        ("(" * 60 + "a = 1" + ")" * 60, 51),
        ("NOT " * 60 + "a = 1", 201),
        ("a = 1 OR " * 2000 + "a = 1", 10_001),
    ],
)
def test_what_is_refused_and_where(text: str, place: int) -> None:
    with pytest.raises(ConditionError) as error:
        parse_condition(text)
    assert error.value.place == place
    assert f"at character {place}" in str(error.value)


def test_a_refusal_quotes_no_literal() -> None:
    with pytest.raises(ConditionError) as error:
        parse_condition("a = 'planted' 'planted'")
    assert "planted" not in str(error.value)


COLUMNS = {"n": numbers(*NUMBERS), "d": numbers(*NUMBERS), "s": TEXTS}
ROWS = st.fixed_dictionaries(
    {
        "n": st.sampled_from([None, -1, 0, 1, 2, 10, 2**63, -(2**63)]),
        "d": st.sampled_from([None, "0.00", "1.50", "-1.00", "10", "99999999999999999999"]),
        "s": st.sampled_from([None, *TEXTS]),
    }
)
KINDS = {"n": Kind.NUMBER, "d": Kind.NUMBER, "s": Kind.TEXT}


def exact(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "d": None if row["d"] is None else Decimal(row["d"])}


@settings(max_examples=300)
@given(drawn_conditions(COLUMNS), st.lists(ROWS, max_size=8))
def test_the_rows_that_sql_would_give(drawn: Drawn, rows: list[dict[str, Any]]) -> None:
    columns = {n: Values.of(kind, [row[n] for row in rows]) for n, kind in KINDS.items()}
    found = is_true(parse_condition(drawn.text), columns)
    assert found.tolist() == [drawn.truth(exact(row)) is True for row in rows], drawn.text


@pytest.mark.parametrize(
    ("kind", "values", "text", "expected"),
    [
        (Kind.DATE, ["2026-01-01", "2025-12-31", None], "x >= '2026-01-01'", [1, 0, 0]),
        (
            Kind.MOMENT,
            ["2026-01-01T00:00:00", "2026-01-01T00:00:00.000001", "0000-00-00 00:00:00"],
            "x > '2026-01-01'",
            [0, 1, 0],
        ),
        (
            Kind.MOMENT,
            ["2026-01-01T10:00:00.500", "2026-01-01T10:00:00.5", "2026-01-01T10:00:00"],
            "x = '2026-01-01 10:00:00.50'",
            [1, 1, 0],
        ),
        (Kind.NUMBER, [9, "9.0", "9.01", 2**64], "x = 9.00", [1, 1, 0, 0]),
        (Kind.NUMBER, [9, 10], "x > 9.5", [0, 1]),
        (Kind.NUMBER, [2**64 - 1, 1], "x IN (18446744073709551615)", [1, 0]),
        (Kind.TEXT, ["Ü", "ü", "z", "\U0001f600"], "x > 'z'", [1, 1, 0, 1]),
    ],
)
def test_kinds_of_values(kind: Kind, values: list[Any], text: str, expected: list[int]) -> None:
    found = is_true(parse_condition(text), {"x": Values.of(kind, values)})
    assert found.tolist() == [bool(each) for each in expected]


@pytest.mark.parametrize(
    "text",
    [
        "id > 5 AND region IN ('eu', NULL) AND price < 10.5",
        "kind = 'x' OR kind < 'y' OR y = 2026",
        "day = '2026-11-23' AND at > '2026-11-23' AND of <= '2026-11-23 10:00:00.123456'",
        "`odd ``%`` name` IS NOT NULL AND id = TRUE AND price = NULL",
    ],
)
def test_what_fits(text: str) -> None:
    condition = parse_condition(text)
    assert list(unfit(condition, TABLE)) == []
    assert set(kinds_of(condition, TABLE)) == set(columns_of(condition))


@pytest.mark.parametrize(
    ("text", "column", "what"),
    [
        ("Region = 'eu'", "Region", "no such column"),
        ("ratio > 1", "ratio", "double"),
        ("doc IS NULL", "doc", "longtext"),
        ("raw = 'x'", "raw", "varbinary"),
        ("flags = 'a'", "flags", "set"),
        ("twice = 1", "twice", "generated"),
        ("own = 1", "own", "excluded"),
        ("region = 1", "region", "a number is compared"),
        ("price = '1'", "price", "a text is compared"),
        ("kind = 1", "kind", "a number is compared"),
        ("day = '2026-11-23 10:00:00'", "day", "is written as"),
        ("day = '2026-02-30'", "day", "is written as"),
        ("at = '2026-11-23T10:00:00'", "at", "is written as"),
        ("at = 'soon'", "at", "is written as"),
        ("of IN ('2026-11-23', '2026-11-23 25:00:00')", "of", "is written as"),
    ],
)
def test_what_does_not_fit(text: str, column: str, what: str) -> None:
    [found] = unfit(parse_condition(text), TABLE)
    assert found.column == column
    assert what in found.what
    assert found.is_unknown is (what == "no such column")


def test_tables_of_cascades_without_events() -> None:
    key = ForeignKey("fk", "s.child", ("p",), "s.parent", ("id",), "CASCADE", "RESTRICT")
    names = {"s.parent": A, "s.other": A}
    assert [name for name, _ in divided_by_cascade(names, (key,))] == ["s.parent"]
    assert list(divided_by_cascade({"s.other": A}, (key,))) == []


@pytest.mark.parametrize(
    ("text", "sql"),
    [
        ("id >= 1.50", "(t.`id` >= 1.50)"),
        ("id = -10", "(t.`id` = -10)"),
        ("price != NULL", "(t.`price` <> NULL)"),
        ("y = 70", "((t.`y` + 0) = 70)"),
        (
            "region = 'e''u\\'",
            "(CAST(CONVERT(t.`region` USING utf8mb4) AS BINARY) = X'6527755C')",
        ),
        ("kind = ''", "(CAST(CONVERT(t.`kind` USING utf8mb4) AS BINARY) = X'')"),
        ("day < '2026-11-23'", "(t.`day` < DATE'2026-11-23')"),
        ("at IN ('2026-11-23', NULL)", "(t.`at` IN (TIMESTAMP'2026-11-23 00:00:00.000000', NULL))"),
        ("NOT `odd ``%`` name` IS NULL", "(NOT (t.`odd ``%`` name` IS NULL))"),
        ("id=1 OR id=2 AND id=3", "((t.`id` = 1) OR ((t.`id` = 2) AND (t.`id` = 3)))"),
    ],
)
def test_the_sql(text: str, sql: str) -> None:
    assert condition_sql(parse_condition(text), TABLE) == sql
