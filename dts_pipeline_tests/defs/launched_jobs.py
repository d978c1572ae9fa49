"""Jobs that a launcher starts in processes of their own; tests name them by their functions."""

import os
import time

import dagster as dg


@dg.op
def tell(context: dg.OpExecutionContext) -> None:
    """Says what the process is like."""
    context.instance.add_run_tags(context.run_id, {"parent": str(os.getppid())})


@dg.op
def wait() -> None:
    """Takes longer than any test."""
    time.sleep(600)


@dg.job(executor_def=dg.in_process_executor)
def telling() -> None:
    """Ends at once."""
    tell()


@dg.job(executor_def=dg.in_process_executor)
def waiting() -> None:
    """Never ends by itself."""
    wait()


def named(name: str) -> dg.JobDefinition:
    """The job of a name."""
    return {job.name: job for job in (telling, waiting)}[name]
