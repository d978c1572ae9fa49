"""The SQL of a batch as pure text: stages, classification, writes.

Identifiers come from information_schema and are quoted; no value ever stands in a statement.
Every statement that writes a synced table carries the mark's comment right after its verb.

A table's changes lie in three temporary tables of the ledger's schema, which the binlog does not
see: `stage` (ordinal, delete or not, key columns k0…, the row wanted after: a0…), `before` (the
rows expected: b0…), and `verdict` (how each change met the target's row, and whether it won a
conflict). They are separate because MySQL cannot read a temporary table twice in one statement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dts_pipeline.core.column_sql import (
    TEXT_TYPES,
    column_name,
    quoted,
    readable,
    same_bytes,
    stage_type,
    table_name,
)
from dts_pipeline.core.conflicts import Meeting
from dts_pipeline.core.delta import Counters
from dts_pipeline.core.delta_statements import CounterStatements
from dts_pipeline.core.schema import Column, Dialect, Table
from dts_pipeline.core.stage_width import sorts, staged_types

__all__ = [
    "LEDGER_SCHEMA", "TableStatements", "quoted", "readable", "same_bytes", "stage_type",
    "table_name",
]  # fmt: skip

LEDGER_SCHEMA = "dts"
_TAKEN = f"(v.meeting = {Meeting.CLEAN.value} OR v.won)"
WRITTEN = f"(v.meeting = {Meeting.CLEAN.value} OR v.won OR v.adds)"


@dataclass(frozen=True)
class TableStatements:
    """Every statement of one table in one batch; `slot` keeps the tables of a batch apart.

    `compare_json` says that the two sites store JSON differently (MySQL normalises it, MariaDB
    keeps the text), so that JSON columns are compared by meaning. `locking` false only looks: for
    a preview, which writes nothing. `counters` names the columns that are added up. `clean`: every
    change was found as it was expected (`look`), so the writes need no verdicts.
    """

    table: Table
    dialect: Dialect
    slot: int
    mark_comment: str
    compare_json: bool = False
    version_column: str | None = None
    locking: bool = True
    counters: Counters | None = None
    clean: bool = False

    @property
    def stage(self) -> str:
        """The temporary table of keys and of rows wanted."""
        return f"`{LEDGER_SCHEMA}`.`stage_{self.slot}`"

    @property
    def before(self) -> str:
        """The temporary table of rows expected."""
        return f"`{LEDGER_SCHEMA}`.`before_{self.slot}`"

    @property
    def verdict(self) -> str:
        """The temporary table of verdicts."""
        return f"`{LEDGER_SCHEMA}`.`verdict_{self.slot}`"

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns that are staged and written."""
        return self.table.written_columns

    @property
    def key_columns(self) -> tuple[Column, ...]:
        """The primary key's columns in the index's order."""
        return tuple(self.table.column(name) for name in self.table.primary_key)

    def create(self) -> list[str]:
        """Drops what an earlier batch of the session left and makes the three tables anew."""
        names = (self.stage, self.before, self.verdict)
        drops = [f"DROP TEMPORARY TABLE IF EXISTS {name}" for name in names]
        keys = [f"k{i} {stage_type(c)}" for i, c in enumerate(self.key_columns)]
        types = staged_types(self.key_columns, self.columns)
        after = [f"a{i} {kind}" for i, kind in enumerate(types)]
        before = [f"b{i} {kind}" for i, kind in enumerate(types)]
        sums = self._counting.stage_columns() if self._counting else []
        head = "ord INT NOT NULL PRIMARY KEY"
        flags = "is_delete TINYINT NOT NULL, has_before TINYINT NOT NULL"
        verdict = (
            "meeting TINYINT NOT NULL, found TINYINT NOT NULL, newer TINYINT NOT NULL, "
            "won TINYINT NOT NULL DEFAULT 0, adds TINYINT NOT NULL"
        )
        return [
            *drops,
            _create(self.stage, [head, flags, *keys, *after, *sums]),
            _create(self.before, [head, *before]),
            _create(self.verdict, [head, verdict]),
        ]

    @property
    def stage_names(self) -> list[str]:
        """The stage's columns: ord, is_delete, has_before, key values, after values, sums."""
        keys = [f"k{i}" for i in range(len(self.key_columns))]
        after = [f"a{i}" for i in range(len(self.columns))]
        sums = self._counting.stage_names() if self._counting else []
        return ["ord", "is_delete", "has_before", *keys, *after, *sums]

    @property
    def before_names(self) -> list[str]:
        """The columns of the rows expected: ord, before values."""
        return ["ord", *(f"b{i}" for i in range(len(self.columns)))]

    def fill_stage(self) -> str:
        """The INSERT of stage rows, in the order of `stage_names`."""
        return f"INSERT INTO {self.stage} VALUES ({', '.join(['%s'] * len(self.stage_names))})"

    def fill_before(self) -> str:
        """The INSERT of the expected rows, in the order of `before_names`."""
        return f"INSERT INTO {self.before} VALUES ({', '.join(['%s'] * len(self.before_names))})"

    def equal_keys(self) -> str | None:
        """Finds keys that the server holds equal though they arrived different; None if none can.

        One row a group: the ordinals in order, joined by commas.
        """
        if not any(c.data_type in TEXT_TYPES for c in self.key_columns):
            return None
        keys = ", ".join(f"k{i}" for i in range(len(self.key_columns)))
        return (
            f"SELECT GROUP_CONCAT(ord ORDER BY ord) FROM {self.stage} "
            f"GROUP BY {keys} HAVING COUNT(*) > 1"
        )

    def look(self, detect: bool) -> str | None:
        """Locks the target's rows and counts, in one row: all changes; those whose row is not found
        as expected; deletes, updates and inserts due where there are none of the latter.

        Usually there are none, and verdicts one by one are not worth their time. None where the
        writes need verdicts all the same: counters, and unique values that may be in dispute.
        """
        if self._counting or self.replaces_rows:
            return None
        found = self.found
        meeting = self.meeting(found) if detect else str(Meeting.CLEAN.value)
        unexpected = f"{meeting} <> {Meeting.CLEAN.value} OR ({found}) <> s.has_before"
        counts = (
            unexpected,
            "s.is_delete",
            "NOT s.is_delete AND s.has_before",
            "NOT s.is_delete AND NOT s.has_before",
        )
        sums = ", ".join(f"COALESCE(SUM({count}), 0)" for count in counts)
        return f"SELECT STRAIGHT_JOIN COUNT(*), {sums} {self._met_rows}"

    def classify(self, detect: bool) -> str:
        """Locks the target's rows and says how each change meets them (`conflicts.Meeting`)."""
        found = self.found
        meeting = self.meeting(found) if detect else str(Meeting.CLEAN.value)
        adds = self._counting.adds(found) if self._counting and detect else "0"
        return (
            f"INSERT INTO {self.verdict} (ord, meeting, found, newer, adds) "
            f"SELECT STRAIGHT_JOIN s.ord, {meeting}, {found}, {self.newer()}, {adds} "
            f"{self._met_rows}"
        )

    @property
    def found(self) -> str:
        """Whether the join with the table `t` has found a row."""
        return f"t.{column_name(self.key_columns[0])} IS NOT NULL"

    @property
    def _met_rows(self) -> str:
        """Every staged change `s`, the row expected `b` and the target's row `t`, which is locked.

        Nothing may filter here: at READ COMMITTED the server lets go of what a condition drops.
        """
        return (
            f"FROM {self.stage} AS s "
            f"LEFT JOIN {self.before} AS b ON b.ord = s.ord "
            f"LEFT JOIN {table_name(self.table)} AS t ON {self.on_key()}"
            f"{' FOR UPDATE' if self.locking else ''}"
        )

    def verdicts(self) -> str:
        """The verdicts that are more than clean, or added: ord, meeting, found, newer, adds."""
        quiet = f"{Meeting.CLEAN.value}, {Meeting.COUNTED.value}"
        return (
            f"SELECT ord, meeting, found, newer, adds FROM {self.verdict} "
            f"WHERE meeting NOT IN ({quiet}) OR adds > 1 ORDER BY ord"
        )

    def found_rows(self) -> str:
        """The target's rows of the conflicts, in any order: ord, each column as text or hex."""
        columns = ", ".join(f"{readable(c, 't')} AS {quoted(c.name)}" for c in self.columns)
        return (
            f"SELECT STRAIGHT_JOIN s.ord AS ord, {columns} FROM {self.verdict} AS v "
            f"JOIN {self.stage} AS s ON s.ord = v.ord "
            f"JOIN {table_name(self.table)} AS t ON {self.on_key()} "
            f"WHERE v.meeting = {Meeting.CONFLICT.value} OR v.adds > 1"
        )

    def set_won(self) -> str:
        """Marks one conflict (ord) as won by the source."""
        return f"UPDATE {self.verdict} SET won = 1 WHERE ord = %s"

    def merge(self) -> str | None:
        """Makes staged rows whose counters are added what is to be written; None without any."""
        if self._counting is None:
            return None
        table = table_name(self.table)
        return self._counting.merge(self.stage, self.verdict, table, self.on_key(), _TAKEN)

    def expected_counts(self) -> str:
        """What the writes must report: deletes, updates, inserts."""
        return (
            f"SELECT COALESCE(SUM(s.is_delete AND v.found), 0), "
            f"COALESCE(SUM(NOT s.is_delete AND v.found), 0), "
            f"COALESCE(SUM(NOT s.is_delete AND NOT v.found), 0) "
            f"FROM {self.verdict} AS v JOIN {self.stage} AS s ON s.ord = v.ord WHERE {WRITTEN}"
        )

    @property
    def replaces_rows(self) -> bool:
        """Whether changed rows are deleted and inserted again.

        With a secondary unique key an UPDATE could meet a value that a later row of the same
        statement is about to give up.
        """
        return bool(self.table.unique_keys)

    def delete(self) -> str:
        """Deletes the rows to go; with a secondary unique key also those to be written anew."""
        which = [] if self.replaces_rows else ["s.is_delete"]
        return (
            f"DELETE {self.mark_comment} t FROM {self._written_rows} "
            f"STRAIGHT_JOIN {table_name(self.table)} AS t ON {self.on_key()} "
            f"WHERE {self._where('found', *which)}"
        )

    def update(self) -> str | None:
        """Updates the rows found; None where they are deleted and inserted instead."""
        if self.replaces_rows:
            return None
        assignments = ", ".join(f"t.{column_name(c)} = s.a{i}" for i, c in enumerate(self.columns))
        return (
            f"UPDATE {self.mark_comment} {self._written_rows} "
            f"STRAIGHT_JOIN {table_name(self.table)} AS t ON {self.on_key()} "
            f"SET {assignments} WHERE {self._where('found', 'NOT s.is_delete')}"
        )

    def insert(self) -> str:
        """Inserts the absent rows; a plain INSERT, so that a race fails aloud.

        In key order where the server can sort such rows.
        """
        names = ", ".join(column_name(c) for c in self.columns)
        values = ", ".join(f"s.a{i}" for i in range(len(self.columns)))
        keys = ", ".join(f"s.k{i}" for i in range(len(self.key_columns)))
        order = f" ORDER BY {keys}" if sorts(self.columns, self.dialect) else ""
        which = [] if self.replaces_rows else ["absent"]
        return (
            f"INSERT {self.mark_comment} INTO {table_name(self.table)} ({names}) "
            f"SELECT {values} FROM {self._written_rows} "
            f"WHERE {self._where('NOT s.is_delete', *which)}{order}"
        )

    @property
    def _written_rows(self) -> str:
        stage = f"{self.stage} AS s"
        return (
            stage if self.clean else f"{self.verdict} AS v STRAIGHT_JOIN {stage} ON s.ord = v.ord"
        )

    def _where(self, *conditions: str) -> str:
        """What is written and meets the conditions: `found`, `absent`, or as they stand."""
        found = "s.has_before" if self.clean else "v.found"
        spelled = {"found": found, "absent": f"NOT {found}"}
        parts = [spelled.get(condition, condition) for condition in conditions]
        return " AND ".join(parts if self.clean else [WRITTEN, *parts])

    def on_key(self) -> str:
        """The join of a stage `s` with the table `t` on the primary key, by its collation."""
        return " AND ".join(f"t.{column_name(c)} = s.k{i}" for i, c in enumerate(self.key_columns))

    def meeting(self, found: str) -> str:
        """The `conflicts.Meeting` of a staged change with the table's row, as an expression."""
        after = self.rows_equal("s.a")
        before = self.rows_equal("b.b")
        whole = (
            "CASE "
            f"WHEN s.is_delete AND NOT ({found}) THEN {Meeting.SAME.value} "
            f"WHEN NOT s.is_delete AND {found} AND {after} THEN {Meeting.SAME.value} "
            f"WHEN NOT s.has_before AND NOT ({found}) THEN {Meeting.CLEAN.value} "
            f"WHEN s.has_before AND {found} AND {before} THEN {Meeting.CLEAN.value} "
            f"ELSE {Meeting.CONFLICT.value} END"
        )
        return self._counting.meeting(found, whole) if self._counting else whole

    def rows_equal(self, staged: str) -> str:
        """Whether the table's row `t` holds the staged values (`s.a` or `b.b`), byte by byte."""
        return " AND ".join(self._equal(i, "t.", staged) for i in range(len(self.columns)))

    def _equal(self, index: int, left: str, right: str) -> str:
        """A column byte by byte in two of `t.`, `s.a` and `b.b`."""
        column = self.columns[index]
        names = [
            f"t.{column_name(column)}" if side == "t." else f"{side}{index}"
            for side in (left, right)
        ]
        return same_bytes(column, names[0], names[1], self.dialect, self.compare_json)

    @property
    def _counting(self) -> CounterStatements | None:
        return CounterStatements(self.table, self.counters, self._equal) if self.counters else None

    def newer(self) -> str:
        """1, 0 or -1: the staged row's version is later, equal or earlier than the table's."""
        if self.version_column is None:
            return "0"
        index = [c.name for c in self.columns].index(self.version_column)
        target, source = f"t.{column_name(self.columns[index])}", f"s.a{index}"
        return (
            f"CASE WHEN {source} <=> {target} THEN 0 WHEN {target} IS NULL THEN 1 "
            f"WHEN {source} > {target} THEN 1 ELSE -1 END"
        )


def _create(name: str, columns: Sequence[str]) -> str:
    return (
        f"CREATE TEMPORARY TABLE {name} ({', '.join(columns)}) "
        "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC"
    )
