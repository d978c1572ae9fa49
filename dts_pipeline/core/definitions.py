"""Tables as SQL defines them: what is compared to follow a schema change, and its statements."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dts_pipeline.core.column_sql import TEXT_TYPES, quoted, table_name
from dts_pipeline.core.presets import default_sql, now_sql
from dts_pipeline.core.schema import Column, Table

_AUTO_INCREMENT = re.compile(r" AUTO_INCREMENT=\d+")


@dataclass(frozen=True)
class Index:
    """A secondary index: columns in order, each with the length of its prefix (0: the whole).

    `plain` is false for one that other means define: FULLTEXT, SPATIAL, by expression, descending.
    """

    name: str
    columns: tuple[tuple[str, int], ...]
    unique: bool = False
    plain: bool = True

    @property
    def signature(self) -> str:
        """What it is about, whatever its name."""
        return ",".join(f"{name}({length})" if length else name for name, length in self.columns)

    @property
    def columns_sql(self) -> str:
        """The columns in brackets."""
        parts = (f"{quoted(n)}({length})" if length else quoted(n) for n, length in self.columns)
        return f"({', '.join(parts)})"


@dataclass(frozen=True)
class Definition:
    """A table as it is at one site, with all its secondary indexes."""

    table: Table
    indexes: tuple[Index, ...] = ()


def column_sql(column: Column) -> str | None:
    """A column's definition in CREATE or ALTER; None where it cannot be spelled from its facts.

    Text has its character set and collation, or the table's own would be taken.
    """
    default = default_sql(column)
    if default is None or column.generated:
        return None
    parts = [quoted(column.name), "JSON" if column.is_json else column.column_type]
    if column.collation and column.data_type in TEXT_TYPES and not column.is_json:
        parts.append(f"CHARACTER SET {column.charset} COLLATE {column.collation}")
    parts.append("NULL" if column.nullable else "NOT NULL")
    parts += [default] if default else []
    parts += ["AUTO_INCREMENT"] if column.auto_increment else []
    parts += [f"ON UPDATE {now_sql(column)}"] if column.on_update else []
    return " ".join(parts)


def add_column(table: Table, column: Column) -> str | None:
    """Appends the column, which servers do at once; None where it cannot be spelled."""
    definition = column_sql(column)
    return definition and f"ALTER TABLE {table_name(table)} ADD COLUMN {definition}"


def add_index(table: Table, index: Index) -> str:
    """Makes the index under its own name."""
    unique = "UNIQUE " if index.unique else ""
    return f"CREATE {unique}INDEX {quoted(index.name)} ON {table_name(table)} {index.columns_sql}"


def modify_column(shown: str, table: Table, twin: Column, wider: Column) -> str | None:
    """Gives `twin`, a column of `table`, the type and the NULL of `wider`; all else stays.

    `shown` is the table's SHOW CREATE TABLE. None where the column's line is not understood.
    """
    name = quoted(twin.name)
    lines = (line.strip().rstrip(",") for line in shown.splitlines())
    line = next((line for line in lines if line.startswith(f"{name} ")), "")
    definition = line[len(name) + 1 :]
    if not definition.lower().startswith(twin.column_type.lower()) or "GENERATED ALWAYS" in line:
        return None
    rest = definition[len(twin.column_type) :]
    if wider.nullable and not twin.nullable:
        if " NOT NULL" not in rest:
            return None
        rest = rest.replace(" NOT NULL", " NULL", 1)
    return f"ALTER TABLE {table_name(table)} MODIFY COLUMN {name} {wider.column_type}{rest}"


def create_as_shown(shown: str, table: Table) -> str:
    """The statement that SHOW CREATE TABLE gave, for another server of the same kind."""
    body = shown[shown.index("(\n") :]
    head, _, options = body.rpartition("\n)")
    options = _AUTO_INCREMENT.sub("", options, count=1)
    return f"CREATE TABLE IF NOT EXISTS {table_name(table)} {head}\n){options}"


def create_by_facts(found: Definition) -> str | None:
    """The table for a server of the other kind; None where it cannot be spelled from its facts."""
    table = found.table
    columns = [column_sql(column) for column in table.columns]
    unspelled = [index for index in found.indexes if index.unique and not index.plain]
    if None in columns or unspelled or table.foreign_keys:
        return None
    parts = [text for text in columns if text]
    parts.append(f"PRIMARY KEY ({', '.join(map(quoted, table.primary_key))})")
    for index in found.indexes:
        if index.plain:
            kind = "UNIQUE KEY" if index.unique else "KEY"
            parts.append(f"{kind} {quoted(index.name)} {index.columns_sql}")
    inside = ",\n  ".join(parts)
    return f"CREATE TABLE IF NOT EXISTS {table_name(table)} (\n  {inside}\n) ENGINE=InnoDB"
