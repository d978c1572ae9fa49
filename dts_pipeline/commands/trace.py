"""`dts trace TABLE KEY`: which batches, offsets, transactions and runs touched a row."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dts_pipeline.commands import exits
from dts_pipeline.commands.bars import counted
from dts_pipeline.commands.output import Output
from dts_pipeline.commands.runtimes import link_runtime
from dts_pipeline.commands.session import Session
from dts_pipeline.core.selection import time_ms

if TYPE_CHECKING:
    from dts_pipeline.stages.trace import Trace


def trace(
    session: Session, output: Output, table: str, key: str, *, since: str | None, limit: int
) -> int:
    """Shows what touched the row, the newest last; FOUND if Kafka no longer holds a part."""
    from dts_pipeline.stages.trace import trace as follow

    with ExitStack() as stack:
        runtimes = [stack.enter_context(link_runtime(session, name)) for name in session.links]
        progress = stack.enter_context(counted(table, "offsets"))
        found = follow(
            runtimes, table, key, since_ms=time_ms(since), limit=limit, progress=progress
        )
    output.document(
        {
            "table": found.table,
            "touches": [{**asdict(t), "at": _iso(t.at_ms)} for t in found.touches],
            "records": found.records,
            "missing": [
                {"topic": tp.topic, "partition": tp.partition, "before": low}
                for tp, low in sorted(found.missing.items())
            ],
        }
    )
    _show(output, found)
    return exits.FOUND if found.missing else exits.DONE


def _show(output: Output, found: Trace) -> None:
    columns = ["at", "link", "op", "topic", "partition", "offset", "transaction", "state", "batch"]
    rows = [
        (_iso(t.at_ms), t.link, t.op, t.topic, t.partition, str(t.offset), t.gtid, t.state, t.batch)
        for t in found.touches
    ]
    if rows:
        output.table("Events, the newest last", columns, rows)
    batches = {
        (t.link, t.generation, t.batch): (t.committed_at, t.run)
        for t in found.touches
        if t.state == "applied"
    }
    if batches:
        output.table(
            "Batches",
            ["link", "generation", "batch", "committed at", "run"],
            [(*place, *when) for place, when in batches.items()],
        )
    names = (
        "site",
        "link",
        "kind",
        "decision",
        "state",
        "times",
        "batch",
        "opened_at",
        "changed_at",
    )
    if found.records:
        output.table("Records", names, [[r[name] for name in names] for r in found.records])
    if not rows and not found.records:
        output.line("Nothing in Kafka and in the ledgers touched this row.")
    for tp, low in sorted(found.missing.items()):
        output.line(
            f"Kafka no longer holds {tp} before offset {low}: earlier events are not shown."
        )


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
