"""The rules of value decoding, one by one, at their edges."""

from __future__ import annotations

import json
import struct
from base64 import b64encode
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymysql.converters import escape_float

from dts_pipeline.core.decode import (
    DecodedRows,
    ValueDecodeError,
    ValueModes,
    decode_rows,
    lossy_modes,
)
from dts_pipeline.core.decode_codec import codec_of
from dts_pipeline.core.decode_labels import labels_of
from dts_pipeline.core.schema import Column, Table
from dts_pipeline.errors import PoisonError, TerminalError

DEFAULTS = ValueModes()
EPOCH = datetime(1970, 1, 1)


def column(column_type: str, name: str = "v", **settings: bool) -> Column:
    data_type = column_type.partition("(")[0].partition(" ")[0]
    return Column(name, data_type, column_type, **settings)


def table(*columns: Column) -> Table:
    return Table("shop", "t", (column("int", "id"), *columns), ("id",))


def rows_of(*values: object) -> list[bytes]:
    return [json.dumps({"id": i, "v": value}).encode() for i, value in enumerate(values)]


def decoded(column_type: str, *values: object, modes: ValueModes = DEFAULTS) -> list[object]:
    return decode_rows(rows_of(*values), table(column(column_type)), modes).columns["v"]


def base64(number: int, length: int | None = None) -> str:
    size = length or number.bit_length() // 8 + 1
    return b64encode(number.to_bytes(size, "big", signed=True)).decode()


@pytest.mark.parametrize(
    ("column_type", "sent", "parameter"),
    [
        ("tinyint(1)", True, 1),
        ("bigint(20)", 2**53 + 1, 2**53 + 1),
        ("bigint(20)", -(2**63), -(2**63)),
        ("bigint(20) unsigned", -1, 2**64 - 1),
        ("bigint(20) unsigned", 2**63 - 1, 2**63 - 1),
        ("int(10) unsigned zerofill", 2**32 - 1, 2**32 - 1),
        ("double", 3, 3),
        ("double", -0.0, "-0.0"),
        ("float", -0.0, "-0.0"),
        ("float", 1.1, 1.100000023841858),
        ("float", 3.4028235e38, 3.4028234663852886e38),
        ("float", 1.4e-45, 1.401298464324817e-45),
        ("decimal(10,0)", base64(-1), "-1"),
        ("decimal(5,2) unsigned", base64(5), "0.05"),
        ("decimal(5,2)", base64(-5), "-0.05"),
        ("decimal(5,5)", base64(0), "0.00000"),
        ("bit(1)", False, b"\x00"),
        ("bit(9)", "AAE=", b"\x01\x00"),
        ("year(4)", 1900, "0000"),
        ("year", 2155, 2155),
        ("date", -719162, "0001-01-01"),
        ("date", 2932896, "9999-12-31"),
        ("date", 0, "1970-01-01"),
        ("time", -1, "-00:00:00.000001"),
        ("time(6)", -3020399000000, "-838:59:59.000000"),
        ("time(6)", 3020399999999, "838:59:59.999999"),
        ("datetime", -1, "1969-12-31T23:59:59.999"),
        ("datetime(3)", 253402300799999, "9999-12-31T23:59:59.999"),
        ("datetime(4)", -1, "1969-12-31T23:59:59.999999"),
        ("datetime(6)", -62135596800000000, "0001-01-01T00:00:00.000000"),
        ("timestamp", "2026-11-23T02:00:00Z", "2026-11-23T02:00:00"),
        ("timestamp(6)", "2026-11-23T10:00:00.1+08:00", "2026-11-23T02:00:00.100000"),
        ("timestamp", "1970-01-01T00:00:00.000Z", "0000-00-00 00:00:00"),
        ("char(3)", "é\u0000'", "é\u0000'"),
        ("binary(2)", "AQI=", b"\x01\x02"),
        ("longblob", "", b""),
        ("set('a','b')", "", ""),
        ("set('a','b')", "a,b", "a,b"),
        ("enum('')", "", ""),
        ("json", "null", "null"),
        ("vector(2)", [1.0, 1.1], struct.pack("<2f", 1.0, 1.1)),
    ],
)
def test_a_value_becomes_a_parameter(column_type, sent, parameter):
    found = decoded(column_type, sent, None)
    assert found == [parameter, None]
    assert type(found[0]) is type(parameter)


