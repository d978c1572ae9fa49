"""The SQL by which apply carries out cascades that the source does not log; pure text.

Of each foreign key: `refs` holds the references that were set free, in steps (`cascades.waves`),
`hits` the target's rows that held one in the step under way. They are temporary tables of the
session, as are those of the child table (`cascade_children`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from dts_pipeline.core.cascade_children import OPTIONS, ChildStatements
from dts_pipeline.core.column_sql import (
    TEXT_TYPES,
    column_name,
    readable,
    stage_type,
    table_name,
)
from dts_pipeline.core.row_values import key_columns, transfer
from dts_pipeline.core.schema import Column, ForeignKey, Table
from dts_pipeline.core.statements import LEDGER_SCHEMA, TableStatements

_OWN_CHANGE = "(w.last_at >= 0 AND {0}.happened > GREATEST(w.mark_at, w.last_at))"
_TIMES = {"timestamp", "datetime"}


@dataclass(frozen=True)
class CascadeStatements:
    """The statements of one foreign key; `out` are the child's columns that others refer to."""

    edge: ForeignKey
    parent: Table
    child: ChildStatements
    number: int
    mark_comment: str
    out: tuple[str, ...] = ()

    @property
    def refs(self) -> str:
        """The temporary table of references that were set free."""
        return f"`{LEDGER_SCHEMA}`.`cascade_refs_{self.number}`"

    @property
    def hits(self) -> str:
        """The temporary table of the target's rows that held one."""
        return f"`{LEDGER_SCHEMA}`.`cascade_hits_{self.number}`"

    @property
    def names(self) -> str:
        """The temporary table of values old and new, to tell which are the same."""
        return f"`{LEDGER_SCHEMA}`.`cascade_names_{self.number}`"

    @property
    def is_unique(self) -> bool:
        """Whether two rows of the child may not hold the same reference."""
        keys = [set(names) for _, names in self.child.table.unique_keys]
        return any(set(self.edge.columns) & names for names in keys)

    def create(self) -> list[str]:
        """Makes all three anew."""
        old = [f"o{i} {kind}" for i, kind in enumerate(self._types())]
        new = [f"n{i} {kind}" for i, kind in enumerate(self._types())]
        values = [f"v{i} {kind}" for i, kind in enumerate(self._types())]
        keys = [f"k{i} {stage_type(c)}" for i, c in enumerate(key_columns(self.child.table))]
        index = ", ".join(f"o{i}" for i in range(len(old)))
        head = "happened BIGINT NOT NULL, gone TINYINT NOT NULL"
        return [
            *(
                f"DROP TEMPORARY TABLE IF EXISTS {name}"
                for name in (self.refs, self.hits, self.names)
            ),
            f"CREATE TEMPORARY TABLE {self.refs} (n INT NOT NULL PRIMARY KEY, wave INT NOT NULL, "
            f"{', '.join([head, *old, *new])}, KEY (wave), KEY ({index})) {OPTIONS}",
            f"CREATE TEMPORARY TABLE {self.hits} ({', '.join([head, *keys, *new])}) {OPTIONS}",
            f"CREATE TEMPORARY TABLE {self.names} ({', '.join(['id INT NOT NULL', *values])}) "
            f"{OPTIONS}",
        ]

    def fill_refs(self) -> list[str]:
        """Empties `refs`; then the INSERT of one: n, wave, happened, gone, old and new values."""
        width = 4 + 2 * len(self.edge.columns)
        insert = f"INSERT INTO {self.refs} VALUES ({', '.join(['%s'] * width)})"
        return [f"DELETE FROM {self.refs}", insert]

    def identities(self) -> list[str]:
        """Tells which values are the same to the server; the last gives id and the first like it.

        The id of an old value is 2n, that of a new one 2n + 1.
        """
        old, new, values = (self._listed(letter) for letter in "onv")
        return [
            f"DELETE FROM {self.names}",
            f"INSERT INTO {self.names} SELECT n * 2, {old} FROM {self.refs}",
            f"INSERT INTO {self.names} SELECT n * 2 + 1, {new} FROM {self.refs} "
            "WHERE n0 IS NOT NULL",
            f"SELECT id, MIN(id) OVER (PARTITION BY {values}) FROM {self.names}",
        ]

    def find(self) -> list[str]:
        """Locks the target's rows that hold a reference of a step (the parameter), into `hits`.

        The last statement takes out those whose state at that moment was not the target's.
        """
        keys = ", ".join(f"t.{column_name(c)}" for c in key_columns(self.child.table))
        new = ", ".join(f"r.n{i}" for i in range(len(self.edge.columns)))
        follows = "(w.mark_at < h.happened AND h.happened < w.first_at)"
        alone = "(NOT w.staged AND h.happened > GREATEST(w.mark_at, w.last_at))"
        return [
            f"DELETE FROM {self.hits}",
            f"INSERT INTO {self.hits} SELECT STRAIGHT_JOIN r.happened, r.gone, {keys}, {new} "
            f"FROM {self.refs} AS r JOIN {table_name(self.child.table)} AS t ON {self._held('t')} "
            "WHERE r.wave = %s FOR UPDATE",
            f"DELETE h FROM {self.hits} AS h JOIN {self.child.window} AS w "
            f"ON {self.child.same_key('w', 'h')} WHERE NOT ({follows} OR {alone})",
        ]

    def counts(self) -> str:
        """How many rows go, and how many are changed."""
        return f"SELECT COALESCE(SUM(gone), 0), COALESCE(SUM(NOT gone), 0) FROM {self.hits}"

    def found(self) -> str:
        """The rows: key (transferable), then every column as text."""
        keys = [transfer(c, "t") for c in key_columns(self.child.table)]
        texts = [readable(c, "t") for c in self.child.table.written_columns]
        return f"SELECT STRAIGHT_JOIN {', '.join([*keys, *texts])} FROM {self._rows()}"

    def freed(self) -> str:
        """What these rows set free: happened, gone, their `out` columns before and after."""
        old = [transfer(self.child.table.column(name), "t") for name in self.out]
        return self._freed(old, "h", self._rows())

    def delete(self) -> str:
        """Deletes the rows that go."""
        return f"DELETE {self.mark_comment} t FROM {self._rows()} WHERE h.gone"

    def update(self) -> str:
        """Changes the references of the others; the server's own cascade touches nothing else.

        Times are set to themselves, or ON UPDATE CURRENT_TIMESTAMP would change them.
        """
        own = [f"t.{name} = h.n{i}" for i, name in enumerate(self._referring())]
        times = [
            f"t.{column_name(c)} = t.{column_name(c)}"
            for c in self.child.table.written_columns
            if c.data_type in _TIMES and c.name not in self.edge.columns
        ]
        return (
            f"UPDATE {self.mark_comment} {self._rows()} "
            f"SET {', '.join([*own, *times])} WHERE NOT h.gone"
        )

    # -- what the batch itself brings -------------------------------------------------------------

    def fold(self) -> list[str]:
        """Makes a step (the parameter) part of the child's own changes that happened before it."""
        assert self.child.stage is not None
        base = self.child.stage
        names = [column.name for column in base.columns]
        places = [names.index(name) for name in self.edge.columns]
        holds = " AND ".join(f"r.o{i} = s.a{place}" for i, place in enumerate(places))
        which = (
            f"{base.stage} AS s STRAIGHT_JOIN {self.child.window} AS w "
            f"ON {self.child.same_key('w', 's')} STRAIGHT_JOIN {self.refs} AS r ON {holds}"
        )
        where = f"WHERE r.wave = %s AND NOT s.is_delete AND {_OWN_CHANGE.format('r')}"
        sums = [f"s.d{i} = NULL" for i in range(len(base.counters.columns) if base.counters else 0)]
        new = ", ".join(f"s.a{place} = r.n{i}" for i, place in enumerate(places))
        return [
            f"SELECT s.ord FROM {which} {where} AND r.gone",
            f"UPDATE {which} SET {', '.join(['s.is_delete = 1', *sums])} {where} AND r.gone",
            f"UPDATE {which} SET {new} {where} AND NOT r.gone",
        ]

    def held_freed(self) -> str:
        """As `freed`, of what events of the child held at that moment in a step (the parameter)."""
        names = list(self.child.held_names)
        columns = [(f"c{names.index(name)}", self.child.table.column(name)) for name in self.out]
        old = [transfer(replace(column, name=held, own=""), "t") for held, column in columns]
        return f"{self._freed(old, 'r', self._events())} {self._at_that_moment()}"

    def held_follows(self) -> str:
        """Makes what the events held follow a step (the parameter)."""
        names = list(self.child.held_names)
        new = ", ".join(
            f"t.c{names.index(name)} = IF(r.gone, t.c{names.index(name)}, r.n{i})"
            for i, name in enumerate(self.edge.columns)
        )
        gone = "t.until_at = IF(r.gone, r.happened, t.until_at)"
        return f"UPDATE {self._events()} SET {gone}, {new} {self._at_that_moment()}"

    # -- parts ------------------------------------------------------------------------------------

    def _types(self) -> list[str]:
        pairs = zip(self.edge.parent_columns, self.edge.columns, strict=True)
        return [
            _typed(self.parent.column(theirs), self.child.table.column(own))
            for theirs, own in pairs
        ]

    def _listed(self, letter: str) -> str:
        return ", ".join(f"{letter}{i}" for i in range(len(self.edge.columns)))

    def _held(self, alias: str) -> str:
        return " AND ".join(f"{alias}.{name} = r.o{i}" for i, name in enumerate(self._referring()))

    def _referring(self) -> list[str]:
        """The child's own names of the foreign key's columns, quoted."""
        return _names(self.child.table, self.edge.columns)

    def _rows(self) -> str:
        keys = " AND ".join(
            f"t.{column_name(c)} = h.k{i}" for i, c in enumerate(key_columns(self.child.table))
        )
        return f"{self.hits} AS h STRAIGHT_JOIN {table_name(self.child.table)} AS t ON {keys}"

    def _events(self) -> str:
        names = list(self.child.held_names)
        holds = " AND ".join(
            f"t.c{names.index(name)} = r.o{i}" for i, name in enumerate(self.edge.columns)
        )
        return f"{self.child.held} AS t STRAIGHT_JOIN {self.refs} AS r ON {holds}"

    @staticmethod
    def _at_that_moment() -> str:
        return "WHERE r.wave = %s AND r.happened > t.since AND r.happened < t.until_at"

    def _freed(self, old: Sequence[str], alias: str, tables: str) -> str:
        new = []
        for name, was in zip(self.out, old, strict=True):
            if name in self.edge.columns:
                i = self.edge.columns.index(name)
                theirs = self.parent.column(self.edge.parent_columns[i])
                new.append(transfer(replace(theirs, name=f"n{i}", own=""), alias))
            else:
                new.append(was)
        return (
            f"SELECT STRAIGHT_JOIN {alias}.happened, {alias}.gone, {', '.join([*old, *new])} "
            f"FROM {tables}"
        )


