"""The job that removes old runs: Dagster keeps every run's log for ever, some 300 kB a run.

At a run a minute and link that is about 400 MB a day and link in the SQLite storage. What is kept
is a number of runs of each kind, so that the storage stays bounded however often a link runs or
fails, and of those the ones that are young enough. The newest run of each kind always stays. The
ledger keeps the batches; only Dagster's record of them goes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite import SqliteEventLogStorage

from dts_pipeline.config import RetentionConfig
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
    retention: RetentionConfig | None = None,
    now: datetime | None = None,
) -> int:
    """Removes the runs of each filter but the newest, `kept` of each kind; returns how many.

    With `retention` also those that are older than it says, but for the newest of each kind.
    """
    now = now or datetime.now(UTC)
    gone = 0
    for runs in filters:
        found = instance.get_run_records(filters=runs, limit=_LOOKED_AT)
        for run in _surplus(found, kept, retention, now):
            _remove(instance, run.run_id)
            gone += 1
    return gone


def prune_filters(links: Iterable[Link], jobs: Iterable[str] = ()) -> list[dg.RunsFilter]:
    """The finished runs of each lane, of the `jobs` named, and those of the pruning itself."""
    every = [lane for link in links for lane in link.each_lane()]
    lanes = [dg.RunsFilter(tags={LANE_TAG: lane_of(lane)}, statuses=_FINISHED) for lane in every]
    names = [*jobs, PRUNE_JOB]
    return [*lanes, *(dg.RunsFilter(job_name=name, statuses=_FINISHED) for name in names)]


def prune_job(
    links: Sequence[Link], jobs: Sequence[str] = (), retention: RetentionConfig | None = None
) -> dg.JobDefinition:
    """`prune_runs`: what `prune` does for all lanes and for the other jobs named."""
    filters = prune_filters(links, jobs)

    @dg.op(name="prune_old_runs")
    def prune_old_runs(context) -> None:  # type: ignore[no-untyped-def]
        """Removes the runs that are past the number kept."""
        context.log.info(f"{prune(context.instance, filters, KEPT, retention)} runs removed")

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
    newest_first: Iterable[dg.RunRecord],
    kept: Mapping[str, int],
    retention: RetentionConfig | None,
    now: datetime,
) -> Iterator[dg.DagsterRun]:
    seen: Counter[str] = Counter()
    for record in newest_first:
        run = record.dagster_run
        kind = _kind_of(run)
        seen[kind] += 1
        days = (now - record.create_timestamp) / timedelta(days=1)
        old = retention is not None and seen[kind] > 1 and days > _days(retention, kind)
        if old or seen[kind] > kept[kind]:
            yield run


def _days(retention: RetentionConfig, kind: str) -> float:
    return retention.failed_run_days if kind == "failed" else retention.run_days


def _kind_of(run: dg.DagsterRun) -> str:
    if run.status is not dg.DagsterRunStatus.SUCCESS:
        return "failed"
    return "empty" if run.tags.get(BATCHES_TAG, "0") == "0" else "applied"


def _remove(instance: dg.DagsterInstance, run_id: str) -> None:
    """The run, and what Dagster's own delete leaves behind: check results and the log's file."""
    storage = instance.event_log_storage
    if isinstance(storage, SqliteEventLogStorage):
        _remove_from_sqlite(instance, storage, run_id)
    else:
        instance.delete_run(run_id)
    if isinstance(storage, SqlEventLogStorage):
        with storage.index_connection() as connection:
            connection.execute(
                AssetCheckExecutionsTable.delete().where(
                    AssetCheckExecutionsTable.c.run_id == run_id
                )
            )


def _remove_from_sqlite(
    instance: dg.DagsterInstance, storage: SqliteEventLogStorage, run_id: str
) -> None:
    """What `delete_run` does, but the log's file goes as it is.

    Dagster would open it first, look up its revision, and empty it: most of the time of a prune.
    """
    instance.run_storage.delete_run(run_id)
    with storage.index_connection() as connection:
        storage.delete_events_for_run(connection, run_id)
    if storage.supports_global_concurrency_limits:
        storage.free_concurrency_slots_for_run(run_id)
    for suffix in ("", "-wal", "-shm"):
        Path(storage.path_for_shard(run_id) + suffix).unlink(missing_ok=True)
