"""Whether a condition fits a table: its columns are there, and compare with its literals."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from dts_pipeline.core.conditions import Condition, Kind, Literal, columns_of, literals_of
from dts_pipeline.core.schema import Column, ForeignKey, Table
from dts_pipeline.core.type_fit import family_of

UNKNOWN_REMEDY = (
    "Spell table and column as the source does, case included, or take them out of `where`."
)
UNFIT_REMEDY = (
    "Let `where` name columns of whole numbers, DECIMAL, text, ENUM, DATE, DATETIME or TIMESTAMP, "
    "with literals of their kind (docs/filters.md)."
)
_KINDS = {
    "integer": Kind.NUMBER,
    "year": Kind.NUMBER,
    "decimal": Kind.NUMBER,
    "text": Kind.TEXT,
    "enum": Kind.TEXT,
    "date": Kind.DATE,
    "datetime": Kind.MOMENT,
    "timestamp": Kind.MOMENT,
}
_DAY = r"\d{4}-\d\d-\d\d"
_SPELLED = {
    Kind.DATE: re.compile(_DAY, re.ASCII),
    Kind.MOMENT: re.compile(rf"{_DAY}( \d\d:\d\d:\d\d(\.\d{{1,6}})?)?", re.ASCII),
}


@dataclass(frozen=True)
class Unfit:
    """Why a condition does not fit; `is_unknown` where the column is not there at all."""

    column: str
    what: str
    is_unknown: bool = False


def kinds_of(condition: Condition, table: Table) -> dict[str, Kind]:
    """What each column of a condition that fits the table is compared as."""
    return {name: _KINDS[str(family_of(table.column(name)))] for name in columns_of(condition)}


def unfit(condition: Condition, table: Table) -> Iterator[Unfit]:
    """What is wrong with a condition on the source's `table`, each column once."""
    known = {column.name: column for column in table.columns}
    told: set[str] = set()
    for name, value in literals_of(condition):
        column = known.get(name)
        what = "the table has no such column" if column is None else _unfit(column, value)
        if what and name not in told:
            told.add(name)
            yield Unfit(name, what, is_unknown=column is None)


def divided_by_cascade(
    names: Mapping[str, Condition], keys: tuple[ForeignKey, ...]
) -> Iterator[tuple[str, ForeignKey]]:
    """Tables with a condition that foreign keys change, or follow from, without an event.

    Apply carries such changes out on the target's rows, which here are not all: what follows from
    a row outside would stay as it is, and a row that comes inside by one would be missing.
    """
    for key in keys:
        for name in sorted({key.parent, key.child} & names.keys()):
            yield name, key


def _unfit(column: Column, value: Literal) -> str:
    kind = _KINDS.get(str(family_of(column)))
    if column.excluded:
        return "the column is excluded by `columns`"
    if column.generated:
        return "a generated column is not in every event"
    if kind is None:
        return f"values of type {column.data_type} are not compared"
    if value is None:
        return ""
    if isinstance(value, Decimal) != (kind is Kind.NUMBER):
        given = "a number" if isinstance(value, Decimal) else "a text"
        return f"{given} is compared with a column of type {column.data_type}"
    if isinstance(value, str) and not _is_spelled(kind, value):
        form = "'2026-11-23'" if kind is Kind.DATE else "'2026-11-23' or '2026-11-23 10:00:00.5'"
        return f"a value of type {column.data_type} is written as {form}"
    return ""


def _is_spelled(kind: Kind, value: str) -> bool:
    pattern = _SPELLED.get(kind)
    if pattern is None:
        return True
    if not pattern.fullmatch(value):
        return False
    try:
        datetime.fromisoformat(value.partition(".")[0])
    except ValueError:
        return False
    return True
