"""apply: the changes of a batch, its records and the new checkpoint in one transaction."""

from __future__ import annotations

import time
from dataclasses import replace

from dts_pipeline.adapters.apply_request import ApplyRequest, ApplyResult
from dts_pipeline.adapters.writes import TABLES_CHANGED
from dts_pipeline.core.batches import Applied, Batch, Checkpoint, Plan
from dts_pipeline.core.links import Ddl
from dts_pipeline.core.marks import Mark, mark_uuid
from dts_pipeline.core.points import Point, reached
from dts_pipeline.errors import TerminalError, TransientError
from dts_pipeline.stages.ddl import site_tables
from dts_pipeline.stages.runtime import LinkRuntime


def apply(runtime: LinkRuntime, plan: Plan, batch: Batch) -> Applied:
    """Writes the changes, the conflict records and the checkpoint in one transaction.

    Raises what `BatchWriter.apply` raises; nothing is written then.
    """
    began = time.monotonic()
    if batch.is_empty:
        outcome = "paused" if batch.after.paused else "empty"
        return _applied(batch, outcome, {}, began)
    mark = _mark(runtime, batch.before, batch.number)
    loads = runtime.limits.staging == "auto" and runtime.target.loads
    request = ApplyRequest(
        link=runtime.link,
        batch=replace(batch, after=replace(batch.after, mark_sequence=mark.number)),
        tables={table.full_name: table for table in plan.tables.values()},
        source_tables={table.full_name: table for table in plan.source_tables.values()},
        mark=mark,
        modes=plan.modes,
        run_id=runtime.run_id,
        cascades=plan.cascades,
        compare_json=runtime.source.facts.dialect != runtime.target.facts.dialect,
        loads=loads,
        inserts=loads and not plan.cascades,
    )
    result = _applied_request(runtime, request)
    reached(Point.APPLIED)
    return _applied(batch, result.outcome, {t: dict(c) for t, c in result.tables.items()}, began)


def _applied_request(runtime: LinkRuntime, request: ApplyRequest) -> ApplyResult:
    """Events with other columns than the tables' are taken once those are known to be older.

    The tables were read before the events, so a column may have come or gone in between: what an
    event lacks would be overwritten, what it has more would be lost. If both sites' tables still
    are as they were, the events are from before. It is asked only here, as a batch is rarely so.
    """
    additive = runtime.link.ddl is Ddl.ADDITIVE
    try:
        return runtime.writer.apply(request)
    except TerminalError as error:
        if error.code != "column_missing":
            raise
        if site_tables(runtime) != (request.source_tables, request.tables):
            if additive:
                raise _changed(runtime, error) from None
            raise
    older = {
        name: replace(t, reads_older=True, fills_presets=additive)
        for name, t in request.source_tables.items()
    }
    return runtime.writer.apply(replace(request, source_tables=older))


def _changed(runtime: LinkRuntime, error: TerminalError) -> TransientError:
    return TransientError(
        TABLES_CHANGED,
        "a table was changed while the run was under way; nothing of the batch was written",
        where={"link": runtime.link.name, **error.where},
        remedy="The next run makes up at the target what is new, and goes on by itself.",
    )


def _mark(runtime: LinkRuntime, before: Checkpoint, number: int) -> Mark:
    installation = runtime.ledger.installation()
    return Mark(
        kind=runtime.link.mark,
        dialect=runtime.target.facts.dialect,
        link=before.link,
        batch=number,
        uuid=mark_uuid(installation, before.link, before.lane, before.generation),
        number=before.mark_sequence + 1,
        domain=runtime.link.mark_domain_id,
    )


def _applied(
    batch: Batch, outcome: str, tables: dict[str, dict[str, int]], began: float
) -> Applied:
    totals: dict[str, int] = dict(batch.counts)
    for counts in tables.values():
        for name, count in counts.items():
            totals[name] = totals.get(name, 0) + count
    newest = max((p.ts_ms for p in batch.after.partitions.values()), default=0)
    return Applied(
        link=batch.link,
        number=batch.number,
        slot=batch.slot,
        outcome=outcome,
        ranges=batch.ranges,
        counts=totals,
        tables=tables,
        seconds={**batch.seconds, "apply": time.monotonic() - began},
        last_ts_ms=newest,
        waiting=batch.waiting,
    )
