"""Rows as LOAD DATA reads them: each test reads the text back by the rules of the manual."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dts_pipeline.core.load_text import binary_columns, rendered

_MEANT = {"\\\\": "\\", "\\t": "\t", "\\n": "\n", "\\0": "\0"}
_VALUES = st.one_of(
    st.none(), st.text(), st.integers(), st.floats(allow_nan=False), st.booleans(), st.binary()
)


def read_back(text: bytes) -> list[list[str | None]]:
    """What a server makes of the lines and fields."""
    body = text.decode()
    assert body.endswith("\n")
    return [[unescaped(field) for field in line.split("\t")] for line in body[:-1].split("\n")]


def unescaped(field: str) -> str | None:
    if field == "\\N":
        return None
    return re.sub(r"\\(.)", lambda match: _MEANT[match[0]], field)


def shown(value: object) -> str | None:
    """The field that a value should be read as."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(int(value))
    return value.hex() if isinstance(value, bytes) else repr(value)


@given(st.lists(st.tuples(_VALUES, st.text(), st.integers()), min_size=1))
def test_every_value_is_read_as_it_was(rows: list[tuple[object, str, int]]) -> None:
    columns = list(zip(*rows, strict=True))

    found = read_back(rendered(columns, 0, len(rows)))

    assert found == [[shown(value) for value in row] for row in rows]


@pytest.mark.parametrize("text", ["\\N", "", "\\", "a\tb", "a\nb", "\0", "\\0", "\r\n", "NULL"])
def test_texts_that_look_like_something_else(text: str) -> None:
    assert read_back(rendered([[text, text]], 0, 2)) == [[text], [text]]
    assert read_back(rendered([[text, None]], 0, 2)) == [[text], [None]]


def test_a_part_of_the_rows() -> None:
    assert rendered([[1, 2, 3], ["a", "b", "c"]], 1, 3) == b"2\tb\n3\tc\n"


def test_columns_that_hold_bytes() -> None:
    assert binary_columns([[1], [None, b""], ["x"], [None]]) == [False, True, False, False]


def test_half_a_surrogate_has_no_text() -> None:
    with pytest.raises(UnicodeEncodeError):
        rendered([["\ud800"]], 0, 1)
