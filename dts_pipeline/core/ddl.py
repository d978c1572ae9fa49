"""`ddl: additive`: the statements that give a target what its source has more; nothing is dropped.

By state: both sites' tables, and the `Shape` that a table had when it last fitted. So it is the
same whoever asks, and once it is done there is nothing left to do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from dts_pipeline.core.column_sql import quoted, table_name
from dts_pipeline.core.contract import canonical_collation
from dts_pipeline.core.definitions import (
    Definition,
    Index,
    add_column,
    add_index,
    create_as_shown,
    create_by_facts,
    modify_column,
)
from dts_pipeline.core.presets import older_value
from dts_pipeline.core.schema import Column, Default, Dialect, Table
from dts_pipeline.core.shapes import Shape, kind_of
from dts_pipeline.core.type_fit import family_of, labels_of, misfit
from dts_pipeline.errors import TerminalError

Definitions = Mapping[str, Definition]
Shown = Callable[[str], str]
"""A table's SHOW CREATE TABLE, by `schema.table`."""
_COPIES = re.compile(r"_.+_(gho|ghc|del|new|old)")
COPIES_REMEDY = "Leave the tables that gh-ost and pt-online-schema-change make out: `!SCHEMA._*`."


@dataclass(frozen=True)
class Flow:
    """One direction between two sites; `both_ways` on a pair.

    `knows` tells whether the target has a collation of that name, `called` what it calls a table;
    `renames` is true where the sites call tables otherwise.
    """

    link: str
    source: str
    target: str
    dialects: tuple[Dialect, Dialect]
    knows: Callable[[str], bool]
    both_ways: bool = False
    called: Callable[[str], str] = str
    renames: bool = False

    @property
    def crosses(self) -> bool:
        """Whether the target is of the other kind of server."""
        return self.dialects[0] is not self.dialects[1]


@dataclass(frozen=True)
class Change:
    """A statement for the target that makes up something of a table (`schema.table`)."""

    table: str
    statement: str


def is_copy(full_name: str) -> bool:
    """Whether a table is named like those that online schema changes make and drop again."""
    return bool(_COPIES.fullmatch(full_name.partition(".")[2]))


def refuse_lost(
    flow: Flow, source: Definitions, target: Definitions, known: Mapping[str, Shape]
) -> None:
    """Raises where a table or column that both sites had is gone at one of them.

    It was dropped or renamed there, and neither is carried: TerminalError `table_missing`,
    `column_missing`.
    """
    sides = ((flow.source, source, flow.target, target), (flow.target, target, flow.source, source))
    for here, lacking, there, having in sides:
        for name in sorted(known):
            if name in having and name not in lacking:
                raise _lost_table(flow, having[name].table, here, there, lacking, having)
            if name in having and name in lacking:
                _refuse_lost_column(
                    flow, known[name], (here, lacking[name].table), (there, having[name].table)
                )


def _lost_table(
    flow: Flow, table: Table, here: str, there: str, lacking: Definitions, having: Definitions
) -> TerminalError:
    fresh = sorted(lacking.keys() - having.keys())
    renamed = f" If it was renamed: RENAME TABLE {table_name(table)} TO {_names(fresh, lacking)}."
    if not fresh or flow.renames:
        renamed = ""
    return TerminalError(
        "table_missing",
        f"a table that both sites had is gone at site {here}: it was dropped or renamed there",
        where={"link": flow.link, "table": table.full_name, "site": here},
        remedy=f"If it was dropped, at site {there}: DROP TABLE {table_name(table)}."
        f"{renamed} If it should stay, make it again at site {here}. The link then goes on by "
        "itself.",
    )


def _names(fresh: list[str], tables: Definitions) -> str:
    return " or ".join(table_name(tables[name].table) for name in fresh)


