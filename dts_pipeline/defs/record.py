"""What a run leaves in Dagster: metadata, tables' materializations and check results.

Numbers, and the names of tables and topics; never a row's values or keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from dts_pipeline.core.conflicts import RECORDED
from dts_pipeline.core.links import Link
from dts_pipeline.defs.keys import checkpoint_key, pattern_of, target_key

if TYPE_CHECKING:
    from dts_pipeline.core.batches import RunSummary

COUNTS = (
    "events",
    "marked",
    "duplicates",
    "changes",
    "inserted",
    "updated",
    "deleted",
    "cascaded",
    "same",
    "conflicts",
    "superseded",
    "unique",
    "quarantined",
    "open_conflicts",
)
OPEN_CONFLICTS = "open_conflicts"
LAG = "lag"


def metadata_of(summary: RunSummary) -> dict[str, Any]:
    """The checkpoint asset's metadata; every count of `COUNTS` is there, if only as 0."""
    counts = dict.fromkeys(COUNTS, 0) | {
        name: int(n) for name, n in summary.counts.items() if not name.startswith(RECORDED)
    }
    checkpoint = summary.checkpoint
    return {
        "batch": checkpoint.batch,
        "batches_this_run": summary.batches,
        "generation": checkpoint.generation,
        "paused": checkpoint.paused,
        "caught_up": summary.caught_up,
        "behind_offsets": summary.behind,
        "lag_seconds": float(summary.lag_seconds),
        "waiting_for": summary.waiting or "nothing",
        "offsets": _offsets(summary),
        "recorded": _recorded(summary),
        **counts,
        **{f"seconds/{stage}": round(s, 3) for stage, s in summary.seconds.items()},
    }


def table_materializations(link: Link, summary: RunSummary) -> Iterator[dg.AssetMaterialization]:
    """One event for each target asset with rows written; a pattern's asset lists its tables."""
    by_pattern: dict[str, dict[str, Mapping[str, int]]] = {}
    for full_name, counts in sorted(summary.tables.items()):
        pattern = pattern_of(link, full_name)
        if pattern is not None and any(_written(counts).values()):
            by_pattern.setdefault(pattern, {})[full_name] = counts
    for pattern, tables in by_pattern.items():
        yield dg.AssetMaterialization(
            asset_key=target_key(link, pattern),
            metadata={
                **{kind: sum(_written(c)[kind] for c in tables.values()) for kind in _WRITTEN},
                "tables": dg.MetadataValue.table(
                    [dg.TableRecord({"table": t, **_written(c)}) for t, c in tables.items()]
                ),
                "batch": summary.checkpoint.batch,
            },
        )


def check_specs(link: str, lag_warn_seconds: float) -> list[dg.AssetCheckSpec]:
    """The checks that `check_results` answers; none stops a run."""
    key = checkpoint_key(link)
    return [
        dg.AssetCheckSpec(
            OPEN_CONFLICTS, asset=key, description="No conflict of this link waits to be settled."
        ),
        dg.AssetCheckSpec(
            LAG,
            asset=key,
            description="What was committed at the source more than "
            f"{lag_warn_seconds:.0f} s ago is applied, by watermark.",
        ),
    ]


def check_results(
    link: str, summary: RunSummary, lag_warn_seconds: float
) -> Iterator[dg.AssetCheckResult]:
    """Open conflicts and lag, as warnings."""
    key = checkpoint_key(link)
    open_conflicts = int(summary.counts.get("open_conflicts", 0))
    yield dg.AssetCheckResult(
        asset_key=key,
        check_name=OPEN_CONFLICTS,
        passed=open_conflicts == 0,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"open_conflicts": open_conflicts},
    )
    yield dg.AssetCheckResult(
        asset_key=key,
        check_name=LAG,
        passed=summary.lag_seconds <= lag_warn_seconds,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "behind_offsets": summary.behind,
            "lag_seconds": float(summary.lag_seconds),
            "waiting_for": summary.waiting or "nothing",
        },
    )


_WRITTEN = ("inserted", "updated", "deleted", "cascaded")


def _written(counts: Mapping[str, int]) -> dict[str, int]:
    return {kind: int(counts.get(kind, 0)) for kind in _WRITTEN}


def _offsets(summary: RunSummary) -> dg.TableMetadataValue:
    """A row a topic-partition: the next offset and the source's commit time up to it."""
    records = [
        dg.TableRecord(
            {
                "topic": tp.topic,
                "partition": tp.partition,
                "next_offset": at.next_offset,
                "applied_up_to": _utc(at.ts_ms),
            }
        )
        for tp, at in sorted(summary.checkpoint.partitions.items())
    ]
    schema = dg.TableSchema(
        [
            dg.TableColumn("topic"),
            dg.TableColumn("partition", "int"),
            dg.TableColumn("next_offset", "int"),
            dg.TableColumn("applied_up_to"),
        ]
    )
    return dg.MetadataValue.table(records, schema)


def _recorded(summary: RunSummary) -> dg.TableMetadataValue:
    """A row a table, kind and decision: how many keys this run recorded in `dts.conflict`."""
    records = [
        dg.TableRecord({"table": table, "kind": kind, "decision": decision, "keys": int(count)})
        for table, counts in sorted(summary.tables.items())
        for name, count in sorted(counts.items())
        if name.startswith(RECORDED)
        for kind, decision in [name.removeprefix(RECORDED).split("/")]
    ]
    columns = [dg.TableColumn(name) for name in ("table", "kind", "decision")]
    schema = dg.TableSchema([*columns, dg.TableColumn("keys", "int")])
    return dg.MetadataValue.table(records, schema)


def _utc(ts_ms: int) -> str:
    """The time in UTC; empty where nothing was applied yet."""
    moment = datetime.fromtimestamp(ts_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds") if ts_ms else ""
