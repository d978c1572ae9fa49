"""Everything that Dagster shows, made from a Config; no server is asked."""

from __future__ import annotations

from typing import Any

import dagster as dg

from dts_pipeline.config import Config
from dts_pipeline.defs.assets import checkpoint_asset, lineage_specs
from dts_pipeline.defs.jobs import sync_job
from dts_pipeline.defs.memory import RUN_MEMORY, run_memory
from dts_pipeline.defs.prune import prune_job, prune_schedule
from dts_pipeline.defs.resources import Stages, resources_of
from dts_pipeline.defs.schedules import sync_schedule
from dts_pipeline.defs.sensors import lag_sensor
from dts_pipeline.errors import ConfigError


def build_definitions(config: Config, *, stages: Stages | None = None) -> dg.Definitions:
    """The assets, jobs, schedules, sensors and resources of every link.

    `stages` replaces the real ones. Raises ConfigError where Dagster refuses the cron line.
    """
    links = list(config.resolved_links().values())
    jobs = {link.name: sync_job(link) for link in links}
    seconds = config.schedule.lag_sensor_seconds
    try:
        schedules = [sync_schedule(link, jobs[link.name], config.schedule.cron) for link in links]
    except dg.DagsterInvalidDefinitionError:
        problem = f"{config.schedule.cron!r} is not a cron line of five fields"
        raise ConfigError([("schedule.cron", problem)]) from None
    assets: list[Any] = [*lineage_specs(links), *(checkpoint_asset(link) for link in links)]
    pruning = prune_job(links)
    return dg.Definitions(
        assets=assets,
        jobs=[*jobs.values(), pruning],
        schedules=[*schedules, prune_schedule(pruning)],
        sensors=[lag_sensor(link, jobs[link.name], seconds) for link in links] if seconds else [],
        resources={**resources_of(config, stages), RUN_MEMORY: run_memory},
        executor=dg.in_process_executor,
    )
