"""The constant defaults of columns: as servers spell them, as SQL, and as values of older rows."""

from __future__ import annotations

import re
from decimal import Decimal

from dts_pipeline.core.schema import Column, Default, Dialect
from dts_pipeline.core.type_fit import family_of

_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?(e[-+]?\d+)?", re.IGNORECASE)
_NOW = re.compile(r"current_timestamp(\(\d*\))?", re.IGNORECASE)
_BITS = re.compile(r"b'[01]*'")
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "0": "\0", "Z": "\x1a"}
_NUMBERS = {"integer", "decimal", "floating"}
_TEXTS = {"text", "enum", "set"}
_TIMES = {"date", "datetime", "time", "year"}


def preset_of(
    stated: str | None, data_type: str, extra: str, dialect: Dialect
) -> tuple[Default, str]:
    """What information_schema says of a default: its kind, and the text of a constant.

    MariaDB states an SQL expression, text in quotes; MySQL the bare text, and in `extra` (lower
    case) that it is an expression.
    """
    if stated is None:
        return Default.NONE, ""
    is_text = dialect is Dialect.MYSQL and "default_generated" not in extra
    if not is_text and _NOW.fullmatch(stated):
        return Default.NOW, ""
    if dialect is Dialect.MYSQL:
        return (Default.LITERAL, stated) if is_text else (Default.COMPUTED, "")
    if stated.upper() == "NULL":
        return Default.NONE, ""
    if stated.startswith("'") and stated.endswith("'"):
        return Default.LITERAL, _unquoted(stated[1:-1])
    if _NUMBER.fullmatch(stated) or (data_type == "bit" and _BITS.fullmatch(stated)):
        return Default.LITERAL, stated
    return Default.COMPUTED, ""


def default_sql(column: Column) -> str | None:
    """The DEFAULT clause, empty where there is none; None for one that cannot be spelled."""
    if column.default is Default.NONE:
        return ""
    if column.default is Default.NOW:
        return f"DEFAULT {now_sql(column)}"
    family = family_of(column)
    if column.default is Default.COMPUTED or family is None:
        return None
    if family in _NUMBERS and _NUMBER.fullmatch(column.preset):
        return f"DEFAULT {column.preset}"
    if family == "bit" and _BITS.fullmatch(column.preset):
        return f"DEFAULT {column.preset}"
    if family in _TEXTS | _TIMES | {"timestamp"}:
        return f"DEFAULT {quoted_text(column.preset)}"
    return None


def now_sql(column: Column) -> str:
    """CURRENT_TIMESTAMP with the column's digits, as a default of it must have."""
    digits = re.search(r"\((\d)\)", column.column_type)
    return f"CURRENT_TIMESTAMP({digits[1]})" if digits else "CURRENT_TIMESTAMP"


def older_value(column: Column) -> object | None:
    """What ADD COLUMN gave to the rows that were there, as a statement's parameter.

    None where that is NULL, or cannot be told.
    """
    family = family_of(column)
    if family is None or column.generated or column.auto_increment:
        return None
    if column.default is Default.LITERAL:
        return _parameter(family, column.preset)
    if column.default is Default.NONE and not column.nullable:
        implicit = {"integer": "0", "decimal": "0", "floating": "0", "text": ""}
        return _parameter(family, implicit[family]) if family in implicit else None
    return None


def quoted_text(text: str) -> str:
    """A text literal, for sessions in which the backslash escapes."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def _parameter(family: str, text: str) -> object | None:
    if family in _NUMBERS and not _NUMBER.fullmatch(text):
        return None
    if family == "integer":
        return int(text)
    if family == "floating":
        return float(text)
    if family == "decimal":  # servers may spell one number with more zeros than another
        return format(Decimal(text).normalize(), "f")
    return text if family in _TEXTS | _TIMES else None


def _unquoted(text: str) -> str:
    def plain(match: re.Match[str]) -> str:
        return "'" if match[0] == "''" else _ESCAPED.get(match[1], match[1])

    return re.sub(r"''|\\(.)", plain, text, flags=re.DOTALL)
