"""A range of a link: held against Kafka, and read from it in bounded pieces."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import pandas as pd

from dts_pipeline.core.batches import Batch, Checkpoint, PartitionCheckpoint, Plan
from dts_pipeline.core.envelope import EVENT_COLUMNS, parse_events
from dts_pipeline.core.gtids import GtidSet
from dts_pipeline.core.ranges import OffsetRange, OffsetRanges, TopicPartition
from dts_pipeline.core.selection import Selection, against
from dts_pipeline.core.thinning import thin
from dts_pipeline.errors import TerminalError
from dts_pipeline.stages.ddl import site_tables
from dts_pipeline.stages.plan import check_tables, connector_modes
from dts_pipeline.stages.reduce import normalize
from dts_pipeline.stages.runtime import LinkRuntime

PIECE_EVENTS = 50_000
PIECE_BYTES = 64 * 2**20
Progress = Callable[[int, int], None]
"""Told how many offsets of how many are read."""


@dataclass(frozen=True)
class Piece:
    """A part of a range as read; columns as `envelope.parse_events` gives them.

    `rest` is what of the range lies behind it.
    """

    events: pd.DataFrame
    rest: OffsetRanges


@dataclass(frozen=True)
class SelectedRange:
    """A range that Kafka holds, with the plan of a batch over it.

    `plan.checkpoint` is the link's own, or an empty one if the link never ran.
    """

    ranges: OffsetRanges
    selection: Selection
    plan: Plan


def select(runtime: LinkRuntime, selection: Selection) -> SelectedRange:
    """Holds a selection against the link's tables and what Kafka has; writes nothing.

    Raises TerminalError `range_not_carried`, `range_lost`, `range_ahead`, `topic_recreated`,
    `ledger_missing`, or a code of the contract between the sites' tables.
    """
    link = runtime.link
    runtime.ledger.installation()
    modes = connector_modes(runtime)
    source_tables, tables = site_tables(runtime)
    check_tables(runtime, source_tables, tables)
    standing = runtime.standing()
    checkpoint = standing or Checkpoint(
        link.name, link.lane, 1, 0, {}, incarnation=runtime.source.facts.incarnation
    )
    taken = {link.topic_of(name) for name in source_tables if selection.takes(name)}
    topics = runtime.admin.topics(taken)
    _refuse_unknown(runtime, selection, taken)
    places = [TopicPartition(t.name, p) for t in topics.values() for p in range(t.partitions)]
    if selection.offsets:
        places = _named(runtime, selection, places, taken)
    held = runtime.admin.offsets(places)
    by_time = selection.since_ms is not None
    wanted = _wanted(runtime, selection, checkpoint, held)
    ranges = against(link.name, wanted, held, by_time=by_time)
    plan = Plan(
        link=link.name,
        checkpoint=checkpoint,
        until=ranges.until(),
        topic_ids={t.name: t.id for t in topics.values()},
        tables={link.topic_of(name): table for name, table in tables.items()},
        source_tables={link.topic_of(name): table for name, table in source_tables.items()},
        slots=1,
        deadline=0.0,
        modes=modes,
    )
    _refuse_recreated(plan, ranges)
    return SelectedRange(ranges, selection, plan)


def pieces(
    runtime: LinkRuntime,
    ranges: OffsetRanges,
    *,
    max_events: int = PIECE_EVENTS,
    max_bytes: int = PIECE_BYTES,
) -> Iterator[Piece]:
    """Reads the range in order, so many events and about so many bytes at a time.

    Raises TerminalError `offsets_lost` where Kafka removes the range meanwhile, PoisonError for
    a malformed message.
    """
    rest = ranges
    while rest.size:
        due = [r for r in rest if r.size]
        buffers = runtime.reader.read_to_end(
            {r.topic_partition: r.from_offset for r in due},
            {r.topic_partition: r.until_offset for r in due},
            max_events,
            max_bytes,
        )
        frames, left = [], []
        for wanted in due:
            buffer = buffers[wanted.topic_partition]
            inside = [m for m in buffer.messages if m.offset < wanted.until_offset]
            frames.append(parse_events(wanted.topic_partition, inside, runtime.link.source_names))
            reached = wanted.until_offset if buffer.at_end else buffer.position
            first = min(reached, wanted.until_offset)
            left.append(OffsetRange(wanted.topic_partition, first, wanted.until_offset))
        rest = OffsetRanges(tuple(left))
        yield Piece(pd.concat(frames, ignore_index=True), rest)


def gather(
    runtime: LinkRuntime,
    selected: SelectedRange,
    progress: Progress = lambda done, of: None,
    onto: Batch | None = None,
) -> Batch:
    """The range as one normalised batch, thinned to what decides about its keys.

    `onto` is what an earlier call gave of the range right before this one; it is gone on with.
    Second copies are dropped and marks recognised as for a batch; what counters add up to is left
    to `counted`, and their tables' events are all kept. Raises what `normalize` raises,
    and TerminalError `range_too_large` past `batch.max_transaction_bytes`.
    """
    began = time.monotonic()
    plain = replace(runtime, link=replace(runtime.link, counters={}))
    batch = onto or _begin(selected)
    counts = {"events": 0, "duplicates": 0, "marked": 0, **batch.counts}
    applied = GtidSet.parse(batch.before.applied_gtids)
    for piece in pieces(runtime, selected.ranges):
        kept = batch.frame
        events = pd.concat([kept[list(EVENT_COLUMNS)], piece.events], ignore_index=True)
        read = normalize(plain, selected.plan, replace(batch, frame=events, counts={}))
        counts["events"] += len(piece.events)
        counts["duplicates"] += read.counts["duplicates"]
        counts["marked"] += read.counts["marked"] - int(kept["marked"].sum())
        applied.add(piece.events["gtid"].dropna().unique())
        before = replace(batch.before, applied_gtids=str(applied))
        batch = replace(batch, frame=_thinned(runtime, read.frame), before=before)
        _refuse_too_large(runtime, batch.frame)
        progress(selected.ranges.size - piece.rest.size, selected.ranges.size)
    start = batch.ranges.start() if onto else selected.ranges.start()
    ranges = OffsetRanges.between(start, selected.ranges.until())
    seconds = {"pull": time.monotonic() - began}
    return replace(batch, ranges=ranges, counts=counts, seconds=seconds)


def counted(runtime: LinkRuntime, selected: SelectedRange, batch: Batch) -> Batch:
    """What `gather` gave, with the events of counters set apart as for a batch (rule R5)."""
    if not runtime.link.counters:
        return batch
    again = replace(batch, frame=batch.frame[list(EVENT_COLUMNS)])
    return replace(normalize(runtime, selected.plan, again), counts=batch.counts)


def _thinned(runtime: LinkRuntime, events: pd.DataFrame) -> pd.DataFrame:
    """Every change of a counter counts, so nothing of their tables is let go of."""
    whole = events["table"].isin(list(runtime.link.counters))
    if not whole.any():
        return thin(events)
    kept = pd.concat([thin(events[~whole]), events[whole]]).sort_values("ordinal")
    return kept.reset_index(drop=True)


def _begin(selected: SelectedRange) -> Batch:
    """An empty batch over the range.

    Where the range begins at the checkpoint, the furthest position applied tells second copies.
    """
    standing = selected.plan.checkpoint
    partitions = {}
    for wanted in selected.ranges:
        place = wanted.topic_partition
        known = standing.partitions.get(place)
        if known is None or known.next_offset != wanted.from_offset:
            known = PartitionCheckpoint(wanted.from_offset, selected.plan.topic_ids[place.topic])
        partitions[place] = known
    at = replace(standing, partitions=partitions)
    frame = parse_events(TopicPartition("", 0), []).assign(marked=pd.Series(dtype=bool))
    return Batch(
        link=standing.link,
        number=standing.batch + 1,
        slot=0,
        ranges=selected.ranges,
        before=at,
        after=at,
        frame=frame,
    )


def _refuse_unknown(runtime: LinkRuntime, selection: Selection, taken: set[str]) -> None:
    """A table or topic that the link does not carry is a slip of the pen."""
    unknown = sorted({tp.topic for tp in selection.offsets} - taken)
    if unknown or not taken:
        raise TerminalError(
            "range_not_carried",
            "the range names a table or topic that the link does not carry",
            where={
                "link": runtime.link.name,
                "named": ",".join(unknown or selection.tables),
            },
            remedy="Topics are spelled <topic_prefix>.<schema>.<table>, tables <schema>.<table>; "
            "`dts status` shows the links.",
        )


def _named(
    runtime: LinkRuntime, selection: Selection, places: list[TopicPartition], taken: set[str]
) -> list[TopicPartition]:
    missing = [str(tp) for tp in selection.offsets if tp.topic in taken and tp not in places]
    if missing:
        raise TerminalError(
            "range_not_carried",
            "the range names a partition that Kafka does not have",
            where={"link": runtime.link.name, "named": ",".join(missing)},
            remedy="A table without events yet has no topic; partitions count from 0.",
        )
    return [tp for tp in places if tp in selection.offsets]


def _wanted(
    runtime: LinkRuntime,
    selection: Selection,
    checkpoint: Checkpoint,
    held: Mapping[TopicPartition, tuple[int, int]],
) -> Mapping[TopicPartition, tuple[int, int | None]]:
    if selection.offsets:
        return selection.offsets
    if selection.since_ms is None:
        known = checkpoint.partitions
        return {tp: (known[tp].next_offset if tp in known else 0, None) for tp in held}
    firsts = runtime.admin.offsets_at(list(held), selection.since_ms)
    ends = firsts
    if selection.until_ms is not None:
        _refuse_future(runtime, selection.until_ms)
        ends = runtime.admin.offsets_at(list(held), selection.until_ms)
    found: dict[TopicPartition, tuple[int, int | None]] = {}
    for tp, (_, high) in held.items():
        first = firsts[tp] if firsts[tp] >= 0 else high
        end = ends[tp] if selection.until_ms is not None and ends[tp] >= 0 else high
        found[tp] = first, max(first, end)
    return found


def _refuse_future(runtime: LinkRuntime, until_ms: int) -> None:
    if until_ms / 1000 > time.time():
        raise TerminalError(
            "range_ahead",
            "the range ends in the future",
            where={"link": runtime.link.name},
            remedy="End the range now or earlier; without --until-time it ends with what Kafka "
            "holds.",
        )


def _refuse_recreated(plan: Plan, ranges: OffsetRanges) -> None:
    """Offsets of a topic that was made anew since the checkpoint mean something else."""
    for wanted in ranges:
        place = wanted.topic_partition
        known = plan.checkpoint.partitions.get(place)
        if known is not None and known.topic_id != plan.topic_ids[place.topic]:
            raise TerminalError(
                "topic_recreated",
                "a topic was deleted and made anew since the last batch",
                where={"link": plan.link, "topic": place.topic, "partition": place.partition},
                remedy="Give the link a new start first (docs/operations.md).",
            )


def _refuse_too_large(runtime: LinkRuntime, events: pd.DataFrame) -> None:
    sizes = (events[name].str.len().fillna(0).sum() for name in ("key", "before", "after"))
    size = int(sum(sizes)) + 1_000 * len(events)
    if size > runtime.limits.max_transaction_bytes:
        raise TerminalError(
            "range_too_large",
            "the keys of the range do not fit into the memory limit",
            where={
                "link": runtime.link.name,
                "limit_bytes": runtime.limits.max_transaction_bytes,
            },
            remedy="Take a part of the range, or raise batch.max_transaction_bytes.",
        )
