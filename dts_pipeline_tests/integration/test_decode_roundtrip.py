"""Recorded values written through a stage on a real server, against rows the server made itself.

Runs on the stack that DTS_TEST_STACK describes, of whatever flavour, else on two MariaDB servers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import pymysql
import pytest

from dts_pipeline.adapters.database import Database
from dts_pipeline.adapters.table_schema import read_tables
from dts_pipeline.core.decode import ValueModes, decode_rows
from dts_pipeline.core.schema import Column, Table
from dts_pipeline.core.statements import quoted, stage_type, table_name
from dts_pipeline_tests import recorded
from dts_pipeline_tests.stacks import Stack

pytestmark = pytest.mark.servers

SCHEMA = "decode_roundtrip"
DIALECTS = ("mariadb", "mysql")
USERS_SESSION = "SET SESSION time_zone = '+08:00', sql_mode = ''"
WRITERS_SESSION = (
    "SET SESSION time_zone = '+00:00', sql_mode = 'NO_AUTO_VALUE_ON_ZERO,STRICT_ALL_TABLES'"
)
# Debezium sends zero dates as null; nothing in the message tells them apart.
ZERO_DATES = {(3, "c_date"), (3, "c_datetime"), (3, "c_datetime6")}
BYTES = {
    "char", "varchar", "tinytext", "text", "mediumtext", "longtext", "binary", "varbinary",
    "tinyblob", "blob", "mediumblob", "longblob", "bit", "geometry", "point", "linestring",
    "polygon", "multipoint", "geometrycollection", "geomcollection", "vector", "set",
}  # fmt: skip


@dataclass(frozen=True)
class Site:
    """A server of the stack, with the test's tables filled by their own SQL."""

    name: str
    kind: str
    database: Database
    tables: dict[str, Table]


def connect(database: Database, session: str) -> pymysql.Connection:
    connection = pymysql.connect(
        host=database.host,
        port=database.port,
        user=database.user,
        password=database.password,
        charset="utf8mb4",
        autocommit=True,
    )
    connection.cursor().execute(session)
    return connection


@pytest.fixture(scope="module", params=["mariadb", pytest.param("mysql", marks=pytest.mark.mysql)])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    stack: Stack = request.getfixturevalue(f"stack_{request.param}")
    name, entry = "a", stack.site("a")
    schema = f"{SCHEMA}_{name}"
    database = Database(name, entry["host"], entry["port"], entry["user"], entry["password"])
    with closing(connect(database, USERS_SESSION)) as connection:
        cursor = connection.cursor()
        cursor.execute(f"DROP DATABASE IF EXISTS {schema}")
        cursor.execute(f"CREATE DATABASE {schema} CHARACTER SET utf8mb4")
        cursor.execute(f"USE {schema}")
        inserts = [s for s in recorded.change_statements() if s.startswith("INSERT")]
        edges = recorded.edge_statements(entry["kind"])
        for statement in [recorded.create_statement(), *inserts, *edges]:
            cursor.execute(statement)
        found = read_tables(database, lambda name: name.startswith(f"{schema}."))
        yield Site(name, entry["kind"], database, {t.name: t for t in found.values()})
        cursor.execute(f"DROP DATABASE {schema}")


def same(column: Column) -> str:
    """SQL: whether original and stage hold the same bits in a column."""
    one, two = (f"{alias}.{quoted(column.name)}" for alias in ("o", "s"))
    text = f"HEX(CAST({one} AS CHAR)) <=> HEX(CAST({two} AS CHAR))"
    if column.data_type in ("float", "double"):
        return f"({one} <=> {two} AND {text})"
    if column.data_type == "enum":
        return f"({one} + 0 <=> {two} + 0 AND {text})"
    return f"HEX({one}) <=> HEX({two})" if column.data_type in BYTES else text


def differences(
    site: Site, table: Table, rows: Sequence[bytes | None], modes: ValueModes
) -> set[tuple[int, str]]:
    """Writes the decoded rows into a stage; (id, column) where it differs from the original."""
    decoded = decode_rows(rows, table, modes, empty_enums=True)
    columns = table.written_columns
    with closing(connect(site.database, WRITERS_SESSION)) as connection:
        cursor = connection.cursor()
        cursor.execute(f"USE {table.schema}")
        types = ", ".join(f"{quoted(c.name)} {stage_type(c)}" for c in columns)
        cursor.execute(f"CREATE TEMPORARY TABLE stage ({types}) DEFAULT CHARSET utf8mb4")
        marks = ", ".join(["%s"] * len(columns))
        values = list(zip(*(decoded.columns[c.name] for c in columns), strict=True))
        assert cursor.executemany(f"INSERT INTO stage VALUES ({marks})", values) == len(rows)
        cursor.execute("SHOW WARNINGS")
        assert not cursor.fetchall()
        for name, found in decoded.empty_enums.items():
            ids = [decoded.columns["id"][i] for i in found]
            sql = f"UPDATE IGNORE stage SET {quoted(name)} = '' WHERE id IN %s"
            assert cursor.execute(sql, (ids,)) == len(ids)
        tests = ", ".join(same(c) for c in columns)
        join = f"FROM {table_name(table)} AS o JOIN stage AS s ON s.id = o.id"
        assert cursor.execute(f"SELECT o.id, {tests} {join}") == len(rows)
        return {
            (row[0], column.name)
            for row in cursor.fetchall()
            for column, equal in zip(columns, row[1:], strict=True)
            if not equal
        }


@pytest.mark.parametrize("source", DIALECTS)
def test_every_type_is_written_as_the_server_itself_wrote_it(site, source):
    rows = recorded.row_images(f"{source}-defaults", "after")[:3]
    found = differences(site, site.tables["every_type"], rows, ValueModes())
    # MariaDB keeps JSON's text, which MySQL had normalised.
    other_text = {(1, "c_json")} if (site.kind, source) == ("mariadb", "mysql") else set()
    assert found == ZERO_DATES | other_text


def test_an_enum_error_value_passes_from_stage_to_table_in_strict_mode(site):
    rows = recorded.row_images(f"{site.kind}-defaults", "after")[:3]
    found = differences(site, site.tables["every_type"], rows, ValueModes())
    assert (3, "c_enum") not in found


@pytest.mark.parametrize("source", DIALECTS)
def test_values_at_the_edges_are_written_as_the_server_itself_wrote_them(site, source):
    images = recorded.edge_images(source)
    cases = set(images) & set(site.tables)
    assert len(cases) >= 7
    found = {
        (name, *difference)
        for name in cases
        for difference in differences(site, site.tables[name], images[name], ValueModes())
    }
    expected = set()
    if site.kind != source:
        # Each server reads POINT(10 20) of SRID 4326 with the axes of its own SQL.
        expected.add(("shapes", 1, "p"))
    if (site.kind, source) == ("mariadb", "mysql"):
        expected.add(("bytes_and_text", 1, "j"))
    assert found == expected


def test_the_fixtures_table_is_the_servers(site):
    def shape(table: Table) -> list[tuple[object, ...]]:
        return [
            (c.name, c.data_type, c.column_type, c.nullable, c.generated, c.is_json)
            for c in table.columns
        ]

    assert shape(recorded.every_type(site.kind)) == shape(site.tables["every_type"])
