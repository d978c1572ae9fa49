"""The job `prune_ledger`: what `stages/prune.py` does, a step a link, once an hour."""

from collections.abc import Sequence

import dagster as dg

from dts_pipeline.config import RetentionConfig
from dts_pipeline.core.links import Link
from dts_pipeline.defs.failures import failure_of, problem_of
from dts_pipeline.defs.resources import runtime_key

PRUNE_LEDGER = "prune_ledger"


def prune_ledger_job(links: Sequence[Link], retention: RetentionConfig) -> dg.JobDefinition:
    """A step a link, each by itself: a server that is away stops no other link's."""
    ops = [_prune_op(link, retention) for link in links]

    @dg.job(
        name=PRUNE_LEDGER,
        executor_def=dg.in_process_executor,
        description="Removes old batches and closed records of conflicts from the ledgers.",
    )
    def prune_ledger() -> None:
        for op in ops:
            op()

    return prune_ledger


def prune_ledger_schedule(job: dg.JobDefinition) -> dg.ScheduleDefinition:
    """Once an hour, on from the start."""
    return dg.ScheduleDefinition(
        name=f"{PRUNE_LEDGER}_schedule",
        job=job,
        cron_schedule="41 * * * *",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )


def _prune_op(link: Link, retention: RetentionConfig) -> dg.OpDefinition:
    @dg.op(
        name=f"prune_{link.name}",
        required_resource_keys={runtime_key(link.name)},
        out=dg.Out(dg.Nothing),
    )
    def prune_link(context: dg.OpExecutionContext) -> None:
        """Removes what is older than `retention` says and nobody can ask for any more."""
        from dts_pipeline.stages.prune import prune_ledger

        try:
            done = prune_ledger(
                getattr(context.resources, runtime_key(link.name)),
                batch_days=retention.batch_days,
                conflict_days=retention.conflict_days,
            )
        except Exception as error:
            raise failure_of(problem_of(error, PRUNE_LEDGER)) from None
        context.add_output_metadata(
            {"batches": done.batches, "batches_held": done.held, "records": done.records}
        )

    return prune_link
