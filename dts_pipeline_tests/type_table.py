"""The table of docs/types.md, made from what the decoder reads and makes of each type.

`python -m dts_pipeline_tests.type_table` prints it, to be put into the document.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from dts_pipeline.core.decode_codec import CODECS, codec_of
from dts_pipeline.core.decode_modes import READABLE, SETTINGS, ValueModes, lossy_modes
from dts_pipeline.core.schema import Column, Table

_VARIANTS = {
    "bigint": ("bigint", "bigint unsigned"),
    "bit": ("bit(1)", "bit(8)"),
    "decimal": ("decimal(10,2)",),
    "datetime": ("datetime(3)", "datetime(6)"),
    "enum": ("enum('a')",),
    "set": ("set('a')",),
}
_SHOWN = {
    "decimal(10,2)": "decimal",
    "bit(8)": "bit(2..64)",
    "datetime(3)": "datetime(0..3)",
    "datetime(6)": "datetime(4..6)",
    "enum('a')": "enum",
    "set('a')": "set",
}


class Row(NamedTuple):
    """What arrives under some modes, and what is written."""

    modes: tuple[str, ...]
    arrives: str
    written: str


def type_rows() -> dict[tuple[str, ...], list[Row]]:
    """Types that are read alike → how, Debezium's defaults first."""
    grouped: dict[tuple[Row, ...], list[str]] = {}
    for data_type in CODECS:
        for column_type in _VARIANTS.get(data_type, (data_type,)):
            rows = tuple(_rows(Column("v", data_type, column_type)))
            grouped.setdefault(rows, []).append(_SHOWN.get(column_type, column_type))
    return {tuple(types): list(rows) for rows, types in grouped.items()}


def _rows(column: Column) -> list[Row]:
    default = ValueModes()
    found: dict[tuple[str, str], list[str]] = {_read(column, default): []}
    for field, setting in SETTINGS.items():
        for mode in sorted(READABLE[field] - {getattr(default, field)}):
            modes = replace(default, **{field: mode})
            if lossy_modes(modes, Table("s", "t", (column,), ())):
                continue
            read = _read(column, modes)
            if read != _read(column, default):
                found.setdefault(read, []).append(f"{setting}={mode}")
    return [Row(tuple(modes), *read) for read, modes in found.items()]


def _read(column: Column, modes: ValueModes) -> tuple[str, str]:
    codec = codec_of(column, modes)
    assert codec is not None
    return codec.expects, codec.gives


def markdown() -> list[str]:
    """The table's lines."""
    lines = ["| type | setting | arrives as | written as |", "|---|---|---|---|"]
    for types, rows in type_rows().items():
        names = ", ".join(f"`{name}`" for name in types)
        for modes, arrives, written in rows:
            setting = ", ".join(f"`{mode}`" for mode in modes) or "default"
            lines.append(f"| {names} | {setting} | {arrives} | {written} |")
    return lines


if __name__ == "__main__":
    print("\n".join(markdown()))
