"""Carries out at the target what the source's server did to other rows without logging it.

In the batch's transaction, before its changes meet the target's rows: rows of the target that
stand for the source's at that moment are deleted or changed here, marked and recorded; what
happened to a row after its own last change becomes part of that change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pymysql.cursors import Cursor

from dts_pipeline.adapters.apply_request import ApplyRequest
from dts_pipeline.adapters.cascade_stages import CascadeWork
from dts_pipeline.adapters.records import Record
from dts_pipeline.adapters.staging import StagedTable
from dts_pipeline.adapters.writes import write_exactly
from dts_pipeline.core.cascade_children import ChildStatements
from dts_pipeline.core.cascade_statements import CascadeStatements
from dts_pipeline.core.cascades import changed, waves
from dts_pipeline.core.conflicts import Kind, Winner
from dts_pipeline.core.row_values import to_json
from dts_pipeline.core.schema import ForeignKey

CASCADED = "cascaded"
"""The count of rows that a batch deleted or changed because the source's server did."""
_FOLLOWED = {"CASCADE", "SET NULL"}


def carry_out(
    cursor: Cursor, request: ApplyRequest, staged: Sequence[StagedTable], work: CascadeWork
) -> None:
    """Follows every reference that was set free, level by level, until nothing is left.

    Raises TransientError `duplicate_key`, TerminalError `count_mismatch`.
    """
    stages = {table.table.full_name: table for table in staged}
    edges = work.cascades.edges
    pending: dict[int, list[pd.DataFrame]] = {i: [] for i in range(len(edges))}

    def free(parent: str, freed: pd.DataFrame) -> None:
        for i, edge in enumerate(edges):
            if edge.parent == parent and len(freed):
                pending[i].append(_references(edge, freed))

    for parent, freed in work.cascades.freed.items():
        waits = [(parent, key) in work.left_out for key in freed["key"]]
        own = freed[~np.array(waits, dtype=np.bool_)]
        free(parent, own)
        if request.link.pair:
            moved = _moved(edges, parent, own)
            work.records += [r for r in moved if (r.table, r.key) not in work.left_out]
    while any(pending.values()):
        for i, statements in enumerate(work.statements):
            parts, pending[i] = pending[i], []
            if parts:
                step = _Follower(cursor, request, statements, stages.get(edges[i].child), work)
                for freed in step.follow(pd.concat(parts, ignore_index=True)):
                    free(edges[i].child, freed)
    for table in {s.child.number: s.child for s in work.statements}.values():
        _drop_turned(cursor, table, stages.get(table.table.full_name))


def _moved(edges: Sequence[ForeignKey], parent: str, freed: pd.DataFrame) -> list[Record]:
    """A record for each row that took others along, under the key that it has now.

    The target may have none of those others any more: a user there deleted or moved the row as
    well, and they went another way, unlogged. What refers to the row tells, once it is settled.
    """
    followed = np.zeros(len(freed), dtype=np.bool_)
    for edge in edges:
        if edge.parent == parent and edge.on_update in _FOLLOWED:
            followed |= changed(freed, edge.parent_columns)
    keys = freed.loc[followed & freed["moved"].to_numpy(dtype=np.bool_), "new key"]
    return [Record(parent, key, Kind.MOVED, Winner.NONE, None, None) for key in dict.fromkeys(keys)]


def _references(edge: ForeignKey, freed: pd.DataFrame) -> pd.DataFrame:
    """What of `Cascades.freed` the edge follows: ordinal, gone, o0…, n0… (None: set to NULL)."""
    moved = freed["moved"].to_numpy(dtype=np.bool_)
    followed = np.where(moved, edge.on_update in _FOLLOWED, edge.on_delete in _FOLLOWED)
    followed &= ~moved | changed(freed, edge.parent_columns)
    keeps_new = moved & (edge.on_update == "CASCADE")
    columns = {"ordinal": freed["ordinal"], "gone": ~moved & (edge.on_delete == "CASCADE")}
    for i, name in enumerate(edge.parent_columns):
        columns[f"o{i}"] = freed[f"old {name}"]
        columns[f"n{i}"] = freed[f"new {name}"].astype(object).where(keeps_new, None)
        followed &= freed[f"old {name}"].notna().to_numpy()
    return pd.DataFrame(columns)[followed]


