"""Columns that a site calls otherwise: its own names are in its SQL and its messages only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from dts_pipeline.core.cascade_children import ChildStatements
from dts_pipeline.core.cascade_statements import (
    CascadeStatements,
    rows_that_dangle,
    rows_that_refer,
)
from dts_pipeline.core.checksums import TablePair
from dts_pipeline.core.column_names import ColumnNames
from dts_pipeline.core.condition_parser import parse_condition
from dts_pipeline.core.condition_sql import condition_sql
from dts_pipeline.core.decode import ValueModes, decode_rows
from dts_pipeline.core.decode_keys import decode_keys
from dts_pipeline.core.delta import Counters
from dts_pipeline.core.envelope import parse_events, under_common_names
from dts_pipeline.core.key_ranges import KeyRange, boundary, in_range, key_order
from dts_pipeline.core.names import Names
from dts_pipeline.core.reconcile_statements import ReconcileStatements
from dts_pipeline.core.schema import Column, Dialect, ForeignKey, Table
from dts_pipeline.core.statements import TableStatements
from dts_pipeline.core.unique_statements import UniqueStatements
from dts_pipeline.errors import TerminalError
from dts_pipeline_tests import builders

NAMES = ColumnNames(
    (("id", "per`son"), ("name", "full_name"), ("hits", "visits"), ("at", "touched"), ("of", "up"))
)
ORDERS = "shop.orders"
OWN = Table(
    "shop",
    "orders",
    (
        Column("per`son", "int", "int(11)", False),
        Column("full_name", "varchar", "varchar(50)", True, "utf8mb4", "utf8mb4_bin"),
        Column("visits", "int", "int(11)", False),
        Column("touched", "timestamp", "timestamp(6)", False),
        Column("up", "int", "int(11)"),
        Column("plain", "json", "json", is_json=True),
    ),
    ("per`son",),
    (("name", ("full_name",)),),
)
COMMON = OWN.under_common_names(NAMES)


def of_row(row: bytes) -> bytes:
    return under_common_names(row, NAMES)


def key_of(table: Table) -> ForeignKey:
    """From the table's column `of` to its key, by the names that the table has."""
    names = [column.name for column in table.columns]
    return ForeignKey("fk", ORDERS, (names[4],), ORDERS, (names[0],), "CASCADE", "CASCADE")


def name_of(table: Table, common: str) -> str:
    """What the table's object calls a column."""
    return common if table is COMMON else NAMES.own(common)


def base(table: Table, *, counters: bool = False, unique: bool = True) -> TableStatements:
    hits, version = (name_of(table, name) for name in ("hits", "at"))
    return TableStatements(
        table if unique else replace(table, unique_keys=()),
        Dialect.MYSQL,
        3,
        "/* mark */",
        version_column=version,
        counters=Counters((hits,), (version,)) if counters else None,
    )


def plain(table: Table) -> Iterable[str | None]:
    for counters in (False, True):
        for unique in (False, True):
            made = base(table, counters=counters, unique=unique)
            yield from made.create()
            yield from (made.look(detect=True), made.classify(detect=True), made.merge())
            yield from (made.delete(), made.update(), made.insert())


def unique(table: Table) -> Iterable[str]:
    made = UniqueStatements(base(table))
    [index] = made.indexes()
    yield from (made.clashes_not_freed(index), made.take_away(index), made.twins(index))


def reconcile(table: Table) -> Iterable[str]:
    made = ReconcileStatements(base(table))
    yield from (*made.create(), made.rows(), made.compare(), made.met())


def cascades(table: Table) -> Iterable[str]:
    stage = base(table, counters=True)
    out = (name_of(table, "id"), name_of(table, "of"))
    child = ChildStatements(table, 0, stage, out)
    edge = key_of(table)
    made = CascadeStatements(edge, table, child, 0, "/* mark */", out)
    yield from (*made.create(), *made.find(), *made.fold(), made.found(), made.freed())
    yield from (made.delete(), made.update(), made.held_freed(), made.held_follows())
    yield rows_that_refer(edge, table, table, "k")
    other = replace(edge, parent_columns=(name_of(table, "name"),))
    yield rows_that_refer(other, table, table, "k")
    yield rows_that_dangle(edge, table, stage)


def reads(table: Table) -> Iterable[str]:
    yield from (boundary(table.columns[0], "t"), key_order(table))
    yield in_range(table, KeyRange((1,), (2,)))[0]
    for other in (OWN, COMMON):
        if other is table:
            hashes = TablePair((table, table), (Dialect.MYSQL, Dialect.MYSQL)).hashes()
            yield from (hashes[0].sql, hashes[1].without_json)
    name = name_of(table, "name")
    yield condition_sql(parse_condition(f"{name} = 'x' OR {name} IS NULL"), table)


