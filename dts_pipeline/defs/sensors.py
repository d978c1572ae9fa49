"""The optional sensors: they look for lag more often than a schedule can tick."""

from __future__ import annotations

import dagster as dg

from dts_pipeline.core.links import Link
from dts_pipeline.defs.keys import job_name
from dts_pipeline.defs.lanes import last_run_failed, skip_reason, unfinished_run
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
    def look(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        run = unfinished_run(context.instance, link)
        if run:
            return skip_reason(run, link)
        if last_run_failed(context.instance, link):
            return dg.SkipReason("the last run failed: the schedule starts the next")
        runtime = getattr(context.resources, runtime_key(link.name))
        behind = getattr(context.resources, STAGES).behind(runtime)
        return dg.RunRequest() if behind else dg.SkipReason("nothing is past the checkpoint")

    return look
