"""Labels of ENUM and SET, which Debezium takes from the text of the table's definition."""

from __future__ import annotations

import re
from collections.abc import Callable

_LABEL = re.compile(r"'((?:[^'\\]|''|\\.)*)'", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_UNESCAPED = {"n": "\n", "r": "\r", "t": "\t", "0": "\0", "b": "\b", "Z": "\x1a"}
_AS_TYPED = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0", "\b": "\\b", "\x1a": "\\Z"}


def labels_of(column_type: str) -> list[str]:
    """The labels in information_schema's text of the type: quotes doubled, backslashes escaped."""
    return [
        _ESCAPE.sub(lambda m: _UNESCAPED.get(m[1], m[1]), quoted.replace("''", "'"))
        for quoted in _LABEL.findall(column_type)
    ]


def _spellings(label: str) -> set[str]:
    """How Debezium can spell a label.

    It copies the text between the quotes of the definition (backslashes stay doubled, and control
    characters stay as somebody typed them), then puts a backslash before each comma.
    """
    doubled = label.replace("\\", "\\\\")
    typed = "".join(_AS_TYPED.get(character, character) for character in doubled)
    return {text.replace(",", "\\,") for text in (label, doubled, typed)}


def spelled_labels(column_type: str) -> dict[str, str]:
    """Debezium's spelling → label; a spelling that two labels could have is left out."""
    owners: dict[str, set[str]] = {}
    for label in labels_of(column_type):
        for spelling in _spellings(label):
            owners.setdefault(spelling, set()).add(label)
    return {spelling: min(found) for spelling, found in owners.items() if len(found) == 1}


def set_reader(column_type: str) -> Callable[[str], str]:
    """Debezium's `a,c` → the server's; members hold no commas."""
    known = spelled_labels(column_type)
    seen: dict[str, str] = {"": ""}

    def convert(text: str) -> str:
        if text not in seen:
            seen[text] = ",".join(known[member] for member in text.split(","))
        return seen[text]

    return convert
