"""Rows as one hash, so that two servers of any kind give equal hashes for equal rows.

A row is spelled as one text, of which the server takes SHA2 (MySQL has no MD5() any more). The
text is injective: numbers and times end at a comma, everything else carries its length or has a
fixed one, and NULL is a letter that no value begins with. Both servers spell a value alike:

- numbers without zeros that a ZEROFILL or a wider scale adds; FLOAT and DOUBLE by their bits
  (-0 is 0 between MariaDB, which has no -0, and MySQL);
- times as text without trailing zeros, TIMESTAMP in the session's zone, which is UTC;
- text by its bytes; as utf8mb4 where the two columns differ in character set;
- ENUM and SET by label, BIT as a number, spatial and vector values by their bytes;
- JSON by its text between servers of one kind. MySQL normalises JSON and MariaDB keeps the text,
  so between the two only NULL is told from a value, and the column is named as not compared.

Nothing here can come out NULL by itself: a NULL hash means that the server ran into a limit.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from dts_pipeline.core.column_sql import column_name
from dts_pipeline.core.schema import Column, Dialect, Table
from dts_pipeline.core.type_fit import family_of

TOO_LARGE = 2**100
"""Stands in a sum for a row whose hash came out NULL; fewer than 2**36 rows add up to less."""
_NULL = "'N'"
_LABEL = re.compile(r"'((?:[^']|'')*)'")
_SHORT_TEXT = {"char", "varchar", "binary", "varbinary"}
_ALIASES = {"utf8": "utf8mb3"}


@dataclass(frozen=True)
class NotCompared:
    """A column that the hash leaves out, or of which it only says whether it is NULL."""

    column: str
    reason: str


@dataclass(frozen=True)
class RowHash:
    """The hash of a row of table `t` at one site, as an SQL expression of 64 hex digits.

    `without_json` leaves JSON columns out; it is the same as `sql` where there are none.
    """

    sql: str
    without_json: str

    def total(self) -> str:
        """The sum over rows of the hash's first 64 bits; `TOO_LARGE` and more: see there."""
        number = f"CAST(CONV(LEFT({self.sql}, 16), 16, 10) AS UNSIGNED)"
        return f"COALESCE(SUM(IFNULL({number}, {TOO_LARGE})), 0)"


@dataclass(frozen=True)
class TablePair:
    """A table as it is at both sites, the first site's first.

    `inside` is SQL over table `t`: the rows of the first site that the second is to have, '' for
    all. The second site is compared as a whole: it is to have no others.
    """

    tables: tuple[Table, Table]
    dialects: tuple[Dialect, Dialect]
    inside: str = ""

    @property
    def name(self) -> str:
        """`schema.table`."""
        return self.tables[0].full_name

    @property
    def one_kind(self) -> bool:
        """Whether both servers are MySQL, or both MariaDB."""
        return self.dialects[0] is self.dialects[1]

    @property
    def json_by_value(self) -> tuple[str, ...]:
        """JSON columns whose text can differ for equal values: MySQL keeps 1.0 apart from 1."""
        if set(self.dialects) != {Dialect.MYSQL}:
            return ()
        return tuple(c.name for c, other in self._columns() if c.is_json and other.is_json)

    def hashes(self) -> tuple[RowHash, RowHash]:
        """The hash of a row at each site, over the same columns in the same order."""
        found = []
        for side in (0, 1):
            pairs = [pair[:: 1 - 2 * side] for pair in self._columns()]
            every = [_spelled(mine, other, self.one_kind) for mine, other in pairs]
            plain = [
                text for text, (c, o) in zip(every, pairs, strict=True) if not _json_both(c, o)
            ]
            found.append(RowHash(_hash(every), _hash(plain)))
        return found[0], found[1]

    def not_compared(self) -> list[NotCompared]:
        """The columns that the hashes say nothing about, or not all."""
        names = [{c.name for c in table.columns} for table in self.tables]
        missing = [
            NotCompared(column.name, "is at one site only")
            for table, others in zip(self.tables, names[::-1], strict=True)
            for column in table.written_columns
            if column.name not in others
        ]
        in_part = [
            NotCompared(c.name, "the servers keep JSON differently: only NULL is compared")
            for c, o in self._columns()
            if _json_either(c, o) and not (self.one_kind and _json_both(c, o))
        ]
        return missing + in_part

    def _columns(self) -> list[tuple[Column, Column]]:
        """The columns that the first site writes and the second has, in the first's order."""
        there = {column.name: column for column in self.tables[1].columns}
        return [(c, there[c.name]) for c in self.tables[0].written_columns if c.name in there]


def same_order(pair: TablePair) -> bool:
    """Whether both sites are known to order the primary key alike."""
    one, two = pair.tables
    if one.primary_key != two.primary_key:
        return False
    return all(
        _same_order(one.column(name), two.column(name), pair.one_kind) for name in one.primary_key
    )


