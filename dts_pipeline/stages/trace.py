"""trace: which events, transactions, batches and runs touched a row, from Kafka and the ledgers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from dts_pipeline.adapters.lineage import covering_batches, marked_batches, records_of
from dts_pipeline.adapters.reconcile_records import own_hash
from dts_pipeline.adapters.records import key_hash
from dts_pipeline.adapters.table_schema import read_tables
from dts_pipeline.core import marks
from dts_pipeline.core.decode_keys import decode_keys
from dts_pipeline.core.decode_modes import ValueModes
from dts_pipeline.core.envelope import parse_events
from dts_pipeline.core.ranges import OffsetRange, OffsetRanges, TopicPartition
from dts_pipeline.core.row_values import to_json
from dts_pipeline.core.schema import Table
from dts_pipeline.core.tracing import Touch, is_key, newest, spellings, touches, typed_key
from dts_pipeline.errors import DtsError, TerminalError
from dts_pipeline.stages.plan import connector_modes
from dts_pipeline.stages.runtime import LinkRuntime
from dts_pipeline.stages.selection import Progress, pieces


@dataclass
class Trace:
    """What touched a row, the newest last, and the records of it at each target.

    `missing`: of these topic-partitions Kafka holds nothing before the offset, so that what
    touched the row before is not shown.
    """

    table: str
    touches: list[Touch] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)
    missing: dict[TopicPartition, int] = field(default_factory=dict)


def trace(
    runtimes: Sequence[LinkRuntime],
    table: str,
    key: str,
    *,
    since_ms: int | None = None,
    limit: int = 100,
    progress: Progress = lambda done, of: None,
) -> Trace:
    """Follows a row through every link that carries its table.

    `key` as `tracing.typed_key` reads it. Raises TerminalError `range_not_carried` if no link
    carries the table, `table_missing`, `key_invalid`.
    """
    carrying = [runtime for runtime in runtimes if runtime.link.matches(table)]
    if not carrying:
        raise TerminalError(
            "range_not_carried",
            "no link carries the table",
            where={"table": table},
            remedy="Tables are spelled schema.table, as in dts.yaml's patterns.",
        )
    found = Trace(table)
    for runtime in carrying:
        _follow(runtime, runtimes, found, (table, key), since_ms, progress)
    found.touches = newest(found.touches, limit)
    return found


def _follow(
    runtime: LinkRuntime,
    runtimes: Sequence[LinkRuntime],
    found: Trace,
    row: tuple[str, str],
    since_ms: int | None,
    progress: Progress,
) -> None:
    """Adds one link's touches and records."""
    name, text = row
    source, target = (
        _table(db, name, runtime.link.excluded_columns) for db in (runtime.source, runtime.target)
    )
    typed = typed_key(source, text)
    ranges = _ranges(runtime, found, name, since_ms)
    tables, modes = (source, target), _modes(runtime)
    events = _events(runtime, ranges, tables, modes, typed, progress)
    found.touches += _touches(runtime, runtimes, events)
    hashes = {key_hash(name, spelled) for spelled in spellings(source, typed)}
    hashes |= {key_hash(name, spelled) for spelled in events["key"].unique()}
    if len(events):
        values = decode_keys([events["key"].iloc[-1]], target, modes, source=source)
        own_key = to_json(target.primary_key, next(values.itertuples(index=False, name=None)))
        hashes.add(own_hash(name, own_key))
    site = runtime.target.site
    found.records += [{"site": site, **r} for r in records_of(runtime.target, name, sorted(hashes))]


