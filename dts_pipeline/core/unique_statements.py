"""The SQL that finds unique values which the target holds under another key, beside `statements`.

It runs after the rows to be replaced are deleted: a row that still holds the value is not freed by
the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dts_pipeline.core.column_sql import column_name, readable, table_name
from dts_pipeline.core.conflicts import Meeting
from dts_pipeline.core.row_values import key_columns, transfer
from dts_pipeline.core.schema import Column
from dts_pipeline.core.statements import LEDGER_SCHEMA, WRITTEN, TableStatements, stage_type


@dataclass(frozen=True)
class UniqueStatements:
    """The statements of one table; `base` has its stages."""

    base: TableStatements

    def indexes(self) -> list[tuple[Column, ...]]:
        """The columns of each secondary unique key; not of one over generated columns."""
        written = {column.name: column for column in self.base.columns}
        return [
            tuple(written[name] for name in names)
            for _, names in self.base.table.unique_keys
            if all(name in written for name in names)
        ]

    def clashes(self, index: Sequence[Column]) -> str:
        """The rows in the way, locked: ord, newer, the key (transferable), all columns as text."""
        keys = [transfer(column, "t") for column in key_columns(self.base.table)]
        texts = [readable(column, "t") for column in self.base.columns]
        return (
            f"SELECT STRAIGHT_JOIN s.ord, {self.base.newer()}, {', '.join([*keys, *texts])} "
            f"FROM {self._joined(index)}{' FOR UPDATE' if self.base.locking else ''}"
        )

    @property
    def freed(self) -> str:
        """The temporary table of keys whose rows the batch takes away; for a preview only."""
        return f"`{LEDGER_SCHEMA}`.`freed_{self.base.slot}`"

    def create_freed(self) -> list[str]:
        """Makes it; a preview deletes nothing, so these rows still stand in the way."""
        keys = ", ".join(f"k{i} {stage_type(c)}" for i, c in enumerate(self.base.key_columns))
        drop = f"DROP TEMPORARY TABLE IF EXISTS {self.freed}"
        return [drop, f"CREATE TEMPORARY TABLE {self.freed} ({keys}) ENGINE=InnoDB"]

    def fill_freed(self) -> list[str]:
        """Fills it by the verdicts as they stand."""
        keys = ", ".join(f"s.k{i}" for i in range(len(self.base.key_columns)))
        found = (
            f"SELECT {keys} FROM {self.base.verdict} AS v "
            f"JOIN {self.base.stage} AS s ON s.ord = v.ord WHERE {WRITTEN} AND v.found"
        )
        return [f"DELETE FROM {self.freed}", f"INSERT INTO {self.freed} {found}"]

    def clashes_not_freed(self, index: Sequence[Column]) -> str:
        """As `clashes`, before anything is deleted."""
        same = " AND ".join(
            f"f.k{i} = t.{column_name(c)}" for i, c in enumerate(self.base.key_columns)
        )
        return f"{self.clashes(index)} AND NOT EXISTS (SELECT 1 FROM {self.freed} f WHERE {same})"

    def take_away(self, index: Sequence[Column]) -> str:
        """Deletes the rows in the way."""
        return f"DELETE {self.base.mark_comment} t FROM {self._joined(index)}"

    def twins(self, index: Sequence[Column]) -> str:
        """Staged rows that hold one value: the ordinals of those that kept the target's value.

        Only a row whose counters are added keeps what the target has in its other columns.
        """
        values = [f"s.a{self._place(column)}" for column in index]
        there = " AND ".join(f"{value} IS NOT NULL" for value in values)
        return (
            f"SELECT GROUP_CONCAT(IF(v.adds, s.ord, NULL)) FROM {self.base.verdict} AS v "
            f"JOIN {self.base.stage} AS s ON s.ord = v.ord "
            f"WHERE {WRITTEN} AND NOT s.is_delete AND {there} "
            f"GROUP BY {', '.join(values)} HAVING COUNT(*) > 1"
        )

    def set_lost(self) -> str:
        """Takes one change (ord) out of what is written."""
        return (
            f"UPDATE {self.base.verdict} SET meeting = {Meeting.CONFLICT.value}, won = 0, adds = 0 "
            "WHERE ord = %s"
        )

    def _joined(self, index: Sequence[Column]) -> str:
        value = " AND ".join(f"t.{column_name(c)} = s.a{self._place(c)}" for c in index)
        return (
            f"{self.base.verdict} AS v STRAIGHT_JOIN {self.base.stage} AS s ON s.ord = v.ord "
            f"STRAIGHT_JOIN {table_name(self.base.table)} AS t ON {value} "
            f"WHERE {WRITTEN} AND NOT s.is_delete AND NOT ({self.base.on_key()})"
        )

    def _place(self, column: Column) -> int:
        return self.base.columns.index(column)
