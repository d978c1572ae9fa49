"""Reads a condition: column names, literals, = != <> < <= > >=, IS [NOT] NULL, [NOT] IN, AND, OR,
NOT and parentheses. None of its text is ever given to a server.

    or_  = and_ {OR and_}            not_ = NOT not_ | "(" or_ ")" | test
    and_ = not_ {AND not_}           test = column (op literal | IS [NOT] NULL | [NOT] IN "(" … ")")
                                          | literal op column
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from dts_pipeline.core.conditions import (
    And,
    Comparison,
    Condition,
    IsIn,
    IsNull,
    Literal,
    Not,
    Or,
)

_LONGEST = 10_000
_DEEPEST = 50
_DIGITS, _DECIMALS = 65, 30  # what a server's own DECIMAL can hold
_TOKEN = re.compile(
    r"(?P<number>[+-]?[0-9]+(?:\.[0-9]+)?)"
    r"|(?P<text>'(?:[^']|'')*')"
    r"|(?P<quoted>`(?:[^`]|``)+`)"
    r"|(?P<word>[^\W0-9][\w$]*)"
    r"|(?P<operator><>|!=|<=|>=|=|<|>)"
    r"|(?P<mark>[(),])"
)
_RESERVED = {"AND", "OR", "NOT", "IS", "IN", "NULL", "TRUE", "FALSE"}
_OPERATORS = {"!=": "<>"}
_TURNED = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


class ConditionError(ValueError):
    """The text is no condition; says at which character, counted from 1. Quotes no literal."""

    def __init__(self, place: int, what: str) -> None:
        super().__init__(f"at character {place}: {what}")
        self.place = place


@dataclass(frozen=True)
class _Token:
    """`kind` is a group of `_TOKEN`, `reserved`, or `end`; reserved words are in capitals."""

    kind: str
    text: str
    place: int


def parse_condition(text: str) -> Condition:
    """The condition that a text spells. Raises ConditionError."""
    if len(text) > _LONGEST:
        raise ConditionError(_LONGEST + 1, f"a condition has at most {_LONGEST} characters")
    parser = _Parser(_tokens(text))
    condition = parser.either()
    parser.expect("end", "", "AND, OR or the end")
    return condition


def _tokens(text: str) -> list[_Token]:
    found, at = [], 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        match = _TOKEN.match(text, at)
        if match is None:
            what = "a text without its second quote" if text[at] in "'`" else "cannot be read here"
            raise ConditionError(at + 1, what)
        kind, word = str(match.lastgroup), match[0]
        if kind == "word" and word.upper() in _RESERVED:
            kind, word = "reserved", word.upper()
        found.append(_Token(kind, word, at + 1))
        at = match.end()
    return [*found, _Token("end", "", len(text) + 1)]


class _Parser:
    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    @property
    def token(self) -> _Token:
        return self._tokens[self._at]

    def take(self, kind: str, text: str) -> bool:
        """Goes past the token if it is that."""
        found = self.token.kind == kind and text in ("", self.token.text)
        self._at += found
        return found

    def expect(self, kind: str, text: str, what: str) -> None:
        if self.token.kind != kind or text not in ("", self.token.text):
            raise ConditionError(self.token.place, f"{what} is expected")
        self._at += self.token.kind != "end"

    def either(self) -> Condition:
        parts = self._joined("OR", self._all)
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _all(self) -> Condition:
        parts = self._joined("AND", self._not)
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _joined(self, word: str, part: Callable[[], Condition]) -> list[Condition]:
        parts = [part()]
        while self.take("reserved", word):
            parts.append(part())
        return parts

    def _not(self) -> Condition:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ConditionError(self.token.place, f"nested deeper than {_DEEPEST}")
        try:
            if self.take("reserved", "NOT"):
                return Not(self._not())
            if self.take("mark", "("):
                inner = self.either()
                self.expect("mark", ")", "AND, OR or a closing parenthesis")
                return inner
            return self._test()
        finally:
            self._depth -= 1

    def _test(self) -> Condition:
        if self.token.kind not in ("word", "quoted"):
            value = self._literal("a column, a literal, NOT or a parenthesis")
            sign = self._operator()
            return Comparison(self._column(), _TURNED[sign], value)
        column = self._column()
        if self.take("reserved", "IS"):
            negated = self.take("reserved", "NOT")
            self.expect("reserved", "NULL", "NULL" if negated else "NULL or NOT NULL")
            return Not(IsNull(column)) if negated else IsNull(column)
        if self.take("reserved", "NOT"):
            self.expect("reserved", "IN", "IN")
            return Not(self._is_in(column))
        if self.take("reserved", "IN"):
            return self._is_in(column)
        sign = self._operator()
        return Comparison(column, sign, self._literal("a literal (texts in single quotes)"))

    def _is_in(self, column: str) -> Condition:
        self.expect("mark", "(", "a parenthesis with literals")
        values = [self._literal("a literal")]
        while self.take("mark", ","):
            values.append(self._literal("a literal"))
        self.expect("mark", ")", "a comma or a closing parenthesis")
        return IsIn(column, tuple(values))

    def _operator(self) -> str:
        token = self.token
        self.expect("operator", "", "= <> < <= > >=, IS or IN")
        return _OPERATORS.get(token.text, token.text)

    def _column(self) -> str:
        token = self.token
        if not (self.take("word", "") or self.take("quoted", "")):
            raise ConditionError(token.place, "a column is expected")
        return token.text[1:-1].replace("``", "`") if token.kind == "quoted" else token.text

    def _literal(self, what: str) -> Literal:
        token = self.token
        if self.take("number", ""):
            return _number(token)
        if self.take("text", ""):
            return _text(token)
        if token.kind == "reserved" and token.text in ("NULL", "TRUE", "FALSE"):
            self._at += 1
            return None if token.text == "NULL" else Decimal(token.text == "TRUE")
        raise ConditionError(token.place, f"{what} is expected")


def _number(token: _Token) -> Decimal:
    whole, _, decimals = token.text.lstrip("+-").partition(".")
    if len(whole) + len(decimals) > _DIGITS or len(decimals) > _DECIMALS:
        what = f"a number has at most {_DIGITS} digits, {_DECIMALS} of them behind the point"
        raise ConditionError(token.place, what)
    return Decimal(token.text)


def _text(token: _Token) -> str:
    text = token.text[1:-1].replace("''", "'")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConditionError(token.place, "a text with half a character") from None
    return text
