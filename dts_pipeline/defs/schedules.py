"""The schedules: a tick starts a run unless one of the lane is under way."""

from __future__ import annotations

import dagster as dg

from dts_pipeline.core.links import Link
from dts_pipeline.defs.keys import job_name
from dts_pipeline.defs.lanes import skip_reason, unfinished_run


def sync_schedule(
    link: Link, job: dg.UnresolvedAssetJobDefinition, cron: str
) -> dg.ScheduleDefinition:
    """Starts `sync_<link>` by the cron line, in UTC; it is on from the start."""

    @dg.schedule(
        name=f"{job_name(link.name)}_schedule",
        job=job,
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Skips a tick while a run of the lane is queued or running.",
    )
    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        run = unfinished_run(context.instance, link)
        return skip_reason(run, link) if run else dg.RunRequest()

    return tick
