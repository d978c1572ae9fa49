"""preview: what a range would do at the target right now; nothing is written."""

from __future__ import annotations

import time
from dataclasses import replace

from dts_pipeline.adapters.apply_request import ApplyRequest
from dts_pipeline.adapters.previewer import foresee
from dts_pipeline.core.batches import Batch, Plan
from dts_pipeline.core.links import Link, Policy
from dts_pipeline.core.marks import Mark
from dts_pipeline.core.previews import Preview
from dts_pipeline.core.selection import Selection
from dts_pipeline.stages.reduce import compact, drop_marked
from dts_pipeline.stages.runtime import LinkRuntime
from dts_pipeline.stages.selection import Progress, counted, gather, select


def preview(
    runtime: LinkRuntime,
    selection: Selection,
    *,
    policy: Policy | None = None,
    limit: int = 20,
    progress: Progress = lambda done, of: None,
) -> Preview:
    """What applying the range as one batch would write, skip and dispute at this moment.

    `policy` takes the place of every table's own. `limit` is how many keys are shown one by one.
    Raises what `select`, `gather` and staging raise.
    """
    selected = select(runtime, selection)
    read = gather(runtime, selected, progress)
    began = time.monotonic()
    batch = compact(drop_marked(counted(runtime, selected, read)))
    link = runtime.link
    if policy is not None:
        link = replace(link, policy=policy, table_policies={})
    found = foresee(runtime.target, request_of(runtime, link, selected.plan, batch), limit)
    return Preview(
        link=link.name,
        ranges=selected.ranges,
        counts=dict(batch.counts),
        tables=found.tables,
        keys=tuple(found.keys),
        stops=tuple(found.stops),
        seconds={"read": read.seconds["pull"], "classify": time.monotonic() - began},
    )


def request_of(runtime: LinkRuntime, link: Link, plan: Plan, batch: Batch) -> ApplyRequest:
    """The request that apply would make of a range's batch, under a mark that is never used."""
    dialect = runtime.target.facts.dialect
    return ApplyRequest(
        link=link,
        batch=batch,
        tables={table.full_name: table for table in plan.tables.values()},
        source_tables={table.full_name: table for table in plan.source_tables.values()},
        mark=Mark(link.mark, dialect, link.name, batch.number, "preview", 0),
        modes=plan.modes,
        compare_json=runtime.source.facts.dialect != dialect,
    )
