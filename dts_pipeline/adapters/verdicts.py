"""Meets the changes of a batch with the target's rows, decides conflicts, gives their records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pymysql.cursors import Cursor

from dts_pipeline.adapters.apply_request import ApplyRequest
from dts_pipeline.adapters.records import Record
from dts_pipeline.adapters.staging import StagedTable
from dts_pipeline.core.conflicts import Kind, Meeting, Winner, kind_of, source_wins
from dts_pipeline.errors import TerminalError


def meet(cursor: Cursor, request: ApplyRequest, staged: StagedTable) -> list[Record]:
    """As `classify`, with one look at all changes first: most often each finds its row as expected.

    Then `staged` has what is due, its statements do without verdicts, and there is no record.
    """
    if staged.direct is not None:  # its write is the look
        staged.due = (0, 0, len(staged.changes))
    else:
        look = staged.statements.look(request.link.detect)
        if look is None:
            return classify(cursor, request, staged)
        cursor.execute(look)
        met, unexpected, *due = (int(number) for number in cursor.fetchone() or (0, 1))
        if unexpected:
            return classify(cursor, request, staged)
        _refuse_lost(met, staged)
        deletes, updates, inserts = due
        staged.due = (deletes, updates, inserts)
    staged.statements = replace(staged.statements, clean=True)
    if request.link.detect:
        staged.counts |= {"same": 0, "conflicts": 0}
    return []


def classify(cursor: Cursor, request: ApplyRequest, staged: StagedTable) -> list[Record]:
    """Locks the target's rows and settles what is written; the records of rules R1 and R3.

    Raises TerminalError `conflict` under the policy `fail`, `count_mismatch` if a stage does not
    hold just the changes: a change that is not met would be lost.
    """
    _refuse_lost(cursor.execute(staged.statements.classify(request.link.detect)), staged)
    if not request.link.detect:
        return []
    cursor.execute(staged.statements.verdicts())
    names = ["ord", "meeting", "found", "newer", "adds"]
    verdicts = pd.DataFrame(list(cursor.fetchall()), columns=names)
    same = verdicts[verdicts["meeting"] == Meeting.SAME.value]
    conflicts = verdicts[verdicts["meeting"] == Meeting.CONFLICT.value]
    staged.counts |= {"same": len(same), "conflicts": len(conflicts)}
    records = []
    if request.link.pair:
        versioned = request.link.version_column_of(staged.table.full_name) is not None
        # A version says nothing of the other columns of a row whose counters are added.
        records += _same_records(staged, same[same["adds"] > 0] if versioned else same)
    if len(conflicts):
        records += _decide(cursor, request, staged, conflicts)
    quiet = verdicts["meeting"].isin([Meeting.CLEAN.value, Meeting.COUNTED.value])
    return records + _went_back(cursor, staged, verdicts[quiet])


def _refuse_lost(met: int, staged: StagedTable) -> None:
    """A change that is not met would be lost."""
    due = len(staged.changes) - staged.taken_out
    if met != due:
        raise TerminalError(
            "count_mismatch",
            f"{met} staged row(s) were found where {due} change(s) were due",
            where={**staged.table.place, "statement": "stage"},
            remedy="Nothing was written. Please report this with the tables' definitions.",
        )


def superseded(request: ApplyRequest) -> list[Record]:
    """Rule R2: user changes that a marked event of their key overtook."""
    rows = request.batch.superseded
    if rows is None or request.link.pair is None:
        return []
    return [
        Record(table, key, Kind.SUPERSEDED, Winner.NONE, before, after)
        for table, key, before, after in _values(rows, "table", "key", "before", "after")
    ]


def _decide(
    cursor: Cursor, request: ApplyRequest, staged: StagedTable, conflicts: pd.DataFrame
) -> list[Record]:
    policy = request.link.policy_of(staged.table.full_name)
    if policy is None or policy.kind == "fail":
        raise TerminalError(
            "conflict",
            f"{len(conflicts)} row(s) were changed at both sites and the policy is `fail`",
            where={"link": request.link.name, "table": staged.table.full_name},
            remedy="Make the rows equal by hand or choose another policy.",
        )
    ordinals = conflicts["ord"].to_numpy()
    changes = staged.changes.iloc[ordinals]
    found = conflicts["found"].to_numpy(dtype=np.bool_)
    wins = source_wins(
        policy,
        request.link.source,
        is_delete=changes["after"].isna().to_numpy(),
        found=found,
        newer=conflicts["newer"].to_numpy(dtype=np.int64),
    )
    won = [(int(ordinal),) for ordinal in ordinals[wins]]
    if won:
        cursor.executemany(staged.statements.set_won(), won)
    staged.counts["lost"] = len(ordinals) - len(won)
    there = _found_rows(cursor, staged)
    unfit = _counted(changes) & found & (conflicts["adds"] == 0).to_numpy()
    rows = _values(changes, "key", "before", "after")
    decided = zip(rows, ordinals, found, wins, unfit, strict=True)
    return [
        Record(
            staged.table.full_name,
            key,
            Kind.COUNTER if counter else kind_of(after is None, before is not None, bool(is_found)),
            Winner.SOURCE if win else Winner.TARGET,
            before,
            after,
            there.get(int(ordinal)),
        )
        for (key, before, after), ordinal, is_found, win, counter in decided
    ]


def _same_records(staged: StagedTable, same: pd.DataFrame) -> list[Record]:
    """Rule R1: that the target is equal already proves nothing; snapshot rows are excepted."""
    changes = staged.changes.iloc[same["ord"].to_numpy()]
    streamed = changes[~changes["snapshot"].astype(bool)]
    return [
        Record(staged.table.full_name, key, Kind.SAME, Winner.NONE, before, after)
        for key, before, after in _values(streamed, "key", "before", "after")
    ]


def _went_back(cursor: Cursor, staged: StagedTable, added: pd.DataFrame) -> list[Record]:
    """Counters added although a version went back: the larger one need not be so at both sites."""
    if added.empty:
        return []
    ordinals = added["ord"].to_numpy()
    there = _found_rows(cursor, staged)
    rows = _values(staged.changes.iloc[ordinals], "key", "before", "after")
    return [
        Record(staged.table.full_name, key, Kind.COUNTER, Winner.NONE, before, after, there[int(o)])
        for (key, before, after), o in zip(rows, ordinals, strict=True)
    ]


def _counted(changes: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Which changes have sums to add."""
    if "sums" not in changes:
        return np.zeros(len(changes), dtype=np.bool_)
    return changes["sums"].notna().to_numpy(dtype=np.bool_)


def _values(frame: pd.DataFrame, *columns: str) -> Iterator[tuple[Any, ...]]:
    return zip(*(frame[column].tolist() for column in columns), strict=True)


def _found_rows(cursor: Cursor, staged: StagedTable) -> dict[int, dict[str, Any]]:
    """The target's rows of the conflicts as text, by ordinal."""
    cursor.execute(staged.statements.found_rows())
    names = [column.name for column in staged.statements.columns]
    return {
        int(ordinal): {
            name: value if value is None or isinstance(value, str) else str(value)
            for name, value in zip(names, values, strict=True)
        }
        for ordinal, *values in cursor.fetchall()
    }
