"""Whether the tables of two sites fit each other: what would not arrive as it was written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dts_pipeline.core.column_sql import column_name, quoted, table_name
from dts_pipeline.core.links import Link
from dts_pipeline.core.schema import Column, Dialect, ForeignKey, Table
from dts_pipeline.core.stage_width import MOST_COLUMNS, stage_columns
from dts_pipeline.core.type_fit import Fit, family_of, misfit

_CASCADES_LOGGED = (9, 6)
CASCADE_REMEDY = (
    "Change its actions to RESTRICT or NO ACTION and let the application write the child rows, "
    "carry both tables, or leave the child table out of the link."
)


@dataclass(frozen=True)
class Difference:
    """One way in which `table` at the target is not like the source's.

    `code` is stable. `table` is empty for a connector's setting, `column` None for the table as a
    whole. `silent` tells a lossy difference that changes values without an error from one that
    stops the link when such a value comes.
    """

    fit: Fit
    code: str
    table: str
    column: str | None
    message: str
    remedy: str
    silent: bool = False

    @property
    def changes_rows(self) -> bool:
        """Whether rows are lost or altered without an error, or cannot be carried at all."""
        return self.fit is Fit.IMPOSSIBLE or self.silent


def is_grave(difference: Difference, link: Link) -> bool:
    """Whether the link must not run with it.

    What the target alters without an error is the user's wish on a one-way link (a narrower copy);
    a pair it would leave different, with no record to tell of it.
    """
    return difference.fit is Fit.IMPOSSIBLE or (difference.silent and link.pair is not None)


def compare_tables(
    source: Table, target: Table, source_dialect: Dialect, target_dialect: Dialect
) -> list[Difference]:
    """Every difference that matters for changes flowing from `source` to `target`.

    A pair asks twice, once in each direction. IMPOSSIBLE: the link must not run. LOSSY: some
    values are refused (the link then stops) or, if `silent`, arrive changed. HARMLESS: worth
    knowing only. The order of columns, defaults and indexes that are not unique do not matter.
    """
    found = [*_table_differences(source, target), *_width_differences(target)]
    found += _name_differences(source, target)
    found += _key_differences(source, target)
    for column in source.columns:
        found += _column_differences(column, source, target, (source_dialect, target_dialect))
    found += _extra_columns(source, target)
    found += _excluded_columns(source, target)
    return found


def unlogged_cascades(
    tables: Mapping[str, Table], dialect: Dialect, version: str, *, native: bool = False
) -> tuple[ForeignKey, ...]:
    """The foreign keys through which the server changes rows of `tables` that no binlog shows.

    `tables` by `schema.table`, as they are at the source; `version` is the server's, such as
    `9.7.4` or `10.11.6-MariaDB`. MySQL logs what a cascade changes since 9.6, unless InnoDB is told
    to do it by itself as before (`native`: innodb_native_foreign_keys); MariaDB does not.
    """
    release = tuple(int(part) for part in version.split("-")[0].split(".")[:2] if part.isdigit())
    if dialect is Dialect.MYSQL and release >= _CASCADES_LOGGED and not native:
        return ()
    return tuple(key for table in tables.values() for key in table.foreign_keys if key.actions)


def untold(key: ForeignKey, tables: Mapping[str, Table]) -> str | None:
    """Why the rows that an unlogged cascade changes cannot be told from the events; None if so.

    `tables` are the carried ones at the source: events of others never arrive.
    """
    if key.parent not in tables:
        return "the table it refers to is not carried, so nothing tells of the rows that it changes"
    if not key.actions <= {"CASCADE", "SET NULL"}:
        return "what it does cannot be followed"
    both = [(key.child, name) for name in key.columns]
    both += [(key.parent, name) for name in key.parent_columns]
    if any(tables[table].column(name).generated for table, name in both):
        return "it goes by a generated column, which is not written"
    if any(tables[table].column(name).excluded for table, name in both):
        return "it goes by an excluded column, which is not written"
    if key.on_update == "CASCADE" and set(key.columns) & set(tables[key.child].primary_key):
        return "ON UPDATE CASCADE changes the primary keys of rows, which no event tells"
    return None


def _table_differences(source: Table, target: Table) -> Iterator[Difference]:
    for side, table, fit in (
        ("target", target, Fit.IMPOSSIBLE),
        ("source", source, Fit.LOSSY),
    ):
        if table.engine.lower() != "innodb":
            yield Difference(
                fit,
                "engine_unsupported",
                target.full_name,
                None,
                f"the {side}'s table uses the engine {table.engine}, which cannot roll back",
                f"At the {side}: ALTER TABLE … ENGINE=InnoDB.",
            )


def _width_differences(target: Table) -> Iterator[Difference]:
    needed = stage_columns(target)
    if needed > MOST_COLUMNS:
        yield Difference(
            Fit.IMPOSSIBLE,
            "table_too_wide",
            target.full_name,
            None,
            f"a batch stages the table's columns and key in a temporary table of {needed} columns, "
            f"of which the server takes {MOST_COLUMNS}",
            "Split the table, or leave it out.",
        )


def _key_differences(source: Table, target: Table) -> Iterator[Difference]:
    for side, table in (("source", source), ("target", target)):
        if not table.primary_key:
            yield Difference(
                Fit.IMPOSSIBLE,
                "key_missing",
                target.full_name,
                None,
                f"the {side}'s table has no primary key, so its rows cannot be told apart",
                "Add a primary key at both sites.",
            )
    names = [tuple(name.lower() for name in table.primary_key) for table in (source, target)]
    if all(names) and set(names[0]) != set(names[1]):
        yield Difference(
            Fit.IMPOSSIBLE,
            "key_mismatch",
            target.full_name,
            None,
            f"the primary keys differ: ({', '.join(source.primary_key)}) at the source, "
            f"({', '.join(target.primary_key)}) at the target",
            "Give both tables the same primary key.",
        )
    known = {frozenset(columns) for _, columns in source.unique_keys} | {
        frozenset(source.primary_key)
    }
    for name, columns in target.unique_keys:
        if frozenset(columns) not in known:
            yield Difference(
                Fit.LOSSY,
                "unique_key_extra",
                target.full_name,
                None,
                f"the target's unique key {name} ({', '.join(columns)}) does not exist at the "
                "source, so rows that are allowed there can be refused",
                "Give both tables the same unique keys.",
            )


def _name_differences(source: Table, target: Table) -> Iterator[Difference]:
    """Columns that `rename` names: there under one of the two names, and not under both."""
    for side, table in (("source", source), ("target", target)):
        there = {column.own_name.lower() for column in table.columns}
        known = {column.name for t in (source, target) for column in t.columns}
        for common, own in table.column_names.renamed:
            if own.lower() in there and common.lower() in there - {own.lower()}:
                yield Difference(
                    Fit.IMPOSSIBLE,
                    "column_name_taken",
                    target.full_name,
                    common,
                    f"the {side}'s table has both {own}, which `rename` gives to column {common}, "
                    f"and a column that is called {common}",
                    f"Drop or rename the column {common} at the {side}, or take {common} out of "
                    "`columns: {TABLE: {rename: …}}`.",
                )
            elif common not in known:
                yield Difference(
                    Fit.IMPOSSIBLE,
                    "column_missing",
                    target.full_name,
                    common,
                    f"`rename` says that the {side} calls column {common} {own}, and the table has "
                    "it at neither site",
                    "Spell both names as the servers do, case included.",
                )


def _column_differences(
    column: Column, source: Table, target: Table, dialects: tuple[Dialect, Dialect]
) -> Iterator[Difference]:
    if column.excluded:
        return
    twin = next((c for c in target.columns if c.name == column.name), None)
    if twin is None:
        yield from _missing(column, source, target)
        return
    if column.generated and twin.generated:
        return
    if twin.generated:
        yield _difference(
            Fit.LOSSY,
            "generated_at_target",
            target,
            column,
            "is generated at the target only, so the source's values are not written",
            "Make it generated, by the same expression, at both sites or at neither.",
            silent=True,
        )
        return
    yield from _type_differences(column, twin, target)
    if column.nullable and not twin.nullable:
        yield _difference(
            Fit.LOSSY,
            "null_refused",
            target,
            column,
            "may be NULL at the source but not at the target",
            "Make it NULL or NOT NULL at both sites.",
        )
    yield from _collation_differences(column, twin, source, target)
    if column.is_json and twin.is_json and dialects[0] != dialects[1]:
        yield _difference(
            Fit.HARMLESS,
            "json_text_differs",
            target,
            column,
            "is JSON: MySQL keeps it normalised, MariaDB as it was written; values are compared "
            "as JSON",
            "Nothing to do.",
        )


def _missing(column: Column, source: Table, target: Table) -> Iterator[Difference]:
    other_case = any(c.name.lower() == column.name.lower() for c in target.columns)
    how = "is spelled in another case at the target" if other_case else "is missing at the target"
    yield _difference(
        Fit.IMPOSSIBLE,
        "column_missing",
        target,
        column,
        _called(target, column) + how,
        _either_alter(("target", target), ("source", source), column),
    )


def _either_alter(lacks: tuple[str, Table], has: tuple[str, Table], column: Column) -> str:
    """Added at one site or dropped at the other: only whoever did it knows."""
    (here, less), (there, more) = lacks, has
    null = "NULL" if column.nullable else "NOT NULL"
    name = quoted(less.column_names.own(column.name))
    return (
        f"If it was added at the {there}, at the {here}: ALTER TABLE {table_name(less)} ADD COLUMN "
        f"{name} {_shown_type(column)} {null}, with its other attributes. If it was "
        f"dropped at the {here}, at the {there}: ALTER TABLE {table_name(more)} DROP COLUMN "
        f"{column_name(column)}. If it was renamed, rename it. The link then goes on by itself."
    )


def _called(table: Table, column: Column) -> str:
    """What a table that lacks a column would call it, where that is another name."""
    own = table.column_names.own(column.name)
    return f"(there {own}) " if own != column.name else ""


def _type_differences(column: Column, twin: Column, target: Table) -> Iterator[Difference]:
    for side, one in (("source", column), ("target", twin)):
        if family_of(one) is None:
            yield _difference(
                Fit.IMPOSSIBLE,
                "column_type_unsupported",
                target,
                column,
                f"has the type {one.data_type} at the {side}, which is not supported",
                "Leave the table out, or change the column's type.",
            )
            return
    found = misfit(column, twin)
    if found is not None:
        yield _difference(
            found.fit,
            "type_mismatch" if found.fit is Fit.IMPOSSIBLE else "type_narrower",
            target,
            column,
            f"is {_shown(column)} at the source and {_shown(twin)} at the target: {found.reason}",
            "Give both columns the same type.",
            silent=found.silent,
        )


def _shown(column: Column) -> str:
    # Labels of an ENUM are data of the user's schema: the bare type is enough there.
    kind = column.data_type if column.data_type in ("enum", "set") else column.column_type
    return f"{kind} {column.charset}" if column.charset else kind


def _shown_type(column: Column) -> str:
    labels = column.data_type in ("enum", "set")
    return f"{column.data_type}(…)" if labels else column.column_type


def _collation_differences(
    column: Column, twin: Column, source: Table, target: Table
) -> Iterator[Difference]:
    one, two = canonical_collation(column.collation), canonical_collation(twin.collation)
    if one is None or two is None or one == two:
        return
    keyed = {name for _, columns in target.unique_keys for name in columns}
    in_key = column.name in source.primary_key
    if not in_key and column.name not in keyed:
        fit, silent, effect = Fit.HARMLESS, False, "values are compared byte by byte"
    elif one.endswith("_bin") and two.endswith("_bin"):
        fit, silent, effect = Fit.HARMLESS, False, "both compare by code point"
    elif in_key:
        fit, silent = Fit.LOSSY, True
        effect = "keys that the source tells apart can be one and the same key at the target"
    else:
        fit, silent = Fit.LOSSY, False
        effect = "unique values of the source can be refused as duplicates at the target"
    yield _difference(
        fit,
        "collation_differs",
        target,
        column,
        f"has the collation {column.collation} at the source and {twin.collation} at the "
        f"target: {effect}",
        "Give both columns the same collation." if fit is Fit.LOSSY else "Nothing to do.",
        silent=silent,
    )


def canonical_collation(collation: str | None) -> str | None:
    """One spelling for a collation that servers name differently."""
    if collation is None:
        return None
    return "utf8mb3_" + collation[5:] if collation.startswith("utf8_") else collation


def _extra_columns(source: Table, target: Table) -> Iterator[Difference]:
    names = {column.name.lower() for column in source.columns}
    for column in target.written_columns:
        if column.name.lower() not in names:
            yield _difference(
                Fit.IMPOSSIBLE,
                "column_missing",
                target,
                column,
                f"{_called(source, column)}is missing at the source, so no event has a value for "
                "it",
                _either_alter(("source", source), ("target", target), column),
            )


def _excluded_columns(source: Table, target: Table) -> Iterator[Difference]:
    """What an excluded column must not be: part of the key, without a default, or lost by a write.

    A row of a table with a secondary unique key is deleted and inserted again when it changes
    (docs/design.md), which would give an excluded column its default.
    """
    keys = {*source.primary_key, *target.primary_key}
    for column in {c.name: c for t in (source, target) for c in t.columns if c.excluded}.values():
        if column.name in keys:
            yield _difference(
                Fit.IMPOSSIBLE,
                "exclude_in_key",
                target,
                column,
                "is excluded, but part of the primary key, by which rows are told apart",
                "Take it out of `columns: {TABLE: {exclude: …}}`.",
            )
    for column in target.columns:
        if not column.excluded or column.generated or column.name in keys:
            continue
        if column.needs_value:
            yield _difference(
                Fit.IMPOSSIBLE,
                "exclude_needs_default",
                target,
                column,
                "is excluded, but the target needs a value for it in every new row",
                "Give it a DEFAULT at the target, or let it be NULL there.",
            )
        if target.unique_keys:
            yield _difference(
                Fit.IMPOSSIBLE,
                "exclude_with_unique_key",
                target,
                column,
                "is excluded, but the target's table has a secondary unique key "
                f"({target.unique_keys[0][0]}), for which changed rows are deleted and inserted "
                "again: the column would lose its value",
                "Keep the column in a table of its own, which no link carries, or make the index "
                "not unique at the target.",
            )


def _difference(
    fit: Fit,
    code: str,
    table: Table,
    column: Column,
    message: str,
    remedy: str,
    *,
    silent: bool = False,
) -> Difference:
    text = f"column {column.name} {message}"
    return Difference(fit, code, table.full_name, column.name, text, remedy, silent)
