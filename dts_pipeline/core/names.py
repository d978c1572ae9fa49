"""What a site calls tables and columns: everything else has one name for each, the common one.

The common name is the one at a pair's first site, or at a one-way link's source. A site's own name
is met where SQL is made for it and where its topics and events are read, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from types import MappingProxyType

from dts_pipeline.core.column_names import AS_THEY_ARE as COLUMNS_AS_THEY_ARE
from dts_pipeline.core.column_names import ColumnNames
from dts_pipeline.core.table_patterns import overlap

_WHOLE = ".*"


@dataclass(frozen=True)
class Names:
    """One site's names: (common, own) of single tables, and of schemas for all their other tables.

    Single tables come first. One-to-one over the tables that have a name there (`own`);
    `renaming_problems` tells what cannot be. `columns` are of single tables, by their common names.
    """

    tables: tuple[tuple[str, str], ...] = ()
    schemas: tuple[tuple[str, str], ...] = ()
    columns: tuple[tuple[str, ColumnNames], ...] = ()

    @classmethod
    def of(
        cls,
        renames: Sequence[tuple[str, str]],
        columns: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    ) -> Names:
        """From (common, own), each `schema.table`, or `schema.*` for a whole schema.

        `columns`: table → a column's common name → its own.
        """
        unique = dict.fromkeys(renames)
        return cls(
            tuple(pair for pair in unique if not pair[0].endswith(_WHOLE)),
            tuple(
                (common.removesuffix(_WHOLE), own.removesuffix(_WHOLE))
                for common, own in unique
                if common.endswith(_WHOLE)
            ),
            tuple((table, ColumnNames(tuple(own.items()))) for table, own in columns.items()),
        )

    def __bool__(self) -> bool:
        """Whether any table's name differs."""
        return bool(self.tables or self.schemas)

    @cached_property
    def _own(self) -> tuple[dict[str, str], dict[str, str]]:
        return dict(self.tables), dict(self.schemas)

    @cached_property
    def _common(self) -> tuple[dict[str, str], dict[str, str]]:
        tables, schemas = self._own
        return {own: name for name, own in tables.items()}, {o: n for n, o in schemas.items()}

    def own(self, common: str) -> str:
        """What the site calls a table.

        A table that can have no name there, because a single other one has been given the name
        that its schema's would be, gets one that no server takes: its common one behind a dot.
        """
        single = self._own[0].get(common)
        own = single or self.by_schema(common)
        return f".{common}" if not single and own in self._common[0] else own

    @cached_property
    def _columns(self) -> dict[str, ColumnNames]:
        return dict(self.columns)

    def columns_of(self, table: str) -> ColumnNames:
        """What the site calls the columns of a table (its common name)."""
        return self._columns.get(table, COLUMNS_AS_THEY_ARE)

    def by_schema(self, common: str) -> str:
        """What the site calls a table of which its schema alone decides."""
        schema, _, table = common.partition(".")
        return f"{self._own[1].get(schema, schema)}.{table}"

    def common(self, own: str) -> str:
        """The common name of what the site calls so.

        A table that is not carried, because its name here is that of another one there, has a
        name that no pattern matches: its own behind a dot.
        """
        if not self:
            return own
        tables, schemas = self._common
        schema, _, table = own.partition(".")
        for name in (tables.get(own, ""), f"{schemas.get(schema, schema)}.{table}", own):
            if name and self.own(name) == own:
                return name
        return f".{own}"

    def patterns(self, patterns: Sequence[str]) -> tuple[str, ...]:
        """Patterns over the site's own names; they take at least what these take of common ones."""
        return tuple(dict.fromkeys(own for one in patterns for own in self._pattern(one)))

    def _pattern(self, pattern: str) -> Iterator[str]:
        schema, _, table = pattern.partition(".")
        tables, schemas = self._own
        if pattern not in tables:
            if schema not in schemas:
                yield pattern
            for common, own in schemas.items():
                if fnmatchcase(common, schema):
                    yield f"{own}.{table}"
        for common, own in tables.items():
            if fnmatchcase(common, pattern):
                yield own


AS_THEY_ARE = Names()
"""The names of a site that calls all tables and columns as everything else does."""


def renaming_problems(
    renames: Sequence[tuple[str, str]], tables: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """(key, problem) where renames are not one-to-one over the tables of the patterns.

    A wildcard may take tables that do not exist: only names that are spelled out are at odds.
    """
    names = Names.of(renames)
    for common, own in renames:
        others = [other for other, its_own in renames if its_own == own and other != common]
        whole = common.endswith(_WHOLE)
        if whole != own.endswith(_WHOLE):
            yield common, "a whole schema (`schema.*`) and a single table cannot stand for another"
        elif overlap([common], tables) is None:
            yield common, "names what `tables` does not carry"
        elif others:
            yield common, f"gives {own}, as {others[0]} does"
        elif whole and own != common and _stays(own, names, tables):
            yield common, f"gives {own}, whose tables are carried under that name already"
        elif taken := [] if whole else _named_so(own, names, tables):
            yield common, f"gives {own}, which is the name of {taken[0]} there"


def _stays(schema: str, names: Names, tables: Sequence[str]) -> bool:
    """Whether tables of a schema are carried that keep their names."""
    renamed = {f"{name}{_WHOLE}" for name, _ in names.schemas}
    return schema not in renamed and overlap([schema], tables) is not None


def _named_so(own: str, names: Names, tables: Sequence[str]) -> list[str]:
    """The listed tables that a site calls so for their schema."""
    single = dict(names.tables)
    return [table for table in tables if table not in single and names.by_schema(table) == own]
