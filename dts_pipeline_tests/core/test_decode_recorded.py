"""Every column of the recorded messages against what the server itself said of the same rows."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from dts_pipeline.core.decode import (
    DecodedRows,
    ValueDecodeError,
    ValueModes,
    decode_rows,
    lossy_modes,
)
from dts_pipeline.core.schema import Table
from dts_pipeline.errors import TerminalError
from dts_pipeline_tests import recorded

DIALECTS = ("mysql", "mariadb")
MODES = {
    "defaults": ValueModes(),
    "readable": ValueModes(
        decimal="string", bigint_unsigned="precise", time="isostring", binary="hex"
    ),
}
TIMES = ("c_time", "c_time3", "c_time6")
# Zero dates do not exist in the messages: Debezium sends null.
SENT_AS_NULL = {(2, "c_date"), (2, "c_datetime"), (2, "c_datetime6")}


def same_text(value: object, answer: str) -> bool:
    return str(value) == answer


def same_number(value: object, answer: str) -> bool:
    return isinstance(value, int | float) and float(value) == float(answer)


def same_float32(value: object, answer: str) -> bool:
    return isinstance(value, float) and np.float32(value) == np.float32(answer)


def same_year(value: object, answer: str) -> bool:
    return int(value) == int(answer)  # type: ignore[call-overload, no-any-return]


def same_hex(value: object, answer: str) -> bool:
    return isinstance(value, bytes) and value.hex().upper() == answer


def same_bits(value: object, answer: str) -> bool:
    return isinstance(value, bytes) and int.from_bytes(value, "big") == int(answer, 16)


def same_json(value: object, answer: str) -> bool:
    return isinstance(value, str) and json.loads(value) == json.loads(answer)


def same_moment(value: object, answer: str) -> bool:
    def padded(text: str) -> str:
        whole, _, fraction = text.replace("T", " ").partition(".")
        return f"{whole}.{fraction:0<6}"

    return padded(str(value)) == padded(answer)


def same_shape(value: object, answer: str) -> bool:
    if not isinstance(value, bytes):
        return False
    srid, order, kind = struct.unpack_from("<IBI", value)
    start, count = (9, 1) if kind == 1 else (13, struct.unpack_from("<I", value, 9)[0])
    numbers = struct.unpack_from(f"<{2 * count}d", value, start)
    points = ",".join(f"{x:g} {y:g}" for x, y in zip(numbers[::2], numbers[1::2], strict=True))
    name = {1: "POINT", 2: "LINESTRING"}[kind]
    return (srid, order, f"{name}({points})") == (0, 1, answer)


COMPARISONS: dict[str, Callable[[object, str], bool]] = {
    "float": same_float32,
    "double": same_number,
    **dict.fromkeys(("binary", "varbinary", "blob"), same_hex),
    **dict.fromkeys(("date", "time", "datetime", "timestamp"), same_moment),
    **dict.fromkeys(("point", "geometry"), same_shape),
    "bit": same_bits,
    "json": same_json,
    "year": same_year,
}


def table_for(dialect: str, mode: str) -> Table:
    """The table; with isostring, which loses some TIME values, its TIME columns are not written."""
    table = recorded.every_type(dialect)
    if mode == "defaults":
        return table
    columns = tuple(replace(c, generated=c.generated or c.name in TIMES) for c in table.columns)
    return replace(table, columns=columns)


def inserted(dialect: str, mode: str) -> DecodedRows:
    rows = recorded.row_images(f"{dialect}-{mode}", "after")[:3]
    return decode_rows(rows, table_for(dialect, mode), MODES[mode], empty_enums=True)


CASES = [
    pytest.param(dialect, mode, column, id=f"{dialect}-{mode}-{column.name}")
    for dialect in DIALECTS
    for mode in MODES
    for column in table_for(dialect, mode).written_columns
]


@pytest.mark.parametrize(("dialect", "mode", "column"), CASES)
def test_a_column_decodes_to_what_the_server_holds(dialect, mode, column):
    decoded = inserted(dialect, mode).columns[column.name]
    compare = COMPARISONS.get(column.data_type, same_text)
    for row, answer in enumerate(r[column.name] for r in recorded.server_rows(dialect)):
        if answer is None or (row, column.name) in SENT_AS_NULL:
            assert decoded[row] is None
        elif (row, column.name) == (2, "c_enum"):
            assert answer == ""
            assert decoded[row] == "small"  # the stand-in; see test_an_enum_error_value
        else:
            assert compare(decoded[row], answer), (decoded[row], answer)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_mariadb_json_stays_verbatim_and_mysql_json_is_its_normalised_text(dialect):
    text = inserted(dialect, "defaults").columns["c_json"][0]
    verbatim = recorded.server_rows("mariadb")[0]["c_json"]
    assert (text == verbatim) == (dialect == "mariadb")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_both_modes_decode_to_the_same_parameters(dialect):
    one, two = inserted(dialect, "defaults").columns, inserted(dialect, "readable").columns
    moments = {"c_datetime", "c_datetime3", "c_timestamp", "c_timestamp6"}
    for name in two:
        if name in moments:
            pairs = zip(one[name], two[name], strict=True)
            assert all(a == b or same_moment(a, b) for a, b in pairs)
        else:
            assert one[name] == two[name]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_enum_error_value_is_poison_unless_asked_for(dialect):
    rows = recorded.row_images(f"{dialect}-defaults", "after")[:3]
    table = recorded.every_type(dialect)
    with pytest.raises(ValueDecodeError) as caught:
        decode_rows(rows, table, ValueModes())
    assert (caught.value.row, caught.value.column) == (2, "c_enum")
    decoded = decode_rows(rows, table, ValueModes(), empty_enums=True)
    assert decoded.empty_enums == {"c_enum": [2]}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("side", ["before", "after"])
def test_absent_rows_stay_in_place(dialect, side):
    rows = recorded.row_images(f"{dialect}-defaults", side)
    decoded = decode_rows(rows, recorded.every_type(dialect), ValueModes(), empty_enums=True)
    assert decoded.present == [row is not None for row in rows]
    assert False in decoded.present
    ids = [None if row is None else json.loads(row)["id"] for row in rows]
    assert decoded.columns["id"] == ids
    assert {len(values) for values in decoded.columns.values()} == {len(rows)}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_generated_columns_are_not_written(dialect):
    assert "c_generated" not in inserted(dialect, "defaults").columns


@pytest.mark.parametrize("dialect", DIALECTS)
def test_isostring_loses_times_and_is_refused(dialect):
    rows = recorded.row_images(f"{dialect}-readable", "after")[:3]
    lost = [json.loads(row or b"")["c_time3"] for row in rows]
    assert lost == [None, None, None]  # the server has -838:59:59.000, NULL, 838:59:59.000
    table = recorded.every_type(dialect)
    assert "c_time, c_time3, c_time6" in lossy_modes(MODES["readable"], table)[0]
    with pytest.raises(TerminalError, match="lossy_mode"):
        decode_rows(rows, table, MODES["readable"])