@dataclass
class _Follower:
    """Follows references of one foreign key."""

    cursor: Cursor
    request: ApplyRequest
    statements: CascadeStatements
    staged: StagedTable | None
    work: CascadeWork

    def follow(self, refs: pd.DataFrame) -> list[pd.DataFrame]:
        """Changes the child's rows; what that sets free (`Cascades.freed`, without keys)."""
        refs = refs.sort_values("ordinal", kind="stable").drop_duplicates(ignore_index=True)
        if refs.empty:
            return []
        steps = self._stage(refs)
        freed: list[pd.DataFrame] = []
        for step in range(steps):
            freed += self._rows(step)
            if self.work.cascades.held.get(self.statements.edge.child) is not None:
                freed += self._events(step)
            if self.staged is not None:
                self._fold(step)
        return freed

    def _stage(self, refs: pd.DataFrame) -> int:
        """Stages the references in steps; how many there are."""
        width = len(self.statements.edge.columns)
        names = [
            "ordinal",
            "gone",
            *(f"o{i}" for i in range(width)),
            *(f"n{i}" for i in range(width)),
        ]
        values = [refs[name].tolist() for name in names]
        steps = np.zeros(len(refs), dtype=np.int64)
        self._fill(steps, values)
        if len(refs) > 1:
            steps = self._steps(len(refs))
        if steps.any():
            self._fill(steps, values)
        return int(steps.max()) + 1

    def _fill(self, steps: np.ndarray[Any, np.dtype[np.int64]], values: list[list[Any]]) -> None:
        empty, insert = self.statements.fill_refs()
        self.cursor.execute(empty)
        rows = zip(range(len(steps)), steps.tolist(), *values, strict=True)
        self.cursor.executemany(insert, list(rows))

    def _steps(self, count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Only the server knows which values are the same to it."""
        for statement in self.statements.identities():
            self.cursor.execute(statement)
        numbers = np.full(2 * count, -1, dtype=np.int64)
        for place, first in self.cursor.fetchall():
            numbers[int(place)] = int(first)
        return waves(numbers[::2], numbers[1::2], unique=self.statements.is_unique)

    def _rows(self, step: int) -> list[pd.DataFrame]:
        """The target's own rows of a step."""
        empty, find, spare = self.statements.find()
        self.cursor.execute(empty)
        self.cursor.execute(find, (step,))
        self.cursor.execute(spare)
        self.cursor.execute(self.statements.counts())
        gone, moved = (int(number) for number in self.cursor.fetchone() or (0, 0))
        if not gone + moved:
            return []
        if self.request.link.pair:
            self._record()
        freed = self._freed(self.statements.freed(), ()) if self.statements.out else []
        name = self.statements.child.table.full_name
        logged = write_exactly(self.cursor, name, self.statements.delete(), gone)
        logged += write_exactly(self.cursor, name, self.statements.update(), moved)
        self.work.logged[name] += logged
        self.work.counts[name] += gone + moved
        return freed

    def _record(self) -> None:
        """A user at the target may have changed the row meanwhile: that is not looked at here."""
        table = self.statements.child.table
        width = len(table.primary_key)
        names = [column.name for column in table.written_columns]
        self.cursor.execute(self.statements.found())
        self.work.records += [
            Record(
                table.full_name,
                to_json(table.primary_key, values[:width]).encode(),
                Kind.CASCADE,
                Winner.SOURCE,
                None,
                None,
                {n: _text(v) for n, v in zip(names, values[width:], strict=True)},
            )
            for values in self.cursor.fetchall()
        ]

    def _events(self, step: int) -> list[pd.DataFrame]:
        """What rows held between two events of theirs."""
        freed = self._freed(self.statements.held_freed(), (step,))
        if freed:
            self.cursor.execute(self.statements.held_follows(), (step,))
        return freed

    def _fold(self, step: int) -> None:
        """What happened after a row's last event becomes part of its change."""
        assert self.staged is not None
        which, deletes, moves = self.statements.fold()
        self.cursor.execute(which, (step,))
        gone = [int(row[0]) for row in self.cursor.fetchall()]
        if gone:
            self.cursor.execute(deletes, (step,))
            self.staged.changes.loc[gone, "after"] = None
            if "sums" in self.staged.changes:
                self.staged.changes.loc[gone, "sums"] = None
        self.cursor.execute(moves, (step,))

    def _freed(self, question: str, parameters: tuple[int, ...]) -> list[pd.DataFrame]:
        self.cursor.execute(question, parameters)
        rows = list(self.cursor.fetchall())
        if not rows:
            return []
        out = self.statements.out
        names = ["ordinal", "gone", *(f"old {n}" for n in out), *(f"new {n}" for n in out)]
        frame = pd.DataFrame(rows, columns=names, dtype=object)
        frame["moved"] = ~frame["gone"].astype(bool)
        frame["ordinal"] = frame["ordinal"].astype("int64")
        return [frame.drop(columns="gone").drop_duplicates(ignore_index=True)]


def _drop_turned(cursor: Cursor, child: ChildStatements, staged: StagedTable | None) -> None:
    """A row that came and went within the batch is no change; one of a snapshot stays a delete."""
    if staged is None:
        return
    cursor.execute(child.turned())
    ordinals = [int(row[0]) for row in cursor.fetchall()]
    snapshot = staged.changes["snapshot"]
    dropped = [ordinal for ordinal in ordinals if not snapshot.iloc[ordinal]]
    if dropped:
        cursor.execute(child.take_out(), (dropped,))
        staged.taken_out += len(dropped)


def with_cascades(
    tables: dict[str, dict[str, int]], counts: Mapping[str, int]
) -> dict[str, dict[str, int]]:
    """The counts of a batch by table, with the rows that cascades changed."""
    for name, count in counts.items():
        tables.setdefault(name, {})[CASCADED] = count
    return tables


def _text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else str(value)