@pytest.mark.parametrize(
    ("modes", "column_type", "sent", "parameter"),
    [
        (ValueModes(decimal="string"), "decimal(3,2)", "-1.50", "-1.50"),
        (ValueModes(bigint_unsigned="precise"), "bigint unsigned", base64(2**64 - 1), 2**64 - 1),
        (ValueModes(bigint_unsigned="precise"), "bigint", -1, -1),
        (ValueModes(binary="hex"), "blob", "00ff", b"\x00\xff"),
        (ValueModes(binary="hex"), "bit(9)", "AAE=", b"\x01\x00"),
        (ValueModes(binary="base64-url-safe"), "blob", "-_-_", b"\xfb\xff\xbf"),
        (ValueModes(binary="base64-url-safe"), "blob", "_w", b"\xff"),
        (ValueModes(time="isostring"), "date", "0001-01-01Z", "0001-01-01"),
        (ValueModes(time="isostring"), "datetime", "1000-01-01T00:00:00Z", "1000-01-01T00:00:00"),
        (ValueModes(time="microseconds"), "datetime", -1, "1969-12-31T23:59:59.999999"),
        (ValueModes(time="microseconds"), "time", 1, "00:00:00.000001"),
    ],
)
def test_the_connectors_modes_are_read(modes, column_type, sent, parameter):
    assert decoded(column_type, sent, modes=modes) == [parameter]


@pytest.mark.parametrize("text", ["12:34:56Z", "23:59:59.999999Z"])
def test_a_time_of_day_is_read_from_isostring(text):
    codec = codec_of(column("time(6)"), ValueModes(time="isostring"))
    assert codec is not None
    assert codec.convert is not None
    assert codec.convert(text) == text[:-1]
    assert not codec.reads("24:00:00Z")


@pytest.mark.parametrize(
    ("column_type", "sent"),
    [
        ("int", "1"),
        ("int", 1.0),
        ("int", True),
        ("bigint unsigned", base64(1)),
        ("double", "NaN"),
        ("float", 3.5e38),
        ("decimal(5,2)", "1.50"),
        ("decimal(5,2)", 1.5),
        ("decimal(5,2)", ""),
        ("bit(1)", "AQ=="),
        ("bit(9)", "?"),
        ("varchar(5)", 5),
        ("blob", "not base64"),
        ("blob", "AQI"),
        ("date", 2932897),
        ("date", "2026-11-23Z"),
        ("time", 3020400000000),
        ("datetime(6)", 253402300800000000),
        ("datetime", 10**30),
        ("timestamp", "2026-11-23T02:00:00"),
        ("timestamp", "yesterday"),
        ("enum('a','b')", "c"),
        ("enum('a','b')", "2"),
        ("enum('a','b')", ""),
        ("set('a','b')", "a,c"),
        ("point", {"wkb": "AQ=="}),
        ("point", {"srid": 0}),
        ("point", {"wkb": b64encode(b"\0" * 21).decode(), "srid": 0}),
        ("vector(1)", ["x"]),
        ("text", "__debezium_unavailable_value"),
        ("json", "__debezium_unavailable_value"),
        ("blob", b64encode(b"__debezium_unavailable_value").decode()),
    ],
)
def test_an_unreadable_value_is_poison_that_names_row_and_column(column_type, sent):
    rows = [None, *rows_of(None, sent, None)]
    with pytest.raises(ValueDecodeError) as caught:
        decode_rows(rows, table(column(column_type)), DEFAULTS)
    error = caught.value
    assert isinstance(error, PoisonError)
    assert (error.code, error.row, error.column) == ("undecodable_value", 2, "v")
    assert error.where == {"table": "shop.t", "column": "v"}


def test_an_error_never_holds_the_value_and_learns_its_place():
    with pytest.raises(ValueDecodeError) as caught:
        decoded("int", 1, "secret")
    placed = caught.value.at("a.shop.t", 0, 17)
    assert placed.where["offset"] == 17
    assert (placed.row, placed.column, placed.code) == (1, "v", "undecodable_value")
    assert "secret" not in f"{placed}{caught.value!r}{vars(caught.value)}"
    assert caught.value.__context__ is None


@pytest.mark.parametrize("kind", ["int", "decimal(5,2)", "enum('a')", "timestamp", "date"])
def test_no_exception_behind_the_error_holds_the_value(kind):
    with pytest.raises(ValueDecodeError) as caught:
        decoded(kind, "secret")
    assert caught.value.__context__ is None


