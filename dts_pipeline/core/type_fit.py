"""Whether every value of one column type fits another, judged from the types' text alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from dts_pipeline.core.schema import Column


class Fit(StrEnum):
    """How the source's values arrive at the target."""

    HARMLESS = "harmless"  # all of them arrive equal
    LOSSY = "lossy"  # some are refused, or arrive changed
    IMPOSSIBLE = "impossible"  # the column or table cannot be carried


@dataclass(frozen=True)
class Misfit:
    """Why a type does not fit; `silent` when the server changes values without an error."""

    fit: Fit
    reason: str
    silent: bool = False


_INTEGER_BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}
_TEXT_BYTES = {
    "tinytext": 2**8 - 1,
    "text": 2**16 - 1,
    "mediumtext": 2**24 - 1,
    "longtext": 2**32 - 1,
}
_BLOB_BYTES = {
    "tinyblob": 2**8 - 1,
    "blob": 2**16 - 1,
    "mediumblob": 2**24 - 1,
    "longblob": 2**32 - 1,
}
_GEOMETRIES = frozenset(
    {
        "geometry",
        "point",
        "linestring",
        "polygon",
        "multipoint",
        "multilinestring",
        "multipolygon",
        "geometrycollection",
        "geomcollection",
    }
)
_CHARACTER_BYTES = {
    "utf8mb4": 4,
    "utf8mb3": 3,
    "utf8": 3,
    "ucs2": 2,
    "utf16": 4,
    "utf32": 4,
}
_LABEL = re.compile(r"'((?:[^']|'')*)'")
FAMILIES: dict[str, frozenset[str]] = {
    "integer": frozenset(_INTEGER_BITS),
    "bit": frozenset({"bit"}),
    "decimal": frozenset({"decimal"}),
    "floating": frozenset({"float", "double"}),
    "text": frozenset({"char", "varchar", *_TEXT_BYTES}),
    "bytes": frozenset({"binary", "varbinary", *_BLOB_BYTES}),
    "enum": frozenset({"enum"}),
    "set": frozenset({"set"}),
    "date": frozenset({"date"}),
    "time": frozenset({"time"}),
    "datetime": frozenset({"datetime"}),
    "timestamp": frozenset({"timestamp"}),
    "year": frozenset({"year"}),
    "json": frozenset({"json"}),
    "geometry": _GEOMETRIES,
    "vector": frozenset({"vector"}),
}


def family_of(column: Column) -> str | None:
    """The kind of values a column holds; None for a type that the pipeline does not know."""
    if column.is_json:
        return "json"
    kind = column.data_type.lower()
    return next((name for name, types in FAMILIES.items() if kind in types), None)


def labels_of(column: Column) -> list[str]:
    """The labels of an ENUM or SET as the type spells them, in order."""
    return _LABEL.findall(column.column_type)


def misfit(source: Column, target: Column) -> Misfit | None:
    """Why values of `source` may not arrive equal in `target`; None when all of them do.

    Nullability, collation and generated columns are not looked at.
    """
    families = family_of(source), family_of(target)
    if families == ("text", "json"):
        return _refused("only valid JSON is accepted there")
    if families == ("json", "text"):
        return None if _capacity(target) >= _TEXT_BYTES["longtext"] else _refused(_SHORTER)
    if families[0] != families[1] or families[0] is None:
        return Misfit(Fit.IMPOSSIBLE, "the two types hold different kinds of values")
    return _CHECKS[families[0]](source, target)


_SHORTER = "longer values are refused there"


def _refused(reason: str) -> Misfit:
    return Misfit(Fit.LOSSY, reason)


def _changed(reason: str) -> Misfit:
    return Misfit(Fit.LOSSY, reason, silent=True)


def _numbers(column: Column) -> tuple[int, ...]:
    inside = re.match(r"[a-z ]+\(([\d, ]+)\)", column.column_type.lower())
    return tuple(int(part) for part in inside[1].split(",")) if inside else ()


def _first(column: Column, default: int) -> int:
    numbers = _numbers(column)
    return numbers[0] if numbers else default


def _fits_integer(source: Column, target: Column) -> Misfit | None:
    def limits(column: Column) -> tuple[int, int]:
        bits = _INTEGER_BITS[column.data_type.lower()]
        return (0, 2**bits - 1) if column.unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)

    (low, high), (target_low, target_high) = limits(source), limits(target)
    if target_low <= low and high <= target_high:
        return None
    return _refused("numbers out of its range are refused there")


def _fits_bit(source: Column, target: Column) -> Misfit | None:
    return None if _first(source, 1) <= _first(target, 1) else _refused(_SHORTER)


