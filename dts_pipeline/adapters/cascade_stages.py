"""The temporary tables of a batch's unlogged cascades, made and filled before its transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd
from pymysql.cursors import Cursor

from dts_pipeline.adapters.apply_request import ApplyRequest
from dts_pipeline.adapters.quarantine import standing
from dts_pipeline.adapters.records import Record
from dts_pipeline.adapters.staging import StagedTable
from dts_pipeline.core.cascade_children import ChildStatements
from dts_pipeline.core.cascade_statements import CascadeStatements
from dts_pipeline.core.cascades import NEVER, Cascades, held_columns, referred_columns
from dts_pipeline.core.decode import ValueDecodeError, ValueModes
from dts_pipeline.core.decode_keys import decode_keys
from dts_pipeline.core.schema import Table


@dataclass
class CascadeWork:
    """The staged cascades of a batch; what carrying them out gave.

    `counts`: rows changed by table, `logged`: those of them that stand in the binlog.
    """

    cascades: Cascades
    statements: Sequence[CascadeStatements]
    left_out: frozenset[tuple[str, bytes]]
    records: list[Record] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    logged: Counter[str] = field(default_factory=Counter)


def stage_cascades(
    cursor: Cursor, request: ApplyRequest, staged: Sequence[StagedTable]
) -> CascadeWork | None:
    """Makes and fills the temporary tables, before the transaction; None without cascades."""
    cascades = request.batch.cascades
    if cascades is None:
        return None
    stages = {table.table.full_name: table for table in staged}
    waiting = set(standing(cursor, request.link.name)) | {
        (left.table, left.key) for table in staged for left in table.left_out
    }
    children = {
        name: _stage_child(cursor, request, name, number, stages.get(name), waiting)
        for number, name in enumerate(dict.fromkeys(edge.child for edge in cascades.edges))
    }
    statements = [
        CascadeStatements(
            edge=edge,
            parent=request.tables[edge.parent],
            child=children[edge.child],
            number=number,
            mark_comment=request.mark.comment,
            out=tuple(referred_columns(cascades.edges, edge.child)),
        )
        for number, edge in enumerate(cascades.edges)
    ]
    for one in statements:
        for statement in one.create():
            cursor.execute(statement)
    return CascadeWork(cascades, statements, frozenset(waiting))


def _stage_child(
    cursor: Cursor,
    request: ApplyRequest,
    name: str,
    number: int,
    staged: StagedTable | None,
    waiting: set[tuple[str, bytes]],
) -> ChildStatements:
    cascades = request.batch.cascades
    assert cascades is not None
    child = ChildStatements(
        request.tables[name],
        number,
        staged.statements if staged is not None else None,
        tuple(held_columns(cascades.edges, name)),
    )
    for statement in child.create():
        cursor.execute(statement)
    # A key in quarantine is held: nothing happens to its row until somebody decides.
    kept = [key for table, key in sorted(waiting) if table == name]
    _fill_window(cursor, request, child, kept)
    note = child.note_staged()
    if note is not None:
        cursor.execute(note)
    held = cascades.held.get(name)
    if held is not None and len(held):
        names = ["since", "until", *child.held_names]
        rows = zip(*(held[column].tolist() for column in names), strict=True)
        cursor.executemany(child.fill_held(), list(rows))
    return child


def _fill_window(
    cursor: Cursor, request: ApplyRequest, child: ChildStatements, kept: Sequence[bytes]
) -> None:
    cascades, table = request.batch.cascades, child.table
    assert cascades is not None
    windows = pd.DataFrame({"key": list(kept), "mark": NEVER, "first": NEVER, "last": NEVER})
    own = cascades.windows.get(table.full_name)
    if own is not None:
        windows = pd.concat([own[~own["key"].isin(list(kept))], windows], ignore_index=True)
    if windows.empty:
        return
    source = request.source_tables[table.full_name]
    keys, readable = _keys(windows["key"].tolist(), table, source, request.modes)
    windows = windows[readable]
    ordinals = (windows[column].astype("int64").tolist() for column in ("mark", "first", "last"))
    values = (keys[column].tolist() for column in table.primary_key)
    rows = zip(*ordinals, [0] * len(windows), *values, strict=True)
    cursor.executemany(child.fill_window(), list(rows))


def _keys(
    keys: list[bytes], table: Table, source: Table, modes: ValueModes
) -> tuple[pd.DataFrame, npt.NDArray[np.bool_]]:
    """The keys decoded, and which they are: the target has no row of one that cannot be read."""
    readable = np.ones(len(keys), dtype=np.bool_)
    while True:
        wanted = [key for key, reads in zip(keys, readable, strict=True) if reads]
        try:
            return decode_keys(wanted, table, modes, source=source), readable
        except ValueDecodeError as error:
            readable[np.flatnonzero(readable)[error.row]] = False