@pytest.mark.parametrize("statements", [plain, unique, reconcile, cascades, reads])
def test_every_statement_has_the_names_of_its_site(
    statements: Callable[[Table], Iterable[str | None]],
) -> None:
    """As if its columns had these names everywhere."""
    made = list(statements(COMMON))
    assert made == list(statements(OWN))
    text = " ".join(filter(None, made))
    assert "`full_name`" in text or "`per``son`" in text
    assert "`id`" not in text
    assert "`name`" not in text


def test_what_is_read_for_a_record_comes_under_the_common_names() -> None:
    found = base(COMMON).found_rows()
    assert "CAST(t.`full_name` AS CHAR) AS `name`" in found


def test_a_table_is_known_by_the_common_names() -> None:
    assert [c.name for c in COMMON.columns] == ["id", "name", "hits", "at", "of", "plain"]
    assert [c.own_name for c in COMMON.columns] == [c.name for c in OWN.columns]
    assert COMMON.primary_key == ("id",)
    assert COMMON.unique_keys == (("name", ("name",)),)
    assert OWN.under_common_names(ColumnNames()) is OWN


def test_a_column_that_has_anothers_common_name_is_not_taken_for_it() -> None:
    table = replace(OWN, columns=(*OWN.columns, Column("Name", "int", "int(11)")))
    assert [c.name for c in table.under_common_names(NAMES).columns][1::5] == ["name", ".Name"]
    assert of_row(b'{"name":1,"full_name":2}') == b'{".name":1,"name":2}'
    assert of_row(b'{"name":1}') == b'{".name":1}'


@pytest.mark.parametrize(
    "value", ["12345678901234567890123.4500", '"\\u00fc\\n\\"x"', "null", '{"name":[1,{"a":2.0}]}']
)
def test_values_come_as_they_were_sent(value: str) -> None:
    row = f'{{"full_name":{value},"plain":1}}'.encode()
    assert of_row(row) == f'{{"name":{value},"plain":1}}'.encode()


@pytest.mark.parametrize("row", [b"[1]", b"x", b""])
def test_what_is_no_row_is_left_to_the_decoder(row: bytes) -> None:
    assert of_row(row) == row


@pytest.mark.parametrize("wrapped", [False, True])
def test_rows_and_keys_of_events_have_the_common_names(wrapped: bool) -> None:
    before = {"per`son": 1, "full_name": "a", "visits": 1, "touched": None, "up": None, "plain": 0}
    after = {**before, "full_name": "b"}
    event = builders.change_event("u", {"per`son": 1}, before=before, after=after)
    here = [builders.message(event, wrapped=wrapped)]
    names = Names.of([], {ORDERS: dict(NAMES.renamed)})

    found = parse_events(event.topic_partition, here, names)

    assert found["key"].tolist() == [b'{"id":1}']
    assert found["before"].tolist()[0].startswith(b'{"id":1,"name":"a","hits":1,')
    only = {"name", "hits"}
    decoded = decode_rows(found["after"].tolist(), COMMON, ValueModes(), only=only)
    assert decoded.columns == {"name": ["b"], "hits": [1]}
    assert decode_keys(found["key"].tolist(), COMMON, ValueModes())["id"].tolist() == [1]


def test_a_row_from_before_the_column_was_renamed_is_refused() -> None:
    """Not read as a row from before ADD COLUMN, whose value would be NULL."""
    columns = tuple(replace(c, null_by_default=True) for c in COMMON.columns[1:2])
    table = replace(COMMON, columns=(COMMON.columns[0], *columns))
    source = replace(table, reads_older=True)
    sent = of_row(b'{"per`son":1,"name":"a"}')
    with pytest.raises(TerminalError) as caught:
        decode_rows([sent], table, ValueModes(), source=source)
    assert caught.value.code == "column_missing"
    there = decode_rows([of_row(b'{"per`son":1}')], table, ValueModes(), source=source)
    assert there.columns["name"] == [None]


def test_other_tables_and_absent_rows_stay_as_they_are() -> None:
    names = Names.of([("shop.a", "store.a")], {"shop.other": {"v": "w"}})
    events = [
        builders.insert(1, "x"),
        builders.delete(1, "x", table="shop.other", topic="a.shop.orders"),
    ]
    found = parse_events(events[0].topic_partition, list(map(builders.message, events)), names)
    assert found["after"].tolist() == [b'{"id":1,"v":"x"}', None]
    assert found["before"].tolist() == [None, b'{"id":1,".v":"x"}']
