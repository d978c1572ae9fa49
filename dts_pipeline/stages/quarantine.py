"""quarantine: keys that could not be decoded or written, tried again or given up."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from dts_pipeline.adapters.quarantine import Quarantined, end_record, free, listed, standing
from dts_pipeline.adapters.reconcile_site import ReconcileSite
from dts_pipeline.adapters.verdicts import classify
from dts_pipeline.core.batches import Batch, Plan
from dts_pipeline.core.compaction import CHANGE_COLUMNS
from dts_pipeline.core.conflicts import Kind
from dts_pipeline.core.decode_keys import decode_keys
from dts_pipeline.core.links import Link, Policy
from dts_pipeline.core.ranges import OffsetRanges
from dts_pipeline.errors import TerminalError, TransientError
from dts_pipeline.stages.pair import PairRuntime
from dts_pipeline.stages.plan import plan_ranges
from dts_pipeline.stages.preview import request_of
from dts_pipeline.stages.reconcile import Carry, reconcile
from dts_pipeline.stages.runtime import LinkRuntime
from dts_pipeline.stages.settle_children import Children

_ATTEMPTS = 5


def retry(
    runtime: LinkRuntime, pair: PairRuntime | None, number: int, carry: Carry | None = None
) -> bool:
    """Makes a key right at the target and takes it out of quarantine; False if it stays.

    Of a pair the key is reconciled, the source's row of today winning; of a one-way link (`pair`
    None) the last change that was held is written. Raises TerminalError `quarantine_unknown`, what
    `reconcile` raises, and what the key was put there for, if that still is so.
    """
    row = _row(runtime, number)
    runtime = runtime.writing(row.table, row.partition)
    plan = plan_ranges(runtime)
    for _ in range(_ATTEMPTS):
        row = _row(runtime, number)
        if pair is None:
            return _write(runtime, plan, row)
        topic = runtime.link.topic_of(row.table)
        table, source = plan.tables.get(topic), plan.source_tables.get(topic)
        if table is None or source is None:
            raise _gone(row)
        keys = decode_keys([row.key], table, plan.modes, source=source)
        winner = Policy("site", runtime.link.source)
        report = reconcile(pair, {row.table: keys}, reason=Kind.REPAIR, policy=winner, carry=carry)
        if not report.is_settled:
            return False
        # What the source's server did for foreign keys, unlogged, was not followed meanwhile.
        Children(pair).open_of(row.table, [tuple(key) for key in keys.itertuples(index=False)])
        if _freed(runtime, row):
            return True
    return False  # its changes come faster than that


def discard(runtime: LinkRuntime, number: int) -> None:
    """Gives the held changes of a key up: the target's row stays.

    Of a pair the key's record stays open, because the sites differ. Raises TerminalError
    `quarantine_unknown`, TransientError `quarantine_moving`.
    """
    row = _row(runtime, number)
    if not _freed(runtime, row, stays_open=runtime.link.pair is not None):
        raise _moving(row)


def _row(runtime: LinkRuntime, number: int) -> Quarantined:
    for row in listed(runtime.target, runtime.link.name):
        if row.id == number:
            return row
    raise TerminalError(
        "quarantine_unknown",
        "there is no such entry in quarantine",
        where={"link": runtime.link.name, "id": number},
        remedy="`dts quarantine list` shows what there is.",
    )


def _freed(runtime: LinkRuntime, row: Quarantined, *, stays_open: bool = False) -> bool:
    with runtime.target.raw(where={"link": row.link}) as connection:
        cursor = connection.cursor()
        is_free = free(cursor, row)
        if is_free:
            end_record(cursor, row, stays_open=stays_open)
        connection.commit()
    return is_free


def _write(runtime: LinkRuntime, plan: Plan, row: Quarantined) -> bool:
    """Writes the state that the checkpoint has reached: nothing of the key went past it."""
    link = replace(
        runtime.link,
        detect=True,
        pair=None,
        policy=Policy("site", runtime.link.source),
        table_policies={},
        version_columns={},
        counters={},
    )
    if runtime.link.topic_of(row.table) not in plan.tables:
        raise _gone(row)
    request = request_of(runtime, link, plan, _batch(plan, row, link))
    with ReconcileSite.opened(runtime.target, runtime.link) as site:
        staged = runtime.writer.stage(site.cursor, replace(request, holds_quarantined=False))
        site.connection.commit()
        with site.held(runtime.ledger.installation()):
            kept = standing(site.cursor, row.link, lock=True)
            if kept.get((row.table, row.key)) != row:
                raise _moving(row)
            for table in staged:
                classify(site.cursor, request, table)
            site.write_staged(staged)
            free(site.cursor, row)
            end_record(site.cursor, row)
            site.commit()
    return True


def _batch(plan: Plan, row: Quarantined, link: Link) -> Batch:
    gone = row.after is None
    values = (row.table, row.key, row.before if gone else None, row.after, False)
    frame = pd.DataFrame(
        [(*values, row.topic, row.partition, row.offset)], columns=CHANGE_COLUMNS, dtype=object
    )
    nothing = OffsetRanges(())
    return Batch(link.name, 0, 0, nothing, plan.checkpoint, plan.checkpoint, frame)


def _moving(row: Quarantined) -> TransientError:
    return TransientError(
        "quarantine_moving",
        "another change of the key was held meanwhile",
        where={"link": row.link, "id": row.id},
        remedy="Try it again.",
    )


def _gone(row: Quarantined) -> TerminalError:
    return TerminalError(
        "table_missing",
        "the table of a key in quarantine is not there any more",
        where={"link": row.link, "id": row.id, "table": row.table},
        remedy="Make it again at both sites, or discard the entry.",
    )
