"""carry: what a scheduled run does, in this process and without Dagster."""

from __future__ import annotations

from dts_pipeline.core.batches import RunSummary
from dts_pipeline.stages.apply import apply
from dts_pipeline.stages.plan import plan_ranges
from dts_pipeline.stages.pull import pull
from dts_pipeline.stages.reduce import compact, drop_marked, normalize
from dts_pipeline.stages.runtime import LinkRuntime
from dts_pipeline.stages.summary import summarize


def carry(runtime: LinkRuntime) -> RunSummary:
    """Applies what a link has left, as many batches as a run may; raises what the stages raise.

    Of a link's lanes one after the other; what became of the last is returned.
    """
    *others, runtime = runtime.lanes
    for lane in others:
        carry(lane)
    plan = plan_ranges(runtime)
    applied = []
    for slot in range(plan.slots):
        batch = pull(runtime, plan, slot)
        if batch is not None:
            changes = compact(drop_marked(normalize(runtime, plan, batch)))
            applied.append(apply(runtime, plan, changes))
    return summarize(runtime, plan, applied)