def _touches(
    runtime: LinkRuntime, runtimes: Sequence[LinkRuntime], events: pd.DataFrame
) -> list[Touch]:
    """The row's events with the batches that the ledgers know of."""
    link, found = runtime.link, []
    table = str(events["table"].iloc[0]) if len(events) else ""
    events = events.assign(marked=marks.recognise(events, link.all_mark_domains, runtime.carried))
    writers = _writers(runtime, runtimes, events)
    for topic, partition in events[["topic", "partition"]].drop_duplicates().to_numpy().tolist():
        at = TopicPartition(topic, partition)
        own = events[(events["topic"] == topic) & (events["partition"] == partition)]
        low, high = int(own["offset"].min()), int(own["offset"].max())
        lane = runtime.writing(table, partition)
        standing = lane.standing()
        # Of lanes that share a table each covers every offset; else one lane at a time does.
        name = lane.link.lane if link.by_partition else None
        batches = covering_batches(runtime.target, link.name, name, at, low, high)
        known = standing.partitions.get(at) if standing else None
        reached = known.next_offset if known else 0
        found += touches(lane.link.title, own, batches, writers, reached)
    return found


def _table(database: Any, name: str, excluded: Mapping[str, Collection[str]]) -> Table:
    tables = read_tables(database, lambda other: other == name, excluded)
    if name not in tables:
        raise TerminalError(
            "table_missing",
            "the table does not exist",
            where={"site": database.site, "table": name},
            remedy="Tables are spelled schema.table.",
        )
    return tables[name]


def _modes(runtime: LinkRuntime) -> ValueModes:
    """How the connector spells values; the defaults while it cannot be asked."""
    try:
        return connector_modes(runtime)
    except DtsError:
        return ValueModes()


def _ranges(runtime: LinkRuntime, found: Trace, table: str, since_ms: int | None) -> OffsetRanges:
    """What Kafka holds of the table's topic, and what it does not any more."""
    topics = runtime.admin.topics([runtime.link.topic_of(table)])
    places = [TopicPartition(t.name, p) for t in topics.values() for p in range(t.partitions)]
    held = runtime.admin.offsets(places)
    firsts: Mapping[TopicPartition, int] = {tp: low for tp, (low, _) in held.items()}
    if since_ms is not None:
        at = runtime.admin.offsets_at(places, since_ms)
        firsts = {tp: at[tp] if at[tp] >= 0 else high for tp, (_, high) in held.items()}
    found.missing |= {tp: low for tp, (low, _) in held.items() if 0 < low == firsts[tp]}
    return OffsetRanges(tuple(OffsetRange(tp, firsts[tp], held[tp][1]) for tp in sorted(held)))


def _events(
    runtime: LinkRuntime,
    ranges: OffsetRanges,
    tables: tuple[Table, Table],
    modes: ValueModes,
    typed: Mapping[str, str],
    progress: Progress,
) -> pd.DataFrame:
    """The events of the row; keys are decoded once for each spelling."""
    source, target = tables
    frames = []
    for piece in pieces(runtime, ranges):
        rows = piece.events[piece.events["op"] != "t"]
        distinct = rows["key"].unique().tolist()
        if distinct:
            named = is_key(decode_keys(distinct, target, modes, source=source), typed)
            wanted = {key for key, same in zip(distinct, named, strict=True) if same}
            frames.append(rows[rows["key"].isin(wanted)])
        progress(ranges.size - piece.rest.size, ranges.size)
    nothing = parse_events(TopicPartition("", 0), [])
    return pd.concat(frames, ignore_index=True) if frames else nothing


def _writers(
    runtime: LinkRuntime, runtimes: Sequence[LinkRuntime], events: pd.DataFrame
) -> pd.DataFrame:
    """The batches of its pair and mesh that wrote the marked events, told by GTID (MySQL only)."""
    gtids = sorted(set(events.loc[events["marked"], "gtid"].dropna()))
    pairs = {runtime.link.pair, *runtime.link.mesh_pairs} - {None}
    found = [
        marked_batches(other.target, other.link.name, gtids)
        for other in runtimes
        if other.link.pair in pairs and other.link.target == runtime.link.source
    ]
    known = [batches for batches in found if len(batches)]
    return pd.concat(known, ignore_index=True) if known else marked_batches(runtime.source, "", [])
