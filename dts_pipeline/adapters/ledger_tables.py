"""The ledger: the tables of schema `dts` at each site.

`checkpoint` has one row a lane; a batch's transaction moves it by compare-and-set. `batch` keeps
what each batch covered, which is what tells "already applied" from "another run is ahead".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    BINARY,
    DECIMAL,
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)
from sqlalchemy.dialects.mysql import DATETIME, LONGTEXT
from sqlalchemy.schema import CreateColumn, CreateTable

SCHEMA = "dts"
_OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
}
metadata = MetaData(schema=SCHEMA)

installation = Table(
    "installation",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("version", String(20), nullable=False),
    Column("created_at", DATETIME(fsp=6), nullable=False),
    **_OPTIONS,
)

checkpoint = Table(
    "checkpoint",
    metadata,
    Column("link", String(64), primary_key=True),
    Column("lane", String(64), primary_key=True),
    Column("generation", Integer, nullable=False),
    Column("batch", BigInteger, nullable=False),
    Column("offsets", LONGTEXT, nullable=False),  # canonical JSON; compared by the fence
    Column("partitions", LONGTEXT, nullable=False),  # topic ids and source positions, JSON
    Column("mark_sequence", BigInteger, nullable=False),
    Column("incarnation", String(128), nullable=False),
    Column("applied_gtids", LONGTEXT, nullable=False),
    Column("paused", Boolean, nullable=False, default=False),
    Column("session_id", BigInteger, nullable=False, default=0),
    Column("updated_at", DATETIME(fsp=6), nullable=False),
    **_OPTIONS,
)

batch = Table(
    "batch",
    metadata,
    Column("link", String(64), primary_key=True),
    Column("lane", String(64), primary_key=True),
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("batch", BigInteger, primary_key=True, autoincrement=False),
    Column("from_offsets", LONGTEXT, nullable=False),
    Column("until_offsets", LONGTEXT, nullable=False),
    Column("mark", String(80), nullable=False),
    Column("counts", LONGTEXT, nullable=False),
    Column("committed_at", DATETIME(fsp=6), nullable=False),
    **_OPTIONS,
)

# What a lane has done in all; a batch adds its counts in its own transaction, a run what it took.
total = Table(
    "total",
    metadata,
    Column("link", String(64), primary_key=True),
    Column("lane", String(64), primary_key=True),
    Column("name", String(120), primary_key=True),
    Column("value", DECIMAL(30, 6), nullable=False),
    **_OPTIONS,
)

# Where a lane stood after its last run, and how its last failed run ended.
progress = Table(
    "progress",
    metadata,
    Column("link", String(64), primary_key=True),
    Column("lane", String(64), primary_key=True),
    Column("lag_seconds", DECIMAL(20, 3)),
    Column("behind", BigInteger),
    Column("succeeded_at", DATETIME(fsp=6)),
    Column("failed_at", DATETIME(fsp=6)),
    Column("run", String(64), nullable=False),  # of the last one that ended, either way
    Column("error", LONGTEXT),  # code, message, where, remedy; JSON
    **_OPTIONS,
)

conflict = Table(
    "conflict",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("link", String(64), nullable=False),
    Column("lane", String(64), nullable=False),
    Column("batch", BigInteger, nullable=False),
    Column("table_name", String(140), nullable=False),
    Column("key_hash", BINARY(32), nullable=False),
    Column("key_json", LONGTEXT, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("decision", String(20), nullable=False),
    Column("before_json", LONGTEXT),
    Column("after_json", LONGTEXT),
    Column("found_json", LONGTEXT),
    Column("state", String(10), nullable=False),
    Column("open_slot", Integer),  # 1 while open, NULL once closed: one open row a key
    Column("times", Integer, nullable=False),
    Column("opened_at", DATETIME(fsp=6), nullable=False),
    Column("changed_at", DATETIME(fsp=6), nullable=False),
    # A link's own: where pairs meet at a site, each settles its records, and no other's.
    UniqueConstraint("link", "table_name", "key_hash", "open_slot", name="one_open_row_a_key"),
    # An index by state; as a constraint it stands in the CREATE TABLE itself.
    UniqueConstraint("state", "link", "id", name="by_state"),
    **_OPTIONS,
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("link", String(64), nullable=False),
    Column("topic", String(255), nullable=False),
    Column("partition_number", Integer, nullable=False),
    Column("offset_number", BigInteger, nullable=False),
    Column("code", String(64), nullable=False),
    Column("event", LONGTEXT, nullable=False),
    Column("quarantined_at", DATETIME(fsp=6), nullable=False),
    **_OPTIONS,
)

# What the loop audit compares (`core/loop_audit.py`): what each marked transaction of a pair wrote
# here, and what of the other link's came back in a batch. Rows go once both were compared.
written = Table(
    "written",
    metadata,
    Column("mark", String(80), primary_key=True),
    Column("link", String(64), nullable=False),
    Column("lane", String(64), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("stamp", String(100)),  # how its events name it; NULL where nobody could note it
    Column("tables", LONGTEXT, nullable=False),  # rows that the server logged, by table; JSON
    Column("written_at", DATETIME(fsp=6), nullable=False),
    **_OPTIONS,
)

returned = Table(
    "returned",
    metadata,
    Column("link", String(64), primary_key=True),
    Column("stamp", String(100), primary_key=True),
    Column("tables", LONGTEXT, nullable=False),
    Column("audited", Boolean, nullable=False, default=False),
    Column("returned_at", DATETIME(fsp=6), nullable=False),
    **_OPTIONS,
)

loop_finding = Table(
    "loop_finding",
    metadata,
    Column("link", String(64), primary_key=True),
    Column("stamp", String(100), primary_key=True),
    Column("table_name", String(140), primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("rows_written", BigInteger, nullable=False),
    Column("rows_returned", BigInteger, nullable=False),
    Column("found_at", DATETIME(fsp=6), nullable=False),
    **_OPTIONS,
)

# Keys whose row a user of the source keeps putting back (`core/pingpong.py`), while they do.
bounce = Table(
    "bounce",
    metadata,
    Column("link", String(64), primary_key=True),
    Column("table_name", String(140), primary_key=True),
    Column("key_hash", BINARY(32), primary_key=True),
    Column("times", Integer, nullable=False),
    Column("changed_at", DATETIME(fsp=6), nullable=False),
    **_OPTIONS,
)

watermark = Table(
    "watermark",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("number", BigInteger, nullable=False),
    # Microseconds since 1970, UTC: a number, which the connector spells alike in every mode.
    Column("written_us", BigInteger, nullable=False),
    **_OPTIONS,
)

verify = Table(
    "verify",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("table_name", String(140), primary_key=True),
    Column("state", String(10), nullable=False),
    Column("position", LONGTEXT),  # the last key read, JSON; NULL at the beginning
    Column("rows_first", BigInteger, nullable=False),
    Column("rows_second", BigInteger, nullable=False),
    Column("chunks", BigInteger, nullable=False),
    Column("candidates", LONGTEXT, nullable=False),  # the keys found different so far, JSON
    Column("truncated", Boolean, nullable=False),
    Column("started_at", DATETIME(fsp=6), nullable=False),
    Column("changed_at", DATETIME(fsp=6), nullable=False),
    **_OPTIONS,
)

load = Table(
    "load",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("table_name", String(140), primary_key=True),
    Column("state", String(10), nullable=False),  # loading, verifying, done, left
    Column("position", LONGTEXT),  # the last key of the last finished chunk, JSON
    Column("rows_read", BigInteger, nullable=False),
    Column("rows_expected", BigInteger, nullable=False),
    Column("counts", LONGTEXT, nullable=False),  # what became of the keys, JSON
    Column("seconds", BigInteger, nullable=False),
    Column("source", String(64)),  # the site whose rows the other gets; NULL: each what it lacks
    Column("started_at", DATETIME(fsp=6), nullable=False),
    Column("changed_at", DATETIME(fsp=6), nullable=False),
    **_OPTIONS,
)


# What a table was like at both sites when it last fitted (`core/shapes.py`), for `ddl: additive`.
shape = Table(
    "shape",
    metadata,
    Column("link", String(64), primary_key=True),
    Column("table_name", String(140), primary_key=True),
    Column("definition", LONGTEXT, nullable=False),  # JSON
    Column("changed_at", DATETIME(fsp=6), nullable=False),
    **_OPTIONS,
)

# The statements that links ran at this site under `ddl: additive`.
schema_change = Table(
    "schema_change",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("link", String(64), nullable=False),
    Column("table_name", String(140), nullable=False),
    Column("statement", LONGTEXT, nullable=False),
    Column("run", String(64), nullable=False),
    Column("changed_at", DATETIME(fsp=6), nullable=False),
    **_OPTIONS,
)


def added_columns(dialect: Dialect, known: Mapping[str, Collection[str]]) -> list[str]:
    """The DDL of columns that a ledger of an earlier version lacks; `known`: its columns by table.

    Only columns that may be NULL are ever added to a table, so older versions write it all the
    same.
    """
    found = []
    for table in metadata.sorted_tables:
        for column in table.columns:
            if table.name in known and column.name not in known[table.name]:
                definition = CreateColumn(column).compile(dialect=dialect)
                found.append(f"ALTER TABLE `{SCHEMA}`.`{table.name}` ADD COLUMN {definition}")
    return found


def changed_constraints(known: Mapping[tuple[str, str], Sequence[str]]) -> list[str]:
    """The DDL of unique constraints that were made over other columns by an earlier version.

    `known`: the columns of those that are there, by table and name. None is ever made narrower, so
    that no row is in the way.
    """
    found = []
    for table in metadata.sorted_tables:
        for constraint in table.constraints:
            if not isinstance(constraint, UniqueConstraint):
                continue
            columns = [column.name for column in constraint.columns]
            there = known.get((table.name, str(constraint.name)))
            if there is not None and list(there) != columns:
                names = ", ".join(f"`{name}`" for name in columns)
                found.append(
                    f"ALTER TABLE `{SCHEMA}`.`{table.name}` DROP INDEX `{constraint.name}`, "
                    f"ADD UNIQUE INDEX `{constraint.name}` ({names})"
                )
    return found


def create_statements(dialect: Dialect) -> list[str]:
    """The DDL of the ledger for a server, each statement harmless where the table is there."""
    return [f"CREATE DATABASE IF NOT EXISTS `{SCHEMA}`"] + [
        str(CreateTable(table, if_not_exists=True).compile(dialect=dialect)).strip()
        for table in metadata.sorted_tables
    ]
