"""summarize: where a lane stands after a run, read back from the ledger and from Kafka."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from dts_pipeline.adapters.progress import note_failure, note_success
from dts_pipeline.core.batches import Applied, Checkpoint, Plan, RunSummary
from dts_pipeline.core.ranges import OffsetRanges
from dts_pipeline.errors import DtsError
from dts_pipeline.stages.lag import lag_seconds, mark_source
from dts_pipeline.stages.loop_audit import audit_loop
from dts_pipeline.stages.plan import behind
from dts_pipeline.stages.runtime import LinkRuntime


def summarize(runtime: LinkRuntime, plan: Plan, applied: Sequence[Applied]) -> RunSummary:
    """Adds up the batches and reads the standing checkpoint; counts hold `open_conflicts` too.

    Notes in the ledger how far the lane is behind, and how long the stages took.
    """
    link = runtime.link
    # At the end of a run: at its beginning it would move where the batch of a run beside it ends.
    mark_source(runtime)
    checkpoint = runtime.ledger.read(link.name, link.lane) or plan.checkpoint
    counts: Counter[str] = Counter()
    seconds: Counter[str] = Counter()
    tables: dict[str, Counter[str]] = {}
    for batch in applied:
        if batch.outcome == "applied":
            counts.update(batch.counts)
            for table, table_counts in batch.tables.items():
                tables.setdefault(table, Counter()).update(table_counts)
        else:
            counts[batch.outcome] += 1
        seconds.update({name: round(value, 4) for name, value in batch.seconds.items()})
    open_records = runtime.ledger.open_conflicts(link.name)
    counts["open_conflicts"] = sum(open_records.values())
    left = _behind(checkpoint, plan)
    lag = _lag(runtime, checkpoint, left)
    note_success(
        runtime.target,
        (link.name, checkpoint.lane),
        runtime.run_id,
        lag_seconds=lag,
        behind=left,
        seconds=seconds,
    )
    return RunSummary(
        link=link.name,
        checkpoint=checkpoint,
        batches=sum(batch.outcome == "applied" for batch in applied),
        counts=dict(counts),
        tables={table: dict(c) for table, c in tables.items()},
        seconds=dict(seconds),
        behind=left,
        lag_seconds=lag,
        worst_lag_seconds=max(lag, _lag_of_others(runtime)),
        caught_up=not left,
        waiting=applied[-1].waiting if applied else None,
        loop=audit_loop(runtime),
        consistency=checkpoint.consistency(link.transaction_topic),
        ranges=OffsetRanges.joined(b.ranges for b in applied if b.outcome == "applied"),
        open_records=open_records,
        altered=plan.altered,
    )


def failed(runtime: LinkRuntime, error: DtsError) -> None:
    """Notes in the ledger how a run of the lane ended, as far as it can be written."""
    note_failure(runtime.target, (runtime.link.name, runtime.link.lane), runtime.run_id, error)


def _behind(checkpoint: Checkpoint, plan: Plan) -> int:
    """Row events that were there when the run was planned and are not applied yet."""
    return sum(
        max(0, until - checkpoint.partitions[tp].next_offset)
        for tp, until in plan.until.items()
        if tp in checkpoint.partitions and tp.topic in plan.source_tables
    )


def _lag_of_others(runtime: LinkRuntime) -> float:
    """The largest lag of the link's other lanes: one that fails tells nobody of its own."""
    if not runtime.link.lanes:
        return 0.0
    lags = [0.0]
    for lane in replace(runtime, link=runtime.link.whole).lanes:
        at = runtime.ledger.read(lane.link.name, lane.link.lane)
        if at is not None and lane.link.lane != runtime.link.lane:
            lags.append(_lag(lane, at, behind(lane)))
    return max(lags)


def _lag(runtime: LinkRuntime, checkpoint: Checkpoint, left: int) -> float:
    """By watermark; without one the age of the newest applied commit while something is left."""
    by_watermark = lag_seconds(runtime, checkpoint)
    if by_watermark is not None:
        return by_watermark
    if not left:
        return 0.0
    newest = max((p.ts_ms for p in checkpoint.partitions.values()), default=0)
    return max(0.0, time.time() - newest / 1000) if newest else 0.0
