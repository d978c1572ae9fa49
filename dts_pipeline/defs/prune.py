"""The job that removes old runs: Dagster keeps every run's log for ever, some 300 kB a run.

At a run a minute and link that is about 400 MB a day and link in the SQLite storage. What is kept
is a number of runs of each kind, so that the storage stays bounded however often a link runs or
fails. The ledger keeps the batches; only Dagster's record of them goes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import dagster as dg
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite import SqliteEventLogStorage

from dts_pipeline.core.links import Link
from dts_pipeline.defs.keys import BATCHES_TAG, LANE_TAG, lane_of

PRUNE_JOB = "prune_runs"
KEPT = {"applied": 500, "empty": 60, "failed": 200}
"""How many runs of each kind a lane keeps: with batches, without, and failed or cancelled."""
_LOOKED_AT = 5_000
_FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


def prune(
    instance: dg.DagsterInstance,
    filters: Iterable[dg.RunsFilter],
    kept: Mapping[str, int] = KEPT,
) -> int:
    """Removes the runs of each filter but the newest, `kept` of each kind; returns how many."""
    gone = 0
    for runs in filters:
        found = instance.get_runs(filters=runs, limit=_LOOKED_AT)
        for run in _surplus(found, kept):
            _remove(instance, run.run_id)
            gone += 1
    return gone


def prune_filters(links: Iterable[Link], jobs: Iterable[str] = ()) -> list[dg.RunsFilter]:
    """The finished runs of each lane, of the `jobs` named, and those of the pruning itself."""
    lanes = [dg.RunsFilter(tags={LANE_TAG: lane_of(link)}, statuses=_FINISHED) for link in links]
    names = [*jobs, PRUNE_JOB]
    return [*lanes, *(dg.RunsFilter(job_name=name, statuses=_FINISHED) for name in names)]


def prune_job(links: Sequence[Link], jobs: Sequence[str] = ()) -> dg.JobDefinition:
    """`prune_runs`: what `prune` does for all lanes and for the other jobs named."""
    filters = prune_filters(links, jobs)

    @dg.op(name="prune_old_runs")
    def prune_old_runs(context) -> None:  # type: ignore[no-untyped-def]
        """Removes the runs that are past the number kept."""
        context.log.info(f"{prune(context.instance, filters)} runs removed")

    @dg.job(
        name=PRUNE_JOB,
        executor_def=dg.in_process_executor,
        description="Removes old runs from Dagster's storage; the ledger keeps the batches.",
    )
    def prune_runs() -> None:
        prune_old_runs()

    return prune_runs


def prune_schedule(job: dg.JobDefinition) -> dg.ScheduleDefinition:
    """Once an hour, on from the start."""
    return dg.ScheduleDefinition(
        name=f"{PRUNE_JOB}_schedule",
        job=job,
        cron_schedule="23 * * * *",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )


def _surplus(
    newest_first: Iterable[dg.DagsterRun], kept: Mapping[str, int]
) -> Iterator[dg.DagsterRun]:
    seen: Counter[str] = Counter()
    for run in newest_first:
        kind = _kind_of(run)
        seen[kind] += 1
        if seen[kind] > kept[kind]:
            yield run


def _kind_of(run: dg.DagsterRun) -> str:
    if run.status is not dg.DagsterRunStatus.SUCCESS:
        return "failed"
    return "empty" if run.tags.get(BATCHES_TAG, "0") == "0" else "applied"


def _remove(instance: dg.DagsterInstance, run_id: str) -> None:
    """The run, and what Dagster's own delete leaves behind: check results and the log's file."""
    instance.delete_run(run_id)
    storage = instance.event_log_storage
    if isinstance(storage, SqlEventLogStorage):
        with storage.index_connection() as connection:
            connection.execute(
                AssetCheckExecutionsTable.delete().where(
                    AssetCheckExecutionsTable.c.run_id == run_id
                )
            )
    if isinstance(storage, SqliteEventLogStorage):
        for suffix in ("", "-wal", "-shm"):
            Path(storage.path_for_shard(run_id) + suffix).unlink(missing_ok=True)
