"""Conditions on a row, as `where` of a one-way link names them: their form and their truth.

Logic is SQL's, of three values: a comparison with NULL is unknown, and a row is inside only where
the whole is true. Numbers compare exactly, whatever their type. Text compares byte by byte (of its
UTF-8), so `=` tells case, accents and blanks at the end apart, under every collation. Dates and
times compare as moments of the column's own clock, TIMESTAMP in UTC.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

Literal = Decimal | str | None
"""A number, a text or NULL; TRUE and FALSE are 1 and 0."""
_COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_BOUND = 2**63  # of whole numbers of 64 bits
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
_Mask = npt.NDArray[np.bool_]


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


@dataclass(frozen=True)
class Values:
    """A column's values, one a row, ready to be compared; what stands where one is NULL is void."""

    kind: Kind
    values: npt.NDArray[Any]
    present: _Mask

    @classmethod
    def of(cls, kind: Kind, values: Sequence[Any]) -> Values:
        """Values as `decode_rows` gives them; None is NULL."""
        present = np.array([value is not None for value in values], dtype=np.bool_)
        return cls(kind, _comparable(kind, values), present)

    def compared(self, compare: Callable[[Any, Any], Any], value: Literal) -> _Truth:
        """Each value beside a literal of its kind."""
        if value is None:
            nothing = np.zeros(len(self.present), dtype=np.bool_)
            return _Truth(nothing, nothing)
        values, other = self.values, comparable_literal(self.kind, value)
        if values.dtype != object and not (isinstance(other, int) and -_BOUND <= other < _BOUND):
            values = values.astype(object)
        found = np.asarray(compare(values, other), dtype=np.bool_)
        return _Truth(self.present & found, self.present & ~found)


@dataclass(frozen=True)
class _Truth:
    """For each row whether it is true, and whether it is false; neither: unknown."""

    true: _Mask
    false: _Mask

    def __invert__(self) -> _Truth:
        return _Truth(self.false, self.true)

    def __and__(self, other: _Truth) -> _Truth:
        return _Truth(self.true & other.true, self.false | other.false)

    def __or__(self, other: _Truth) -> _Truth:
        return _Truth(self.true | other.true, self.false & other.false)


def is_true(condition: Condition, columns: Mapping[str, Values]) -> _Mask:
    """The rows of which the condition is true; `columns` has every one of `columns_of`."""
    return _truth(condition, columns).true


def comparable_literal(kind: Kind, value: Decimal | str) -> Any:
    """A literal as `Values` compares it: a whole number as int, a moment with six decimals."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else value
    return padded_moment(value) if kind is Kind.MOMENT else value


def padded_moment(text: str) -> str:
    """A date, or date and time, as text that sorts: `2026-11-23 10:00:00.000000`."""
    if len(text) == len("2026-11-23"):
        text += " 00:00:00"
    text = f"{text[:10]} {text[11:]}"
    return (text if "." in text else text + ".").ljust(_MOMENT, "0")


def _truth(condition: Condition, columns: Mapping[str, Values]) -> _Truth:
    match condition:
        case Comparison(column, name, value):
            return columns[column].compared(_COMPARE[name], value)
        case IsNull(column):
            return _Truth(~columns[column].present, columns[column].present)
        case IsIn(column, values):
            found = [columns[column].compared(operator.eq, value) for value in values]
            return reduce(operator.or_, found)
        case Not(part):
            return ~_truth(part, columns)
        case And(parts):
            return reduce(operator.and_, (_truth(part, columns) for part in parts))
        case Or(parts):
            return reduce(operator.or_, (_truth(part, columns) for part in parts))


def _comparable(kind: Kind, values: Sequence[Any]) -> npt.NDArray[Any]:
    if kind is Kind.NUMBER:
        return _numbers(["0" if value is None else value for value in values])
    filled = ["" if value is None else value for value in values]
    if kind is Kind.MOMENT:
        filled = list(map(padded_moment, filled))
    return _objects(filled)


def _numbers(values: list[Any]) -> npt.NDArray[Any]:
    """Whole numbers of 64 bits as such, which is quick; others one by one, exactly."""
    exact = [value if type(value) is int else Decimal(value) for value in values]
    if all(type(value) is int or value == 0 for value in exact):
        try:
            return np.array(list(map(int, exact)), dtype=np.int64)
        except OverflowError:
            return _objects(exact)
    return _objects(exact)


def _objects(values: list[Any]) -> npt.NDArray[np.object_]:
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found
