"""Column types drawn at random, each with SQL literals of values that it takes."""

from __future__ import annotations

import json
import string
import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

Literals = st.SearchStrategy[str]
_CHARSETS = {
    "utf8mb4": (
        st.characters(exclude_categories=["Cs"]),
        ["utf8mb4_bin", "utf8mb4_general_ci", "utf8mb4_unicode_ci"],
    ),
    "ucs2": (st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), ["ucs2_general_ci"]),
    "latin1": (st.characters(codec="latin-1", min_codepoint=32, exclude_categories=["Cc"]),
               ["latin1_swedish_ci", "latin1_bin"]),
    "ascii": (st.characters(codec="ascii"), ["ascii_general_ci"]),
    "gbk": (st.sampled_from("aZ \\'%\n小中文字测试誠猫"), ["gbk_chinese_ci", "gbk_bin"]),
}  # fmt: skip
# No label beyond the BMP: information_schema shows a question mark there.
_LABEL = st.text(string.ascii_letters + " ',\"é中", max_size=8)
_INTEGERS = {"TINYINT": 8, "SMALLINT": 16, "MEDIUMINT": 24, "INT": 32, "BIGINT": 64}
_FIRST_MOMENT, _LAST_MOMENT = datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999_999)


@dataclass(frozen=True)
class Kind:
    """A type as a definition spells it, and literals of its values; `keyable` in a primary key."""

    ddl: str
    literals: Literals
    keyable: bool = True
    default: str = ""


def kinds(flavour: str) -> st.SearchStrategy[Kind]:
    """Every type that all servers of the flavour have."""
    found = [
        integers(), decimals(), floats(), bits(), years(), dates(), times(), moments(), stamps(),
        texts(), long_texts(), blobs(), labels(), json_values(), geometries(),
    ]  # fmt: skip
    return st.one_of(*found, *([vectors()] if flavour == "mysql" else []))


