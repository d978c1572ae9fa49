"""Which rows of a frame a condition is true of (`conditions.py` says what that means)."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

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

_COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_BOUND = 2**63  # of whole numbers of 64 bits
_Mask = npt.NDArray[np.bool_]


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
