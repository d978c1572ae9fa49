"""Rows of a batch that refer to what the target has not, where a cascade may have been missed.

Both sites can take the same row along with its parent, each by a cascade of its own that neither
logs. A child that was linked to it at the source in the meantime is set to NULL or deleted there,
which nothing tells of: the target has no row any more that a reference could be followed from.
What is left is a child that refers to nothing, which the source would not have allowed.
"""

from __future__ import annotations

from collections.abc import Sequence

from pymysql.cursors import Cursor

from dts_pipeline.adapters.apply_request import ApplyRequest
from dts_pipeline.adapters.records import Record
from dts_pipeline.adapters.staging import StagedTable
from dts_pipeline.core.cascade_statements import rows_that_dangle
from dts_pipeline.core.conflicts import Kind, Winner
from dts_pipeline.core.row_values import to_json


def dangling(
    cursor: Cursor,
    request: ApplyRequest,
    staged: Sequence[StagedTable],
    known: Sequence[Record],
) -> list[Record]:
    """A record for each such row that has none yet; looked for once everything is written.

    Only where the parent can itself be changed by an unlogged cascade: what happens to the others
    stands in events.
    """
    if not request.link.pair:
        return []
    stages = {table.table.full_name: table for table in staged}
    changed = {edge.child for edge in request.cascades}
    recorded = {(record.table, record.key) for record in known}
    records = []
    for edge in request.cascades:
        table, parent = stages.get(edge.child), request.tables.get(edge.parent)
        if table is None or parent is None or edge.parent not in changed:
            continue
        cursor.execute(rows_that_dangle(edge, parent, table.statements))
        names = table.table.primary_key
        records += [
            Record(edge.child, to_json(names, key).encode(), Kind.CASCADE, Winner.NONE, None, None)
            for key in cursor.fetchall()
        ]
    return [record for record in records if (record.table, record.key) not in recorded]