def _fits_decimal(source: Column, target: Column) -> Misfit | None:
    (digits, scale), (target_digits, target_scale) = (
        (*_numbers(column), 10, 0)[:2] if len(_numbers(column)) != 1 else (_first(column, 10), 0)
        for column in (source, target)
    )
    if scale > target_scale:
        return _changed("digits after the point are rounded away there")
    if digits - scale > target_digits - target_scale or (target.unsigned and not source.unsigned):
        return _refused("numbers out of its range are refused there")
    return None


def _fits_floating(source: Column, target: Column) -> Misfit | None:
    if source.data_type.lower() == "double" and target.data_type.lower() == "float":
        return _changed("digits are rounded away there")
    if len(_numbers(target)) == 2 and _numbers(source) != _numbers(target):
        return _changed("digits after the point are rounded away there")
    if target.unsigned and not source.unsigned:
        return _refused("negative numbers are refused there")
    return None


def _character_bytes(charset: str | None) -> int:
    return _CHARACTER_BYTES.get(charset or "", 1)


def _capacity(column: Column) -> int:
    """The bytes that a text or bytes column can hold."""
    kind = column.data_type.lower()
    fixed = _TEXT_BYTES.get(kind) or _BLOB_BYTES.get(kind)
    return fixed or _first(column, 1) * _character_bytes(column.charset)


def _fits_text(source: Column, target: Column) -> Misfit | None:
    kinds = source.data_type.lower(), target.data_type.lower()
    if not _charset_holds(source.charset, target.charset):
        return _refused("characters that its character set lacks are refused there")
    if kinds[1] == "char" and kinds[0] != "char":
        return _changed("blanks at the end are cut off there")
    by_characters = {"char", "varchar"}
    if by_characters.issuperset(kinds):
        return None if _first(source, 1) <= _first(target, 1) else _refused(_SHORTER)
    if kinds[1] in by_characters:
        # A TEXT of n bytes holds n characters where each takes one.
        return None if _capacity(source) <= _first(target, 1) else _refused(_SHORTER)
    wider = _character_bytes(target.charset) > _character_bytes(source.charset)
    need = _capacity(source) * (_character_bytes(target.charset) if wider else 1)
    if kinds[0] in by_characters:
        need = _first(source, 1) * _character_bytes(target.charset)
    if kinds[0] == kinds[1] and kinds[0] == "longtext":
        return None
    return None if need <= _capacity(target) else _refused(_SHORTER)


def _charset_holds(source: str | None, target: str | None) -> bool:
    alias = {"utf8": "utf8mb3"}
    one, two = alias.get(source or "", source), alias.get(target or "", target)
    everything = {"utf8mb4", "utf16", "utf16le", "utf32"}
    return (
        one == two or two in everything or one == "ascii" or (one == "latin1" and two == "utf8mb3")
    )


def _fits_bytes(source: Column, target: Column) -> Misfit | None:
    if target.data_type.lower() == "binary" and (
        source.data_type.lower() != "binary" or _first(source, 1) < _first(target, 1)
    ):
        return _changed("zero bytes are appended to shorter values there")
    return None if _capacity(source) <= _capacity(target) else _refused(_SHORTER)


def _fits_labels(source: Column, target: Column) -> Misfit | None:
    if set(labels_of(source)) <= set(labels_of(target)):
        return None
    return _refused("labels that it does not know are refused there")


def _fits_fraction(source: Column, target: Column) -> Misfit | None:
    if _first(source, 0) <= _first(target, 0):
        return None
    return _changed("fractions of a second are rounded away there")


def _fits_geometry(source: Column, target: Column) -> Misfit | None:
    alias = {"geomcollection": "geometrycollection"}
    one, two = (alias.get(c.data_type.lower(), c.data_type.lower()) for c in (source, target))
    return None if one == two or two == "geometry" else _refused("other shapes are refused there")


def _fits_vector(source: Column, target: Column) -> Misfit | None:
    if _first(source, 2048) == _first(target, 2048):
        return None
    return _refused("vectors of another length are refused there")


def _always(_source: Column, _target: Column) -> Misfit | None:
    return None


_CHECKS: dict[str, Callable[[Column, Column], Misfit | None]] = {
    "integer": _fits_integer,
    "bit": _fits_bit,
    "decimal": _fits_decimal,
    "floating": _fits_floating,
    "text": _fits_text,
    "bytes": _fits_bytes,
    "enum": _fits_labels,
    "set": _fits_labels,
    "date": _always,
    "time": _fits_fraction,
    "datetime": _fits_fraction,
    "timestamp": _fits_fraction,
    "year": _always,
    "json": _always,
    "geometry": _fits_geometry,
    "vector": _fits_vector,
}
