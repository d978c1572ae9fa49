"""audit_loop: a pair's link looks whether what the other one wrote came back as it was written."""

from __future__ import annotations

from contextlib import nullcontext

from dts_pipeline.adapters.loop_ledger import (
    audit_alone,
    drop_returned,
    drop_written,
    keep_findings,
    read_returned,
    read_written,
    recent_findings,
)
from dts_pipeline.core.loop_audit import compare
from dts_pipeline.stages.runtime import LinkRuntime


def audit_loop(runtime: LinkRuntime) -> dict[str, int]:
    """Compares what came back since the last time; the findings of the last day, by kind.

    Every step can be repeated: findings first, then the writes at the source, then what was read.
    What a lane finds another one of the link at, it leaves to that one.
    """
    link = runtime.link
    if link.pair is None:
        return {}
    lanes = audit_alone(runtime.target, link.name) if link.lanes else nullcontext(True)
    with lanes as alone:
        returned = read_returned(runtime.target, link.name) if alone else []
        if returned:
            verdict = compare(read_written(runtime.source, link.reverse), returned)
            keep_findings(runtime.target, link.name, verdict, returned)
            drop_written(runtime.source, link.reverse, verdict.settled)
            drop_returned(runtime.target, link.name)
    return recent_findings(runtime.target, link.name)
