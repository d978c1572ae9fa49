"""A condition as SQL over table `t`, true for the rows for which `conditions.is_true` is.

Nothing of dts.yaml's text gets into a statement: names are the table's own, quoted, and literals
are written anew, numbers as digits, texts as the hex of their bytes, moments in one form.
"""

from __future__ import annotations

from decimal import Decimal

from dts_pipeline.core.column_sql import column_name
from dts_pipeline.core.condition_fit import kinds_of
from dts_pipeline.core.conditions import (
    And,
    Comparison,
    Condition,
    IsIn,
    IsNull,
    Kind,
    Literal,
    Not,
    Or,
    padded_moment,
)
from dts_pipeline.core.schema import Column, Table


def condition_sql(condition: Condition, table: Table) -> str:
    """The expression; `condition` fits the table (`condition_fit.unfit`)."""
    kinds = kinds_of(condition, table)
    compared = {name: _column(table.column(name), kind) for name, kind in kinds.items()}

    def spelled(part: Condition) -> str:
        match part:
            case Comparison(column, sign, value):
                return f"({compared[column]} {sign} {_literal(kinds[column], value)})"
            case IsNull(column):
                return f"(t.{column_name(table.column(column))} IS NULL)"
            case IsIn(column, values):
                listed = ", ".join(_literal(kinds[column], value) for value in values)
                return f"({compared[column]} IN ({listed}))"
            case Not(inner):
                return f"(NOT {spelled(inner)})"
            case And(parts):
                return f"({' AND '.join(map(spelled, parts))})"
            case Or(parts):
                return f"({' OR '.join(map(spelled, parts))})"

    return spelled(condition)


def _column(column: Column, kind: Kind) -> str:
    name = f"t.{column_name(column)}"
    if kind is Kind.TEXT:
        return f"CAST(CONVERT({name} USING utf8mb4) AS BINARY)"
    # A YEAR makes years of the numbers 0 to 99 that it is compared with.
    return f"({name} + 0)" if column.data_type == "year" else name


def _literal(kind: Kind, value: Literal) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if kind is Kind.TEXT:
        return f"X'{value.encode().hex().upper()}'"
    return f"DATE'{value}'" if kind is Kind.DATE else f"TIMESTAMP'{padded_moment(value)}'"
