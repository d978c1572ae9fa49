"""What a run leaves in Dagster: metadata, tables' materializations and check results.

Numbers, and the names of tables and topics; never a row's values or keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from dts_pipeline.core.conflicts import RECORDED
from dts_pipeline.core.links import Link
from dts_pipeline.core.loop_audit import LoopKind
from dts_pipeline.defs.keys import checkpoint_key, pattern_of, target_key
from dts_pipeline.defs.record_tables import tables_of

if TYPE_CHECKING:
    from dts_pipeline.core.batches import RunSummary
    from dts_pipeline.core.waiting import Waiting

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
LOOP_AUDIT = "loop_audit"


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
        "consistency": summary.consistency,
        **_waiting(summary.waiting),
        **({"altered": "\n".join(summary.altered)} if summary.altered else {}),
        **tables_of(summary),
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


def check_specs(link: Link, lag_warn_seconds: float) -> list[dg.AssetCheckSpec]:
    """The checks that `check_results` answers; none stops a run."""
    key = checkpoint_key(link.name)
    audit = dg.AssetCheckSpec(
        LOOP_AUDIT,
        asset=key,
        description=f"What {link.reverse} wrote came back under its mark, row for row, and nothing "
        "else did.",
    )
    specs = [
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
    return [*specs, audit] if link.pair else specs


def check_results(
    link: Link, summary: RunSummary, lag_warn_seconds: float
) -> Iterator[dg.AssetCheckResult]:
    """Open conflicts, lag and the loop audit, as warnings."""
    key = checkpoint_key(link.name)
    worst = max(summary.lag_seconds, summary.worst_lag_seconds)
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
        passed=worst <= lag_warn_seconds,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "behind_offsets": summary.behind,
            "lag_seconds": float(worst),
            **_waiting(summary.waiting),
        },
    )
    if link.pair:
        yield dg.AssetCheckResult(
            asset_key=key,
            check_name=LOOP_AUDIT,
            passed=not any(summary.loop.values()),
            severity=dg.AssetCheckSeverity.WARN,
            metadata={kind.value: int(summary.loop.get(kind, 0)) for kind in LoopKind},
        )


def _waiting(waiting: Waiting | None) -> dict[str, Any]:
    """The transaction that is not whole, for how long, and how many of its events are missing."""
    if waiting is None:
        return {"waiting_for": "nothing", "waiting_seconds": 0.0, "waiting_events": 0}
    return {
        "waiting_for": waiting.transaction,
        "waiting_seconds": round(waiting.seconds, 1),
        "waiting_events": sum(waiting.missing.values()),
    }


_WRITTEN = ("inserted", "updated", "deleted", "cascaded")


def _written(counts: Mapping[str, int]) -> dict[str, int]:
    return {kind: int(counts.get(kind, 0)) for kind in _WRITTEN}
