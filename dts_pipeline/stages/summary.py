"""summarize: where a lane stands after a run, read back from the ledger and from Kafka."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

from dts_pipeline.core.batches import Applied, Checkpoint, Plan, RunSummary
from dts_pipeline.stages.lag import lag_seconds, mark_source
from dts_pipeline.stages.runtime import LinkRuntime


def summarize(runtime: LinkRuntime, plan: Plan, applied: Sequence[Applied]) -> RunSummary:
    """Adds up the batches and reads the standing checkpoint; counts hold `open_conflicts` too."""
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
    counts["open_conflicts"] = sum(runtime.ledger.open_conflicts(link.name).values())
    left = _behind(checkpoint, plan)
    return RunSummary(
        link=link.name,
        checkpoint=checkpoint,
        batches=sum(batch.outcome == "applied" for batch in applied),
        counts=dict(counts),
        tables={table: dict(c) for table, c in tables.items()},
        seconds=dict(seconds),
        behind=left,
        lag_seconds=_lag(runtime, checkpoint, left),
        caught_up=not left,
        waiting=next((b.waiting for b in reversed(applied) if b.waiting), None),
    )


def _behind(checkpoint: Checkpoint, plan: Plan) -> int:
    """Row events that were there when the run was planned and are not applied yet."""
    return sum(
        max(0, until - checkpoint.partitions[tp].next_offset)
        for tp, until in plan.until.items()
        if tp in checkpoint.partitions and tp.topic in plan.source_tables
    )


def _lag(runtime: LinkRuntime, checkpoint: Checkpoint, left: int) -> float:
    """By watermark; without one the age of the newest applied commit while something is left."""
    by_watermark = lag_seconds(runtime, checkpoint)
    if by_watermark is not None:
        return by_watermark
    if not left:
        return 0.0
    newest = max((p.ts_ms for p in checkpoint.partitions.values()), default=0)
    return max(0.0, time.time() - newest / 1000) if newest else 0.0
