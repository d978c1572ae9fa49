"""Fills the temporary tables of a batch, and finds the event whose value does not fit."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Any

import pandas as pd
import pymysql
from pymysql.cursors import Cursor

from dts_pipeline.adapters.bulk_load import load
from dts_pipeline.adapters.direct_inserts import DirectInserts
from dts_pipeline.adapters.enum_errors import set_errors
from dts_pipeline.adapters.packets import PACKET_TOO_LARGE, too_large
from dts_pipeline.adapters.quarantine import LeftOut, left_out
from dts_pipeline.core.decode import DecodedRows, ValueDecodeError, ValueModes, decode_rows
from dts_pipeline.core.delta import digits_of
from dts_pipeline.core.schema import Table
from dts_pipeline.core.statements import TableStatements
from dts_pipeline.core.undecodable import find_undecodable
from dts_pipeline.errors import PoisonError, TerminalError

# A value that the column does not take: NULL, out of range, truncated, wrong text, too long,
# invalid JSON or geometry (server manuals, "Error reference").
DATA_ERRORS = {1048, 1264, 1265, 1292, 1366, 1367, 1406, 1411, 1416, 3140, 3141, 3854, 4025, 4078}
_COLUMN = re.compile(r"[Cc]olumn[: ]+'?(?:`?\w+`?\.)*`?([ab])(\d+)`?'?")


@dataclass
class StagedTable:
    """A table's changes on their way, in the order of their ordinals 0, 1, 2 …

    `source` is the table as it is at the source, which gives values their meaning. `left_out`
    holds the changes that go into quarantine instead. `loads`: LOAD DATA LOCAL may be tried.
    `logged` is how many row events the writes of the table leave in the binlog, `taken_out` how
    many changes a cascade took out of the stage, because the row came and went within the batch.
    `due`: the deletes, updates and inserts of a table all of whose changes are clean. `direct`:
    they are inserts that take no stage.
    """

    statements: TableStatements
    source: Table
    changes: pd.DataFrame
    loads: bool = False
    counts: dict[str, int] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)
    logged: int = 0
    taken_out: int = 0
    due: tuple[int, int, int] | None = None
    direct: DirectInserts | None = None

    @property
    def table(self) -> Table:
        """The table as it is at the target."""
        return self.statements.table


def fill(
    cursor: Cursor,
    staged: StagedTable,
    modes: ValueModes,
    detect: bool,
    may_leave_out: bool = False,
) -> None:
    """Creates and fills the stages of one table, merging keys that the server holds equal.

    Raises PoisonError with the place of the event whose value cannot be decoded or stored; or, if
    it may leave changes out, moves them all to `left_out`.
    """
    while found := _fill(cursor, staged, modes, detect, may_leave_out):
        bad = sorted(found)
        staged.left_out += [left_out(staged.changes.iloc[row], found[row].code) for row in bad]
        staged.changes = staged.changes.drop(index=bad).reset_index(drop=True)


def _fill(
    cursor: Cursor, staged: StagedTable, modes: ValueModes, detect: bool, look_on: bool
) -> dict[int, PoisonError]:
    """Fills the stages; or the rows that cannot be, all of them if it looks on."""
    if look_on:
        undecodable = {
            row: error
            for side in ("after", "before")
            for row, error in find_undecodable(
                list(staged.changes[side]), staged.table, modes, staged.source
            ).items()
        }
        if undecodable:
            return dict(undecodable)
    for statement in staged.statements.create():
        cursor.execute(statement)
    rows = _rows(staged, modes)
    for part in (rows.stage, rows.before) if detect else (rows.stage,):
        refused = _put(cursor, staged, part)
        if refused and not look_on:
            raise refused[min(refused)]
        if refused:
            return refused
    _set_enum_errors(cursor, staged, rows, detect)
    _merge_equal_keys(cursor, staged, modes, detect)
    return {}


@dataclass(frozen=True)
class _Part:
    """What goes into one stage, by column."""

    table: str
    insert: str
    names: list[str]
    columns: list[list[Any]]


@dataclass(frozen=True)
class _Rows:
    """The parameters of both stages; `errors` maps a stage's column to the ordinals that hold
    ENUM's error value, which no parameter can say.
    """

    stage: _Part
    before: _Part
    errors: dict[str, list[int]]


def _rows(staged: StagedTable, modes: ValueModes) -> _Rows:
    """Built column by column."""
    changes, statements = staged.changes, staged.statements
    decoded = {side: _decode(staged, list(changes[side]), modes) for side in ("after", "before")}
    after, before = decoded["after"].columns, decoded["before"].columns
    gone = changes["after"].isna().to_numpy()
    has_before = changes["before"].notna().to_numpy()
    keys = [
        [
            b if absent else a
            for a, b, absent in zip(after[c.name], before[c.name], gone, strict=True)
        ]
        for c in statements.key_columns
    ]
    names = [c.name for c in statements.columns]
    ordinals = list(range(len(changes)))
    flags = [gone.astype(int).tolist(), has_before.astype(int).tolist()]
    wanted = [ordinals, *flags, *keys, *(after[name] for name in names), *_sums(staged)]
    there = has_before.tolist()
    expected = [list(compress(c, there)) for c in (ordinals, *(before[name] for name in names))]
    return _Rows(
        _Part(statements.stage, statements.fill_stage(), statements.stage_names, wanted),
        _Part(statements.before, statements.fill_before(), statements.before_names, expected),
        _enum_errors(staged, decoded, gone.tolist()),
    )


def _enum_errors(
    staged: StagedTable, decoded: Mapping[str, DecodedRows], gone: Sequence[bool]
) -> dict[str, list[int]]:
    statements, errors = staged.statements, {}
    names = [column.name for column in statements.columns]
    for letter, side in (("a", "after"), ("b", "before")):
        for name, rows in decoded[side].empty_enums.items():
            errors[f"{letter}{names.index(name)}"] = rows
            if name in staged.table.primary_key:
                key = f"k{staged.table.primary_key.index(name)}"
                mine = [row for row in rows if gone[row] == (side == "before")]
                errors[key] = errors.get(key, []) + mine
    return errors


def _set_enum_errors(cursor: Cursor, staged: StagedTable, rows: _Rows, detect: bool) -> None:
    """Puts ENUM's error value in place of the labels that stood in for it."""
    for column, ordinals in rows.errors.items():
        stage = staged.statements.before if column[0] == "b" else staged.statements.stage
        if detect or column[0] != "b":
            set_errors(cursor, stage, {column: ordinals})


