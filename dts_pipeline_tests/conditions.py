"""Random conditions, as text and with the truth that SQL's rules give for one row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

Truth = bool | None
Row = Mapping[str, Any]
TEXTS = ("eu", "EU", "e", "eu ", "", "ü", "x'y", "a\\b", "%s")
NUMBERS = ("0", "1", "-1", "2", "10", "1.5", "99999999999999999999")
SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<>": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


@dataclass(frozen=True)
class Drawn:
    """A condition's text, and what it is for a row: True, False or unknown."""

    text: str
    truth: Callable[[Row], Truth]


def comparable(value: Any) -> Any:
    """A value, or a literal's, as SQL compares it byte by byte."""
    return value.encode() if isinstance(value, str) else value


def spelled(value: Any) -> str:
    if value is None:
        return "NULL"
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)


def compared(name: str, sign: str, value: Any) -> Callable[[Row], Truth]:
    def truth(row: Row) -> Truth:
        if row[name] is None or value is None:
            return None
        return SIGNS[sign](comparable(row[name]), comparable(value))

    return truth


def both(one: Truth, two: Truth) -> Truth:
    if one is False or two is False:
        return False
    return None if one is None or two is None else True


def opposite(one: Truth) -> Truth:
    return None if one is None else not one


def either(one: Truth, two: Truth) -> Truth:
    return opposite(both(opposite(one), opposite(two)))


def within(name: str, values: list[Any]) -> Callable[[Row], Truth]:
    def truth(row: Row) -> Truth:
        found: Truth = False
        for value in values:
            found = either(found, compared(name, "=", value)(row))
        return found

    return truth


@st.composite
def tests(draw: st.DrawFn, columns: Mapping[str, tuple[Any, ...]]) -> Drawn:
    """One comparison; `columns`: the literals to draw from, by column."""
    name = draw(st.sampled_from(sorted(columns)))
    literals = st.sampled_from([*columns[name], None])
    kind = draw(st.sampled_from(["compare", "turned", "null", "in"]))
    negated = draw(st.booleans())
    if kind == "null":
        text = f"{name} IS {'NOT ' if negated else ''}NULL"
        return Drawn(text, lambda row: (row[name] is None) != negated)
    if kind == "in":
        values = draw(st.lists(literals, min_size=1, max_size=3))
        listed = ", ".join(map(spelled, values))
        inside = within(name, values)
        if negated:
            return Drawn(f"{name} NOT IN ({listed})", lambda row: opposite(inside(row)))
        return Drawn(f"{name} in ({listed})", inside)
    sign, value = draw(st.sampled_from(sorted(SIGNS))), draw(literals)
    if kind == "turned":
        back = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(sign, sign)
        return Drawn(f"{spelled(value)} {sign} `{name}`", compared(name, back, value))
    return Drawn(f"{name} {sign} {spelled(value)}", compared(name, sign, value))


def drawn_conditions(columns: Mapping[str, tuple[Any, ...]]) -> st.SearchStrategy[Drawn]:
    """Conditions of a few comparisons."""

    def wider(part: st.SearchStrategy[Drawn]) -> st.SearchStrategy[Drawn]:
        return st.one_of(
            st.builds(_and, part, part), st.builds(_or, part, part), st.builds(_not, part)
        )

    return st.recursive(tests(columns), wider, max_leaves=6)


def _and(one: Drawn, two: Drawn) -> Drawn:
    return Drawn(f"({one.text}) AND ({two.text})", lambda row: both(one.truth(row), two.truth(row)))


def _or(one: Drawn, two: Drawn) -> Drawn:
    text = f"(({one.text}) or ({two.text}))"
    return Drawn(text, lambda row: either(one.truth(row), two.truth(row)))


def _not(one: Drawn) -> Drawn:
    return Drawn(f"NOT ({one.text})", lambda row: opposite(one.truth(row)))


def numbers(*texts: str) -> tuple[Decimal, ...]:
    """Literals of numbers."""
    return tuple(map(Decimal, texts))