@st.composite
def integers(draw: Callable[..., Any]) -> Kind:
    name, unsigned = draw(st.sampled_from(sorted(_INTEGERS))), draw(st.booleans())
    bits = _INTEGERS[name]
    low, high = (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    literals = st.one_of(st.integers(low, high), st.sampled_from([low, high])).map(str)
    default = draw(st.one_of(st.just(""), literals))
    return Kind(f"{name}{' UNSIGNED' if unsigned else ''}", literals, True, default)


@st.composite
def decimals(draw: Callable[..., Any]) -> Kind:
    digits = draw(st.integers(1, 65))
    scale = draw(st.integers(0, min(digits, 30)))
    most = 10**digits - 1

    def spelled(number: int) -> str:
        text = str(abs(number)).rjust(scale + 1, "0")
        whole = text[: len(text) - scale]
        return f"{'-' if number < 0 else ''}{whole}{'.' + text[-scale:] if scale else ''}"

    literals = st.one_of(st.integers(-most, most), st.sampled_from([-most, most])).map(spelled)
    return Kind(f"DECIMAL({digits},{scale})", literals, True, draw(st.just("") | literals))


@st.composite
def floats(draw: Callable[..., Any]) -> Kind:
    name, width = draw(st.sampled_from([("FLOAT", 32), ("DOUBLE", 64)]))
    # MariaDB has no -0.0.
    numbers = st.floats(width=width, allow_nan=False, allow_infinity=False).map(lambda x: x + 0.0)
    return Kind(name, numbers.map(repr), keyable=False)


@st.composite
def bits(draw: Callable[..., Any]) -> Kind:
    length = draw(st.integers(1, 64))
    return Kind(f"BIT({length})", st.integers(0, 2**length - 1).map(lambda n: f"b'{n:b}'"))


def years() -> st.SearchStrategy[Kind]:
    return st.just(Kind("YEAR", st.one_of(st.integers(1901, 2155), st.just(0)).map(str)))


def dates() -> st.SearchStrategy[Kind]:
    return st.just(Kind("DATE", st.dates(date(1, 1, 1)).map(lambda day: f"'{day.isoformat()}'")))


@st.composite
def times(draw: Callable[..., Any]) -> Kind:
    digits, most = draw(st.integers(0, 6)), 839 * 3600 * 10**6 - 10**6

    def spelled(micros: int) -> str:
        seconds, rest = divmod(abs(micros), 10**6)
        fraction = f".{rest:06}"[: digits + 1] if digits else ""
        clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{fraction}"
        return f"'{'-' if micros < 0 else ''}{clock}'"

    return Kind(f"TIME({digits})", st.integers(-most, most).map(spelled))


def _moment(moment: datetime, digits: int) -> str:
    fraction = f".{moment.microsecond:06}"[: digits + 1] if digits else ""
    return f"'{moment.strftime('%m-%d %H:%M:%S').join([f'{moment.year:04}-', fraction])}'"


@st.composite
def moments(draw: Callable[..., Any]) -> Kind:
    digits = draw(st.integers(0, 6))
    spread = st.datetimes(_FIRST_MOMENT, _LAST_MOMENT)
    return Kind(f"DATETIME({digits})", spread.map(lambda moment: _moment(moment, digits)))


@st.composite
def stamps(draw: Callable[..., Any]) -> Kind:
    digits = draw(st.integers(0, 6))
    first = datetime(1970, 1, 1, 0, 0, 1)
    spread = st.integers(0, 2**31 * 10**6 - 2 * 10**6).map(lambda n: first + timedelta(0, 0, n))
    literals = spread.map(lambda moment: _moment(moment, digits))
    # Without a default the first TIMESTAMP of a table would change with every UPDATE on MariaDB.
    return Kind(f"TIMESTAMP({digits})", literals, True, "'2000-01-01 00:00:00'")


def _hex(value: bytes) -> str:
    return f"X'{value.hex()}'"


def _text(value: str) -> str:
    return f"_utf8mb4 {_hex(value.encode())}"


@st.composite
def texts(draw: Callable[..., Any]) -> Kind:
    charset = draw(st.sampled_from(sorted(_CHARSETS)))
    alphabet, collations = _CHARSETS[charset]
    length = draw(st.integers(1, 20))
    kind = f"{draw(st.sampled_from(['CHAR', 'VARCHAR']))}({length})"
    collation = f"CHARACTER SET {charset} COLLATE {draw(st.sampled_from(collations))}"
    return Kind(f"{kind} {collation}", st.text(alphabet, max_size=length).map(_text))


@st.composite
def long_texts(draw: Callable[..., Any]) -> Kind:
    charset = draw(st.sampled_from(sorted(_CHARSETS)))
    alphabet, collations = _CHARSETS[charset]
    name = draw(st.sampled_from(["TINYTEXT", "TEXT", "MEDIUMTEXT", "LONGTEXT"]))
    collation = f"CHARACTER SET {charset} COLLATE {draw(st.sampled_from(collations))}"
    return Kind(f"{name} {collation}", st.text(alphabet, max_size=60).map(_text), keyable=False)


@st.composite
def blobs(draw: Callable[..., Any]) -> Kind:
    length = draw(st.integers(1, 30))
    name = draw(st.sampled_from(["BINARY", "VARBINARY", "TINYBLOB", "BLOB", "LONGBLOB"]))
    is_short = name.endswith("BINARY")
    literals = st.binary(max_size=length).map(_hex)
    return Kind(f"{name}({length})" if is_short else name, literals, keyable=is_short)


@st.composite
def labels(draw: Callable[..., Any]) -> Kind:
    drawn = draw(st.lists(_LABEL, min_size=1, max_size=12))
    # The number keeps them apart in every collation, whatever blanks the server cuts off.
    found = [f"{number}{text}".rstrip() for number, text in enumerate(drawn)]
    if draw(st.booleans()):
        return Kind(f"ENUM({_listed(found)})", st.sampled_from(found).map(_quoted))
    found = [label.replace(",", ";") for label in found]
    members = st.lists(st.sampled_from(found), unique=True)
    ordered = members.map(lambda some: _quoted(",".join(x for x in found if x in some)))
    return Kind(f"SET({_listed(found)})", ordered)


def _listed(some: list[str]) -> str:
    return ", ".join(map(_quoted, some))


def _quoted(label: str) -> str:
    return "'" + label.replace("'", "''") + "'"


def json_values() -> st.SearchStrategy[Kind]:
    leaves = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | _json_text()
    trees = st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(_json_text(), inner, max_size=4)
        ),
        max_leaves=10,
    )
    literals = trees.map(lambda tree: _text(json.dumps(tree, ensure_ascii=False)))
    return st.just(Kind("JSON", literals, keyable=False))


def _json_text() -> Literals:
    return st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)


@st.composite
def geometries(draw: Callable[..., Any]) -> Kind:
    number = st.floats(-1e15, 1e15).map(lambda x: repr(x + 0.0))
    point = st.tuples(number, number).map(" ".join)
    line = st.lists(point, min_size=2, max_size=5).map(", ".join)
    shapes = {
        "POINT": point.map(lambda p: f"POINT({p})"),
        "LINESTRING": line.map(lambda found: f"LINESTRING({found})"),
        "MULTIPOINT": line.map(lambda found: f"MULTIPOINT({found})"),
    }
    name = draw(st.sampled_from(["GEOMETRY", *shapes]))
    drawn = st.one_of(*shapes.values()) if name == "GEOMETRY" else shapes[name]
    return Kind(name, drawn.map(lambda text: f"ST_GeomFromText('{text}')"), keyable=False)


@st.composite
def vectors(draw: Callable[..., Any]) -> Kind:
    size = draw(st.integers(1, 20))
    numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)
    found = st.lists(numbers, min_size=size, max_size=size)
    # As bytes: STRING_TO_VECTOR does not take the smallest numbers.
    literals = found.map(lambda some: _hex(struct.pack(f"<{size}f", *some)))
    return Kind(f"VECTOR({size})", literals, keyable=False)
