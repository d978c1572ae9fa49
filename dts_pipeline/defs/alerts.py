"""Dagster's own alerts, where dts.yaml names a webhook: runs that fail, and links that lag.

Each is told once, when it begins: a link that is stopped fails every minute. What is sent names
links, jobs, runs and errors; no row values.
"""

import json
from collections.abc import Sequence
from typing import Any

import dagster as dg

from dts_pipeline.core.links import Link
from dts_pipeline.defs.failures import error_of
from dts_pipeline.defs.keys import LANE_TAG
from dts_pipeline.defs.resources import runtime_key

ALERTS = "alerts"
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
_LOOKED_AT = 50


class AlertsResource(dg.ConfigurableResource[Any]):
    """The webhook."""

    webhook: str

    def send(self, alert: dict[str, object]) -> None:
        """One POST; raises `alert_not_sent`."""
        from dts_pipeline.adapters.webhook import post

        post(self.webhook, alert)


def alert_sensors(links: Sequence[Link], lag_warn_seconds: float) -> list[dg.SensorDefinition]:
    """Both of them, on from the start."""
    return [failed_runs(), lagging_links(links, lag_warn_seconds)]


def failed_runs() -> dg.SensorDefinition:
    """Tells of a failed run of any job here, unless the one before it had failed as well."""

    @dg.run_failure_sensor(
        name="alert_failed_runs",
        minimum_interval_seconds=15,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells the webhook of the first failed run of a row of them.",
    )
    def look(context: dg.RunFailureSensorContext, alerts: AlertsResource) -> dg.SkipReason | None:
        run = context.dagster_run
        if _failed_before(context.instance, run):
            return dg.SkipReason(f"run {run.run_id} is not the first of {run.job_name} to fail")
        errors = [error_of(event) for event in context.get_step_failure_events()]
        error = next((found for found in errors if found is not None), None)
        told = error.to_dict() if error else {"message": "the run ended outside its stages"}
        place = {"job": run.job_name, "run": run.run_id, "lane": run.tags.get(LANE_TAG)}
        alerts.send({"alert": "run_failed", **place, **told})
        return None

    return look


def lagging_links(links: Sequence[Link], lag_warn_seconds: float) -> dg.SensorDefinition:
    """Tells when a link begins to lag, or its ledger cannot be read, and when that is over."""

    @dg.sensor(
        name="alert_lagging_links",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        required_resource_keys={ALERTS, *(runtime_key(link.name) for link in links)},
        description="Tells the webhook when a link lags, and when it does no more.",
    )
    def look(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        before: dict[str, str] = json.loads(context.cursor or "{}")
        for link in links:
            runtime = getattr(context.resources, runtime_key(link.name))
            state, facts = _state(runtime, lag_warn_seconds)
            if state != before.get(link.name, "fine"):
                context.resources.alerts.send({"alert": state, "link": link.name, **facts})
                before[link.name] = state
                context.update_cursor(json.dumps(before))
        known = [f"{name} {state}" for name, state in sorted(before.items()) if state != "fine"]
        return dg.SkipReason(", ".join(known) or "no link lags")

    return look


def _failed_before(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the job's run before this one had failed too."""
    own = dg.RunsFilter(job_name=run.job_name, statuses=_ENDED)
    runs = instance.get_runs(filters=own, limit=_LOOKED_AT)  # the newest first
    older = iter(runs)
    if not any(other.run_id == run.run_id for other in older):
        return False
    previous = next(older, None)
    return previous is not None and previous.status is dg.DagsterRunStatus.FAILURE


def _state(runtime: Any, lag_warn_seconds: float) -> tuple[str, dict[str, object]]:
    """`fine`, `lagging` or `unreadable`, and what is told with it."""
    from dts_pipeline.adapters.figures import read_figures
    from dts_pipeline.errors import DtsError

    try:
        lanes = read_figures(runtime.target, runtime.link.name).lanes
    except DtsError as error:
        return "unreadable", error.to_dict()
    lags = [own.lag_seconds for own in lanes if own.lag_seconds is not None and not own.paused]
    worst = round(max(lags, default=0.0), 1)
    return "lagging" if worst > lag_warn_seconds else "fine", {"lag_seconds": worst}
