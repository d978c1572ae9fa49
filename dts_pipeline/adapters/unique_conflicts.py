"""Unique values that the two sites gave to different keys: the loser's row goes, recorded.

Looked for only once the server refuses an INSERT for a duplicate, so that it costs nothing
otherwise.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from pymysql.cursors import Cursor

from dts_pipeline.adapters.records import Record
from dts_pipeline.adapters.staging import StagedTable
from dts_pipeline.adapters.writes import write_rows
from dts_pipeline.core.conflicts import Kind, Winner, source_wins
from dts_pipeline.core.links import Link
from dts_pipeline.core.row_values import to_json
from dts_pipeline.core.unique_statements import UniqueStatements
from dts_pipeline.errors import TerminalError, TransientError

_COLUMNS = ["ord", "newer", "key", "row"]


def write_deciding_unique(
    cursor: Cursor, link: Link, staged: Sequence[StagedTable]
) -> list[Record]:
    """Writes the rows (`write_rows`), deciding unique values in dispute; the records of these.

    An incoming row that loses is not written: everything is taken back to the beginning, because
    its own old row stays, and with it values that others may have counted on. A row of the target
    that loses is deleted. Raises TerminalError `unique_conflict` under the policy `fail`, and what
    `write_rows` raises.
    """
    decisions = _Decisions(cursor, link)
    while True:
        cursor.execute("SAVEPOINT before_rows")
        try:
            write_rows(cursor, staged, decisions.make_room)
        except _StartOverError as again:
            cursor.execute("ROLLBACK TO SAVEPOINT before_rows")
            decisions.give_up(again)
        else:
            return decisions.records()


class _StartOverError(Exception):
    """Incoming rows of a table lose, by ordinal; not an error that anybody sees."""

    def __init__(self, table: StagedTable, lost: Sequence[int]) -> None:
        self.table = table
        self.lost = lost
        super().__init__()


@dataclass
class _Decisions:
    """What was decided; `lost` and `won` hold records by the change's or the row's place."""

    cursor: Cursor
    link: Link
    lost: list[Record] = field(default_factory=list)
    won: dict[str, list[Record]] = field(default_factory=lambda: defaultdict(list))

    def records(self) -> list[Record]:
        return [*self.lost, *(record for records in self.won.values() for record in records)]

    def make_room(self, staged: StagedTable) -> bool:
        """Deletes the rows in the way of a refused INSERT; False if there are none."""
        statements = UniqueStatements(staged.statements)
        self._refuse_twins(statements, staged)
        clashes = self._clashes(statements, staged)
        if clashes.empty:
            return False
        wins = self._source_wins(staged, clashes)
        losing = clashes[clashes["ord"].isin(clashes["ord"][~wins])]
        if len(losing):
            first = losing[~wins[losing.index]].drop_duplicates("ord")
            self.lost += _incoming(staged, first, Winner.TARGET)
            raise _StartOverError(staged, first["ord"].tolist())
        self._take_away(statements, staged, clashes)
        return True

    def give_up(self, again: _StartOverError) -> None:
        """Leaves the losers out of what is written next."""
        self.won.clear()
        statement = UniqueStatements(again.table.statements).set_lost()
        self.cursor.executemany(statement, [(ordinal,) for ordinal in again.lost])
        counts = again.table.counts
        counts["unique"] = counts.get("unique", 0) + len(again.lost)

    def _clashes(self, statements: UniqueStatements, staged: StagedTable) -> pd.DataFrame:
        """ord, newer, key (JSON) and row (text by column) of each row in the way."""
        table = staged.table
        names = [column.name for column in staged.statements.columns]
        width = len(table.primary_key)
        found = []
        for index in statements.indexes():
            self.cursor.execute(statements.clashes(index))
            for ordinal, newer, *values in self.cursor.fetchall():
                key = to_json(table.primary_key, values[:width])
                texts = zip(names, values[width:], strict=True)
                found.append((int(ordinal), int(newer), key, {n: _text(v) for n, v in texts}))
        return pd.DataFrame(found, columns=_COLUMNS)

    def _source_wins(self, staged: StagedTable, clashes: pd.DataFrame) -> Any:
        """A bool for each row in the way."""
        policy = self.link.policy_of(staged.table.full_name)
        if policy is None:  # `detect: false`: the target is overwritten
            return pd.Series(True, index=clashes.index)
        if policy.kind == "fail":
            raise TerminalError(
                "unique_conflict",
                f"{clashes['key'].nunique()} unique value(s) of this batch belong to other keys at "
                "the target, and the policy is `fail`",
                where={"link": self.link.name, "table": staged.table.full_name},
                remedy="Change one of the two rows, or choose another policy; the batch is tried "
                "again at the next run.",
            )
        wins = source_wins(
            policy,
            self.link.source,
            is_delete=np.zeros(len(clashes), dtype=np.bool_),
            found=np.ones(len(clashes), dtype=np.bool_),
            newer=clashes["newer"].to_numpy(dtype=np.int64),
        )
        return pd.Series(wins, index=clashes.index)

    def _refuse_twins(self, statements: UniqueStatements, staged: StagedTable) -> None:
        """Rows that kept the target's value although another incoming row has it.

        They are left out, so that they meet that row as what they are: a row of the target.
        """
        if staged.statements.counters is None:
            return
        kept: set[int] = set()
        for index in statements.indexes():
            self.cursor.execute(statements.twins(index))
            for (ordinals,) in self.cursor.fetchall():
                kept |= {int(o) for o in str(ordinals).split(",")} if ordinals else set()
        if kept:
            rows = pd.DataFrame({"ord": sorted(kept), "row": None})
            self.lost += _incoming(staged, rows, Winner.TARGET)
            raise _StartOverError(staged, sorted(kept))

    def _take_away(
        self, statements: UniqueStatements, staged: StagedTable, clashes: pd.DataFrame
    ) -> None:
        gone = clashes.drop_duplicates("key")
        deleted = sum(self.cursor.execute(statements.take_away(i)) for i in statements.indexes())
        if deleted > len(gone):
            raise TransientError(
                "unique_value_taken",
                "a user took a unique value of this batch between look and write",
                where={**staged.table.place},
                remedy="The batch is repeated by itself.",
            )
        if deleted < len(gone):
            raise TerminalError(
                "count_mismatch",
                f"a statement wrote {deleted} row(s) where {len(gone)} were due",
                where={**staged.table.place, "statement": "DELETE"},
                remedy="Look for triggers at the target; nothing was written.",
            )
        staged.logged += deleted
        name = staged.table.full_name
        self.won[name] += _incoming(staged, clashes.drop_duplicates("ord"), Winner.SOURCE)
        self.won[name] += [
            Record(name, key.encode(), Kind.UNIQUE_HOLDER, Winner.SOURCE, None, None, row)
            for key, row in zip(gone["key"], gone["row"], strict=True)
        ]
        staged.counts["unique"] = staged.counts.get("unique", 0) + len(gone)


def _incoming(staged: StagedTable, clashes: pd.DataFrame, decision: Winner) -> list[Record]:
    """The records of the incoming rows, with the row that held the value."""
    changes = staged.changes.iloc[clashes["ord"].to_numpy(dtype=np.int64)]
    rows = zip(changes["key"], changes["before"], changes["after"], clashes["row"], strict=True)
    return [
        Record(staged.table.full_name, key, Kind.UNIQUE, decision, before, after, found)
        for key, before, after, found in rows
    ]


def _text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else str(value)
