"""What stops a link while it reads: situations in which going on could lose or cut something."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from dts_pipeline.adapters.table_schema import read_tables
from dts_pipeline.core.batches import Checkpoint, Plan, SourcePosition
from dts_pipeline.core.gtids import GtidSet
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.core.segments import Segment
from dts_pipeline.core.transactions import Cut, expected_events
from dts_pipeline.core.waiting import Announced, Waiting
from dts_pipeline.errors import TerminalError
from dts_pipeline.stages.runtime import LinkRuntime

_INCOMPLETE = (
    "If a broker is behind, the link goes on by itself once the events come. If they are lost for "
    "good, give the link a new start and repair what differs (docs/operations.md)."
)


def refuse_too_large(runtime: LinkRuntime, wanted: Sequence[Segment], cut: Cut | None) -> None:
    """Stops before the memory limit of a single transaction is passed."""
    if runtime.reader.bytes <= runtime.limits.max_transaction_bytes:
        return
    first = (cut.waiting if cut else None) or (wanted[0] if wanted else None)
    events = expected_events([first] if first else [], runtime.link.matches)
    raise TerminalError(
        "transaction_too_large",
        "a source transaction does not fit into the memory limit",
        where={
            "link": runtime.link.name,
            "transaction": first.transaction if first else "?",
            "events": sum(events.values()) or "?",
            "read_bytes": runtime.reader.bytes,
            "limit_bytes": runtime.limits.max_transaction_bytes,
        },
        remedy="Raise batch.max_transaction_bytes, on a machine with two to three times as much "
        "memory; nothing of the transaction was written.",
    )


def refuse_late(
    runtime: LinkRuntime, checkpoint: Checkpoint, events: pd.DataFrame, segments: int, cut: Cut
) -> None:
    """Stops on an event of a transaction that counted as whole without it.

    It can only come where the first batch began in the middle of the topics. A copy that the
    connector sent again is not meant: its position was passed.
    """
    applied = GtidSet.parse(checkpoint.applied_gtids)
    unknown = events[cut.segment_of > segments]
    passed = [name for name in unknown["transaction"].dropna().unique() if name in applied]
    columns = ("topic", "partition", "offset", "file", "pos", "row", "half")
    rows = unknown[unknown["transaction"].isin(passed)]
    for topic, partition, offset, *place in zip(*(rows[c].tolist() for c in columns), strict=True):
        known = checkpoint.partitions[TopicPartition(topic, partition)].position
        if known is None or SourcePosition(*place) > known:
            raise TerminalError(
                "late_event",
                "an event came after its transaction had been taken as whole",
                where={
                    "link": runtime.link.name,
                    "topic": topic,
                    "partition": partition,
                    "offset": offset,
                },
                remedy="Compare both sites, then give the link a new start (docs/operations.md).",
            )


def refuse_dropped_table(runtime: LinkRuntime, plan: Plan, cut: Cut) -> None:
    """Rows of a table that is gone would be waited for for ever; one made just now is not meant."""
    unknown = [t for t in cut.missing if runtime.link.topic_of(t) not in plan.source_tables]
    if not unknown:
        return
    gone = set(unknown) - set(read_tables(runtime.source, lambda name: name in unknown))
    if gone:
        raise TerminalError(
            "table_missing",
            "rows were written to a table that does not exist at the source any more",
            where={"link": runtime.link.name, "tables": ",".join(sorted(gone))},
            remedy="Leave the table out (`!schema.table` among the pair's `tables`), or make it "
            "again at both sites.",
        )


def refuse_long_wait(runtime: LinkRuntime, checkpoint: Checkpoint, waiting: Waiting | None) -> None:
    """Stops aloud where all waits for a transaction whose events do not come."""
    error = long_wait(runtime, checkpoint, waiting)
    if error is not None:
        raise error


def long_wait(
    runtime: LinkRuntime, checkpoint: Checkpoint, waiting: Waiting | None
) -> TerminalError | None:
    """The error for a transaction that has been incomplete for too long; None before that."""
    if waiting is None or waiting.seconds <= runtime.limits.max_wait_seconds:
        return None
    count = sum(waiting.missing.values())
    what = f"{count} event(s) of it" if count else "its END"
    return TerminalError(
        "transaction_incomplete",
        f"a source transaction is not whole, {what} did not come, and everything behind it waits",
        where={
            "link": runtime.link.name,
            "transaction": waiting.transaction,
            "waited_seconds": round(waiting.seconds),
            "missing": ", ".join(_missing(runtime, checkpoint, waiting)) or "END",
            "topic": runtime.link.transaction_topic,
            "offset": waiting.end_offset,
        },
        remedy=_INCOMPLETE,
    )


def _missing(runtime: LinkRuntime, checkpoint: Checkpoint, waiting: Waiting) -> list[str]:
    """A text a table: how many events, and in which of the topic's partitions they may lie."""
    found = []
    for table, count in sorted(waiting.missing.items()):
        topic = runtime.link.topic_of(table)
        own = sorted(tp.partition for tp in checkpoint.partitions if tp.topic == topic)
        where = "/".join(str(number) for number in own) or "?"
        found.append(f"{table}: {count} in {topic} partition {where}")
    return found


def refuse_lost_end(runtime: LinkRuntime, events: pd.DataFrame, announced: Announced) -> None:
    """Rows whose transaction has no END although Kafka holds many later ones would lie for ever."""
    waited = (announced.newest_ms - events["timestamp"]) / 1000
    lost = events[(waited > runtime.limits.max_wait_seconds) & events["transaction"].notna()]
    if lost.empty:
        return
    first = lost.iloc[0]
    raise TerminalError(
        "transaction_incomplete",
        "rows of a source transaction have come, and its END did not",
        where={
            "link": runtime.link.name,
            "transaction": first["transaction"],
            "waited_seconds": round(float(waited[lost.index[0]])),
            "missing": "END",
            "topic": first["topic"],
            "partition": first["partition"],
            "offset": first["offset"],
        },
        remedy=_INCOMPLETE,
    )


def refuse_missing_metadata(
    runtime: LinkRuntime, events: pd.DataFrame, *, any_link: bool = False
) -> None:
    """A pair's row event without a transaction can belong to no whole one.

    `any_link`: nor can those of a one-way link, whose batches end with transactions as well.
    """
    streamed = events["op"].isin(["c", "u", "d"]) & events["transaction"].isna()
    if not (runtime.link.pair or any_link) or not streamed.any():
        return
    first = events[streamed].iloc[0]
    raise TerminalError(
        "transaction_metadata_missing",
        "a row event names no transaction, so whole transactions cannot be told",
        where={
            "link": runtime.link.name,
            "topic": first["topic"],
            "partition": first["partition"],
            "offset": first["offset"],
        },
        remedy="Set provide.transaction.metadata=true at the connector and give the link a new "
        "start behind these events (docs/operations.md).",
    )


def refuse_snapshot_rows(runtime: LinkRuntime, events: pd.DataFrame) -> None:
    """Snapshot rows belong to no transaction; a pair's first load is not carried yet."""
    rows = events[events["op"] == "r"]
    if rows.empty:
        return
    first = rows.iloc[0]
    raise TerminalError(
        "snapshot_rows",
        "a topic holds rows of a snapshot",
        where={
            "link": runtime.link.name,
            "topic": first["topic"],
            "partition": first["partition"],
            "offset": first["offset"],
        },
        remedy="Make both sites equal, set snapshot.mode=no_data at the connector and give the "
        "link a new start (docs/operations.md).",
    )