def _sums(staged: StagedTable) -> list[list[Any]]:
    """What is added to each counter, as plain digits, None for a whole row; then `crossed`."""
    counters = staged.statements.counters
    if counters is None:
        return []
    sums = staged.changes["sums"].tolist() if "sums" in staged.changes else []
    sums = sums or [None] * len(staged.changes)
    crossed = staged.changes["crossed"].tolist() if "crossed" in staged.changes else []
    crossed = crossed or [False] * len(staged.changes)
    scales = [staged.source.column(name).scale for name in counters.columns]
    return [
        [digits_of(added[i], scale) if added is not None else None for added in sums]
        for i, scale in enumerate(scales)
    ] + [[int(bool(flag)) for flag in crossed]]


def _decode(staged: StagedTable, rows: Sequence[bytes | None], modes: ValueModes) -> DecodedRows:
    try:
        return decode_rows(rows, staged.table, modes, source=staged.source, empty_enums=True)
    except ValueDecodeError as error:
        change = staged.changes.iloc[error.row]
        raise error.at(change["topic"], int(change["partition"]), int(change["offset"])) from None


def _put(cursor: Cursor, staged: StagedTable, part: _Part) -> dict[int, PoisonError]:
    """Fills an empty stage; what the server refuses, by ordinal. Then nothing is in it.

    What LOAD DATA does not take without a word is inserted: only an INSERT tells errors apart.
    """
    if not part.columns[0]:
        return {}
    if staged.loads:
        if load(cursor, part.table, part.names, part.columns):
            return {}
        cursor.execute(f"DELETE FROM {part.table}")
    return _insert(cursor, staged, part.insert, list(zip(*part.columns, strict=True)))


