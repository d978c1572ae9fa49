"""The schedules: a tick starts a run unless one of the lane is under way."""

from __future__ import annotations

import dagster as dg

from dts_pipeline.core.links import Link
from dts_pipeline.defs.keys import job_name
from dts_pipeline.defs.lanes import each_of, request_of, skip_reason, unfinished_run


def sync_schedule(
    link: Link, job: dg.UnresolvedAssetJobDefinition, cron: str
) -> dg.ScheduleDefinition:
    """Starts `sync_<link>` by the cron line, in UTC, each lane's by itself; on from the start."""

    @dg.schedule(
        name=f"{job_name(link.name)}_schedule",
        job=job,
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Skips a tick while a run of the lane is queued or running.",
    )
    def tick(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
        at = context.scheduled_execution_time.isoformat() if link.lanes else ""

        def decide(lane: Link) -> dg.RunRequest | dg.SkipReason:
            run = unfinished_run(context.instance, lane)
            return skip_reason(run, lane) if run else request_of(lane, at)

        return each_of(link, decide)

    return tick