def _same_order(one: Column, two: Column, one_kind: bool) -> bool:
    family = family_of(one)
    if family is None or family != family_of(two):
        return False
    if family in ("enum", "set"):
        return one.column_type == two.column_type
    if family == "text":
        same = (one.charset, one.collation) == (two.charset, two.collation)
        return same and (one_kind or str(one.collation).endswith("_bin"))
    return family not in ("json", "geometry", "vector")


def _hash(parts: list[str]) -> str:
    return f"SHA2(CONCAT({', '.join(parts)}), 256)" if parts else "SHA2('', 256)"


def _json_both(one: Column, two: Column) -> bool:
    return one.is_json and two.is_json


def _json_either(one: Column, two: Column) -> bool:
    return one.is_json or two.is_json


def _spelled(column: Column, other: Column, one_kind: bool) -> str:
    """One column as text that ends where it says it ends; 'N' for NULL."""
    name = f"t.{column_name(column)}".replace("%", "%%")
    if _json_either(column, other):
        text = _json(name, column) if one_kind and _json_both(column, other) else "'J'"
    else:
        # MariaDB stores -0 as 0, so with one of each kind there is no difference to see.
        value = f"({name} + 0e0)" if _is_floating(column) and not one_kind else name
        text = _SPELLINGS[family_of(column) or "bytes"](value, column, other)
    return f"IF({name} IS NULL, {_NULL}, {text})" if column.nullable else text


def _is_floating(column: Column) -> bool:
    return family_of(column) == "floating"


def _number(name: str, column: Column, _other: Column) -> str:
    value = f"{name} + 0" if "zerofill" in column.column_type else name
    return f"CONCAT(CAST({value} AS CHAR), ',')"


def _decimal(name: str, column: Column, _other: Column) -> str:
    value = f"{name} + 0" if "zerofill" in column.column_type else name
    return f"CONCAT({_without_zeros(f'CAST({value} AS CHAR)', column.scale)}, ',')"


def _floating(name: str, column: Column, other: Column) -> str:
    """The bits, as a point's coordinate: the servers' texts of a DOUBLE differ, or lack digits."""
    value = name if column.data_type == other.data_type else f"CAST({name} AS FLOAT)"
    return f"HEX(POINT({value}, 0))"


def _bit(name: str, _column: Column, _other: Column) -> str:
    return f"CONCAT(CAST({name} AS UNSIGNED), ',')"


def _time(name: str, column: Column, _other: Column) -> str:
    digits = re.search(r"\((\d)\)", column.column_type)
    text = _without_zeros(f"CAST({name} AS CHAR)", int(digits[1]) if digits else 0)
    return f"CONCAT({text}, ',')"


def _without_zeros(text: str, digits: int) -> str:
    """Digits after the point that are zeros, and a point with nothing behind it, cut off."""
    if not digits:
        return text
    return f"TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM {text}))"


def _text(name: str, column: Column, other: Column) -> str:
    charsets = {_ALIASES.get(c.charset or "", c.charset) for c in (column, other)}
    value = name if len(charsets) == 1 else f"CONVERT({name} USING utf8mb4)"
    if {column.data_type, other.data_type} <= _SHORT_TEXT:
        return _with_length(f"CAST({value} AS BINARY)")
    return f"SHA2({value}, 256)"


def _label(name: str, _column: Column, _other: Column) -> str:
    return _with_length(f"CAST(CONVERT({name} USING utf8mb4) AS BINARY)")


def _labels(name: str, column: Column, other: Column) -> str:
    """A SET's labels; sorted where the two columns list theirs in another order."""
    if column.column_type == other.column_type:
        return _label(name, column, other)
    labels = [
        label.replace("''", "'").encode().hex() for label in _LABEL.findall(column.column_type)
    ]
    bits = sorted((label, 1 << place) for place, label in enumerate(labels))
    parts = [f"IF({name} + 0 & {bit}, '{label},', '')" for label, bit in bits]
    return f"CONCAT({', '.join(parts)}, ';')"


def _bytes(name: str, column: Column, other: Column) -> str:
    if {column.data_type, other.data_type} <= _SHORT_TEXT:
        return _with_length(name)
    return f"SHA2({name}, 256)"


def _by_hex(name: str, _column: Column, _other: Column) -> str:
    return f"SHA2(HEX({name}), 256)"


def _json(name: str, column: Column) -> str:
    return f"SHA2({f'CAST({name} AS CHAR)' if column.data_type == 'json' else name}, 256)"


def _with_length(value: str) -> str:
    return f"CONCAT(LENGTH({value}), ':', {value})"


_SPELLINGS: dict[str, Callable[[str, Column, Column], str]] = {
    "integer": _number,
    "year": _number,
    "decimal": _decimal,
    "floating": _floating,
    "bit": _bit,
    "date": _time,
    "time": _time,
    "datetime": _time,
    "timestamp": _time,
    "text": _text,
    "bytes": _bytes,
    "enum": _label,
    "set": _labels,
    "geometry": _by_hex,
    "vector": _by_hex,
}
