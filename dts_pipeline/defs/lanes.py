"""Which runs of a lane there are: started by a schedule, a sensor, `dts sync` or by hand."""

from __future__ import annotations

from collections.abc import Callable

import dagster as dg
from dagster._core.storage.tags import PARTITION_NAME_TAG

from dts_pipeline.core.links import Link
from dts_pipeline.defs.keys import LANE_TAG, checkpoint_key, job_name, lane_of

UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def unfinished_run(instance: dg.DagsterInstance, link: Link) -> dg.DagsterRun | None:
    """A run of the link's lane that is queued, starting, running or being cancelled.

    The UI's Materialize starts a run without our tag: it is known by the assets it selects.
    """
    runs = instance.get_runs(filters=dg.RunsFilter(statuses=UNFINISHED))
    return next((run for run in runs if _is_of_lane(run, link)), None)


def last_run_failed(instance: dg.DagsterInstance, link: Link) -> bool:
    """Whether the lane's newest run, by its tag, ended in failure."""
    runs = instance.get_runs(filters=dg.RunsFilter(tags={LANE_TAG: lane_of(link)}), limit=1)
    return bool(runs) and runs[0].status == dg.DagsterRunStatus.FAILURE


def request_of(link: Link, tick: str = "") -> dg.RunRequest:
    """A run of the lane, which is its checkpoint's partition where the link has several.

    `tick` names the schedule's tick: Dagster wants the runs of one to have keys.
    """
    if not link.lanes:
        return dg.RunRequest()
    key = f"{link.lane} {tick}" if tick else None
    return dg.RunRequest(run_key=key, partition_key=link.lane, tags={LANE_TAG: lane_of(link)})


def each_of(
    link: Link, decide: Callable[[Link], dg.RunRequest | dg.SkipReason]
) -> list[dg.RunRequest] | dg.SkipReason:
    """A run of each lane for which there is cause; or why there is none."""
    found = [decide(lane) for lane in link.each_lane()]
    requests = [one for one in found if isinstance(one, dg.RunRequest)]
    reasons = [str(one.skip_message) for one in found if isinstance(one, dg.SkipReason)]
    return requests or dg.SkipReason("; ".join(reasons))


def skip_reason(run: dg.DagsterRun, link: Link) -> dg.SkipReason:
    """Why a tick starts nothing."""
    return dg.SkipReason(f"run {run.run_id} of lane {lane_of(link)} is {run.status.value}")


def _is_of_lane(run: dg.DagsterRun, link: Link) -> bool:
    if LANE_TAG in run.tags:
        return run.tags[LANE_TAG] == lane_of(link)
    selected = run.asset_selection or frozenset()
    ours = run.job_name == job_name(link.name) or checkpoint_key(link.name) in selected
    return ours and (not link.lanes or run.tags.get(PARTITION_NAME_TAG) == link.lane)
