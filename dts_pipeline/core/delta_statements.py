"""The SQL of counters, beside that of `statements`: `delta.meet` and `delta.merge` on whole tables.

A stage of a table with counters has a column more for each, d0…: what is added to it. They are
NULL for a change that is carried as a whole row. One more, `crossed`, is that of `delta.compact`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dts_pipeline.core.column_sql import column_name
from dts_pipeline.core.conflicts import Meeting
from dts_pipeline.core.counter_columns import limits
from dts_pipeline.core.delta import Counters
from dts_pipeline.core.schema import Table

Equal = Callable[[int, str, str], str]
"""Whether the column of that index is the same byte by byte in two aliases, as an expression."""


@dataclass(frozen=True)
class CounterStatements:
    """The expressions of one table; aliases s, b, t and v as in `TableStatements`."""

    table: Table
    counters: Counters
    equal: Equal

    def stage_columns(self) -> list[str]:
        """The definitions of d0…, wide enough for any sum of the column's values, and `crossed`."""
        columns = [self.table.column(name) for name in self.counters.columns]
        sums = [f"d{i} DECIMAL(65, {c.scale}) NULL" for i, c in enumerate(columns)]
        return [*sums, "crossed TINYINT NOT NULL"]

    def stage_names(self) -> list[str]:
        """The names of `stage_columns`."""
        return [*(f"d{i}" for i in range(len(self.counters.columns))), "crossed"]

    def meeting(self, found: str, whole: str) -> str:
        """`Meeting` of a change; `whole` is the expression for one that is carried as a row."""
        return (
            f"CASE WHEN s.d0 IS NULL THEN ({whole}) "
            f"WHEN NOT ({found}) OR NOT {self._fits()} THEN {Meeting.CONFLICT.value} "
            f"WHEN {self._untouched()} THEN {Meeting.CLEAN.value} "
            f"WHEN {self._others('b.b', 's.a')} THEN {Meeting.COUNTED.value} "
            f"WHEN {self._others('t.', 's.a')} THEN {Meeting.SAME.value} "
            f"WHEN {self._others('t.', 'b.b')} THEN {Meeting.CLEAN.value} "
            f"ELSE {Meeting.CONFLICT.value} END"
        )

    def adds(self, found: str) -> str:
        """Whether the sums are added: 0 no, 1 yes, 2 yes, and a version may have gone back."""
        back = " OR ".join(
            f"s.crossed OR COALESCE(s.a{i} < b.b{i}, s.a{i} IS NULL AND b.b{i} IS NOT NULL)"
            for i in map(self._index, self.counters.versions)
        )
        return (
            f"CASE WHEN s.d0 IS NULL OR NOT ({found}) OR NOT {self._fits()} "
            f"OR {self._untouched()} THEN 0 WHEN {back or 'FALSE'} THEN 2 ELSE 1 END"
        )

    def merge(self, stage: str, verdict: str, target: str, on_key: str, takes: str) -> str:
        """Makes the staged rows of added changes what is to be written; `takes` as in `v`."""
        assignments = []
        for i, column in enumerate(self.table.written_columns):
            name, mine, theirs = column.name, f"s.a{i}", f"t.{column_name(column)}"
            if name in self.counters.columns:
                value = f"{theirs} + s.d{self.counters.columns.index(name)}"
            elif name in self.counters.versions:
                value = f"COALESCE(GREATEST({mine}, {theirs}), {mine}, {theirs})"
            else:
                value = f"IF({takes}, {mine}, {theirs})"
            assignments.append(f"{mine} = {value}")
        return (
            f"UPDATE {verdict} AS v STRAIGHT_JOIN {stage} AS s ON s.ord = v.ord "
            f"STRAIGHT_JOIN {target} AS t ON {on_key} SET {', '.join(assignments)} WHERE v.adds"
        )

    def _fits(self) -> str:
        """Whether every counter takes its new value; not, if it is NULL."""
        ranges = []
        for i, name in enumerate(self.counters.columns):
            column = self.table.column(name)
            smallest, largest = limits(column)
            ranges.append(f"(t.{column_name(column)} + s.d{i} BETWEEN {smallest} AND {largest})")
        return f"COALESCE({' AND '.join(ranges)}, FALSE)"

    def _untouched(self) -> str:
        """Whether the target has the row before, and the sums lead to the row after."""
        rows = [self.equal(i, "t.", "b.b") for i in range(len(self.table.written_columns))]
        sums = [
            f"b.b{self._index(n)} + s.d{i} <=> s.a{self._index(n)}" for i, n in self._numbered()
        ]
        return "(" + " AND ".join([*rows, *sums]) + ")"

    def _others(self, left: str, right: str) -> str:
        names = [column.name for column in self.table.written_columns]
        others = [self.equal(self._index(n), left, right) for n in self.counters.others(names)]
        return "(" + " AND ".join(others) + ")"

    def _numbered(self) -> list[tuple[int, str]]:
        return list(enumerate(self.counters.columns))

    def _index(self, name: str) -> int:
        return [column.name for column in self.table.written_columns].index(name)
