"""What information_schema says of a table, as far as the pipeline needs it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum

from dts_pipeline.core.column_names import AS_THEY_ARE, ColumnNames


class Dialect(StrEnum):
    """The two kinds of server; they differ in marks, JSON and a few statements."""

    MARIADB = "mariadb"
    MYSQL = "mysql"


class AllBut(tuple[str, ...]):
    """All columns but these and the primary key's: `name in AllBut(…)` is false for these.

    Iterating gives the names that were spelled out.
    """

    __slots__ = ()

    def __contains__(self, name: object) -> bool:
        return not super().__contains__(name)


class Default(StrEnum):
    """What an INSERT that does not name the column gives it."""

    NONE = "none"  # nothing is stated: NULL, or the INSERT must name it
    LITERAL = "literal"  # a constant, which ADD COLUMN gives to the rows that are there
    NOW = "now"  # the time of the INSERT, or of ADD COLUMN: another value at each site
    COMPUTED = "computed"  # an expression


@dataclass(frozen=True)
class Column:
    """A column: `data_type` is the bare type (`int`), `column_type` the whole (`int(10) unsigned`).

    `is_json` is true for JSON on MySQL and for a LONGTEXT with a json_valid() check on MariaDB.
    `null_by_default` is true where it may be NULL and has no other default: ADD COLUMN then gave
    NULL to the rows that were there. `needs_value` is true where an INSERT must name the column.
    `preset` is the text of a LITERAL default, unquoted. `on_update` is true where the server sets a
    new time by itself.
    `excluded` is dts.yaml's: each site keeps its own values, and the other's are not looked at.
    `name` is the common one, `own` what its site calls it, empty where that is the same.
    """

    name: str
    data_type: str
    column_type: str
    nullable: bool = True
    charset: str | None = None
    collation: str | None = None
    generated: bool = False
    auto_increment: bool = False
    is_json: bool = False
    null_by_default: bool = False
    needs_value: bool = False
    default: Default = Default.NONE
    preset: str = ""
    on_update: bool = False
    excluded: bool = False
    own: str = ""

    @property
    def own_name(self) -> str:
        """What its site calls it."""
        return self.own or self.name

    @property
    def unsigned(self) -> bool:
        """Whether the type is an unsigned number."""
        return "unsigned" in self.column_type

    @property
    def scale(self) -> int:
        """Digits after the point of a DECIMAL; 0 where the type names none."""
        inside = self.column_type.partition("(")[2].partition(")")[0]
        return int(inside.split(",")[1]) if "," in inside and self.data_type == "decimal" else 0


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key: `columns` of `child` hold what `parent_columns` of `parent` hold, in order.

    Tables as `schema.table`. The actions are information_schema's: CASCADE, SET NULL, RESTRICT,
    NO ACTION, SET DEFAULT.
    """

    name: str
    child: str
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    on_delete: str
    on_update: str

    @property
    def actions(self) -> frozenset[str]:
        """What the server does to the child's rows by itself; empty if it only forbids."""
        return frozenset({self.on_delete, self.on_update}) - {"RESTRICT", "NO ACTION"}


@dataclass(frozen=True)
class Table:
    """A table: columns in order, primary key, the secondary unique keys and the foreign keys.

    `unique_keys` maps each secondary unique index to its columns. `foreign_keys` are those of this
    table's own columns. `reads_older` of the source's table tells that it is known to be as it was
    when its events were read or newer, so that events with other columns are from before an ALTER;
    with `fills_presets` (`ddl: additive`) also if they lack a column that has a constant default.
    `schema` and `name` are what its site calls it; `common` is what everything else does, empty
    where that is the same (`core/names.py`). Columns go by their common names everywhere in it;
    `column_names` tells what its site calls them, also of those that it lacks.
    """

    schema: str
    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    unique_keys: tuple[tuple[str, tuple[str, ...]], ...] = ()
    engine: str = "InnoDB"
    foreign_keys: tuple[ForeignKey, ...] = ()
    reads_older: bool = False
    fills_presets: bool = False
    common: str = ""
    column_names: ColumnNames = AS_THEY_ARE

    @property
    def full_name(self) -> str:
        """`schema.table` as dts.yaml spells it: the common name."""
        return self.common or self.own_name

    @property
    def own_name(self) -> str:
        """`schema.table` as its site calls it."""
        return f"{self.schema}.{self.name}"

    @property
    def place(self) -> dict[str, str]:
        """Where an error of its site's SQL was: its names."""
        return {"table": self.full_name, **({"called": self.own_name} if self.common else {})}

    def called(self, own_name: str) -> Table:
        """The table as a site that calls it so would have it."""
        schema, _, name = own_name.partition(".")
        return replace(self, schema=schema, name=name, common=self.full_name)

    def under_common_names(self, names: ColumnNames) -> Table:
        """The table of a site that calls its columns so; foreign keys have the common names."""
        if not names:
            return self
        common = {column.name: names.common(column.name) for column in self.columns}
        return replace(
            self,
            columns=tuple(
                c if common[c.name] == c.name else replace(c, name=common[c.name], own=c.name)
                for c in self.columns
            ),
            primary_key=tuple(common[name] for name in self.primary_key),
            unique_keys=tuple(
                (index, tuple(common.get(name, name) for name in columns))
                for index, columns in self.unique_keys
            ),
            column_names=names,
        )

    @property
    def written_columns(self) -> tuple[Column, ...]:
        """The columns that are synced: all but the generated and the excluded ones."""
        return tuple(c for c in self.columns if not c.generated and not c.excluded)

    def excluding(self, names: Collection[str]) -> Table:
        """The table with its columns of these names excluded."""
        if not names:
            return self
        stay = self.primary_key if isinstance(names, AllBut) else ()
        columns = (
            replace(c, excluded=True) if c.name in names and c.name not in stay else c
            for c in self.columns
        )
        return replace(self, columns=tuple(columns))

    def column(self, name: str) -> Column:
        """The column of that name; KeyError if there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)