def _refuse_lost_column(
    flow: Flow, known: Shape, lacking: tuple[str, Table], having: tuple[str, Table]
) -> None:
    (here, less), (there, more) = lacking, having
    names = {column.name for column in less.columns}
    lost = [
        column
        for column in more.columns
        if column.name in known.columns and column.name not in names and not column.excluded
    ]
    if not lost:
        return
    fresh = sorted(names - {column.name for column in more.columns} - known.columns.keys())
    alter, name = f"ALTER TABLE {table_name(more)}", quoted(lost[0].name)
    renamed = " or ".join(f"{alter} RENAME COLUMN {name} TO {quoted(other)}" for other in fresh)
    raise TerminalError(
        "column_missing",
        f"column {lost[0].name}, which both sites had, is gone at site {here}: it was dropped or "
        "renamed there",
        where={"link": flow.link, "table": more.full_name, "column": lost[0].name, "site": here},
        remedy=f"If it was dropped, at site {there}: {alter} DROP COLUMN {name}."
        + (f" If it was renamed, at site {there}: {renamed}." if fresh else "")
        + f" If it should stay, add it again at site {here}. The link then goes on by itself.",
    )


def new_tables(
    flow: Flow, source: Definitions, target: Definitions, shown: Shown
) -> Iterator[Change]:
    """CREATE TABLE for what the target lacks, in the source's form.

    Left alone, so that the link stops: tables without a primary key, of another engine, and the
    copies of online schema changes. Raises TerminalError `ddl_by_hand`.
    """
    for name in sorted(source.keys() - target.keys()):
        found = source[name]
        table = found.table
        if is_copy(name) or not table.primary_key or table.engine.lower() != "innodb":
            continue
        _refuse_collations(flow, table, table.columns, shown)
        if flow.renames and table.foreign_keys:
            reason = "it has a foreign key, and the sites call their tables by other names"
            raise _by_hand(flow, table, reason, shown(name))
        there = table.called(flow.called(name))
        if not there.schema:
            reason = "another table has its name there (`rename`): give it one, or leave it out"
            raise _by_hand(flow, table, reason, shown(name))
        if flow.crosses:
            statement = create_by_facts(replace(found, table=there))
            if statement is None:
                reason = "it has a foreign key, or columns or keys that the other server spells "
                raise _by_hand(flow, table, reason + "in another way", shown(name))
            yield Change(name, statement)
        else:
            yield Change(name, create_as_shown(shown(name), there))


def changes(
    flow: Flow, source: Definition, target: Definition, known: Shape, shown: Shown
) -> Iterator[Change]:
    """What one table at the target lacks: columns, wider types, indexes; nothing where it fits.

    `shown` is asked for the target's table. Raises TerminalError `ddl_by_hand` at what is new at
    the source and cannot be made up; what came before can be run all the same.
    """
    for statement in _added_columns(flow, source, target.table):
        yield Change(target.table.full_name, statement)
    for statement in _wider_columns(flow, source.table, target.table, known, shown):
        yield Change(target.table.full_name, statement)
    for statement in _added_indexes(flow, source, target, known):
        yield Change(target.table.full_name, statement)


def _added_columns(flow: Flow, source: Definition, target: Table) -> Iterator[str]:
    names = {column.name.lower() for column in target.columns}
    added = [c for c in source.table.columns if c.name.lower() not in names and not c.excluded]
    _refuse_collations(flow, target, added, None)
    for column in added:
        statement = add_column(target, column)
        reason = _not_addable(column, source.table)
        if reason or statement is None:
            raise _by_hand(flow, target, reason or "its default cannot be spelled", column=column)
        yield statement


def _not_addable(column: Column, source: Table) -> str:
    """Why rows that are there would not be equal after ADD COLUMN; empty if they are."""
    if family_of(column) is None:
        return "its type is not supported"
    if column.generated:
        return "it is generated"
    if column.auto_increment:
        return "the server numbers the rows that are there by itself"
    if column.name in source.primary_key:
        return "it is part of the primary key"
    if column.default in (Default.NOW, Default.COMPUTED):
        return "its default is not a constant, so the rows that are there differ between the sites"
    if not column.nullable and older_value(column) is None:
        return "it is NOT NULL, and which value the rows that are there have cannot be told"
    return ""


