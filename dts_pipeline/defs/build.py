"""Everything that Dagster shows, made from a Config; no server is asked."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import dagster as dg

from dts_pipeline.config import Config
from dts_pipeline.defs.alerts import ALERTS, AlertsResource, alert_sensors
from dts_pipeline.defs.assets import checkpoint_asset, lineage_specs
from dts_pipeline.defs.comparing import comparing_parts
from dts_pipeline.defs.entries import entries_of
from dts_pipeline.defs.jobs import sync_job
from dts_pipeline.defs.loading import load_jobs
from dts_pipeline.defs.memory import RUN_MEMORY, run_memory
from dts_pipeline.defs.prune import prune_job, prune_schedule
from dts_pipeline.defs.prune_ledger import PRUNE_LEDGER, prune_ledger_job, prune_ledger_schedule
from dts_pipeline.defs.ranged import range_jobs
from dts_pipeline.defs.resources import Stages, reference, resources_of
from dts_pipeline.defs.schedules import sync_schedule
from dts_pipeline.defs.sensors import lag_sensor
from dts_pipeline.defs.settle import settle_job, settle_schedule
from dts_pipeline.errors import ConfigError


def build_definitions(config: Config, *, stages: Stages | None = None) -> dg.Definitions:
    """The assets, jobs, schedules, sensors and resources of every link.

    `stages` replaces the real ones. Raises ConfigError where Dagster refuses the cron line.
    """
    links = list(config.resolved_links().values())
    jobs = {link.name: sync_job(link) for link in links}
    entries = entries_of(links)
    pairs = [entry for entry in entries.values() if entry.is_pair]
    settling = settle_job(pairs)
    comparing = comparing_parts(entries)
    loading = load_jobs(entries)
    others = [settling.name, PRUNE_LEDGER, *(job.name for job in (*comparing.jobs, *loading))]
    pruning = prune_job(links, others, config.retention)
    pruning_ledger = prune_ledger_job(links, config.retention)
    warn = config.schedule.lag_warn_seconds
    cron, seconds = config.schedule.cron, config.schedule.lag_sensor_seconds
    with _cron_line("schedule.cron", cron):
        schedules = [sync_schedule(link, jobs[link.name], cron) for link in links]
    with _cron_line("schedule.settle_cron", config.schedule.settle_cron):
        schedules += [settle_schedule(settling, config.schedule.settle_cron)] if pairs else []
    assets: list[Any] = [*lineage_specs(links), *(checkpoint_asset(link, warn) for link in links)]
    return dg.Definitions(
        assets=assets,
        asset_checks=comparing.checks,
        jobs=[
            *jobs.values(),
            *range_jobs(config, links, entries),
            pruning,
            pruning_ledger,
            *([settling] if pairs else []),
            *comparing.jobs,
            *loading,
        ],
        schedules=[
            *schedules,
            *comparing.schedules,
            prune_schedule(pruning),
            prune_ledger_schedule(pruning_ledger),
        ],
        sensors=[
            *([lag_sensor(link, jobs[link.name], seconds) for link in links] if seconds else []),
            *(alert_sensors(links, warn) if config.alerts else []),
        ],
        resources={**resources_of(config, stages), **_alerts(config), RUN_MEMORY: run_memory},
        executor=dg.in_process_executor,
    )


def _alerts(config: Config) -> dict[str, AlertsResource]:
    """The webhook, if there is one; its address is read when a sensor looks."""
    if config.alerts is None:
        return {}
    return {ALERTS: AlertsResource(webhook=reference(config.alerts.webhook))}


@contextlib.contextmanager
def _cron_line(key: str, line: str) -> Iterator[None]:
    try:
        yield
    except dg.DagsterInvalidDefinitionError:
        raise ConfigError([(key, f"{line!r} is not a cron line of five fields")]) from None
