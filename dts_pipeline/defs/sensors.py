"""The optional sensors: they look for lag more often than a schedule can tick."""

from __future__ import annotations

import dagster as dg

from dts_pipeline.core.links import Link
from dts_pipeline.defs.keys import job_name
from dts_pipeline.defs.lanes import (
    each_of,
    last_run_failed,
    request_of,
    skip_reason,
    unfinished_run,
)
from dts_pipeline.defs.resources import STAGES, runtime_key


def lag_sensor(
    link: Link, job: dg.UnresolvedAssetJobDefinition, seconds: int
) -> dg.SensorDefinition:
    """Starts `sync_<link>` when Kafka holds offsets past the checkpoint.

    Without a run key: a key would block every later run that has it. After a failed run the
    schedule alone starts the next, so that a stopped link does not fail every few seconds.
    """

    @dg.sensor(
        name=f"{job_name(link.name)}_lag_sensor",
        job=job,
        minimum_interval_seconds=seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        required_resource_keys={STAGES, runtime_key(link.name)},
        description="Starts a run as soon as Kafka holds offsets past the checkpoint.",
    )
    def look(context: dg.SensorEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
        def decide(lane: Link) -> dg.RunRequest | dg.SkipReason:
            run = unfinished_run(context.instance, lane)
            if run:
                return skip_reason(run, lane)
            if last_run_failed(context.instance, lane):
                return dg.SkipReason("the last run failed: the schedule starts the next")
            runtime = getattr(context.resources, runtime_key(link.name))
            runtime = runtime.lane(lane.lane) if link.lanes else runtime
            behind = getattr(context.resources, STAGES).behind(runtime)
            return request_of(lane) if behind else dg.SkipReason("nothing is past the checkpoint")

        return each_of(link, decide)

    return look