def rows_that_refer(edge: ForeignKey, parent: Table, child: Table, keys: str) -> str:
    """The keys (transferable) of the child's rows that refer to parents of the keys k0… in `keys`.

    A parent need not be there where its primary key is what is referred to.
    """
    own = [transfer(column, "t") for column in key_columns(child)]
    pairs = list(zip(_names(child, edge.columns), edge.parent_columns, strict=True))
    primary = list(parent.primary_key)
    if set(edge.parent_columns) <= set(primary):
        holds = [f"t.{c} = k.k{primary.index(p)}" for c, p in pairs]
        tables = f"{keys} AS k STRAIGHT_JOIN {table_name(child)} AS t ON {' AND '.join(holds)}"
    else:
        same = [f"p.{name} = k.k{i}" for i, name in enumerate(_names(parent, primary))]
        holds = [f"t.{c} = p.{column_name(parent.column(p))}" for c, p in pairs]
        tables = (
            f"{keys} AS k STRAIGHT_JOIN {table_name(parent)} AS p ON {' AND '.join(same)} "
            f"STRAIGHT_JOIN {table_name(child)} AS t ON {' AND '.join(holds)}"
        )
    return f"SELECT STRAIGHT_JOIN {', '.join(own)} FROM {tables}"


def rows_that_dangle(edge: ForeignKey, parent: Table, child: TableStatements) -> str:
    """The keys (transferable) of a batch's rows that refer to no row of the parent."""
    own = [transfer(column, "t") for column in key_columns(child.table)]
    names, theirs = _names(child.table, edge.columns), _names(parent, edge.parent_columns)
    pairs = zip(names, theirs, strict=True)
    same = " AND ".join(f"p.{referred} = t.{name}" for name, referred in pairs)
    refers = " AND ".join(f"t.{name} IS NOT NULL" for name in names)
    return (
        f"SELECT STRAIGHT_JOIN {', '.join(own)} FROM {child.stage} AS s "
        f"JOIN {table_name(child.table)} AS t ON {child.on_key()} "
        f"LEFT JOIN {table_name(parent)} AS p ON {same} "
        f"WHERE NOT s.is_delete AND {refers} AND p.{theirs[0]} IS NULL"
    )


def _names(table: Table, columns: Iterable[str]) -> list[str]:
    """The own names of a table's columns, quoted."""
    return [column_name(table.column(name)) for name in columns]


def _typed(theirs: Column, own: Column) -> str:
    """A reference's type: as wide as the parent's, compared as the child's."""
    if own.charset and theirs.data_type in TEXT_TYPES:
        return f"{theirs.column_type} CHARACTER SET {own.charset} COLLATE {own.collation} NULL"
    return stage_type(theirs)