def test_null_in_a_column_that_takes_none_is_poison():
    rows = rows_of(1, None)
    with pytest.raises(ValueDecodeError, match="NOT NULL"):
        decode_rows(rows, table(column("int", nullable=False)), DEFAULTS)


@pytest.mark.parametrize("row", [b"{", b"[1]", b"", b'{"id":1,"v":1}{"id":2,"v":2}'])
def test_a_row_that_is_no_object_is_poison(row):
    with pytest.raises(ValueDecodeError) as caught:
        decode_rows([*rows_of(1), row], table(column("int")), DEFAULTS)
    assert (caught.value.row, caught.value.column) == (1, None)


def missing_column(rows: list[bytes | None], target: Table, source: Table | None = None) -> str:
    with pytest.raises(TerminalError) as caught:
        decode_rows(rows, target, DEFAULTS, source=source)
    assert not isinstance(caught.value, PoisonError)
    assert caught.value.code == "column_missing"
    assert caught.value.where["table"] == "shop.t"
    return str(caught.value.where["column"])


def test_a_column_that_the_target_lacks_stops_the_link_wherever_it_comes():
    late = [*rows_of(*range(9)), b'{"id":9,"v":9,"w":9}']
    assert missing_column(late, table(column("int"))) == "w"


def test_a_column_that_the_event_lacks_stops_the_link_wherever_it_comes():
    late = [*rows_of(*range(9)), b'{"id":9}']
    assert missing_column(late, table(column("int"))) == "v"
    swapped = [b'{"id":9,"w":9}']
    assert missing_column(swapped, table(column("int"))) == "v"


def test_a_column_that_the_source_lacks_stops_the_link():
    assert missing_column(rows_of(1), table(column("int")), source=table()) == "v"


def test_generated_columns_may_be_sent_or_not():
    target = table(column("int"), column("int", "g", generated=True))
    rows = [b'{"id":0,"v":1,"g":2}', b'{"id":1,"v":2}']
    assert decode_rows(rows, target, DEFAULTS).columns == {"id": [0, 1], "v": [1, 2]}


def test_the_sources_types_say_what_a_value_means():
    rows = [json.dumps({"id": 1, "v": base64(150), "at": 1000}).encode()]
    source = table(column("decimal(5,2)"), column("datetime", "at"))
    target = table(column("decimal(9,4)"), column("datetime(6)", "at"))
    found = decode_rows(rows, target, DEFAULTS, source=source).columns
    assert (found["v"], found["at"]) == (["1.50"], ["1970-01-01T00:00:01.000"])


@pytest.mark.parametrize("kind", ["uuid", "inet6", "xmltype"])
def test_a_type_that_does_not_come_whole_is_refused(kind):
    with pytest.raises(TerminalError, match="column_type_unsupported"):
        decode_rows(rows_of("x"), table(column(kind)), DEFAULTS)


@pytest.mark.parametrize(
    "modes",
    [
        ValueModes(decimal="double"),
        ValueModes(time="connect"),
        ValueModes(time="nanoseconds"),
        ValueModes(time="adaptive"),
        ValueModes(binary="rot13"),
        ValueModes(bigint_unsigned="short"),
    ],
)
def test_lossy_and_unknown_modes_are_refused(modes):
    setting = lossy_modes(modes, table(column("int")))
    assert len(setting) == 1
    with pytest.raises(TerminalError, match="lossy_mode"):
        decode_rows([], table(column("int")), modes)


def test_isostring_is_fine_without_time_columns():
    assert lossy_modes(ValueModes(time="isostring"), table(column("datetime"))) == []


def test_no_rows_give_empty_columns():
    assert decode_rows([], table(column("int")), DEFAULTS) == DecodedRows({"id": [], "v": []}, [])
    assert decode_rows([None], table(column("int")), DEFAULTS).columns == {
        "id": [None],
        "v": [None],
    }


def test_rows_beyond_one_chunk_keep_their_order():
    count = 12_345
    assert decoded("int", *range(count)) == list(range(count))


LABELS = "enum('a','x, y','b\\\\c','tab\tx','q''q','dq\"','é','\\\\,z','b\\\\\\\\d')"