def _wider_columns(
    flow: Flow, source: Table, target: Table, known: Shape, shown: Shown
) -> Iterator[str]:
    """MODIFY COLUMN where the source's type was widened since both fitted, and the target's not."""
    there = {column.name: column for column in target.columns}
    for column in source.columns:
        twin, before = there.get(column.name), known.columns.get(column.name)
        if twin is None or before is None or column.excluded or column.generated:
            continue
        if before[1] != kind_of(twin) or before[0] == kind_of(column):
            continue
        wider = _widened(column, twin)
        if wider != twin:
            statement = modify_column(shown(target.full_name), target, twin, wider)
            if statement is None:
                reason = "its definition there is not understood"
                raise _by_hand(flow, target, reason, _modified(target, column), column)
            yield statement


def _modified(table: Table, column: Column) -> str:
    return f"ALTER TABLE {table_name(table)} MODIFY {quoted(column.name)} {column.column_type} …"


def _widened(column: Column, twin: Column) -> Column:
    """The target's column with the source's type and NULL, as far as these take more values."""
    wider = twin
    same_text = canonical_collation(column.collation) == canonical_collation(twin.collation)
    if same_text and misfit(column, twin) is not None and misfit(twin, column) is None:
        labels = labels_of(twin)
        # Labels are kept as numbers: one that is put in between would change what rows mean.
        if labels_of(column)[: len(labels)] == labels:
            wider = replace(wider, column_type=column.column_type)
    return replace(wider, nullable=True) if column.nullable else wider


def _added_indexes(
    flow: Flow, source: Definition, target: Definition, known: Shape
) -> Iterator[str]:
    """CREATE INDEX for those that are new at the source; a unique one stops a pair.

    Rows of the other site may violate it, and would stop the link later, one by one.
    """
    there = {index.signature for index in target.indexes}
    names = {index.name.lower() for index in target.indexes}
    columns = {column.name for column in source.table.columns if not column.excluded}
    for index in source.indexes:
        is_new = index.signature not in there | known.indexes | known.unique
        if not is_new or not index.plain or not {name for name, _ in index.columns} <= columns:
            continue
        if index.unique and flow.both_ways:
            raise _unique_by_hand(flow, target.table, index)
        if not index.unique and index.name.lower() not in names:
            yield add_index(target.table, index)


def _unique_by_hand(flow: Flow, table: Table, index: Index) -> TerminalError:
    return TerminalError(
        "ddl_by_hand",
        f"site {flow.source} has a new unique index {index.name}, which rows of site "
        f"{flow.target} may violate",
        where={"link": flow.link, "table": table.full_name, "site": flow.target},
        remedy=f"At site {flow.target}: {add_index(table, index)}. Or drop it at site "
        f"{flow.source}. The link then goes on by itself.",
    )


def _refuse_collations(
    flow: Flow, table: Table, columns: tuple[Column, ...] | list[Column], shown: Shown | None
) -> None:
    for column in columns:
        if column.collation and not flow.knows(column.collation):
            reason = f"site {flow.target} has no collation {column.collation}"
            raise _by_hand(flow, table, reason, shown(table.full_name) if shown else None, column)


def _by_hand(
    flow: Flow, table: Table, reason: str, shown: str | None = None, column: Column | None = None
) -> TerminalError:
    what = f"column {column.name}" if column else "a table"
    place = {"table": table.full_name, **({"column": column.name} if column else {})}
    statement = shown
    if statement is None and column is not None:
        statement = add_column(table, column) or (
            f"ALTER TABLE {table_name(table)} ADD COLUMN {quoted(column.name)} {column.column_type}"
        )
    return TerminalError(
        "ddl_by_hand",
        f"{what} of site {flow.source} is not made up at site {flow.target}: {reason}",
        where={"link": flow.link, **place, "site": flow.target},
        remedy=f"At site {flow.target}, by hand and in a form that it takes: {statement}. The link "
        "then goes on by itself.",
    )