def _insert(
    cursor: Cursor, staged: StagedTable, statement: str, rows: Sequence[tuple[Any, ...]]
) -> dict[int, PoisonError]:
    """Inserts the rows; what the server refuses of them, by ordinal. Then nothing is inserted."""
    try:
        cursor.executemany(statement, rows)
    except (pymysql.DataError, pymysql.OperationalError, pymysql.IntegrityError) as error:
        if error.args[0] not in DATA_ERRORS:
            raise
        cursor.connection.rollback()
        return _find_poison(cursor, staged, statement, rows)
    except TerminalError as error:
        ordinals = [row[0] for row in too_large(cursor, statement, rows)]
        if error.code != PACKET_TOO_LARGE or not ordinals:
            raise
        cursor.connection.rollback()
        return {ordinal: _too_large(staged, ordinal, error) for ordinal in ordinals}
    return {}


def _find_poison(
    cursor: Cursor, staged: StagedTable, statement: str, rows: Sequence[tuple[Any, ...]]
) -> dict[int, PoisonError]:
    """Halves the rows until those are left that the server does not take."""
    refused = _try(cursor, statement, rows)
    if refused is None:
        return {}
    if len(rows) == 1:
        return {rows[0][0]: _poison(staged, rows[0][0], refused, "value_refused")}
    half = len(rows) // 2
    return _find_poison(cursor, staged, statement, rows[:half]) | _find_poison(
        cursor, staged, statement, rows[half:]
    )


def _try(cursor: Cursor, statement: str, rows: Sequence[tuple[Any, ...]]) -> str | None:
    """None if the server takes the rows, else the name of the column it complains of, or ''."""
    try:
        cursor.executemany(statement, rows)
    except pymysql.MySQLError as error:
        match = _COLUMN.search(str(error.args[1]) if len(error.args) > 1 else "")
        return match[2] if match else ""
    finally:
        cursor.connection.rollback()
    return None


def _too_large(staged: StagedTable, row: int, error: TerminalError) -> PoisonError:
    place = {**_place(staged, row), **error.where}
    return PoisonError(error.code, error.message, where=place, remedy=error.remedy)


def _poison(staged: StagedTable, row: int, column: str, code: str) -> PoisonError:
    name = staged.statements.columns[int(column)].name if column.isdigit() else column
    return PoisonError(
        code,
        "a value does not fit the target's column",
        where={**_place(staged, row), "column": name or "?"},
        remedy="Make the target's column as wide as the source's, or mend the row at the source; "
        "nothing of the batch was written.",
    )


def _place(staged: StagedTable, row: int) -> dict[str, object]:
    change = staged.changes.iloc[row]
    place = {name: change[name] for name in ("topic", "partition", "offset")}
    return {**place, **staged.table.place}


def _merge_equal_keys(cursor: Cursor, staged: StagedTable, modes: ValueModes, detect: bool) -> None:
    """Makes one change of those whose keys are the same row to the server's collation.

    The keys `a` and `A` arrive as two keys. Their changes are put together in order: before of
    the first, after of the last.
    """
    question = staged.statements.equal_keys()
    if question is None:
        return
    cursor.execute("SET SESSION group_concat_max_len = 1048576")
    cursor.execute(question)
    groups = [[int(o) for o in str(row[0]).split(",")] for row in cursor.fetchall()]
    if not groups:
        return
    changes = staged.changes
    dropped: list[int] = []
    for ordinals in groups:
        last = ordinals[-1]
        for column in ("before", "snapshot"):
            changes.loc[last, column] = changes[column].iloc[ordinals[0]]
        if "sums" in changes:
            changes.at[last, "sums"] = None  # another spelling is another row in between
        dropped += ordinals[:-1]
    both_absent = changes["before"].isna() & changes["after"].isna()
    staged.changes = changes[~both_absent].drop(dropped, errors="ignore").reset_index(drop=True)
    for statement in staged.statements.create():
        cursor.execute(statement)
    rows = _rows(staged, modes)
    _put(cursor, staged, rows.stage)
    if detect:
        _put(cursor, staged, rows.before)
    _set_enum_errors(cursor, staged, rows, detect)