@pytest.mark.parametrize(
    ("sent", "label"),
    [
        ("a", "a"),
        ("x\\, y", "x, y"),
        ("b\\\\c", "b\\c"),
        ("tab\tx", "tab\tx"),
        ("q'q", "q'q"),
        ('dq"', 'dq"'),
        ("é", "é"),
        ("\\\\\\,z", "\\,z"),
        ("b\\\\\\\\d", "b\\\\d"),
    ],
)
def test_labels_are_read_as_mariadb_10_11_and_debezium_spell_them(sent, label):
    assert label in labels_of(LABELS)
    assert decoded(LABELS, sent) == [label]


def test_a_spelling_that_two_labels_could_have_is_refused():
    both = "enum('b\\\\c','b\\\\\\\\c')"  # b\c comes as b\\c, which might be the other one
    with pytest.raises(ValueDecodeError):
        decoded(both, "b\\\\c")


def test_a_geometry_is_the_servers_internal_format_with_axes_as_they_come():
    point = struct.pack("<BIdd", 1, 1, 100.0, 20.0)
    sent = {"x": 100.0, "y": 20.0, "wkb": b64encode(point).decode(), "srid": 4326}
    assert decoded("point", sent) == [struct.pack("<I", 4326) + point]
    assert decoded("geometry", sent | {"srid": None}) == [bytes(4) + point]


@given(st.integers(1, 65), st.data())
def test_decimals_are_exact_to_every_digit(digits, data):
    scale = data.draw(st.integers(0, min(digits, 30)))
    unscaled = data.draw(st.integers(-(10**digits) + 1, 10**digits - 1))
    kind = f"decimal({digits},{scale})"
    padded = data.draw(st.integers(0, 2)) + unscaled.bit_length() // 8 + 1
    (text,) = decoded(kind, base64(unscaled, padded))
    with localcontext() as context:
        context.prec = 70
        expected = Decimal(unscaled).scaleb(-scale)
    assert Decimal(str(text)) == expected
    assert "E" not in str(text)
    modes = ValueModes(decimal="string")
    assert decoded(kind, f"{expected:f}", modes=modes) == [f"{expected:f}"]


@given(st.integers(-3020399999999, 3020399999999))
def test_times_keep_sign_and_microseconds(microseconds):
    (text,) = decoded("time(6)", microseconds)
    sign = -1 if str(text).startswith("-") else 1
    hours, minutes, seconds = str(text).lstrip("-").split(":")
    whole, fraction = seconds.split(".")
    total = (int(hours) * 60 + int(minutes)) * 60 + int(whole)
    assert sign * (total * 10**6 + int(fraction)) == microseconds
    assert int(minutes) < 60
    assert int(whole) < 60


@given(st.datetimes(), st.integers(0, 6))
def test_datetimes_are_exact_in_years_1_to_9999(moment, digits):
    unit = 10**6 if digits > 3 else 10**3
    step = timedelta(microseconds=10**6 // unit)
    moment -= timedelta(microseconds=moment.microsecond % (10**6 // unit))
    found = decoded(f"datetime({digits})" if digits else "datetime", (moment - EPOCH) // step)
    assert [datetime.fromisoformat(str(text)) for text in found] == [moment]


@given(st.dates())
def test_dates_are_exact_in_years_1_to_9999(day):
    assert decoded("date", (day - date(1970, 1, 1)).days) == [day.isoformat()]


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2106, 1, 1)),
    st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m))),
)
def test_timestamps_are_the_same_moment_in_utc(moment, zone):
    aware = moment.replace(tzinfo=UTC)
    sent = [aware.isoformat().replace("+00:00", "Z"), aware.astimezone(zone).isoformat()]
    found = decoded("timestamp(6)", *sent)
    assert {datetime.fromisoformat(str(text)) for text in found} == {moment}


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_doubles_survive_json_and_the_drivers_literal(number):
    (found,) = decoded("double", number)
    literal = found if isinstance(found, str) else escape_float(found, None)
    assert struct.pack("<d", float(literal)) == struct.pack("<d", number)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_floats_keep_their_32_bits_however_short_their_digits(number):
    shortest = float(str(np.float32(number)))
    (found,) = decoded("float", shortest)
    assert struct.pack("<d", float(found)) == struct.pack("<d", number)


@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), max_size=20))
def test_unsigned_bigints_are_mended_wherever_they_stand(numbers):
    expected = [n if n is None or n >= 0 else n + 2**64 for n in numbers]
    assert decoded("bigint(20) unsigned", *numbers) == expected
