"""Conditions on a row, as `where` of a one-way link names them: their form, and what they mean.

Logic is SQL's, of three values: a comparison with NULL is unknown, and a row is inside only where
the whole is true. Numbers compare exactly, whatever their type. Text compares byte by byte (of its
UTF-8), so `=` tells case, accents and blanks at the end apart, under every collation. Dates and
times compare as moments of the column's own clock, TIMESTAMP in UTC.
`condition_values.py` tells which rows are inside.

Needs nothing but Python itself, as whoever reads `links` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

Literal = Decimal | str | None
"""A number, a text or NULL; TRUE and FALSE are 1 and 0."""
_MOMENT = len("2026-11-23 10:00:00.123456")


class Kind(StrEnum):
    """What the values of a column are compared as."""

    NUMBER = "number"
    TEXT = "text"
    DATE = "date"
    MOMENT = "moment"  # DATETIME and TIMESTAMP


@dataclass(frozen=True)
class Comparison:
    """A column beside a literal; `operator` is one of = <> < <= > >=."""

    column: str
    operator: str
    value: Literal


@dataclass(frozen=True)
class IsNull:
    """IS NULL; IS NOT NULL is its `Not`."""

    column: str


@dataclass(frozen=True)
class IsIn:
    """IN; unknown where nothing is equal and NULL is among the literals, as in SQL."""

    column: str
    values: tuple[Literal, ...]


@dataclass(frozen=True)
class Not:
    """The opposite; of unknown: unknown."""

    part: Condition


@dataclass(frozen=True)
class And:
    """Two or more parts, all of which must be true."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class Or:
    """Two or more parts, one of which must be true."""

    parts: tuple[Condition, ...]


Condition = Comparison | IsNull | IsIn | Not | And | Or


def literals_of(condition: Condition) -> Iterator[tuple[str, Literal]]:
    """Every column that is named, with each literal that it is compared with (IS NULL: NULL)."""
    match condition:
        case Comparison(column, _, value):
            yield column, value
        case IsNull(column):
            yield column, None
        case IsIn(column, values):
            yield from ((column, value) for value in values)
        case Not(part):
            yield from literals_of(part)
        case And(parts) | Or(parts):
            for part in parts:
                yield from literals_of(part)


def columns_of(condition: Condition) -> tuple[str, ...]:
    """The columns that are named, each once, in the order in which they appear."""
    return tuple(dict.fromkeys(column for column, _ in literals_of(condition)))


def padded_moment(text: str) -> str:
    """A date, or date and time, as text that sorts: `2026-11-23 10:00:00.000000`."""
    if len(text) == len("2026-11-23"):
        text += " 00:00:00"
    text = f"{text[:10]} {text[11:]}"
    return (text if "." in text else text + ".").ljust(_MOMENT, "0")
