"""A batch's changes into temporary tables, table by table; keys in quarantine left out."""

from __future__ import annotations

from pymysql.cursors import Cursor

from dts_pipeline.adapters.apply_request import ApplyRequest
from dts_pipeline.adapters.bounces import isolate, too_often
from dts_pipeline.adapters.direct_inserts import DirectInserts, are_inserts
from dts_pipeline.adapters.quarantine import set_apart, standing
from dts_pipeline.adapters.staging import StagedTable, fill
from dts_pipeline.core.counter_columns import counters_of
from dts_pipeline.core.links import Link
from dts_pipeline.core.points import Point, reached
from dts_pipeline.core.statements import TableStatements
from dts_pipeline.errors import TerminalError


def stage_batch(cursor: Cursor, request: ApplyRequest) -> list[StagedTable]:
    """Fills temporary tables with the batch's changes, but for tables that just take many rows in.

    Changes of keys in quarantine are left out, those of keys that changed sides too often, and with
    `on_poison: quarantine` those that cannot be decoded or stored. Raises PoisonError without it;
    TerminalError `table_missing`.
    """
    staged = []
    link, changes = request.link, request.batch.frame
    kept = standing(cursor, link.name) if request.holds_quarantined else {}
    bouncing = too_often(cursor, request, kept)
    quarantines = link.on_poison == "quarantine" and request.holds_quarantined
    for slot, (name, group) in enumerate(changes.groupby("table", sort=True, observed=True)):
        statements = _statements(request, str(name), slot)
        free, held = set_apart(group, kept)
        free, isolated = isolate(free, bouncing)
        source = request.source_tables[str(name)]
        free = free.reset_index(drop=True)
        table = StagedTable(statements, source, free, request.loads, left_out=held + isolated)
        if request.inserts and are_inserts(free, statements):
            table.direct = DirectInserts.of(free, statements, source, request.modes)
        else:
            fill(cursor, table, request.modes, link.detect, quarantines)
        cursor.connection.commit()  # a value refused in the next table takes its own stage back
        reached(Point.STAGING)
        staged.append(table)
    return staged


def _statements(request: ApplyRequest, name: str, slot: int) -> TableStatements:
    if name not in request.tables or name not in request.source_tables:
        raise TerminalError(
            "table_missing",
            "there are changes of a table that does not exist any more",
            where={"link": request.link.name, "table": name},
            remedy="Leave the table out (`!schema.table` among the pair's `tables`), or make it "
            "again at both sites.",
        )
    return TableStatements(
        request.tables[name],
        request.mark.dialect,
        slot,
        request.mark.comment,
        request.compare_json,
        _version_column(request.link, name),
        counters=counters_of(request.link, name),
    )


def _version_column(link: Link, table: str) -> str | None:
    policy = link.policy_of(table)
    return policy.column if policy and policy.kind == "newest" else None
