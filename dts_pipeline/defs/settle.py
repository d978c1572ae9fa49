"""The job `settle`: closes records by making their keys equal, on a schedule of its own."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from dts_pipeline.defs.entries import Entry
from dts_pipeline.defs.failures import failure_of, problem_of
from dts_pipeline.defs.lanes import UNFINISHED

SETTLE_JOB = "settle"
_COUNTS = ("equal", "written", "closed", "again", "undecided", "gone")


def settle_job(pairs: Sequence[Entry]) -> dg.JobDefinition:
    """An op a pair, one after the other: each waits for the scheduled runs of both links."""

    @dg.job(
        name=SETTLE_JOB,
        executor_def=dg.in_process_executor,
        description="Makes keys with an open record equal at both sites, and closes the record.",
    )
    def settle() -> None:
        for pair in pairs:
            _settle_op(pair)()

    return settle


def settle_schedule(job: dg.JobDefinition, cron: str) -> dg.ScheduleDefinition:
    """By the cron line, in UTC, unless the last one still runs; on from the start."""

    @dg.schedule(
        name=f"{SETTLE_JOB}_schedule",
        job=job,
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Skips a tick while a settlement is queued or running.",
    )
    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        unfinished = dg.RunsFilter(job_name=SETTLE_JOB, statuses=UNFINISHED)
        runs = context.instance.get_runs(filters=unfinished, limit=1)
        if runs:
            return dg.SkipReason(f"run {runs[0].run_id} is {runs[0].status.value}")
        return dg.RunRequest()

    return tick


def _settle_op(pair: Entry) -> dg.OpDefinition:
    @dg.op(
        name=f"settle_{pair.name}",
        required_resource_keys=pair.resources,
        out=dg.Out(dg.Nothing),
    )
    def settle_pair(context: dg.OpExecutionContext) -> None:
        """Reconciles every key with an open record."""
        from dts_pipeline.stages.settle import settle

        try:
            report = settle(pair.pair(context))
        except Exception as error:
            raise failure_of(problem_of(error, SETTLE_JOB)) from None
        totals: dict[str, Any] = {kind: report.total(kind) for kind in _COUNTS}
        records = [
            dg.TableRecord({"table": table, **{kind: counts[kind] for kind in _COUNTS}})
            for table, counts in sorted(report.tables.items())
        ]
        totals |= {"rounds": report.rounds, "tables": dg.MetadataValue.table(records, _SCHEMA)}
        context.add_output_metadata(totals)
        context.log.info(f"{report.total('closed')} records closed")

    return settle_pair


_SCHEMA = dg.TableSchema(
    [dg.TableColumn("table"), *(dg.TableColumn(kind, "int") for kind in _COUNTS)]
)
