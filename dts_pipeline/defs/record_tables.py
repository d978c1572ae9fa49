"""The checkpoint asset's tables: offsets, and counts by table; never a row's values or keys."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from dts_pipeline.core.conflicts import RECORDED

if TYPE_CHECKING:
    from dts_pipeline.core.batches import RunSummary


def tables_of(summary: RunSummary) -> dict[str, dg.TableMetadataValue]:
    """Every table, by the name of its metadata entry."""
    return {
        "ranges": _ranges(summary),
        "offsets": _offsets(summary),
        "tables": _by_table(summary),
        "recorded": _recorded(summary),
        "open_records": _open_records(summary),
    }


def _ranges(summary: RunSummary) -> dg.TableMetadataValue:
    """A row a topic-partition of which this run applied something: `[from, until)`."""
    records = [
        {
            "topic": one.topic_partition.topic,
            "partition": one.topic_partition.partition,
            "from": one.from_offset,
            "until": one.until_offset,
            "offsets": one.size,
        }
        for one in summary.ranges
        if one.size
    ]
    return _table(records, ("topic",), ("partition", "from", "until", "offsets"))


def _offsets(summary: RunSummary) -> dg.TableMetadataValue:
    """A row a topic-partition: the next offset and the source's commit time up to it."""
    records = [
        {
            "topic": tp.topic,
            "partition": tp.partition,
            "next_offset": at.next_offset,
            "applied_up_to": _utc(at.ts_ms),
        }
        for tp, at in sorted(summary.checkpoint.partitions.items())
    ]
    return _table(records, ("topic",), ("partition", "next_offset"), ("applied_up_to",))


def _by_table(summary: RunSummary) -> dg.TableMetadataValue:
    """A row a table that this run read changes of: how many keys of each kind."""
    tables = {
        table: {name: int(n) for name, n in counts.items() if not name.startswith(RECORDED)}
        for table, counts in sorted(summary.tables.items())
    }
    kinds = list(dict.fromkeys(kind for counts in tables.values() for kind in counts))
    records = [
        {"table": table, **{kind: counts.get(kind, 0) for kind in kinds}}
        for table, counts in tables.items()
    ]
    return _table(records, ("table",), kinds)


def _recorded(summary: RunSummary) -> dg.TableMetadataValue:
    """A row a table, kind and decision: how many keys this run recorded in `dts.conflict`."""
    records = [
        {"table": table, "kind": kind, "decision": decision, "keys": int(count)}
        for table, counts in sorted(summary.tables.items())
        for name, count in sorted(counts.items())
        if name.startswith(RECORDED)
        for kind, decision in [name.removeprefix(RECORDED).split("/")]
    ]
    return _table(records, ("table", "kind", "decision"), ("keys",))


def _open_records(summary: RunSummary) -> dg.TableMetadataValue:
    """A row a table and kind: how many keys have an open record after this run."""
    records = [
        {"table": table, "kind": kind, "keys": int(count)}
        for name, count in sorted(summary.open_records.items())
        for table, _, kind in [name.rpartition("/")]
    ]
    return _table(records, ("table", "kind"), ("keys",))


def _table(
    records: list[dict[str, Any]],
    texts: tuple[str, ...],
    numbers: tuple[str, ...] | list[str],
    more: tuple[str, ...] = (),
) -> dg.TableMetadataValue:
    columns = [
        *(dg.TableColumn(name) for name in texts),
        *(dg.TableColumn(name, "int") for name in numbers),
        *(dg.TableColumn(name) for name in more),
    ]
    return dg.MetadataValue.table([dg.TableRecord(r) for r in records], dg.TableSchema(columns))


def _utc(ts_ms: int) -> str:
    """The time in UTC; empty where nothing was applied yet."""
    moment = datetime.fromtimestamp(ts_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds") if ts_ms else ""
