"""The row of `dts.batch` that a batch leaves: what it covered, and its counts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from pymysql.cursors import Cursor

from dts_pipeline.adapters.apply_request import ApplyRequest
from dts_pipeline.adapters.records import Record, tally
from dts_pipeline.adapters.staging import StagedTable
from dts_pipeline.adapters.totals import add_totals, batch_totals
from dts_pipeline.core.links import MarkKind

_BATCH_ROW = (
    "INSERT INTO `dts`.`batch` (link, lane, generation, batch, from_offsets, until_offsets, mark, "
    "counts, committed_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, UTC_TIMESTAMP(6))"
)


def counted(staged: Sequence[StagedTable], records: Sequence[Record]) -> dict[str, dict[str, int]]:
    """What the batch did, by table: rows, and records by kind and decision."""
    counts = {table.table.full_name: dict(table.counts) for table in staged}
    for table in staged:
        if table.left_out:
            counts[table.table.full_name]["quarantined"] = len(table.left_out)
    for name, own in tally(records).items():
        counts.setdefault(name, {}).update(own)
    return counts


def write_batch_row(
    cursor: Cursor, request: ApplyRequest, tables: Mapping[str, Mapping[str, int]]
) -> None:
    """Writes it, and adds its counts to the lane's, in the batch's transaction."""
    after = request.batch.after
    add_totals(cursor, after.link, after.lane, batch_totals(request.batch.counts, tables))
    cursor.execute(
        _BATCH_ROW,
        (
            after.link,
            after.lane,
            after.generation,
            after.batch,
            request.batch.before.offsets_json(),
            after.offsets_json(),
            request.mark.gtid if request.mark.kind is MarkKind.ORIGIN else "comment",
            json.dumps({**request.batch.counts, "tables": tables, "run": request.run_id}),
        ),
    )
